package convert

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Configurations as they are found in the field, in testdata/field. Their requests are comments:
//
//	#> [LISTENER] METHOD URL [xTIMES] [from=ADDRESS] [even|spread|sticky|jar] [Name:value]...
//	#> [LISTENER] tcp LINE
//	#! ... differs, and the account names the directive
//
// "watch" lists headers of responses that are compared.

// fieldScript reads the requests of a text. differs are those that are not the same on both sides.
func fieldScript(t *testing.T, text string) (all []request, differs []bool, watch []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields := strings.Fields(rest)
		switch {
		case kind != "#>" && kind != "#!":
		case fields[0] == "watch":
			watch = fields[1:]
		default:
			all, differs = append(all, fieldRequest(t, fields)), append(differs, kind == "#!")
		}
	}
	return all, differs, watch
}

func fieldRequest(t *testing.T, fields []string) (r request) {
	t.Helper()
	if n, err := strconv.Atoi(fields[0]); err == nil {
		r.listener, fields = n, fields[1:]
	}
	if fields[0] == "tcp" {
		r.tcp, r.path = true, fields[1]
		return r
	}
	u, err := url.Parse(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	r.method, r.host, r.path, r.tls, r.headers = fields[0], u.Host, u.RequestURI(), u.Scheme == "https", map[string]string{}
	if r.host == "_" {
		r.host = "@"
	}
	if r.method == "POST" {
		r.body = "{}"
	}
	for _, f := range fields[2:] {
		name, value, _ := strings.Cut(f, ":")
		source, from := strings.CutPrefix(f, "from=")
		policies := map[string]policy{"even": even, "spread": spread, "sticky": sticky}
		switch n, err := strconv.Atoi(strings.TrimPrefix(f, "x")); {
		case from:
			r.source = source
		case f == "jar":
			r.jar = true
		case slices.Contains([]string{"even", "spread", "sticky"}, f):
			r.policy = policies[f]
		case err == nil && f[0] == 'x':
			r.times = n
		default:
			r.headers[name] = strings.ReplaceAll(value, "_", " ")
		}
	}
	return r
}

// What is in the field is answered alike after the move, but where the account says so.
func TestField(t *testing.T) {
	names, err := filepath.Glob("testdata/field/*.c*f*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) { compareField(t, name) })
	}
}

func compareField(t *testing.T, name string) {
	needs(t, fieldLanguage(name))
	text := string(read(t, name))
	if fieldLanguage(name) == Nginx {
		text = nginxHead + strings.Replace(text, "http {", "http {"+nginxTemp, 1)
	}
	requests, differs, watch := fieldScript(t, text)
	s := newStage(t)
	before := s.original(string(fieldLanguage(name)), text)
	after, result := s.convertedAnyhow(fieldLanguage(name), text)
	if slices.Contains(differs, true) && !result.Incomplete() && !strings.Contains(result.Text, ".conf") && !strings.Contains(result.Text, "converted.") {
		t.Error("it differs, and nothing says so")
	}
	for i, r := range requests {
		want, got := before.show(r, before.ask(r, watch)), after.show(r, after.ask(r, watch))
		if (want == got) == differs[i] {
			t.Errorf("%s %s%s %v: %s answers\n%s\nand mcplb\n%s", r.method, r.host, r.path, r.headers, fieldLanguage(name), want, got)
		}
	}
	if dir := os.Getenv("FIELD_OUT"); dir != "" {
		var report strings.Builder
		_ = result.Report(&report)
		_ = os.WriteFile(filepath.Join(dir, filepath.Base(name)+".txt"), []byte(fmt.Sprint(result.Text, "\n", report.String())), 0o600)
	}
}

// fieldLanguage is the language of a file, by its name.
func fieldLanguage(name string) Language {
	if strings.HasSuffix(name, ".cfg") {
		return HAProxy
	}
	return Nginx
}

package convert

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/haproxy"
	"mcplb/cmd/mcplb/convert/lb"
	"mcplb/cmd/mcplb/convert/nginx"
	"mcplb/conf"
)

// Language is the language of a configuration.
type Language string

// The languages. Detect finds out by the text.
const (
	Detect  Language = ""
	HAProxy Language = "haproxy"
	Nginx   Language = "nginx"
)

// Result is a configuration that was converted.
type Result struct {
	Text    string   // lb.toml
	Missing []string // what mcplb -t says of files that cannot be used here
	config  *lb.Config
}

// Report writes the account of every directive as a table.
func (r *Result) Report(to io.Writer) error { return r.config.Report(to) }

// Directives returns the account of every directive, in the order of the original.
func (r *Result) Directives() []*lb.Directive { return r.config.Directives }

// Incomplete reports whether a directive was not possible.
func (r *Result) Incomplete() bool { return r.config.Worst() == lb.Impossible }

// Opened returns the directives that refuse requests in the original, while what came out lets
// these reach servers.
func (r *Result) Opened() []*lb.Directive { return r.config.Opened() }

// Files converts files, which are one configuration in one language; "-" is standard
// input. The error says which cannot be read, or that they are in no language that is known,
// or in two.
func Files(language Language, names ...string) (*Result, error) {
	in := &input{stdin: os.Stdin}
	if language == Detect {
		var err error
		if language, err = detect(in, names); err != nil {
			return nil, err
		}
	}
	var config *lb.Config
	var err error
	switch language {
	case HAProxy:
		config = lb.NewConfig("HAProxy")
		env := haproxy.System()
		env.ReadFile = in.readFile
		err = haproxy.Convert(config, env, names...)
	case Nginx:
		config = lb.NewConfig("nginx")
		env := nginx.System()
		env.ReadFile = in.readFile
		err = nginx.Convert(config, env, names...)
	default:
		err = fmt.Errorf("there is no language %q: write haproxy or nginx", language)
	}
	if err == nil && len(config.Directives) == 0 {
		err = fmt.Errorf("there is no directive in %s", strings.Join(names, ", "))
	}
	if err != nil {
		return nil, err
	}
	config.NoteForwarded()
	return accept(config), nil
}

// mostRefusals bounds the attempts to make mcplb accept a result: each takes out one
// thing at least.
const mostRefusals = 1000

// accept takes out of a configuration what mcplb refuses.
func accept(config *lb.Config) *Result {
	for range mostRefusals {
		text := config.Text()
		_, err := conf.Parse("lb.toml", []byte(text))
		var mistakes conf.Errors
		if !errors.As(err, &mistakes) {
			return &Result{Text: text, config: config}
		}
		missing, refused := sortMistakes(mistakes)
		// From the end, so that the lines of those before stay what they are. Only the
		// last: the others may follow from it.
		changed := false
		for _, m := range slices.Backward(refused) {
			if changed = config.Refuse(m.Line, m.Key+" "+m.Reason); changed {
				break
			}
		}
		if !changed {
			for _, m := range refused {
				missing = append(missing, m.Error())
			}
			return &Result{Text: text, Missing: missing, config: config}
		}
	}
	return &Result{Text: config.Text(), config: config}
}

// ofFiles are the keys whose mistakes may be about files that exist elsewhere.
var ofFiles = regexp.MustCompile(`\.tls\.(certificates\[|ca$|cert$|key$|client_c|ticket_keys)|\.error_pages\.|\.tls$|^global\.access_log$`)

// sortMistakes tells mistakes about files from others.
func sortMistakes(mistakes conf.Errors) (missing []string, refused conf.Errors) {
	for _, m := range mistakes {
		if ofFiles.MatchString(m.Key) {
			missing = append(missing, fmt.Sprintf("%s: %s", m.Key, m.Reason))
		} else {
			refused = append(refused, m)
		}
	}
	return missing, refused
}

var (
	nginxLooks   = regexp.MustCompile(`(?m)^\s*(((http|events|stream|server|upstream\s+\S+|map\s+\S+\s+\S+|location\s+[^{=]+)\s*\{)|((user|worker_processes|include|listen|proxy_pass|error_log|pid|load_module)\s+[^={]*;))`)
	haproxyLooks = regexp.MustCompile(`(?m)^\s*(global|defaults|userlist|peers|resolvers|frontend|backend|listen)(\s+[\w.:-]+)?(\s+from\s+\S+)?\s*(#.*)?\r?$`)
)

// detect finds out in which language files are.
func detect(in *input, names []string) (language Language, err error) {
	by := ""
	for _, name := range names {
		text, err := in.readAny(name)
		if err != nil {
			return Detect, err
		}
		switch found := looks(name, strings.TrimPrefix(text, "\uFEFF")); {
		case found == Detect || found == language:
		case language != Detect:
			return Detect, fmt.Errorf("%s is a configuration of %s, and %s one of %s: convert one after the other", by, language, name, found)
		default:
			language, by = found, name
		}
	}
	if language != Detect {
		return language, nil
	}
	return Detect, fmt.Errorf("%s looks like neither HAProxy's nor nginx's%s: say which with -from haproxy or -from nginx", names[0], in.guess(names[0]))
}

// looks returns the language in which a text is, by its words and the file's name, or
// Detect.
func looks(name, text string) Language {
	isNginx, isHAProxy := nginxLooks.MatchString(text), haproxyLooks.MatchString(text)
	switch {
	case isNginx && !isHAProxy:
		return Nginx
	case isHAProxy && !isNginx:
		return HAProxy
	case strings.HasSuffix(name, ".conf") && isNginx:
		return Nginx
	case strings.HasSuffix(name, ".cfg"):
		return HAProxy
	}
	return Detect
}

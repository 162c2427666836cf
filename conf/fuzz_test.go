package conf

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzParse checks that no text makes the parser panic, that mistakes are sorted
// and have all their parts, and that an accepted file is complete.
func FuzzParse(f *testing.F) {
	f.Add([]byte(contract(f)))
	f.Add([]byte(minimal))
	f.Add([]byte(diffBase))
	files, _ := filepath.Glob("testdata/broken/*.toml")
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, d := parse([]File{{"lb.toml", slices.Clone(text)}})
		c, err := d.result(c)
		if err != nil {
			checkMistakes(t, text, err)
			if c != nil {
				t.Error("both a Config and an error")
			}
			return
		}
		checkComplete(t, c)
		compareLines(t, string(text))
		again, d := parse([]File{{"lb.toml", text}})
		if len(d.mistakes) > 0 || !reflect.DeepEqual(c, again) || !Diff(c, again).Empty() {
			t.Errorf("parsed twice, it differs: %v, %v", d.mistakes, Diff(c, again))
		}
	})
}

func checkMistakes(t *testing.T, text []byte, err error) {
	var all Errors
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("no Errors: %v", err)
	}
	lines := strings.Count(string(text), "\n") + 1
	for _, e := range all {
		if e.File != "lb.toml" || e.Line < 1 || e.Line > lines || e.Key == "" || e.Reason == "" || strings.ContainsAny(e.Error(), "\n\r\x00") {
			t.Errorf("%q", e)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) }) {
		t.Errorf("not sorted:\n%v", err)
	}
}

// checkComplete checks what the package guarantees of a Config.
func checkComplete(t *testing.T, c *Config) {
	if len(c.Frontends) == 0 || len(c.Backends) == 0 || c.RateLimit.TableSize < 1 || c.Global.LogFormat == "" {
		t.Errorf("incomplete: %+v", c)
	}
	for _, f := range c.Frontends {
		if f.Name == "" || len(f.Listen) == 0 || f.Mode == "" || c.Backend(f.Backend) == nil {
			t.Errorf("incomplete: %+v", f)
		}
		if f.AcceptProxy && len(f.TrustedProxies) == 0 {
			t.Errorf("a PROXY header is accepted from anyone: %+v", f)
		}
		for _, r := range f.Routes {
			if r.Path == "" || r.Endpoint == "" || c.Backend(f.BackendOf(&r)) == nil {
				t.Errorf("incomplete: %+v", r)
			}
		}
		for _, s := range c.Backend(f.Backend).Servers {
			if s.Address(f.Mode.endpoint()) == "" {
				t.Errorf("%s cannot reach %+v", f.Name, s)
			}
		}
	}
	for _, b := range c.Backends {
		checkCompleteBackend(t, &b)
	}
}

func checkCompleteBackend(t *testing.T, b *Backend) {
	if len(b.Servers) == 0 || b.Balance == "" || b.TimeoutConnect <= 0 || b.Check.Type == "" || b.Check.Timeout <= 0 ||
		b.Check.FastInterval <= 0 || b.Check.FastInterval > b.Check.Interval || b.Check.Rise < 1 || b.Check.Fall < 1 {
		t.Errorf("incomplete: %+v", b)
	}
	ids, weights := map[string]bool{}, 0
	for _, s := range b.Servers {
		weights += s.Weight
		ids[s.Name] = true
		if s.Name == "" || s.TCP == "" && s.HTTP == "" || s.HTTP != "" && (s.WS == "" || s.SSE == "") {
			t.Errorf("incomplete: %+v", s)
		}
		for _, e := range serverEndpoints {
			if address := s.Address(e); address != "" {
				if canonical, err := parseServer(address); err != nil || canonical != address {
					t.Errorf("the address %q: %v", address, err)
				}
			}
		}
	}
	if weights == 0 || len(ids) != len(b.Servers) {
		t.Errorf("%d servers of weight %d: %+v", len(ids), weights, b)
	}
}

// FuzzDocument checks that each key that the library finds in a valid document
// has a mark, and the line that the library gives for it.
func FuzzDocument(f *testing.F) {
	f.Add(contract(f))
	f.Add("a = \"\"\"\n= [\"\"\"\"\"\n'b=' = [ # =\n{ c.d = 1 }]\n[\"#\".e]\nf = { g = [{}],\n h = '=' }\n[[i]]\nj = '''\n'''''")
	f.Fuzz(func(t *testing.T, text string) {
		marks, wrong := scan(text)
		if wrong != nil || invalidUTF8(text) < len(text) || strings.HasPrefix(text, byteOrderMark) {
			return
		}
		_, meta, err := decodeTOML(text)
		if err == nil && len(marks) != len(meta.Keys()) {
			t.Errorf("%d marks, keys %q, in:\n%s", len(marks), meta.Keys(), text)
		}
		if err != nil && strings.Contains(err.Error(), "bug in the TOML library") {
			t.Error(err)
		}
		compareLines(t, text)
	})
}

// large returns a file with the given numbers of servers and frontends.
func large(servers, frontends int) string {
	var text strings.Builder
	for i := range frontends {
		fmt.Fprintf(&text, "[frontend.f%d]\nlisten = [\":%d\", \"127.0.0.1:%d\"]\nmode = \"mcp\"\nbackend = \"nodes\"\nmax_message = \"1m\"\ntimeout_client = \"60s\"\n", i, 10000+i, 20000+i)
	}
	text.WriteString("[backend.nodes]\nbalance = \"leastconn\"\n")
	for i := range servers {
		fmt.Fprintf(&text, "[[backend.nodes.server]]\nname = \"node%d\"\ntcp = \"10.0.%d.%d:9000\"\nhttp = \"10.0.%d.%d:8080\"\nweight = 50\n", i, i/256, i%256, i/256, i%256)
	}
	return text.String()
}

func BenchmarkParse(b *testing.B) {
	text := []byte(large(1000, 200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("lb.toml", text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	before, after := mustParse(b, large(1000, 200)), mustParse(b, strings.ReplaceAll(large(1000, 200), "weight = 50", "weight = 51"))
	b.ReportAllocs()
	for b.Loop() {
		if Diff(before, after).Empty() {
			b.Fatal("nothing changed")
		}
	}
}

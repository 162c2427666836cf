package http1

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// smuggling is one case of testdata/cases; see the README there.
type smuggling struct {
	file, name, want string
	asked            []string
	in, forward      []byte
	forwarded        bool // the case has a forward line
}

func (c *smuggling) reader() *reader {
	r := &reader{response: c.asked != nil}
	if c.asked != nil {
		r.asked.Method = methodOf([]byte(c.asked[0]))
		r.asked.WebSocket = len(c.asked) > 1 && c.asked[1] == "websocket"
	}
	return r
}

func readCases(t testing.TB) []smuggling {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases:", err)
	}
	var all []smuggling
	for _, file := range files {
		all = append(all, readCaseFile(t, file)...)
	}
	return all
}

func readCaseFile(t testing.TB, file string) []smuggling {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []smuggling
	names := map[string]bool{}
	lines := bufio.NewScanner(f)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		value = strings.TrimSpace(value)
		if key == "name" {
			cases = append(cases, smuggling{file: filepath.Base(file), name: value})
			if names[value] {
				t.Fatalf("%s:%d: %s is given twice", file, number, value)
			}
			names[value] = true
			continue
		}
		if !ok || len(cases) == 0 || !cases[len(cases)-1].set(key, value) {
			t.Fatalf("%s:%d: unknown line: %s", file, number, line)
		}
	}
	return cases
}

func (c *smuggling) set(key, value string) bool {
	switch key {
	case "asked":
		c.asked = strings.Fields(value)
		return true
	case "want":
		c.want = value
		return true
	}
	s, err := strconv.Unquote(value)
	switch key {
	case "in":
		c.in = append(c.in, s...)
	case "forward":
		c.forward = append(c.forward, s...)
		c.forwarded = true
	default:
		return false
	}
	return err == nil
}

func TestCases(t *testing.T) {
	t.Parallel()
	cases := readCases(t)
	if len(cases) < 300 {
		t.Errorf("only %d cases were read", len(cases))
	}
	for _, c := range cases {
		t.Run(c.file+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			checkCase(t, &c)
		})
	}
}

func checkCase(t *testing.T, c *smuggling) {
	r := c.reader()
	got := exchange(r, c.in)
	if got != c.want {
		t.Fatalf("in:   %q\ngot:  %s\nwant: %s", c.in, got, c.want)
	}
	if c.forwarded && string(r.forward) != string(c.forward) {
		t.Errorf("forwards %q\nwant     %q", r.forward, c.forward)
	}
	for i := range c.in {
		if split := exchange(c.reader(), c.in[:i], c.in[i:]); !agree(got, split, c.in) {
			t.Errorf("split at %d: %s\nunsplit:  %s", i, split, got)
		}
	}
	if split := exchange(c.reader(), bytewise(c.in)...); !agree(got, split, c.in) {
		t.Errorf("byte by byte: %s\nunsplit: %s", split, got)
	}
	if !strings.HasPrefix(got, "refused") {
		checkForward(t, c, r)
	}
}

// checkForward checks that the message passed on has the same meaning as the
// one received: with the framing a proxy generates, it parses to the same
// outcome.
func checkForward(t *testing.T, c *smuggling, r *reader) {
	if r.headSize == 0 || r.response {
		return
	}
	head := append([]byte(nil), r.forward...)
	if !r.request.Has(HeaderHost) {
		head = AppendField(head, "Host", "from.proxy")
	}
	if r.framing == FramingChunked {
		head = AppendField(head, "Transfer-Encoding", "chunked")
	}
	head = append(head, "\r\n"...)
	again := &reader{}
	again.feed(head)
	if again.reason != ReasonNone || again.headSize != len(head) || again.framing != r.framing || again.left != r.request.Length ||
		string(again.request.AppendTarget(nil)) != string(r.request.AppendTarget(nil)) || again.request.Method != r.request.Method {
		t.Errorf("the message passed on is a different one: %q: %s", head, again.outcome())
	}
}

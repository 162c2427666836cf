package rules

import (
	"os"
	"strings"
	"testing"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// attack is a line of adversary.txt.
type attack struct{ verdict, head string }

func attacks(t testing.TB) (all []attack) {
	t.Helper()
	text, err := os.ReadFile("testdata/adversary.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.NewReplacer(" | ", "\r\n", `\t`, "\t", `\x00`, "\x00")
	for line := range strings.Lines(string(text)) {
		verdict, head, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		all = append(all, attack{verdict, lines.Replace(head) + "\r\n\r\n"})
	}
	return all
}

func adversaryFrontend(t testing.TB) *conf.Frontend {
	t.Helper()
	c, err := conf.Load("testdata/adversary.toml")
	if err != nil {
		t.Fatal(err)
	}
	return &c.Frontends[0]
}

// verdict is what happens to a request with that head.
func verdict(m *Matcher, s *Scratch, head string) string {
	var h http1.RequestHead
	var scan http1.Scan
	if n, reason := h.Parse([]byte(head), &scan, http1.MaxHead); n == 0 || reason != http1.ReasonNone {
		return "refused"
	}
	d := m.Match(&Request{Method: h.MethodName(), Host: h.Host(), Path: h.Path(), Fields: &h.Fields, Message: Message{Known: true}}, s)
	switch {
	case d.Refused != Readable:
		return "refused"
	case d.Denied:
		return "denied"
	}
	return "pass"
}

// No spelling evades a denial, and no request is denied that only looks like one
// that is.
func TestAdversary(t *testing.T) {
	t.Parallel()
	m := Compile(adversaryFrontend(t))
	var s Scratch
	all := attacks(t)
	if len(all) < 300 {
		t.Errorf("only %d cases", len(all))
	}
	for _, a := range all {
		if got := verdict(m, &s, a.head); got != a.verdict {
			t.Errorf("%s, want %s: %q", got, a.verdict, a.head)
		}
	}
}

package clients

import (
	"testing"
)

func TestNextEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stream, event, data, rest string }{
		{"event: message\ndata: {}\n\nx", "message", "{}", "x"},
		{"event:message\r\ndata:{}\r\n\r\n", "message", "{}", ""},
		{": comment\n\nrest", "", "", "rest"},
		{"id: 1\nretry: 5\ndata: a: b\n\n", "", "a: b", ""},
	} {
		event, data, rest, complete := nextEvent([]byte(c.stream))
		if !complete || string(event) != c.event || string(data) != c.data || string(rest) != c.rest {
			t.Errorf("%q: %q, %q, %q, %v", c.stream, event, data, rest, complete)
		}
		if _, _, _, complete := nextEvent([]byte(c.stream[:len(c.stream)-len(c.rest)-1])); complete {
			t.Errorf("%q without its end is complete", c.stream)
		}
	}
}

func FuzzNextEvent(f *testing.F) {
	f.Add([]byte("event: message\r\ndata: {}\n\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if event, data, rest, complete := nextEvent(p); len(event)+len(data)+len(rest) > len(p) || complete && len(rest) >= len(p) {
			t.Errorf("%q: %q, %q, %q", p, event, data, rest)
		}
	})
}

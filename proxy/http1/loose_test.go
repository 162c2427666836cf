package http1

import "testing"

func TestLooseField(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]string{
		"": "", "Origin: a": "", "GET / HTTP/1.1\r\nOrigin: a\r\nX": "a", "Origin: a\r\n": "a", "\r\nGET /\r\norigin:a\r\n\r\n": "a",
		"GET  /\nORIGIN: \t a \t\nbad line\n\n": "a", "x\r\nOrigin: a\r\nOrigin: b\r\n": "", "x\r\nOrigin: \r\nOrigin: b\r\n": "",
		"x\r\n\r\nOrigin: a\r\n": "", "x\r\nOrigins: a\r\nOrigin : b\r\n Origin: c\r\nOrigin\r\n": "", "\x16\x03\x01\n\xff": "",
	} {
		if got := string(LooseField([]byte(p), "Origin")); got != want {
			t.Errorf("%q: %q, want %q", p, got, want)
		}
	}
}

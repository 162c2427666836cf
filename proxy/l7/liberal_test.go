package l7

import (
	"slices"
	"strings"
	"testing"
)

// Requests that real software sends, and that nobody could misread, are forwarded in
// one canonical form: their users would get 400 or 417 otherwise.
func TestLiberalRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request string // without the end of the head
		want    string // fields except X-Forwarded-*
		body    string
	}{
		"length with zeros":   {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0000005\r\nA: b", "Host: x\nA: b\nContent-Length: 5", "hello"},
		"many zeros":          {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + strings.Repeat("0", 300) + "5", "Host: x\nContent-Length: 5", "hello"},
		"nothing but zeros":   {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 000", "Host: x\nContent-Length: 0", ""},
		"equal lengths":       {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5", "Host: x\nContent-Length: 5", "hello"},
		"list of lengths":     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 05", "Host: x\nContent-Length: 5", "hello"},
		"Expect empty":        {"POST / HTTP/1.1\r\nHost: x\r\nExpect:\r\nContent-Length: 5", "Host: x\nContent-Length: 5", "hello"},
		"Expect white":        {"POST / HTTP/1.1\r\nHost: x\r\nExpect: \t \r\nContent-Length: 5", "Host: x\nContent-Length: 5", "hello"},
		"Expect list":         {"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, 100-Continue\r\nContent-Length: 5", "Host: x\nContent-Length: 5\nExpect: 100-continue", "hello"},
		"Expect twice":        {"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nexpect: 100-continue\r\nContent-Length: 5", "Host: x\nContent-Length: 5\nExpect: 100-continue", "hello"},
		"Expect of HTTP/1.0":  {"POST / HTTP/1.0\r\nHost: x\r\nExpect: whatever\r\nContent-Length: 5", "Host: x\nContent-Length: 5", "hello"},
		"keep alive":          {"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep alive\r\nA: b", "Host: x\nA: b", ""},
		"close and semicolon": {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close;\r\nA: b", "Host: x\nA: b", ""},
		"keep-alive, time":    {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive;timeout=5\r\nA: b", "Host: x\nA: b", ""},
		"quoted":              {"GET / HTTP/1.1\r\nHost: x\r\nConnection: \"a\", (b), ,\r\nA: b", "Host: x\nA: b", ""},
		"protected":           {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Authorization;, \"Authorization\", Authorization\r\nAuthorization: me", "Host: x\nAuthorization: me", ""},
		"Host, empty port":    {"GET / HTTP/1.1\r\nHost: example.com:", "Host: example.com:", ""},
		"Host, IPv6":          {"GET / HTTP/1.1\r\nHost: [::1]:", "Host: [::1]:", ""},
		"Host, dot":           {"GET / HTTP/1.1\r\nHost: example.com.", "Host: example.com.", ""},
		"absolute":            {"GET http://example.com:/ HTTP/1.1\r\nHost: example.com:80", "Host: example.com:80", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, oneLoop)
			client := b.dial()
			client.Say(c.request + "\r\n\r\n" + c.body)
			server := s.next()
			h := server.head()
			rest := slices.DeleteFunc(slices.Clone(h[1:]), func(line string) bool { return strings.HasPrefix(line, "X-Forwarded-") })
			if got := strings.Join(rest, "\n"); got != c.want {
				t.Errorf("fields %q, want %q", got, c.want)
			}
			server.Hear(c.body)
			server.Say("HTTP/1.1 200 OK\r\nConnection: keep alive, Keep-Alive;timeout=5\r\nContent-Length: 0004\r\n\r\nfine")
			client.wantHead(t, "HTTP/1.1 200 OK", "Content-Length", "4")
			client.Hear("fine")
			if strings.Contains(c.request, "close") || strings.Contains(c.request, "HTTP/1.0") {
				client.HearEnd()
				return
			}
			client.Say(get("/next")) // behind the body, and nowhere else
			if r, _ := server.request(); r.URL.Path != "/next" {
				t.Errorf("the next request is for %s", r.URL)
			}
			server.answer("fine")
			client.wantStatus("GET", 200)
		})
	}
}

// wantHead receives a head, and checks its first line and one field.
func (p *httpConn) wantHead(t *testing.T, first, field, value string) {
	t.Helper()
	if h := p.head(); h.first() != first || h.get(t, field) != value {
		t.Errorf("the head is %q, want %s and %s: %s", h, first, field, value)
	}
}

// What two readers could read differently is refused as before.
func TestStillRefused(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	for request, status := range map[string]int{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello":                 400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 50\r\n\r\nhello":                                  400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello":                                     400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nhello":                                     400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello":                                    400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5 5\r\n\r\nhello":                                    400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nhello":                                        400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5,\r\n\r\nhello":                                     400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0005\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
		"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, x\r\nContent-Length: 5\r\n\r\n":                417,
		"POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\n":                         417,
		"GET / HTTP/1.1\r\nHost: :\r\n\r\n":                                                                 400,
		"GET / HTTP/1.1\r\nHost: a::\r\n\r\n":                                                               400,
		"GET http://a:/ HTTP/1.1\r\nHost: b:\r\n\r\n":                                                       400,
		"GET http://a:81/ HTTP/1.1\r\nHost: a:\r\n\r\n":                                                     400,
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: Content-Length;\r\nContent-Length: 5, 6\r\n\r\nhello":    400,
	} {
		client := b.dial()
		client.Say(request)
		if r, _ := client.wantStatus("POST", status); !r.Close {
			t.Errorf("%q: the connection lives on", request)
		}
		client.Close()
	}
	s.expectNoConn()
}

// A client that expects 100-continue twice gets it once.
func TestExpectTwice(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	client := b.dial()
	server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 05\r\n\r\n")
	server.Say("HTTP/1.1 100 Continue\r\n\r\n")
	client.Hear("HTTP/1.1 100 Continue\r\n\r\n")
	client.Say("hello")
	server.Hear("hello")
	server.answer("thanks")
	if _, body := client.wantStatus("POST", 200); body != "thanks" {
		t.Errorf("the answer is %q", body)
	}
}

package http1

import (
	"strings"
	"testing"
)

// forwardingFields are fields in which a client may claim to be somebody else, as
// written, and whether even a trusted proxy's is dropped: servers that fold "_"
// and "-" would read it in place of the true one.
var forwardingFields = []struct {
	name string
	twin bool
}{
	{"X-Forwarded-For", false}, {"x-forwarded-for", false}, {"X-Forwarded-Proto", false}, {"X-Forwarded-Host", false},
	{"X-Forwarded-Port", false}, {"X-Forwarded-Server", false}, {"X-Forwarded-Prefix", false}, {"X-Forwarded-By", false},
	{"X-Forwarded-Ssl", false}, {"X-Forwarded-Scheme", false}, {"X-FORWARDED-URI", false}, {"x-forwarded-client-cert", false},
	{"X-Forwarded-Anything-That-Is-Long", false}, {"X-Forwarded-", false}, {"X-Forwarded", false},
	{"Forwarded", false}, {"forwarded", false}, {"X-Real-IP", false}, {"x-real-ip", false},

	{"X_Forwarded_For", true}, {"x-forwarded_for", true}, {"X_FORWARDED-FOR", true}, {"X_Forwarded_Prefix", true},
	{"X-Forwarded-Client_Cert", true}, {"X_Forwarded_Anything_That_Is_Long", true}, {"X_Forwarded", true},
	{"X_Real_IP", true}, {"X-Real_IP", true}, {"x_real-ip", true},
}

// A client that is believed about its address evades limits, rules and what servers
// log: none of these fields may pass, however it is written, unless the peer is
// trusted (Forwarding), and a twin never.
func TestForwardingFields(t *testing.T) {
	t.Parallel()
	for _, c := range forwardingFields {
		for _, connection := range []string{"keep-alive", c.name, "close, " + c.name} {
			text := "GET / HTTP/1.1\r\nHost: a\r\nX-Other: 1\r\n" + c.name + ": 6.6.6.6\r\nConnection: " + connection + "\r\nX-Last: 2\r\n\r\n"
			for _, cut := range []string{text, strings.ReplaceAll(text, "X-Last: 2\r\n", "")} { // so that the name is near the end, too
				var head RequestHead
				var scan Scan
				n, reason := head.Parse([]byte(cut), &scan, MaxHead)
				if n == 0 {
					t.Fatalf("%q: %v", cut, reason)
				}
				if out := string(head.AppendFields(nil, Forwarding)); strings.Contains(out, "6.6.6.6") || !strings.Contains(out, "X-Other: 1") {
					t.Errorf("%s passes from an untrusted peer (Connection: %s): %q", c.name, connection, out)
				}
				if out := string(head.AppendFields(nil, 0)); strings.Contains(out, "6.6.6.6") == c.twin {
					t.Errorf("%s from a trusted peer (Connection: %s): %q", c.name, connection, out)
				}
			}
		}
		if TrailersPass.Passes([]byte(c.name)) {
			t.Errorf("%s passes as a trailer", c.name)
		}
	}
}

// Fields that merely resemble those pass.
func TestNotForwardingFields(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-Forward-For", "X-Forwardedfor", "X-Forwarded2", "XForwarded-For", "Forwarded-For", "X-Real-IPs", "X", "X_", "X-Original-Forwarded-For"} {
		var head RequestHead
		var scan Scan
		if n, _ := head.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\n"+name+": 7\r\n\r\n"), &scan, MaxHead); n == 0 {
			t.Fatal(name)
		}
		if out := string(head.AppendFields(nil, Forwarding)); !strings.Contains(out, name+": 7") {
			t.Errorf("%s is dropped: %q", name, out)
		}
	}
}

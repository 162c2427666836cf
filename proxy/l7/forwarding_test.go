package l7

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcplb/conf"
)

// claims are fields in which a client may claim to be somebody else, or to have come
// by another way, and whether servers that fold punctuation take them for others.
var claims = []struct {
	name string
	twin bool
}{
	{"X-Forwarded-For", false}, {"X-Forwarded-Proto", false}, {"X-Forwarded-Host", false}, {"X-Forwarded-Port", false},
	{"x-forwarded-prefix", false}, {"X-Forwarded-Server", false}, {"X-Forwarded-By", false}, {"X-Forwarded-Ssl", false},
	{"X-FORWARDED-SCHEME", false}, {"X-Forwarded-Client-Cert", false}, {"Forwarded", false}, {"X-Real-IP", false},
	{"X_Forwarded_For", true}, {"x-forwarded_for", true}, {"X_FORWARDED-PROTO", true}, {"X_Forwarded_Prefix", true},
	{"X-Forwarded-Client_Cert", true}, {"X_Real_IP", true}, {"X-Real_IP", true},
	{"X.Forwarded.For", true}, {"x-forwarded.proto", true}, {"X~Forwarded+Host", true}, {"X.Forwarded.Client.Cert", true}, {"X.Real.IP", true}, {"X-Real|IP", true},
}

// What a peer who is not trusted claims about its address, scheme or host reaches no
// server, in plain requests and those of WebSockets, and whatever Connection names;
// what the balancer says of the client does. From a trusted proxy it passes, but for
// the twins. If this fails, clients evade what servers decide by the address.
func TestClaimsDoNotReachServers(t *testing.T) {
	t.Parallel()
	const claimed = "6.6.6.6"
	for _, trusted := range []bool{false, true} {
		b, s := startServed(t, oneLoop, withFrontend(func(f *conf.Frontend) {
			f.TrustedProxies = prefixes("192.0.2.0/24")
			if trusted {
				f.TrustedProxies = prefixes("127.0.0.0/8")
			}
		}))
		for _, c := range claims {
			for _, kind := range []string{"request", "named in Connection", "WebSocket", "twice"} {
				request := get("/", "Connection: close")
				fields := c.name + ": " + claimed + "\r\n"
				switch kind {
				case "named in Connection":
					fields += "Connection: " + c.name + "\r\n"
				case "WebSocket":
					request = upgrade
				case "twice":
					fields += strings.ToLower(fields)
				}
				client := b.dial()
				client.Say(strings.Replace(request, "Host: x\r\n", "Host: x\r\n"+fields, 1))
				server := s.next()
				h := server.head()
				passes := slices.ContainsFunc(h[1:], func(line string) bool { return strings.Contains(line, claimed) })
				if want := trusted && !c.twin; passes != want {
					t.Errorf("trusted %v, %s, %s: it passes: %v, want %v: %q", trusted, c.name, kind, passes, want, h)
				}
				if last := h.all("X-Forwarded-For"); len(last) != 1 || !strings.HasSuffix(last[0], "127.0.0.1") || kind != "twice" && len(h.all("X-Forwarded-Proto")) != 1 {
					t.Errorf("trusted %v, %s, %s: the server is told %q", trusted, c.name, kind, h)
				}
				server.Say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				client.wantStatus("GET", 204)
				client.Close()
				server.Close()
			}
		}
	}
}

// A trailer reaches servers that merge it into the head.
func TestClaimsInTrailersDoNotReachServers(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	for _, c := range claims {
		client := b.dial()
		client.Say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n%s: 6.6.6.6\r\n\r\n", c.name))
		server := s.next()
		r, _ := server.request()
		if len(r.Trailer) != 0 {
			t.Errorf("%s: the server gets %v", c.name, r.Trailer)
		}
		server.Say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		client.wantStatus("POST", 204)
		client.Close()
		server.Close()
	}
}

package l7

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
)

// Mode http answers 403 to a client that allow and deny refuse, request by request on a
// trusted proxy's connection: the others' requests there pass. What a client that is no
// proxy claims to be counts for nothing.
func TestAccess(t *testing.T) {
	t.Parallel()
	lists := withFrontend(func(f *conf.Frontend) {
		f.Allow, f.Deny = prefixes("192.0.2.0/24", "127.0.0.2/32"), prefixes("192.0.2.66/32")
	})
	proxied := start(t, []string{httpServer(t, echo)}, behindProxy, lists)
	client := proxied.dial()
	for _, step := range []struct {
		of   string
		want int
	}{
		{"192.0.2.1", 200}, {"192.0.2.66", 403}, {"192.0.2.1", 200}, {"198.51.100.1", 403}, {"::ffff:192.0.2.9", 200},
		{"192.0.2.1, 192.0.2.66", 403}, {"192.0.2.66, 192.0.2.1", 200}, {"", 403},
	} {
		client.Say(rpcPost("7", "X-Forwarded-For: "+step.of))
		r, body := client.wantStatus("POST", step.want)
		if r.Close {
			t.Errorf("of %q: the proxy's connection ends", step.of)
		}
		if step.want == 403 {
			if e := parseRPC(t, body); string(e.ID) != "7" {
				t.Errorf("of %q: %q", step.of, body)
			}
		}
	}
	if n := proxied.frontend.Totals().Own[AccessDenied.String()]; n != 4 {
		t.Errorf("%d refused requests are counted, want 4", n)
	}

	direct := start(t, []string{httpServer(t, echo)}, lists)
	client = direct.dial()
	for range 2 {
		client.Say(get("/", "X-Forwarded-For: 192.0.2.1"))
		client.wantStatus("GET", 403)
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: endpoint.Patience}
	conn, err := from.Dial("tcp", direct.Address)
	if err != nil {
		t.Fatal(err)
	}
	allowed := &httpConn{endpoint.New(t, conn.(*net.TCPConn))}
	allowed.Say(get("/", "X-Forwarded-For: 192.0.2.66"))
	allowed.wantStatus("GET", 200)
	ws := direct.dial()
	ws.Say("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	ws.wantStatus("GET", 403)
}

// Clients that are refused anyway, by deny or a ban, do not cost more than others: their
// answers come at their rate, and refusals over it are violations, which ban a client that
// floods. Without that, one connection of a denied client takes a whole loop.
func TestRefusedClientsHaveTheirRate(t *testing.T) {
	t.Parallel()
	denied, banned := netip.MustParseAddr("192.0.2.66"), netip.MustParseAddr("192.0.2.67")
	for _, client := range []netip.Addr{denied, banned} {
		t.Run(client.String(), func(t *testing.T) {
			t.Parallel()
			b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy,
				withFrontend(func(f *conf.Frontend) { f.Deny = prefixes("192.0.2.66/32") }),
				withLimits(func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst, l.BanAfter = 1, 2, 3 }))
			b.Limiter.Ban(banned, 0, b.Now())
			proxy := b.dial()
			proxy.Say(strings.Repeat(of(client.String()), 10))
			for answered := range 10 {
				if answered >= 2 {
					b.Turns(5)
					if n := b.frontend.Totals().Requests; n != uint64(answered) {
						t.Fatalf("%d requests are answered, want %d", n, answered)
					}
					b.Advance(time.Second)
				}
				proxy.wantStatus("GET", 403)
			}
			if bans := b.Limiter.Bans(b.Now()); client == denied && len(bans) != 2 {
				t.Errorf("bans %+v, want the denied client's as well", bans)
			}
			proxy.Say(of("192.0.2.1"))
			proxy.wantStatus("GET", 200)
		})
	}
}

// Where messages over the rate are rejected, refusals of denied clients wait for nothing.
func TestAccessDeniedIsCharged(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy,
		withFrontend(func(f *conf.Frontend) { f.Deny = prefixes("192.0.2.66/32") }),
		withLimits(func(l *conf.RateLimit) {
			l.MessageRate, l.MessageBurst, l.BanAfter, l.OverMessage = 1, 2, 3, conf.Reject
		}))
	client := b.dial()
	for range 10 {
		client.Say(of("192.0.2.66"))
		client.wantStatus("GET", 403)
	}
	if bans := b.Limiter.Bans(b.Now()); len(bans) != 1 {
		t.Errorf("bans %+v, want one", bans)
	}
}

package l7

import (
	"net"
	"testing"

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

// A denied client that floods is banned like another: its refused requests count for its
// rate, which a refusal that costs nothing would let it exceed for ever.
func TestAccessDeniedIsCharged(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy,
		withFrontend(func(f *conf.Frontend) { f.Deny = prefixes("192.0.2.66/32") }),
		withLimits(func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst, l.BanAfter = 1, 2, 3 }))
	client := b.dial()
	for range 10 {
		client.Say(of("192.0.2.66"))
		client.wantStatus("GET", 403)
	}
	if bans := b.Limiter.Bans(b.Now()); len(bans) != 1 {
		t.Errorf("bans %+v, want one", bans)
	}
}

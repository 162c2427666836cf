package proxy

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
	"mcplb/ratelimit"
)

// logged collects a log.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A client that is refused after an automatic ban must be found in the log: who, why,
// for how long, and how to lift it. And while it is throttled, the status says so: an
// operator who sees "healthy" looks for the delay in the servers.
func TestThrottlingIsVisible(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, name("s1"))
	var log logged
	o := options()
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	p, err := Start(parse(t, "[ratelimit]\nconnection_rate = 1\nconnection_burst = 2\nmessage_rate = 1\nmessage_burst = 1\nban_after = 3\n"+
		frontendText("f", anyPort, "mcp", "b")+backendText("b", []string{s.Address})), o)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, p)
	t.Cleanup(r.end)
	c := dial(t, r.address("f"))
	c.Say("1\n2\n3\n")
	r.eventually("the source is shown as delayed", func() bool {
		shown := r.Snapshot().RateLimit
		return len(shown.Throttled) == 1 && shown.Throttled[0].Source == "127.0.0.1" && shown.Throttled[0].Delayed > 0 && shown.MessagesDelayed > 0
	})
	r.eventually("the source is banned", func() bool {
		if c, err := net.Dial("tcp", r.address("f")); err == nil {
			c.Close()
		}
		return len(r.Snapshot().RateLimit.Bans) == 1
	})
	shown := r.Snapshot().RateLimit
	if shown.Throttled[0].Refused < 3 || shown.BansImposed != 1 {
		t.Errorf("shown as %+v", shown)
	}
	// The ban counts from the moment it is imposed; its line is written just afterwards.
	r.eventually("the ban is logged", func() bool { return strings.Contains(log.String(), "source banned") })
	for _, part := range []string{`msg="source banned"`, "source=127.0.0.1 ", "reason=connection_rate", "violations=3", "for=5m0s", `lift="mcplb unban 127.0.0.1"`} {
		if strings.Count(log.String(), part) != 1 {
			t.Errorf("the log has not %s once: %s", part, log.String())
		}
	}
	c.Close()
}

// An attack from many addresses must not fill the disk with its bans.
func TestBansAreLoggedAtALimitedRate(t *testing.T) {
	t.Parallel()
	var log logged
	synctest.Test(t, func(*testing.T) { // all at once
		ban := banLogger(slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 10_000 {
			ban(ratelimit.Ban{Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), Reason: ratelimit.MessageRate})
		}
	})
	if n := strings.Count(log.String(), "\n"); n < banLogBurst || n > banLogBurst+1 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(log.String(), `for="until it is lifted"`) {
		t.Errorf("an endless ban: %.300s", log.String())
	}
}

// A banned network stays banned over a reload and an upgrade, until it is lifted.
func TestRangeBan(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, name("s1"))
	text := "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" + frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	r := startOld(t, text)
	network, wide := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("64.0.0.0/2")
	held := dial(t, r.address("f"))
	held.Ask("before the ban")
	if ban, err := r.Ban(network, time.Hour); err != nil || ban.Source != "127.0.0.0/8" || ban.Reason != "manual" || ban.RemainingSeconds != 3600 {
		t.Fatalf("banned as %+v, %v", ban, err)
	}
	if _, err := r.Ban(wide, 0); err != nil {
		t.Fatal(err)
	}
	held.Ask("a connection that is there stays")
	held.Close()
	endpoint.TurnedAway(t, r.address("f"))
	r.apply(text + "[global]\nlog_level = \"warn\"\n")
	endpoint.TurnedAway(t, r.address("f"))
	r.eventually("every client has gone", func() bool { return r.Connections() == 0 })
	h := r.upgrade(text)
	t.Cleanup(func() { _ = h.stop() })
	endpoint.TurnedAway(t, h.address("f"))
	if bans := h.Bans(10); len(bans) != 2 || bans[0].Source != "64.0.0.0/2" || bans[0].RemainingSeconds != 0 || bans[1].Source != "127.0.0.0/8" {
		t.Errorf("bans after an upgrade: %+v", bans)
	}
	if err := h.Unban(netip.MustParsePrefix("127.0.0.1/32")); !errors.Is(err, admin.ErrNotFound) || !strings.Contains(err.Error(), "mcplb unban 127.0.0.0/8") {
		t.Errorf("lifting a part: %v", err)
	}
	for _, prefix := range []netip.Prefix{network, wide} {
		if err := h.Unban(prefix); err != nil {
			t.Errorf("lifting %v: %v", prefix, err)
		}
	}
	dial(t, h.address("f")).Ask("again?")
}

// A trusted proxy carries everybody: banning it is refused where it could only hurt, and
// has no effect on what comes through it otherwise.
func TestBanOfTrustedProxy(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, name("s1"))
	trusting := []string{"accept_proxy = true", `trusted_proxies = ["127.0.0.0/8"]`}
	text := frontendText("f", anyPort, "tcp", "b", trusting...) + backendText("b", []string{s.Address})
	r := start(t, text)
	proxy := netip.MustParsePrefix("127.0.0.1/32")
	if _, err := r.Ban(proxy, 0); !errors.Is(err, admin.ErrInvalid) || !strings.Contains(err.Error(), "trusted proxy of frontend f") {
		t.Errorf("banning it: %v", err)
	}
	if ban, err := r.Ban(netip.MustParsePrefix("126.0.0.0/7"), 0); err != nil || !strings.Contains(ban.Note, "not banned there") {
		t.Errorf("banning a range with it: %+v, %v", ban, err)
	}
	for _, header := range []string{"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n", "PROXY UNKNOWN\r\n"} {
		c := dial(t, r.address("f"))
		c.Say(header)
		c.Ask("who?")
	}
	r.apply(text + frontendText("g", anyPort, "tcp", "b"))
	if ban, err := r.Ban(proxy, 0); err != nil || !strings.Contains(ban.Note, "frontend f") {
		t.Errorf("banning it where another frontend does not trust it: %+v, %v", ban, err)
	}
	endpoint.TurnedAway(t, r.address("g"))
	c := dial(t, r.address("f"))
	c.Say("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n")
	c.Ask("who?")
}

package ratelimit

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

// A trusted proxy carries everybody: if its connections were limited, or it was
// banned for what clients do, all of them would be reset.
func TestAdmitProxy(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{
		ConnectionRate: 1, ConnectionBurst: 1, MaxConnections: 1, MessageRate: 1, MessageBurst: 1, BanAfter: 2, BanTime: time.Hour,
	}
	l := New(limits)
	address := netip.MustParseAddr("10.0.0.1")
	l.BanRange(netip.MustParsePrefix("10.0.0.0/8"), 0, 0)
	l.Ban(address, 0, 0)
	var last *Source
	for range 50 {
		s, verdict := l.AdmitProxy(address, 0)
		if verdict != Admitted {
			t.Fatalf("a proxy's connection: %v", verdict)
		}
		last = s
	}
	rejected := 0
	for range 50 { // what it sends by itself is limited all the same
		if ok, _ := last.Allow(0); !ok {
			rejected++
		}
	}
	if rejected != 49 {
		t.Errorf("%d of 50 messages are rejected, want 49", rejected)
	}
	l.Unban(address, 0)
	if bans := l.Bans(0); len(bans) != 1 {
		t.Errorf("a trusted proxy is banned for its messages: %+v", bans)
	}
}

func TestAdmitProxyGlobalRate(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{GlobalConnectionRate: 2})
	for i, want := range []Verdict{Admitted, Admitted, RefusedGlobalRate} {
		if _, got := l.AdmitProxy(netip.MustParseAddr("10.0.0.1"), 0); got != want {
			t.Errorf("connection %d: %v, want %v", i, got, want)
		}
	}
}

// The client that a proxy names is limited and banned like one that connects
// itself, whichever proxy its requests come over.
func TestEnter(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, MessageRate: 1, MessageBurst: 2, BanAfter: 3, BanTime: time.Minute}
	l := New(limits)
	var banned []Ban
	l.OnBan(func(b Ban) { banned = append(banned, b) })
	client := netip.MustParseAddr("2001:db8::1")
	passed := 0
	for i := range 5 {
		s, _, no := l.Enter(netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1)), false, 0)
		if no {
			t.Fatalf("request %d: banned", i)
		}
		if ok, _ := s.Allow(0); ok {
			passed++
		}
		s.Release()
	}
	if passed != 2 {
		t.Errorf("%d messages passed, want the burst of 2", passed)
	}
	if _, remaining, no := l.Enter(client, false, 15*second); !no || remaining != 45*time.Second {
		t.Errorf("after 3 violations: banned %v for %v", no, remaining)
	}
	want := []Ban{{netip.MustParsePrefix("2001:db8::/64"), time.Minute, MessageRate, 3}}
	if !slices.Equal(banned, want) {
		t.Errorf("announced %+v, want %+v", banned, want)
	}
	if _, _, no := l.Enter(netip.MustParseAddr("2001:db8:0:1::1"), false, 15*second); no {
		t.Error("another client of the proxy is banned as well")
	}
}

// The operator learns of every automatic ban, whatever it is for, exactly once.
func TestOnBan(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, BanAfter: 3, BanTime: time.Minute})
	var banned []Ban
	l.OnBan(func(b Ban) { l.Bans(0); banned = append(banned, b) }) // no lock is held
	for range 20 {
		l.Admit(netip.MustParseAddr("192.0.2.1"), 0)
	}
	l.Ban(netip.MustParseAddr("192.0.2.2"), 0, 0) // its command is logged as such
	want := []Ban{{netip.MustParsePrefix("192.0.2.1/32"), time.Minute, ConnectionRate, 3}}
	if !slices.Equal(banned, want) {
		t.Errorf("announced %+v, want %+v", banned, want)
	}
}

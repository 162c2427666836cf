package ratelimit

import (
	"bytes"
	"encoding/gob"
	"net/netip"
	"testing"
	"time"

	"mcplb/conf"
)

// handedOver returns a new limiter with what l knows at the time now, encoded and
// decoded.
func handedOver(t *testing.T, l *Limiter, limits conf.RateLimit, now int64) *Limiter {
	t.Helper()
	var wire bytes.Buffer
	if err := gob.NewEncoder(&wire).Encode(l.Handover(now)); err != nil {
		t.Fatal(err)
	}
	var received Handover
	if err := gob.NewDecoder(&wire).Decode(&received); err != nil {
		t.Fatal(err)
	}
	other := New(limits)
	other.Restore(received, now)
	return other
}

// The new process's limiter treats each source as the old one would have: rates,
// violations, bans, numbers of connections.
func TestHandover(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{ConnectionRate: 10, ConnectionBurst: 5, MessageRate: 10, MessageBurst: 5, MaxConnections: 20, BanAfter: 8, BanTime: time.Hour}
	l := New(limits)
	now := int64(time.Hour)
	busy, flooder, banned := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.3")
	for range 5 {
		if _, v := l.Admit(busy, now); v != Admitted {
			t.Fatalf("verdict %v", v)
		}
	}
	for range 6 {
		if _, v := l.Admit(busy, now); v != RefusedRate { // six violations
			t.Fatalf("verdict %v", v)
		}
	}
	s, _ := l.Admit(flooder, now)
	var turn, next Turn
	if n, wait := s.Take(&turn, 50, now); n != 5 || wait != 100*time.Millisecond {
		t.Fatalf("%d messages pass, the next after %v", n, wait)
	}
	l.Ban(banned, 10*time.Minute, now)
	l.Ban(netip.MustParseAddr("192.0.2.4"), 0, now)

	later := now + int64(50*time.Millisecond)
	other := handedOver(t, l, limits, later)
	held := other.Reinstate(s.Key(), later)
	if n, wait := held.Take(&next, 50, later); n != 0 || wait != 50*time.Millisecond {
		t.Errorf("after the hand-over %d messages pass at once, the next after %v, want 0 and 50ms", n, wait)
	}
	held.Leave(&next)
	if _, v := other.Admit(banned, later); v != RefusedBanned {
		t.Errorf("the banned source: %v", v)
	}
	for _, want := range []Verdict{RefusedRate, RefusedRate, RefusedBanned} { // the eighth violation bans
		if _, v := other.Admit(busy, later); v != want {
			t.Errorf("the busy source: %v, want %v", v, want)
		}
	}
	stats := other.Stats(later)
	if before := l.Stats(later); stats.BansImposed != before.BansImposed+1 || stats.Bans != before.Bans+1 {
		t.Errorf("bans %+v, before %+v", stats, before)
	}
	if stats.Connected != 1 {
		t.Errorf("%d sources are connected, want 1", stats.Connected)
	}
	held.Release()
	if n := other.Stats(later).Connected; n != 0 {
		t.Errorf("%d sources are connected after the release", n)
	}
	if _, v := other.Admit(banned, later+int64(10*time.Minute)); v != Admitted {
		t.Errorf("the ban does not end: %v", v)
	}
}

// Reinstated connections count for max_connections, and may exceed it.
func TestReinstate(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MaxConnections: 2})
	address := netip.MustParseAddr("192.0.2.1")
	first, _ := l.Admit(address, 1)
	key := first.Key()
	other := New(conf.RateLimit{MaxConnections: 2})
	var held []*Source
	for range 3 {
		held = append(held, other.Reinstate(key, 1))
	}
	for len(held) > 1 {
		if _, v := other.Admit(address, 1); v != RefusedConcurrent {
			t.Errorf("with %d held: %v", len(held), v)
		}
		held[0].Release()
		held = held[1:]
	}
	if _, v := other.Admit(address, 1); v != Admitted {
		t.Errorf("with one held: %v", v)
	}
}

// What passes in the old process after its state was handed over is charged in the new
// one, when the connection arrives. If this fails, an upgrade lets more through than the
// rate (issue 12, B1).
func TestChargeOfWhatPassedMeanwhile(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{MessageRate: 4, MessageBurst: 5}
	before, after := New(limits), New(limits)
	old := admit(t, before, "192.0.2.1", 0, Admitted)
	var turn, next Turn
	old.Take(&turn, 5, 0)
	after.Restore(before.Handover(0), 0)
	now := second / 4
	if n, _ := old.Take(&turn, 1, now); n != 1 {
		t.Fatal("nothing passed in the old process")
	}
	moved := after.Reinstate(old.Key(), now)
	moved.Charge(old.Spent(), now)
	moved.Charge(0, now) // of another connection, detached before
	if n, wait := moved.Take(&next, 1, now); n != 0 || wait != 250*time.Millisecond {
		t.Errorf("%d messages passed in the new process, want none for 250 ms, not %v", n, wait)
	}
	before.Apply(conf.RateLimit{}, 0)
}

package backend

import (
	"testing"
	"time"

	"mcplb/conf"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	c := backendOf(2, maxConn(5))
	c.SlowStart = 10 * time.Second
	p := newPool(t, c)
	held := fill(t, p)
	for range 3 {
		queued(t, p, Request{Source: addr(1)})
	}
	if p.QueuedPeak() != 3 || p.Remembered() == 0 || p.Remembered() > len(held) {
		t.Errorf("queued at most %d, want 3; %d sources remembered", p.QueuedPeak(), p.Remembered())
	}
	for i := range held {
		held[i].Release(Completed, 1)
	}
	if p.QueuedPeak() != 3 {
		t.Errorf("the peak fell to %d with the queue", p.QueuedPeak())
	}
	s := p.Servers()[0]
	if got := s.EffectiveWeight(); got != 100 {
		t.Errorf("effective weight %v, want 100", got)
	}
	s.SetHealth(Down, "x", time.Now())
	s.SetHealth(Up, "", time.Now())
	for _, now := range []int64{int64(time.Second), int64(6 * time.Second)} {
		l := acquire(t, p, Request{Balance: conf.BalanceRandom, Now: now})
		l.Release(Completed, now)
	}
	if got := s.EffectiveWeight(); got != 50 {
		t.Errorf("effective weight %v halfway through slow start, want 50", got)
	}
	gone := mustApply(t, p, backendOf(0))
	if got := gone[0].EffectiveWeight(); got != 0 {
		t.Errorf("effective weight %v of a removed server, want 0", got)
	}
}

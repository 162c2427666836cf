package ratelimit

import (
	"slices"
	"sync/atomic"
	"testing"
)

// Requests that wait for a token keep their order in the new process of an upgrade,
// whichever moves first, and stay before those who come there. If it fails, who has
// waited longest may wait longest again.
func TestPlacesForTokensMove(t *testing.T) {
	t.Parallel()
	limit := claimOf(NewLimit(10, 1, 0, false), 1)
	now := 100 * second
	old := NewAccounts(0)
	var waiting []*Pass
	for i := range 5 {
		p, _ := begin(old, now, limit)
		if answer := p.Ask(now); answer.Waits != (i > 0) {
			t.Fatalf("request %d: %+v", i, answer)
		}
		if i > 0 {
			waiting = append(waiting, p)
		}
	}
	young := NewAccounts(0)
	young.Restore(old.Handover(now), now)
	moved := make([]*Pass, len(waiting))
	for i, p := range slices.Backward(waiting) {
		moved[i], _ = begin(young, now, limit)
		moved[i].Rejoin(p.Place())
		moved[i].Ask(now)
		p.Leave()
	}
	newcomer, _ := begin(young, now, limit)
	newcomer.Ask(now)
	moved = append(moved, newcomer)
	var order []int
	for at := now; len(order) < len(moved) && at < now+5*second; at += second / 100 {
		for i, p := range slices.Backward(moved) { // the last asks first
			if !p.passed && !p.Ask(at).Waits {
				order = append(order, i)
			}
		}
	}
	if !slices.IsSorted(order) || len(order) != len(moved) {
		t.Errorf("they pass in the order %v", order)
	}
}

// Likewise for those who wait for others to end.
func TestPlacesInLineMove(t *testing.T) {
	t.Parallel()
	limit := claimOf(NewLimit(0, 0, 1, false), 1)
	now := 100 * second
	old := NewAccounts(0)
	passed, _ := begin(old, now, limit)
	passed.Ask(now)
	var waiting []*Pass
	for i := range int64(3) {
		p, _ := begin(old, now+i, limit)
		if !p.Ask(now + i).Waits {
			t.Fatal("it does not wait")
		}
		waiting = append(waiting, p)
	}
	young := NewAccounts(0)
	under := new(Pass)
	under.Reinstate(young, passed.Keys(), now)
	newcomer, _ := begin(young, now+5, limit)
	newcomer.Ask(now + 5)
	moved := make([]*Pass, len(waiting))
	for i, p := range slices.Backward(waiting) {
		moved[i], _ = begin(young, now+6, limit)
		moved[i].Rejoin(p.Place())
		if !moved[i].Ask(now + 6).Waits {
			t.Fatal("it passes while the other is under way")
		}
		p.Leave()
	}
	before := under
	for i, p := range append(moved, newcomer) {
		before.Leave()
		for j, later := range append(moved, newcomer) {
			if j > i && !later.Ask(now+7).Waits {
				t.Fatalf("number %d passes before number %d", j, i)
			}
		}
		if p.Ask(now + 7).Waits {
			t.Fatalf("number %d does not pass in its turn", i)
		}
		before = p
	}
}

// A connection that waits for the message rate keeps its place, of its source or of all.
func TestTurnsMove(t *testing.T) {
	t.Parallel()
	var all, sources bucket
	for number, b := range map[int64]*bucket{ofSource: &sources, ofAll: &all} {
		r := newRate(10, 1)
		now := 100 * second
		q := queue{b, new(atomic.Int32), number}
		var first, next, stranger Turn
		if q.take(&first, r, 1, now) != 1 {
			t.Fatal("no token")
		}
		q.await(&first, r, 0, now)
		q.await(&next, r, 0, now)
		places := [2]int64{first.Place(), next.Place()}
		q.leave(&first)
		q.leave(&next)
		q.rejoin(&next, places[1])
		q.rejoin(&first, places[0])
		q.rejoin(&stranger, places[0]^1) // of the other queue
		if first.Place() != places[0] || next.Place() != places[1] || stranger.Waits() || q.waiting.Load() != 2 {
			t.Errorf("queue %d: %v, %v, %d wait", number, first, next, q.waiting.Load())
		}
	}
}

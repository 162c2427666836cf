package ratelimit

import "testing"

// Requests that the old process of an upgrade still has count here, until it says that they
// are over or they are continued here; who waits for them is woken then. If it fails, an
// upgrade lets twice as many requests to a server as its limit says.
func TestRequestsElsewhereCount(t *testing.T) {
	t.Parallel()
	limit := claimOf(NewLimit(0, 0, 2, false), 1)
	now := 100 * second
	old, young := NewAccounts(0), NewAccounts(0)
	var stay []*Pass
	for range 2 {
		p, _ := begin(old, now, limit)
		p.Ask(now)
		stay = append(stay, p)
	}
	young.SetElsewhere(old.Active(), now)
	next, woken := begin(young, now, limit)
	if answer := next.Ask(now); !answer.Waits {
		t.Fatalf("beside two in the old process: %+v", answer)
	}
	var moved Pass
	moved.Reinstate(young, stay[0].Keys(), now)
	stay[0].Leave()
	if answer := next.Ask(now); !answer.Waits {
		t.Errorf("one has moved, one is in the old process: %+v", answer)
	}
	if young.SetElsewhere(old.Active(), now); woken.count() != 0 {
		t.Error("woken although nothing has changed")
	}
	stay[1].Leave()
	if young.SetElsewhere(old.Active(), now); woken.count() != 1 {
		t.Errorf("woken %d times once the old process has ended one", woken.count())
	}
	if answer := next.Ask(now); answer.Waits {
		t.Errorf("beside the one that has moved: %+v", answer)
	}
	next.Leave()
	moved.Leave()
	if c := young.byKey[limit.Key]; c == nil || c.busy()+c.holders != 0 || len(young.elsewhere) != 0 {
		t.Errorf("left behind: %+v", c)
	}
}

// count is how often the bell has rung.
func (b *bell) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rung
}

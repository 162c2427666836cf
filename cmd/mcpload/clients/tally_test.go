package clients

import (
	"testing"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A sample has the latencies since the previous one, a total those of all.
func TestTally(t *testing.T) {
	t.Parallel()
	worker := newTally()
	worker.answered(TCP, 1, 2*time.Millisecond, 0)
	first := worker.sample()
	worker.answered(HTTP, 2, 4*time.Millisecond, 0)
	second, total := worker.sample(), worker.total()
	if first.Recent.Quantiles().Count != 1 || second.Recent.Quantiles().Count != 1 || second.Answered != 2 || second.ByKind[TCP] != nil {
		t.Errorf("the samples have %+v and %+v", first.Recent.Quantiles(), second.Recent.Quantiles())
	}
	sum := newTally()
	sum.add(total)
	sum.add(total)
	if sum.Answered != 4 || sum.Messages.Quantiles().Count != 4 || sum.ByKind[HTTP].Quantiles().Count != 2 || sum.ByNode[2].Quantiles().Count != 2 {
		t.Errorf("twice the total: %+v", sum.Messages.Quantiles())
	}
	if worker.resetMessages(); worker.Answered != 0 || total.Messages.Quantiles().Count != 2 {
		t.Error("the copy changes with the original")
	}
}

// The times of a node's losses are those of the first and of the last.
func TestLosses(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]Losses{
		"in order":         {{2, 1, 10, 20}, {1, 1, 30, 30}},
		"in reverse order": {{1, 0, 30, 30}, {2, 2, 10, 20}},
		"with an empty":    {{}, {3, 2, 10, 30}, {}},
	} {
		var sum Losses
		for _, l := range parts {
			sum.add(l)
		}
		if want := (Losses{3, 2, 10, 30}); sum != want {
			t.Errorf("%s: %+v, want %+v", name, sum, want)
		}
	}
}

// A client whose node breaks, and who loses the session that it has opened on another
// meanwhile, is counted apart from those whom the fault should not have touched. Otherwise
// a report blames the balancer, or hides behind such clients that it disturbs others.
func TestLossesAreCountedApart(t *testing.T) {
	t.Parallel()
	const broken, other = 1, 2
	for name, c := range map[string]struct {
		broken, first, node uint8
		again               uint64
	}{
		"the node's session":                {broken, broken, broken, 0},
		"its client's session elsewhere":    {broken, broken, other, 1},
		"another client's session":          {broken, other, other, 0},
		"another client, who has moved":     {broken, other, broken, 0},
		"no node is broken":                 {0, broken, other, 0},
		"no node is broken, unknown client": {0, 0, other, 0},
	} {
		w := &worker{tally: newTally(), broken: c.broken}
		w.tally.lose(&client{worker: w, state: stateOpen, firstNode: c.first, node: c.node}, "", 1)
		if got := w.tally.Losses[c.node]; got.Count != 1 || got.Again != c.again {
			t.Errorf("%s: %+v, want %d counted apart", name, got, c.again)
		}
	}
}

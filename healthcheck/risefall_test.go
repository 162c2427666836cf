package healthcheck

import (
	"math/rand/v2"
	"testing"

	"mcplb/backend"
)

// apply applies results: p is a pass, f a failure, w weak evidence.
func apply(c *riseFall, results string) {
	for _, r := range results {
		switch r {
		case 'p':
			c.pass()
		case 'f':
			c.fail()
		case 'w':
			c.weaken()
		}
	}
}

func TestRiseFall(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rise, fall int
		from       backend.Health
		results    string
		want       backend.Health
		progress   string
	}{
		{2, 2, backend.Unchecked, "", backend.Unchecked, ""},
		{2, 2, backend.Unchecked, "p", backend.Up, ""},
		{2, 2, backend.Unchecked, "f", backend.Down, ""},
		{9, 9, backend.Unchecked, "f", backend.Down, ""},
		{9, 9, backend.Unchecked, "p", backend.Up, ""},
		{2, 2, backend.Unchecked, "www", backend.Unchecked, ""},
		{2, 2, backend.Up, "f", backend.Up, "1/2 down"},
		{2, 2, backend.Up, "ff", backend.Down, ""},
		{2, 2, backend.Up, "fpf", backend.Up, "1/2 down"},
		{2, 2, backend.Up, "fpfpfp", backend.Up, ""},
		{2, 2, backend.Down, "p", backend.Down, "1/2 up"},
		{2, 2, backend.Down, "pp", backend.Up, ""},
		{2, 2, backend.Down, "pfp", backend.Down, "1/2 up"},
		{3, 5, backend.Up, "ffff", backend.Up, "4/5 down"},
		{3, 5, backend.Up, "fffff", backend.Down, ""},
		{3, 5, backend.Down, "pp", backend.Down, "2/3 up"},
		{3, 5, backend.Down, "ppp", backend.Up, ""},
		{1, 1, backend.Up, "f", backend.Down, ""},
		{1, 1, backend.Up, "fp", backend.Up, ""},
		{1, 1, backend.Up, "wwww", backend.Up, ""},
		{2, 2, backend.Up, "wwww", backend.Up, "1/2 down"},
		{2, 2, backend.Up, "wf", backend.Down, ""},
		{2, 3, backend.Up, "wwww", backend.Up, "2/3 down"},
		{2, 2, backend.Down, "w", backend.Down, ""},
		{0, 0, backend.Up, "f", backend.Down, ""}, // below 1 counts as 1
		{0, 0, backend.Down, "p", backend.Up, ""},
	} {
		c := newRiseFall(test.rise, test.fall, test.from)
		apply(&c, test.results)
		if c.health() != test.want || c.progress() != test.progress {
			t.Errorf("rise %d, fall %d, from %v, after %q: %v %q, want %v %q",
				test.rise, test.fall, test.from, test.results, c.health(), c.progress(), test.want, test.progress)
		}
	}
}

func TestRiseFallReconfigured(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rise, fall   int
		from         backend.Health
		results      string
		rise2, fall2 int
		want         backend.Health
		progress     string
	}{
		{2, 2, backend.Unchecked, "", 3, 3, backend.Unchecked, ""},
		{2, 2, backend.Up, "", 3, 3, backend.Up, ""},
		{2, 5, backend.Up, "fff", 2, 2, backend.Up, "1/2 down"}, // a reload alone takes no server down
		{2, 2, backend.Up, "f", 2, 5, backend.Up, "1/5 down"},
		{5, 2, backend.Down, "pppp", 2, 2, backend.Down, "1/2 up"},
		{2, 2, backend.Down, "p", 1, 1, backend.Down, ""},
	} {
		c := newRiseFall(test.rise, test.fall, test.from)
		apply(&c, test.results)
		c = c.reconfigured(test.rise2, test.fall2)
		if c.health() != test.want || c.progress() != test.progress {
			t.Errorf("%+v: %v %q", test, c.health(), c.progress())
		}
	}
}

// The integer gives the same verdicts as two counters of results in a row.
func TestRiseFallAgainstCounters(t *testing.T) {
	t.Parallel()
	for range 2000 {
		rise, fall := 1+rand.IntN(4), 1+rand.IntN(4)
		c := newRiseFall(rise, fall, backend.Up)
		up, passes, failures := true, 0, 0
		for step := range 30 {
			if rand.IntN(2) == 0 {
				c.pass()
				passes, failures = passes+1, 0
			} else {
				c.fail()
				passes, failures = 0, failures+1
			}
			switch {
			case up && failures >= fall:
				up = false
			case !up && passes >= rise:
				up = true
			}
			if got := c.health() == backend.Up; got != up {
				t.Fatalf("rise %d, fall %d, step %d: up is %v, want %v", rise, fall, step, got, up)
			}
			if c.level < 0 || c.level > c.top() {
				t.Fatalf("level %d outside 0..%d", c.level, c.top())
			}
		}
	}
}

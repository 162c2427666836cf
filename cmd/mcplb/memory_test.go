package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A burst costs memory while it lasts, and not for minutes afterwards: if this fails, an
// operator sees twice the memory that his clients need, or a balancer that collects
// garbage while it is busy.
func TestTrimmer(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, test := range []struct {
		name      string
		used      uint64
		allocated []uint64 // between the looks
		want      int
	}{
		{"at rest from the beginning", 10 * mb, []uint64{0, 0, 0, 0}, 0},
		{"a burst, then rest", 10 * mb, []uint64{500 * mb, 0, 0, 0, 0}, 1},
		{"a burst that goes on", 10 * mb, []uint64{500 * mb, 500 * mb, 500 * mb, 0}, 0},
		{"a pause in a burst", 10 * mb, []uint64{500 * mb, 0, 500 * mb, 0, 500 * mb, 0}, 0},
		{"two bursts", 10 * mb, []uint64{500 * mb, 0, 0, 500 * mb, 0, 0, 0}, 2},
		{"too little to be worth it", 4 * mb, []uint64{3 * mb, 0, 0, 0}, 0},
		{"much in small portions", 4 * mb, []uint64{mb, mb, mb, mb, mb, mb}, 1},
		{"little of a large heap", 1000 * mb, []uint64{100 * mb, 0, 0}, 0},
		{"portions of a large heap", 1000 * mb, []uint64{60 * mb, 60 * mb, 60 * mb, 60 * mb, 60 * mb}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sum uint64
				freed, looks := 0, 0
				trim := &trimmer{free: func() { freed++ }, usage: func() heapUsage {
					if looks < len(test.allocated) {
						sum += test.allocated[looks]
					}
					looks++
					return heapUsage{allocated: sum, used: test.used}
				}}
				ctx, cancel := context.WithTimeout(t.Context(), trimEvery*time.Duration(len(test.allocated))+time.Second)
				defer cancel()
				trim.run(ctx)
				if freed != test.want || looks != len(test.allocated) {
					t.Errorf("memory was returned %d times in %d looks, want %d in %d", freed, looks, test.want, len(test.allocated))
				}
			})
		})
	}
}

// What the decision is made by is there in this version of Go.
func TestHeapUsage(t *testing.T) {
	t.Parallel()
	before := usageOfHeap()
	kept := make([]byte, 1<<20)
	if after := usageOfHeap(); after.allocated-before.allocated < uint64(len(kept)) || after.used == 0 {
		t.Errorf("%+v, then %+v", before, after)
	}
}

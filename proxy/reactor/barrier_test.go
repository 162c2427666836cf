package reactor

import (
	"sync/atomic"
	"testing"
)

// Do and Barrier wait for what they post; on a stopped engine they return.
func TestBarrier(t *testing.T) {
	t.Parallel()
	e, err := Start(2, 0, Kernel())
	if err != nil {
		t.Fatal(err)
	}
	var ran atomic.Int32
	for _, loop := range e.Loops() {
		loop.Post(func() { ran.Add(1) })
	}
	e.Barrier()
	if n := ran.Load(); n != 2 {
		t.Errorf("%d posts ran before the barrier, want 2", n)
	}
	loop := e.Loops()[0]
	if !loop.Do(func() { ran.Add(1) }) || ran.Load() != 3 {
		t.Error("Do did not run its function")
	}
	e.Stop()
	if loop.Do(func() { ran.Add(1) }) || ran.Load() != 3 {
		t.Error("a stopped loop ran a function")
	}
	e.Barrier()
}

package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimmer returns memory to the system when a burst is over. Without it the process keeps
// about twice what it uses: Go collects by the growth of the heap, and a balancer whose
// clients rest lets nothing grow.
//
//	state    what a look finds                                  next
//	busy     much was allocated since the last look             busy
//	busy     little was allocated                               quiet
//	quiet    much was allocated                                 busy
//	quiet    little, and a quarter of the heap since the last   quiet; memory is returned
//	         time that memory was returned
//	quiet    little, and less than that in all                  quiet
type trimmer struct {
	usage  func() heapUsage
	free   func()
	before uint64 // allocated at the last look
	freed  uint64 // allocated when memory was returned last
	quiet  bool
}

// heapUsage is what the trimmer decides by, in bytes.
type heapUsage struct {
	allocated uint64 // since the process began
	used      uint64 // by objects that are reachable or not collected yet
}

const (
	// trimEvery is the time between two looks. Connections with TLS have given up their
	// keys after that time of rest.
	trimEvery = 10 * time.Second
	// littleAllocated is what health checks and operators cause between two looks.
	littleAllocated = 1 << 20
	// worthTrimming is the least that is worth a collection.
	worthTrimming = 4 << 20
)

func newTrimmer() *trimmer {
	t := &trimmer{usage: usageOfHeap, free: debug.FreeOSMemory}
	t.before = t.usage().allocated
	t.freed = t.before
	return t
}

// run looks every trimEvery until ctx ends.
func (t *trimmer) run(ctx context.Context) {
	repeat(ctx, trimEvery, t.look)
}

// repeat calls do again and again, with a pause between two calls, until ctx ends.
func repeat(ctx context.Context, pause time.Duration, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

func (t *trimmer) look() {
	now := t.usage()
	little := now.allocated-t.before <= max(littleAllocated, now.used/16)
	t.before = now.allocated
	if little && t.quiet && now.allocated-t.freed >= max(worthTrimming, now.used/4) {
		t.free()
		t.freed = now.allocated
	}
	t.quiet = little
}

func usageOfHeap() heapUsage {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return heapUsage{allocated: samples[0].Value.Uint64(), used: samples[1].Value.Uint64()}
}

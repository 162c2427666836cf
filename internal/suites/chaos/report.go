package main

import (
	"fmt"
	"log"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// mostFindings limits the findings that are printed.
const mostFindings = 50

// report collects what clients and the operator saw. It is safe for concurrent use.
type report struct {
	seed uint64

	mu       sync.Mutex
	done     map[string]int // what succeeded, by kind; guarded by mu
	failed   map[string]int // what failed as expected, by kind; guarded by mu
	findings int            // guarded by mu
}

func newReport(seed uint64) *report {
	return &report{seed: seed, done: map[string]int{}, failed: map[string]int{}}
}

// random returns a source of decisions for one client or operator.
func (r *report) random(number int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(number))) }

// finding records what must not happen.
func (r *report) finding(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings++
	if r.findings <= mostFindings {
		log.Printf("FINDING: "+format, args...)
	}
}

func (r *report) succeeded(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[what]++
}

func (r *report) failure(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[what]++
}

func (r *report) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.findings
}

// checkTried records a finding for each of these that never succeeded: a run that
// tries nothing must not pass.
func (r *report) checkTried(names []string) {
	for _, name := range names {
		r.mu.Lock()
		n := r.done[name]
		r.mu.Unlock()
		if n == 0 {
			r.finding("%q never succeeded", name)
		}
	}
}

// print lists what was tried.
func (r *report) print() {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := map[string]bool{}
	for name := range r.done {
		names[name] = true
	}
	for name := range r.failed {
		names[name] = true
	}
	fmt.Printf("%-34s %10s %10s\n", "", "succeeded", "failed")
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Printf("%-34s %10d %10d\n", name, r.done[name], r.failed[name])
	}
	fmt.Printf("%d findings\n", r.findings)
}

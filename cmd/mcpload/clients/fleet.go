package clients

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"mcplb/proxy/reactor"
)

// Fleet is many clients on several event loops. Its methods are called by one
// goroutine, and return when every loop has done its part unless they say
// otherwise.
type Fleet struct {
	options *Options
	pattern []Kind // of the clients, by their number
	engine  *reactor.Engine
	workers []*worker
	nodes   *nodes
	dialer  *secureDialer // nil if no client uses TLS
	started int
}

// Start starts the event loops of a fleet without clients. Close releases them.
func Start(o *Options) (*Fleet, error) {
	engine, err := reactor.Start(o.Threads, 0, reactor.Kernel())
	if err != nil {
		return nil, fmt.Errorf("start the event loops: %w", err)
	}
	f := &Fleet{options: o, pattern: o.Mix.Pattern(), engine: engine, nodes: newNodes()}
	if o.Mix.Secure() {
		f.dialer = newSecureDialer(o.TLS)
	}
	for _, loop := range engine.Loops() {
		f.workers = append(f.workers, &worker{
			loop: loop, options: o, nodes: f.nodes, dialer: f.dialer, clock: engine.Now, tally: newTally(),
		})
	}
	return f, nil
}

// Close closes every client and stops the loops.
func (f *Fleet) Close() {
	f.onAll((*worker).end)
	if f.dialer != nil {
		f.dialer.close()
	}
	f.engine.Stop()
}

// Now returns the present time on the loops' clock, in nanoseconds.
func (f *Fleet) Now() int64 { return f.engine.Now() }

// Started returns how many clients were added.
func (f *Fleet) Started() int { return f.started }

// Opening returns how many clients are opening a session, without waiting for the
// loops.
func (f *Fleet) Opening() int {
	sum := 0
	for _, w := range f.workers {
		sum += int(w.opening.Load())
	}
	return sum
}

// Nodes returns the names of the nodes, indexed by their numbers. The first is "",
// the unknown node.
func (f *Fleet) Nodes() []string { return f.nodes.all() }

// Add starts n more clients, distributed to the loops in turn. It does not wait
// for the loops.
func (f *Fleet) Add(n int) {
	first := f.started
	f.started += n
	for i, w := range f.workers {
		w.loop.Post(func() {
			for number := first; number < first+n; number++ {
				if number%len(f.workers) == i {
					w.start(uint32(number), f.pattern[number%len(f.pattern)])
				}
			}
		})
	}
}

// Ask makes every client with a session send a message within spread, and with
// repeat another one every interval, until Hush. It clears the counts of messages
// first.
func (f *Fleet) Ask(spread time.Duration, repeat bool) {
	f.onAll(func(w *worker) {
		w.phase++
		w.tally.resetMessages()
		w.ask(spread, repeat)
	})
}

// Hush stops the sending of messages. Answers are still accepted.
func (f *Fleet) Hush() { f.onAll((*worker).hush) }

// ResetLosses clears the losses of each node, before a fault breaks one. A client whose
// first session was there, and who loses one on another node, is counted apart from then
// on: that node has done it no harm. A name that no node has is none.
func (f *Fleet) ResetLosses(broken string) {
	number := uint8(max(0, slices.Index(f.Nodes(), broken)))
	f.onAll(func(w *worker) {
		clear(w.tally.Losses[:])
		w.broken = number
	})
}

// Count returns the clients' states and how many messages were sent and answered,
// and nothing else.
func (f *Fleet) Count() *Tally { return f.sum((*Tally).count) }

// Sample returns all counts and Recent, the latencies since the previous sample.
func (f *Fleet) Sample() *Tally { return f.sum((*Tally).sample) }

// Total returns all counts and all latencies but Recent.
func (f *Fleet) Total() *Tally { return f.sum((*Tally).total) }

// sum adds up a part of every worker's tally.
func (f *Fleet) sum(part func(*Tally) *Tally) *Tally {
	parts := make([]*Tally, len(f.workers))
	f.onAll(func(w *worker) { parts[w.loop.ID()] = part(w.tally) })
	sum := newTally()
	for _, one := range parts {
		if one != nil { // its loop has not stopped
			sum.add(one)
		}
	}
	return sum
}

// onAll runs do on every worker's loop and waits for it.
func (f *Fleet) onAll(do func(w *worker)) {
	var done sync.WaitGroup
	for _, w := range f.workers {
		done.Add(1)
		if !w.loop.Post(func() { do(w); done.Done() }) {
			done.Done()
		}
	}
	done.Wait()
}

package main

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
)

// worker has the clients of one event loop. Everything in it belongs to the
// loop but what is said to be shared.
type worker struct {
	loop    *reactor.Loop
	options *options // shared, never changed
	nodes   *nodes   // shared
	targets [numKinds]netip.AddrPort
	dialer  *secureDialer // shared; nil = no client of the run uses TLS
	clock   func() int64

	clients []*client    // in the order of their start
	opening atomic.Int64 // how many of them are opening; shared
	tally   *tally

	head    http1.ResponseHead // of the response that is being read
	answers answerReader
	out     []byte // the message that is being sent
	request []byte // what carries it
	want    []byte // the content that is expected

	asking bool          // messages are sent
	repeat bool          // and again every interval
	spread time.Duration // over which the first ones are spread
	ending bool          // nobody comes back
}

// now is the present time on the loops' clock, not that of the turn: latencies
// are measured by it.
func (w *worker) now() int64 { return w.clock() }

// start has client number begin.
func (w *worker) start(number uint32, k kind) {
	c := &client{worker: w, kind: k, number: number}
	c.link = c.newTransport()
	w.clients = append(w.clients, c)
	w.tally.states[stateIdle]++
	c.start()
}

// ask has every client with a session send a message, spread over a time, and
// with repeat another one every interval until hush.
func (w *worker) ask(spread time.Duration, repeat bool) {
	w.asking, w.repeat, w.spread = true, repeat, spread
	now := w.now()
	for _, c := range w.clients {
		if c.state == stateOpen {
			c.plan(now)
		}
	}
}

// hush ends the sending of messages; answers are still taken.
func (w *worker) hush() {
	w.asking = false
	for _, c := range w.clients {
		c.due = false
		if c.state == stateOpen {
			w.loop.Disarm(&c.timer)
		}
	}
}

// end takes every client down.
func (w *worker) end() {
	w.ending = true
	for _, c := range w.clients {
		c.end()
	}
}

// nodes gives numbers to the nodes, by the names that they tell. Safe for
// concurrent use.
type nodes struct {
	mu      sync.RWMutex
	numbers map[string]uint8 // guarded by mu
	names   []string         // guarded by mu; names[0] is "", the unknown node
}

func newNodes() *nodes { return &nodes{numbers: map[string]uint8{}, names: []string{""}} }

// number is the number of the node called name; 0 for "" and where there are
// too many.
func (n *nodes) number(name []byte) uint8 {
	if len(name) == 0 {
		return 0
	}
	n.mu.RLock()
	number, known := n.numbers[string(name)]
	n.mu.RUnlock()
	if known {
		return number
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if number, known := n.numbers[string(name)]; known || len(n.names) == maxNodes {
		return number
	}
	number = uint8(len(n.names))
	n.numbers[string(name)] = number
	n.names = append(n.names, string(name))
	return number
}

// name is the name of a node.
func (n *nodes) name(number uint8) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.names[number]
}

// all are the nodes' names by their numbers.
func (n *nodes) all() []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return append([]string(nil), n.names...)
}

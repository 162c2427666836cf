package clients

import (
	"sync/atomic"
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
)

// worker runs the clients of one event loop. Only the loop touches it, except for
// the fields that are marked as shared.
type worker struct {
	loop    *reactor.Loop
	options *Options      // shared, never changed
	nodes   *nodes        // shared
	dialer  *secureDialer // shared; nil if no client uses TLS
	clock   func() int64

	clients []*client    // in the order of their start
	opening atomic.Int64 // the number of clients that are opening a session; shared
	tally   *Tally

	head     http1.ResponseHead // of the response that is being read
	answers  answerReader
	message  []byte // the message that is being sent
	request  []byte // the message as the transport sends it
	expected []byte // the text that an answer must have

	phase  uint32        // how often the counts of messages were cleared
	asking bool          // clients send messages
	repeat bool          // and another one every interval
	spread time.Duration // over which the first messages are spread
	ending bool          // lost clients do not return
	broken uint8         // the node that a fault has broken; 0 = none
}

// now returns the present time on the loops' clock. Unlike the time of the loop's
// turn it is exact, since latencies are measured by it.
func (w *worker) now() int64 { return w.clock() }

// start starts client number n.
func (w *worker) start(n uint32, k Kind) {
	c := &client{worker: w, kind: k, number: n}
	c.transport = newTransport(c)
	w.clients = append(w.clients, c)
	w.tally.states[stateIdle]++
	c.start()
}

// ask makes every client with a session send a message, spread over a time, and
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

// hush stops the sending of messages; answers are still accepted.
func (w *worker) hush() {
	w.asking = false
	for _, c := range w.clients {
		c.due = false
		if c.state == stateOpen {
			w.loop.Disarm(&c.timer)
		}
	}
}

// end closes every client.
func (w *worker) end() {
	w.ending = true
	for _, c := range w.clients {
		c.end()
	}
}

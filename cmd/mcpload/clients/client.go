package clients

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"mcplb/proxy/reactor"
)

// client is one MCP client: it opens a session, sends a message when one is due,
// checks the answer, and opens another session when this one is lost.
//
//	state       event                                       next
//	idle        start                                       opening
//	opening     connected, and initialize is answered       announcing
//	announcing  its transport is ready again                open
//	open        a message is due                            asking
//	asking      the answer                                  open
//	not idle    lost: broken, refused, late or wrong        waiting, or gone without reconnecting
//	waiting     the pause is over                           opening
//
// Everything runs on its worker's loop.
type client struct {
	worker     *worker
	transport  transport
	timer      reactor.Timer
	state      state
	kind       Kind
	node       uint8 // the number of the session's node; 0 = unknown
	firstNode  uint8 // the node of the first session; 0 = there was none
	failures   uint8 // attempts since the last session
	due        bool  // a message is due and the transport is not ready
	number     uint32
	asked      uint32 // the id of the latest message
	phase      uint32 // the worker's phase in which that was sent
	answeredIn uint32 // the latest phase with a counted answer
	began      int64  // when the current message, or opening, began
	next       int64  // when the next message is due
	lost       int64  // when the session was lost; 0 = it is not lost
}

type state uint8

const (
	stateIdle state = iota
	stateOpening
	stateAnnouncing
	stateOpen
	stateAsking
	stateWaiting
	stateGone
	numStates
)

// held reports whether the client has a session.
func (s state) held() bool { return s == stateOpen || s == stateAsking }

// opening reports whether the client is opening a session.
func (s state) opening() bool { return s == stateOpening || s == stateAnnouncing }

func (c *client) target() netip.AddrPort { return c.worker.options.Targets[c.kind] }

func (c *client) source() netip.Addr { return c.worker.options.source(int(c.number)) }

// set changes the state and counts it.
func (c *client) set(s state) {
	w := c.worker
	w.tally.states[c.state]--
	w.tally.states[s]++
	if was, is := c.state.held(), s.held(); was != is && c.node != 0 {
		n := 1
		if was {
			n = -1
		}
		w.tally.sessions[c.kind][c.node] += n
	}
	if was, is := c.state.opening(), s.opening(); was != is {
		n := int64(1)
		if was {
			n = -1
		}
		w.opening.Add(n)
	}
	c.state = s
}

// start opens a session.
func (c *client) start() {
	c.set(stateOpening)
	c.began = c.worker.now()
	c.worker.loop.Arm(&c.timer, c, c.began+int64(c.worker.options.OpenTimeout))
	c.transport.open()
}

// connected is called by the transport once it can carry messages.
func (c *client) connected() {
	c.asked = initializeID
	c.transport.send(initialize)
}

// received is called by the transport with a message of the server.
func (c *client) received(message []byte) {
	a, ok := c.worker.answers.read(message, c.state == stateOpening)
	switch {
	case !ok:
		c.lose("answer that is not JSON-RPC")
	case a.request:
	case a.error:
		c.lose("JSON-RPC error")
	case a.id != c.asked || c.state != stateOpening && c.state != stateAsking:
		c.lose("answer to another message")
	case c.state == stateOpening:
		c.initialized(a)
	default:
		c.answered(a)
	}
}

// initialized handles the answer to initialize.
func (c *client) initialized(a answer) {
	c.node = c.worker.nodes.number(a.text)
	c.set(stateAnnouncing)
	c.transport.send(initialized)
	c.writable()
}

// writable is called by the transport when it may be ready to send again.
func (c *client) writable() {
	if !c.transport.ready() {
		return
	}
	switch {
	case c.state == stateAnnouncing:
		c.opened()
	case c.state == stateOpen && c.due:
		c.ask()
	}
}

// opened completes the opening of a session.
func (c *client) opened() {
	w := c.worker
	now := w.now()
	w.loop.Disarm(&c.timer)
	w.tally.Opening.Record(time.Duration(now - c.began))
	switch {
	case c.firstNode == 0:
		c.firstNode = c.node
	case c.firstNode == c.node:
		w.tally.Returned++
	default:
		w.tally.Moved++
	}
	if c.lost != 0 {
		w.tally.Away.Record(time.Duration(now - c.lost))
		c.lost = 0
	}
	c.failures = 0
	c.set(stateOpen)
	switch {
	case w.asking && w.repeat:
		c.plan(now)
	case w.asking: // once, and the other clients were asked meanwhile
		c.ask()
	}
}

// plan makes the client send its first message at a random time within the
// worker's spread.
func (c *client) plan(now int64) {
	c.due = false
	c.next = now
	if spread := int64(c.worker.spread); spread > 0 {
		c.next += rand.Int64N(spread)
		c.worker.loop.Arm(&c.timer, c, c.next)
		return
	}
	c.ask()
}

// ask sends the next message, now or as soon as the transport is ready.
func (c *client) ask() {
	c.due = !c.transport.ready()
	if c.due {
		return
	}
	w := c.worker
	c.asked++
	c.phase = w.phase
	c.set(stateAsking)
	c.began = w.now()
	w.tally.Sent++
	w.loop.Arm(&c.timer, c, c.began+int64(w.options.Timeout))
	w.message = w.options.Message.append(w.message[:0], c.number, c.asked, w.options.Size)
	c.transport.send(w.message)
}

// answered handles the answer to a message.
func (c *client) answered(a answer) {
	w := c.worker
	if !c.check(a) {
		return
	}
	now := w.now()
	w.loop.Disarm(&c.timer)
	c.set(stateOpen)
	if c.phase != w.phase { // sent before the counts were cleared, as part of which it was counted
		if w.asking {
			c.plan(now)
		}
		return
	}
	w.tally.answered(c.kind, c.node, time.Duration(now-c.began), w.options.Interval)
	if c.answeredIn != w.phase {
		c.answeredIn = w.phase
		w.tally.Answering++
	}
	if !w.asking || !w.repeat {
		return
	}
	c.next += int64(w.options.Interval)
	if c.next > now {
		w.loop.Arm(&c.timer, c, c.next)
		return
	}
	if w.options.Interval > 0 { // behind the schedule
		w.tally.Late++
	}
	c.next = now
	c.ask()
}

// check reports whether an answer is what the message asked for; if not, the
// session is lost.
func (c *client) check(a answer) bool {
	w := c.worker
	switch w.options.Message {
	case Whoami:
		if string(a.text) == w.nodes.name(c.node) {
			return true
		}
		w.tally.WrongNode++
		c.lose("answer of another node")
		return false
	case Echo:
		w.expected = appendText(w.expected[:0], c.number, c.asked, w.options.Size)
		if string(a.text) == string(w.expected) {
			return true
		}
		c.lose("answer with another content")
		return false
	}
	return true
}

// lose ends a broken session: it counts the reason, and the client returns as the
// options say.
func (c *client) lose(reason string) {
	if c.state == stateWaiting || c.state == stateGone {
		return
	}
	w := c.worker
	now := w.now()
	w.loop.Disarm(&c.timer)
	w.tally.lose(c, reason, now)
	if c.lost == 0 && c.firstNode != 0 {
		c.lost = now
	}
	if w.options.Reconnect == 0 {
		c.set(stateGone)
	} else {
		c.set(stateWaiting)
		w.loop.Arm(&c.timer, c, now+int64(c.pause()))
	}
	c.node, c.due = 0, false
	c.transport.close()
}

// pause returns how long the client waits before it opens another session: the
// first pause doubled with every failure, up to 32 times, and a random part of it
// left out so that not all clients return at once.
func (c *client) pause() time.Duration {
	longest := c.worker.options.Reconnect << min(c.failures, 5)
	c.failures = min(c.failures+1, 200)
	return longest/2 + rand.N(longest/2+1)
}

// Expired implements reactor.Expirer.
func (c *client) Expired(*reactor.Timer) {
	switch c.state {
	case stateOpening, stateAnnouncing:
		c.lose("not opened in time")
	case stateAsking:
		c.lose("not answered in time")
	case stateWaiting:
		if !c.worker.ending {
			c.start()
		}
	case stateOpen:
		if c.worker.asking {
			c.ask()
		}
	}
}

// end closes the client for good.
func (c *client) end() {
	c.worker.loop.Disarm(&c.timer)
	c.set(stateGone)
	c.node = 0
	c.transport.close()
}

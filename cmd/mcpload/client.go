package main

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"mcplb/proxy/reactor"
)

// client is one MCP client: it opens a session, asks when it is due, checks
// what is answered, and opens another session when this one is lost.
//
//	state       what happens                                next
//	idle        start                                       opening
//	opening     its transport carries, initialize answered  announcing
//	announcing  its transport is free again                 open
//	open        a message is due                            asking
//	asking      the answer                                  open
//	not idle    lost: broken, refused, late or wrong        waiting, or gone without reconnecting
//	waiting     the pause is over                           opening
//
// Everything runs on its worker's loop.
type client struct {
	worker *worker
	link   transport
	timer  reactor.Timer
	state  state
	kind   kind
	node   uint8 // that serves the session, by its number in nodes; 0 = not known
	home   uint8 // that served the first session; 0 = there was none
	tries  uint8 // since the last session that opened
	due    bool  // a message is due and the transport is not free
	number uint32
	asked  uint32 // the id of the message that is under way, or of the last
	began  int64  // when the message, or the opening, under way began
	next   int64  // when the next message is due
	lost   int64  // when the session was lost; 0 = it is not
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

// held tells whether the client has a session.
func (s state) held() bool { return s == stateOpen || s == stateAsking }

// opens tells whether the client is about to have one.
func (s state) opens() bool { return s == stateOpening || s == stateAnnouncing }

// newTransport gives c the transport of its kind.
func (c *client) newTransport() transport {
	wire := wire{client: c}
	switch c.kind {
	case kindHTTP, kindHTTPS:
		h := &web{poster: poster{wire: wire}}
		h.wire.bearer = h
		return h
	case kindWS:
		s := &socket{wire: wire}
		s.wire.bearer = s
		return s
	case kindSSE:
		s := &stream{wire: wire, posts: posts{poster{wire: wire}}}
		s.wire.bearer, s.posts.wire.bearer = s, &s.posts
		return s
	default:
		l := &lines{wire: wire}
		l.wire.bearer = l
		return l
	}
}

// source is the address that the client comes from: neighbours have different
// ones, and every source has, in time, every kind of client.
func (c *client) source() netip.Addr {
	o := c.worker.options
	if o.sources == 0 {
		return netip.Addr{}
	}
	n := int(c.number)
	return nth(o.from.Addr(), (n+n/o.sources)%o.sources+1)
}

// nth is the address n behind a.
func nth(a netip.Addr, n int) netip.Addr {
	bytes := a.As16()
	for i := 15; i >= 0 && n > 0; i-- {
		n += int(bytes[i])
		bytes[i] = byte(n)
		n >>= 8
	}
	moved := netip.AddrFrom16(bytes)
	if a.Is4() {
		return moved.Unmap()
	}
	return moved
}

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
		w.tally.held[c.kind][c.node] += n
	}
	if was, is := c.state.opens(), s.opens(); was != is {
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
	c.worker.loop.Arm(&c.timer, c, c.began+int64(c.worker.options.openTimeout))
	c.link.open()
}

// carries is the transport's word that it carries messages.
func (c *client) carries() {
	c.asked = initID
	c.link.send(initializeBytes)
}

var initializeBytes, initializedBytes = []byte(initialize), []byte(initialized)

// received takes a message of the server.
func (c *client) received(message []byte) {
	w := c.worker
	a, ok := w.answers.read(message, c.state == stateOpening)
	switch {
	case !ok:
		c.lose("answer that is not JSON-RPC")
	case a.call:
	case a.error:
		c.lose("JSON-RPC error")
	case a.id != c.asked || c.state != stateOpening && c.state != stateAsking:
		c.lose("answer to another message")
	case c.state == stateOpening:
		c.opened(a)
	default:
		c.answered(a)
	}
}

// opened takes the answer to initialize.
func (c *client) opened(a answer) {
	w := c.worker
	c.node = w.nodes.number(a.text)
	c.set(stateAnnouncing)
	c.link.send(initializedBytes)
	c.free()
}

// free is the transport's word that it may send again.
func (c *client) free() {
	if !c.link.ready() {
		return
	}
	switch {
	case c.state == stateAnnouncing:
		c.settled()
	case c.state == stateOpen && c.due:
		c.ask()
	}
}

// settled is the end of opening.
func (c *client) settled() {
	w := c.worker
	now := w.now()
	w.loop.Disarm(&c.timer)
	w.tally.opened++
	w.tally.opening.record(now - c.began)
	switch {
	case c.home == 0:
		c.home = c.node
	case c.home == c.node:
		w.tally.returned++
	default:
		w.tally.moved++
	}
	if c.lost != 0 {
		w.tally.recovered(c.lost, now)
		c.lost = 0
	}
	c.tries = 0
	c.set(stateOpen)
	switch {
	case w.asking && w.repeat:
		c.plan(now)
	case w.asking: // once, and others were asked meanwhile
		c.ask()
	}
}

// plan has the client ask for the first time within the round's spread.
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

// ask sends the next message, now or as soon as the transport is free.
func (c *client) ask() {
	c.due = !c.link.ready()
	if c.due {
		return
	}
	w := c.worker
	c.asked++
	c.set(stateAsking)
	c.began = w.now()
	w.tally.sent++
	w.loop.Arm(&c.timer, c, c.began+int64(w.options.timeout))
	w.out = w.options.message.append(w.out[:0], c.number, c.asked, w.options.size)
	c.link.send(w.out)
}

// answered takes the answer to a message.
func (c *client) answered(a answer) {
	w := c.worker
	if !c.check(a) {
		return
	}
	now := w.now()
	w.loop.Disarm(&c.timer)
	c.set(stateOpen)
	w.tally.answered(c.kind, c.node, now-c.began, int64(w.options.interval))
	if !w.asking || !w.repeat {
		return
	}
	c.next += int64(w.options.interval)
	if c.next > now {
		w.loop.Arm(&c.timer, c, c.next)
		return
	}
	if w.options.interval > 0 { // behind the schedule
		w.tally.late++
	}
	c.next = now
	c.ask()
}

// check compares an answer with what was asked for.
func (c *client) check(a answer) bool {
	w := c.worker
	switch w.options.message {
	case messageWhoami:
		if string(a.text) == w.nodes.name(c.node) {
			return true
		}
		w.tally.wrongNode++
		c.lose("answer of another node")
		return false
	case messageEcho:
		w.want = appendText(w.want[:0], c.number, c.asked, w.options.size)
		if string(a.text) == string(w.want) {
			return true
		}
		c.lose("answer with another content")
		return false
	}
	return true
}

// lose ends a session that is broken: the reason is counted, and the client
// comes back by the policy.
func (c *client) lose(reason string) {
	if c.state == stateWaiting || c.state == stateGone {
		return
	}
	w := c.worker
	now := w.now()
	w.loop.Disarm(&c.timer)
	w.tally.losses(c, reason, now)
	if c.lost == 0 && c.home != 0 {
		c.lost = now
	}
	if w.options.reconnect == 0 {
		c.set(stateGone)
	} else {
		c.set(stateWaiting)
		w.loop.Arm(&c.timer, c, now+int64(c.pause()))
	}
	c.node, c.due = 0, false
	c.link.close()
}

// pause is how long the client waits before it opens another session: the
// policy's first pause doubled with every failure, up to 32 times, of which
// a random part is left out so that not all come at once.
func (c *client) pause() time.Duration {
	longest := c.worker.options.reconnect << min(c.tries, 5)
	c.tries = min(c.tries+1, 200)
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

// end takes the client down for good.
func (c *client) end() {
	c.worker.loop.Disarm(&c.timer)
	c.set(stateGone)
	c.node = 0
	c.link.close()
}

package l7

import (
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/session"
)

// bodyWindow is over how long min_body_rate is measured.
const bodyWindow = 10 * time.Second

// mostCollected is the most that a body has to bring before its request may have a
// scarce slot.
const mostCollected = 16 << 10

// pace is how fast a request's body comes. Time during which the balancer does not
// read, because the server takes no more, does not count.
type pace struct {
	from    int64 // when the present window began, on the loop's clock, later by what does not count; 0 = none has
	stopped int64 // since when nothing is read; 0 = it is
	got     int64 // bytes in the window
}

// stop notes that nothing is read from now on.
func (p *pace) stop(now int64) {
	if p.stopped == 0 {
		p.stopped = now
	}
}

// proceed notes that it is read again, and reports whether it was not.
func (p *pace) proceed(now int64) bool {
	if p.stopped == 0 {
		return false
	}
	p.from += now - p.stopped
	p.stopped = 0
	return true
}

// ends is when the window ends; 0 = not at present.
func (p *pace) ends() int64 {
	if p.from == 0 || p.stopped != 0 {
		return 0
	}
	return p.from + int64(bodyWindow)
}

// bodyDeadline is when the rate of the request's body is judged next; 0 = it is not.
func (x *exchange) bodyDeadline() int64 {
	if x.request.Done || x.state != exchanging && x.state != collecting {
		return 0
	}
	return x.pace.ends()
}

// judgeBody ends the exchange if its body has come too slowly in the window that is
// over; otherwise another one begins.
func (x *exchange) judgeBody() {
	rate := x.client.settings().Frontend.MinBodyRate
	switch {
	case x.state == collecting && rate == 0:
		x.collected()
	case x.state == collecting:
		x.refuseSlow()
	case x.pace.got < rate*int64(bodyWindow/time.Second):
		x.end(generated{why: BodyTooSlow}, session.BodyTooSlow)
	default:
		x.pace = pace{from: x.loop().Now()}
		x.client.arm()
	}
}

// refuseSlow answers a request whose body came too slowly to be given a server.
func (x *exchange) refuseSlow() {
	c := x.client
	if x.reparse() {
		c.Closes = true
		in := &c.worker.input
		x.respond(generated{why: BodyTooSlow}, x.scanned(in.p[in.n:]).ID())
	}
}

// mustCollect reports whether the request, which is the input, has to wait for more of
// its body before it asks for a slot: a body that trickles must not hold one that
// others wait for. While slots are plentiful nothing is held back.
func (x *exchange) mustCollect(settings *Settings) bool {
	if x.request.Done || settings.Frontend.MinBodyRate == 0 {
		return false
	}
	in := &x.client.worker.input
	body := x.request
	size, reason := body.pass(in.p[in.n:])
	return !body.Done && reason == http1.ReasonNone && int64(size) < enough(settings) &&
		x.routed(settings).scarce()
}

// enough is how much of a body is enough for a scarce slot: what it must bring in a
// window.
func enough(settings *Settings) int64 {
	return min(settings.Frontend.MinBodyRate*int64(bodyWindow/time.Second), mostCollected)
}

// scarce reports whether half of the slots of a server are taken, or would be with one
// more.
func (r *Route) scarce() bool {
	for _, server := range r.Pool.Servers() {
		if most := server.MaxConn(); most > 0 && server.Usable() && 2*(server.Conns()+1) > most {
			return true
		}
	}
	return false
}

// collect begins to wait for more of the body of the request that is the input. A
// client that waits to be asked for it is asked.
func (x *exchange) collect() {
	c := x.client
	in := &c.worker.input
	size, _ := x.request.pass(in.p[in.n:])
	c.keepInput()
	x.state, x.pace = collecting, pace{from: x.loop().Now(), got: int64(size)}
	if x.has(waiting) && !x.has(oldClient) {
		x.Flags |= continued
		if !c.send([]byte("HTTP/1.1 100 Continue\r\n\r\n")) {
			return
		}
	}
	c.arm()
	x.collectMore()
}

// collectMore reads what has come of the body, until it is enough.
func (x *exchange) collectMore() {
	c := x.client
	for x.state == collecting && c.Conn.Readable() {
		p := c.readBody()
		if p == nil {
			return
		}
		size, reason := x.request.pass(p)
		x.pace.got += int64(size)
		c.loop().Append(&c.pending, p)
		if x.request.Done || reason != http1.ReasonNone || x.pace.got >= enough(c.settings()) {
			x.collected()
		}
	}
}

// routed is where the request goes whose head is parsed.
func (x *exchange) routed(settings *Settings) *Route {
	return settings.route(x.client.worker.request.Path())
}

// collected asks for a slot for a request of whose body enough has come.
func (x *exchange) collected() {
	if x.state == collecting && x.reparse() {
		head := &x.client.worker.request
		x.request.begin(head.Framing, head.Length, head.Trailers())
		x.state = dispatching
		x.dispatch.Begin(x)
	}
}

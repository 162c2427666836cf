package l7

import (
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/session"
)

// bodyWindow is over how long min_body_rate is measured; pressedWindow is while requests
// wait for the slot that the body holds: they must get it within timeout_queue (5 s by
// default), even if the body was fast until the middle of a pressedWindow.
const (
	bodyWindow    = 10 * time.Second
	pressedWindow = 2 * time.Second // a fraction of bodyWindow
)

// mostCollected is the most that a body has to bring before its request may have a
// scarce slot.
const mostCollected = 16 << 10

// pace is how fast a request's body comes. Time during which the balancer does not
// read, because the server takes no more, does not count. Most requests have none:
// their bodies come with their heads.
type pace struct {
	from    int64 // when the present window began, on the loop's clock, later by what does not count
	judged  int64 // of the window, how much is over and was judged: pressedWindows
	stopped int64 // since when nothing is read; 0 = it is
	got     int64 // bytes in the window
	before  int64 // of these, those that came before judged
}

// paces are free ones of a loop.
type paces []*pace

// mostPaces is how many free ones are kept.
const mostPaces = 256

func (ps *paces) get() *pace {
	last := len(*ps) - 1
	if last < 0 {
		return new(pace)
	}
	p := (*ps)[last]
	*ps = (*ps)[:last]
	return p
}

func (ps *paces) put(p *pace) {
	if p != nil && len(*ps) < mostPaces {
		*ps = append(*ps, p)
	}
}

// intake is the request's body as far as it decides about the exchange: how fast it
// comes, and whether enough of it is there for a slot. It is a part of its exchange.
type intake struct{ *exchange }

// beginPace begins the first window of a body that is still to come, of which size
// bytes are there.
func (x intake) beginPace(size int) {
	if x.request.Done {
		return
	}
	if x.pace == nil {
		x.pace = x.client.worker.paces.get()
	}
	*x.pace = pace{from: x.loop().Now(), got: int64(size)}
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

// bodyDeadline is when the rate of the request's body is judged next; 0 = it is not.
func (x intake) bodyDeadline() int64 {
	if x.pace == nil || x.request.Done || x.pace.stopped != 0 || x.state != exchanging && x.state != collecting && x.state != inspecting {
		return 0
	}
	if x.state == inspecting && x.client.settings().Frontend.MinBodyRate == 0 {
		return 0
	}
	if x.state == collecting || x.state == inspecting {
		return x.pace.from + int64(bodyWindow)
	}
	return x.pace.from + x.pace.judged + int64(pressedWindow)
}

// judgeBody ends the exchange if its body has come too slowly in the window that is
// over; otherwise another one begins.
func (x intake) judgeBody() {
	rate := x.client.settings().Frontend.MinBodyRate
	switch {
	case x.state == collecting && rate == 0:
		x.collected()
	case x.state == collecting, x.state == inspecting && x.pace.got < rate*int64(bodyWindow/time.Second):
		x.refuseSlow()
	case x.state == inspecting:
		x.beginPace(0)
		x.client.arm()
	case x.pace.isSlow(rate, x.pressed()):
		x.end(generated{why: BodyTooSlow}, session.BodyTooSlow)
	case x.pace.judged >= int64(bodyWindow):
		x.beginPace(0)
		x.client.arm()
	default:
		x.client.arm()
	}
}

// isSlow judges the pressedWindow that is over, if others wait for the slot, and the
// whole window, if that is over.
func (p *pace) isSlow(rate int64, pressed bool) bool {
	recent := p.got - p.before
	p.judged, p.before = p.judged+int64(pressedWindow), p.got
	return pressed && recent < rate*int64(pressedWindow/time.Second) ||
		p.judged >= int64(bodyWindow) && p.got < rate*int64(bodyWindow/time.Second)
}

// pressed reports whether requests wait for a slot while the exchange's server has none
// left.
func (x intake) pressed() bool {
	server, pool := x.dispatch.Slot.Server(), x.dispatch.Pool
	return server != nil && pool != nil && pool.Queued() > 0 && server.MaxConn() > 0 && server.Conns() >= server.MaxConn()
}

// refuseSlow answers a request whose body came too slowly to be given a server.
func (x intake) refuseSlow() {
	c := x.client
	if x.reparse() {
		c.Closes = true
		in := &c.worker.input
		x.respond(generated{why: BodyTooSlow}, refuser(x).scanned(in.p[in.n:]).ID())
	}
}

// mustCollect reports whether the request, which is the input, has to wait for more of
// its body before it asks for a slot: a body that trickles must not hold one that
// others wait for. While slots are plentiful nothing is held back.
func (x intake) mustCollect(settings *Settings) bool {
	if x.request.Done || settings.Frontend.MinBodyRate == 0 {
		return false
	}
	in := &x.client.worker.input
	if x.request.Framing == http1.FramingLength && x.request.Left <= int64(len(in.p)-in.n) {
		return false // all of it is there
	}
	body := x.request
	_, size, reason := x.client.worker.pass(&body, in.p[in.n:])
	return !body.Done && reason == http1.ReasonNone && int64(size) < enough(settings) &&
		x.route.scarce()
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
func (x intake) collect() {
	c := x.client
	in := &c.worker.input
	_, size, _ := c.worker.pass(&x.request, in.p[in.n:])
	c.keepBody()
	x.state = collecting
	x.beginPace(size)
	if !x.askForBody() {
		return
	}
	c.arm()
	x.collectMore()
}

// collectMore reads what has come of the body, until it is enough.
func (x intake) collectMore() {
	c := x.client
	for x.state == collecting && c.down().Readable() {
		p := c.readBody()
		if p == nil {
			return
		}
		_, size, reason := c.worker.pass(&x.request, p)
		x.pace.got += int64(size)
		c.loop().Append(&c.pending, p)
		if x.request.Done || reason != http1.ReasonNone || x.pace.got >= enough(c.settings()) {
			x.collected()
		}
	}
}

// collected asks for a slot for a request of whose body enough has come.
func (x intake) collected() {
	if x.state == collecting && x.reparse() {
		router(x).beginBody()
		x.state = dispatching
		x.dispatch.Begin(x.exchange)
	}
}

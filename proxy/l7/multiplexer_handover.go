package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http2"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Multiplexer is a client connection of HTTP/2 as a hand-over sees it.
type Multiplexer interface {
	session.Multiplexer
	// Detach takes the connection off its loop, with all of its streams; ok is false if
	// one of them cannot move now, and then requests that come wait for a moment, so that
	// all can soon.
	Detach() (h *MultiplexerHandover, d session.Detached, ok bool)
	// Back puts a detached connection on its loop again.
	Back(h *MultiplexerHandover, d *session.Detached)
}

// MultiplexerHandover is what a new process needs of a connection of HTTP/2, its sockets
// aside. It is fit for encoding; times are on the loops' clock, which both processes share.
type MultiplexerHandover struct {
	MultiplexerState
	Client   session.ClientState
	HTTP2    http2.ConnState
	Input    []byte           // the beginning of a frame
	Output   []byte           // frames that were not sent
	ToClient []byte           // parked
	Streams  []StreamHandover // in the order of HTTP2's
}

// Valid reports whether the parts of h fit together: the other process may be faulty.
func (h *MultiplexerHandover) Valid() bool {
	if h.State > muxLeaving || !h.HTTP2.Valid() || len(h.Streams) != len(h.HTTP2.Streams) {
		return false
	}
	for i := range h.Streams {
		if s := &h.Streams[i]; s.ID != h.HTTP2.Streams[i].ID || !s.valid() {
			return false
		}
	}
	return true
}

// Pending is how many bytes wait that the client has sent or is to get, those of the
// connections to servers aside.
func (h *MultiplexerHandover) Pending() int {
	n := len(h.Input) + len(h.Output)
	for i := range h.Streams {
		n += h.Streams[i].pending()
	}
	return n
}

// muxMover takes a connection of HTTP/2 off its loop, and puts one on. It is a part of its
// connection. The connection may move when each of its streams may:
//
//	a stream        may move when                        and continues there
//	its request is  always: it has not begun, or waits   as here
//	to be read      for the rate
//	waits           as of HTTP/1.1                       its request is parsed again, and waits
//	is answered     as of HTTP/1.1: the request has been as here, with what waits for a window
//	                forwarded, the answer has begun
//	has its answer  always                               as here, until the client has taken it
//	is a WebSocket  the connection to its server may     as here
//	anything else   never: it does not last
//
// Where streams begin all the time, one of them can never move. So requests that come are
// not begun for gatherTime, again and again with growing pauses. Half a minute after the first
// time the connection gets GOAWAY: the client's next requests are the new process's, and
// what is open still moves when it can.
type muxMover struct{ *multiplexer }

// gathering is how requests wait for the connection to move.
type gathering struct {
	until int64 // they do until then, on the loop's clock; 0 = they do not
	next  int64 // they do not again before
	pause int64 // between two times; 0 = there was none yet
}

const (
	// gatherTime is how long requests wait for those before them, so that the connection can
	// move: longer than most tools take, and too short to be noticed.
	gatherTime = int64(250e6)
	// leastPause and mostPause bound the time between two times: it doubles each time.
	leastPause, mostPause = int64(1e9), int64(16e9)
)

// Detach implements Multiplexer.
func (m *multiplexer) Detach() (h *MultiplexerHandover, d session.Detached, ok bool) {
	if !m.serves() || !m.Conn.Detachable() {
		return nil, d, false
	}
	mover := muxMover{m}
	places, ok := mover.places()
	if !ok {
		mover.gather()
		return nil, d, false
	}
	h, d = mover.detach(places)
	return h, d, true
}

// places is where the streams are, in their order, if all may move. None of them waits for
// a slot any more.
func (m muxMover) places() (places []Place, ok bool) {
	ok = true
	for _, s := range m.http2.Streams() {
		at := streamMover{streamOf(s)}.place()
		places, ok = append(places, at), ok && at != nowhere
	}
	if !ok {
		return nil, false
	}
	for i, s := range m.http2.Streams() {
		if !(mover{&streamOf(s).client}).unqueue() {
			m.requeue(places[:i])
			return nil, false
		}
	}
	return places, true
}

// requeue has streams that were taken out of the queue wait for a slot again.
func (m muxMover) requeue(places []Place) {
	list := append([]*stream(nil), m.worker.inTurn(m.http2.Streams(), 0)...)
	for i, at := range places {
		c := &list[i].client
		if at == AtQueue && c.exchange.state == dispatching && c.exchange.dispatch.State() == session.Idle {
			was := c.RequestState
			mover{c}.askAgain(&was)
		}
	}
}

// gather begins to let requests wait, if it is time.
func (m muxMover) gather() {
	g, now := &m.multiplexer.gather, m.loop().Now()
	if g.until != 0 || now < g.next {
		return
	}
	switch {
	case now-g.next > mostPause: // that was another upgrade, which failed
		g.pause = 0
	case g.pause == mostPause:
		m.Drain()
	}
	g.until = now + gatherTime
	g.pause = min(max(2*g.pause, leastPause), mostPause)
	g.next = g.until + g.pause
	m.arm()
}

// gathered begins the requests that have waited.
func (m muxMover) gathered() {
	m.multiplexer.gather.until = 0
	for _, s := range m.http2.Streams() {
		if one := streamOf(s); !one.Began {
			one.Yield()
		}
	}
}

// holds reports whether the stream is one of a request that waits for the connection to move.
func (m *multiplexer) holds(s *stream) bool {
	return m.gather.until != 0 && !s.Began && !s.failed && s.client.state == reading
}

// Lingers implements session.Multiplexer: its requests have waited for once, in vain.
func (m *multiplexer) Lingers() bool { return m.gather.pause != 0 && m.gather.until == 0 }

// detach takes the connection off its loop, and its streams, which are at places.
func (m muxMover) detach(places []Place) (h *MultiplexerHandover, d session.Detached) {
	h = &MultiplexerHandover{
		MultiplexerState: m.MultiplexerState, Client: m.ClientState, HTTP2: m.http2.State(),
		Input: append([]byte(nil), m.input.Bytes()...), Output: append([]byte(nil), m.output.Bytes()...),
	}
	m.loop().Disarm(&m.Timer)
	for i, s := range m.http2.Streams() {
		one := streamMover{streamOf(s)}
		stream := one.handover(places[i])
		d.Streams = append(d.Streams, mover{&one.client}.detachServer(&stream.Handover))
		h.Streams = append(h.Streams, stream)
	}
	d.Client, d.Server = m.Conn.Detach(), reactor.Detached{FD: -1}
	h.ToClient = d.Client.Parked
	return h, d
}

// Gone implements session.Session.
func (m *multiplexer) Gone(d *session.Detached) {
	d.Close()
	for _, s := range m.http2.Streams() {
		streamMover{streamOf(s)}.gone()
	}
	m.State = muxFinished
	m.loop().Drop(&m.input)
	m.loop().Drop(&m.output)
	m.frontend.Leave(m.Source, m.loop())
}

// Back implements Multiplexer.
func (m *multiplexer) Back(h *MultiplexerHandover, d *session.Detached) { muxMover{m}.resume(h, d) }

// resume puts the connection on its loop, with its streams, in the state in which it was
// detached.
func (m muxMover) resume(h *MultiplexerHandover, d *session.Detached) {
	list := append([]*stream(nil), m.worker.inTurn(m.http2.Streams(), 0)...)
	var errno unix.Errno
	if m.Conn, errno = m.loop().Attach(d.Client, m.multiplexer); errno != 0 {
		m.lost(list, d)
		return
	}
	m.Stage, m.multiplexer.gather.until = session.StageEntered, 0
	for i, s := range list {
		s.client.Conn = m.Conn
		streamMover{s}.resume(&h.Streams[i], d.Streams[i])
	}
	m.waiting = true
	m.Conn.Yield()
	m.arm()
}

// lost ends a connection that could not be attached, and is closed.
func (m muxMover) lost(list []*stream, d *session.Detached) {
	for i, s := range list {
		if fd := d.Streams[i].FD; fd >= 0 {
			unix.Close(fd)
		}
		s.client.Conn, s.client.exchange.upstream = m.Conn, nil
		s.failed = true
		streamMover{s}.drop()
		s.client.finish(session.NoResources)
		m.counters().StreamsEnded.Add(1)
	}
	m.finish(session.NoResources)
}

// Claimed is what a stream that has moved holds in this process.
type Claimed struct {
	Source *ratelimit.Source // of the client whom a proxy has named; nil = it has no other than its connection
	Slot   backend.Slot
	Pool   *backend.Pool // of the slot
}

// AdoptMultiplexer is Adopt for a connection of HTTP/2. streams is what its streams hold, in
// their order.
func (f *Frontend) AdoptMultiplexer(loop *reactor.Loop, h *MultiplexerHandover, d *session.Detached, source *ratelimit.Source, streams []Claimed) {
	f.Enter()
	m := &multiplexer{worker: f.workers[loop.ID()], frontend: f, MultiplexerState: h.MultiplexerState}
	m.ClientState, m.Source = h.Client, source
	m.http2.Restore(&m.worker.http2, &m.settings().http2, &h.HTTP2)
	loop.Append(&m.input, h.Input)
	loop.Append(&m.output, h.Output)
	for i, s := range m.http2.Streams() {
		streamMover{m.makeStream(s)}.adopt(&h.Streams[i], &streams[i])
	}
	muxMover{m}.resume(h, d)
	if m.serves() && (f.draining.Load() || m.Outdated()) {
		m.Drain()
	}
}

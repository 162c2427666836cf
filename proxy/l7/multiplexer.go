package l7

import (
	"bytes"

	"mcplb/proxy/http1"
	"mcplb/proxy/http2"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// multiplexer is one client connection that speaks HTTP/2: it reads frames, has the
// requests in them served, each by a stream, and writes what those answer. It implements
// session.Multiplexer. Everything of it runs on its loop's goroutine.
//
//	state    event                                next
//	serving  a request                            serving; its stream begins
//	serving  requests_per_connection, a drain     leaving, with GOAWAY
//	serving  idle for too long                    closing, with GOAWAY
//	leaving  the last stream ends                 closing
//	serving, an error of the connection, or an    closing, with GOAWAY; its streams end
//	leaving  incomplete frame for too long
//	closing  the client ends, or timer            finished
//	any      the client goes, or does not read    finished; its streams end, the servers see RST
type multiplexer struct {
	session.Client
	MultiplexerState
	worker   *worker
	frontend *Frontend
	http2    http2.Conn

	input  reactor.PendingBuffer // the beginning of a frame
	output reactor.PendingBuffer // frames that are to be sent at the end of a turn
	parked int                   // bytes of responses that wait for a window, all streams together
	gather gathering

	finSent bool
	failed  bool // an error of the client's has ended it
	waiting bool // a stream waits until it may send
	running bool // Ready is under way, and flushes at its end
}

// MultiplexerState is what a new process needs of a connection of HTTP/2, its client and
// what the protocol knows of it aside. Times are on the loops' clock.
type MultiplexerState struct {
	Partial  int64 // since when a preface, SETTINGS, a head or another frame is incomplete; 0 = none is
	Stuck    int64 // since when the client takes nothing of what is to be sent; 0 = it does
	Requests uint32
	First    uint32 // the stream that is served first in the next turn: see serve
	State    multiplexerState
}

type multiplexerState uint8

const (
	muxServing multiplexerState = iota
	muxLeaving
	muxClosing
	muxFinished
)

const (
	// mostOutput is how much may wait to be written before streams stop to produce more.
	mostOutput = 64 << 10

	// mostReplies is how much may wait to be written before nothing more is read: then it
	// is answers of the protocol that a client provokes and does not read.
	mostReplies = 2 * mostOutput
)

// multiplex continues the client's connection as one of HTTP/2, of which p has been read.
func (c *client) multiplex(p []byte) {
	m := &multiplexer{worker: c.worker, frontend: c.frontend}
	m.ClientState, m.Conn, m.Source, m.Stage = c.ClientState, c.Conn, c.Source, c.Stage
	c.loop().Disarm(&c.Timer)
	c.Conn.SetHandler(m)
	c.Conn, c.Source, c.state = nil, nil, finished
	m.counters().Multiplexed.Add(1)
	m.Since, m.Partial = m.loop().Now(), m.loop().Now()
	w := m.worker
	w.frames = m.http2.Start(&w.http2, &m.settings().http2, w.frames[:0])
	m.write(w.frames)
	m.running = true
	if len(p) > 0 {
		m.receive(p)
	}
	c.loop().Drop(&c.pending) // p may be in there
	m.Ready(nil)
}

func (m *multiplexer) loop() *reactor.Loop { return m.worker.loop }

func (m *multiplexer) settings() *Settings { return m.frontend.Settings() }

func (m *multiplexer) counters() *Counters { return m.frontend.Counters(m.worker.number) }

// serves reports whether streams are served.
func (m *multiplexer) serves() bool { return m.State <= muxLeaving }

// Ready implements reactor.Handler for the client's connection.
func (m *multiplexer) Ready(*reactor.Conn) {
	if m.Conn.Failed() {
		m.gone(session.ClientReset)
		return
	}
	m.running = true
	if m.serves() {
		m.read()
		m.serve()
	}
	m.running = false
	m.settle()
}

// settle ends a turn: what was produced is sent, and the connection ends if nothing is
// left to be done.
func (m *multiplexer) settle() {
	if !m.flush() {
		return
	}
	if m.State == muxClosing {
		m.discard()
		return
	}
	if m.State == muxLeaving && len(m.http2.Streams()) == 0 && m.output.Len() == 0 {
		m.close()
		return
	}
	if m.waiting && !m.full() || m.Conn.Readable() && m.output.Len() < mostReplies {
		m.Conn.Yield()
	}
	m.arm()
}

// read takes in what the client has sent, and has the streams go on that it is for.
func (m *multiplexer) read() {
	for moved := 0; m.serves() && m.Conn.Readable() && m.output.Len() < mostReplies; {
		if moved >= reactor.Budget {
			m.Conn.Yield()
			return
		}
		p := m.loop().Scratch()
		n, errno := m.Conn.Read(p)
		switch {
		case errno == unix.EAGAIN:
			continue
		case errno != 0:
			m.gone(session.ClientReset)
			return
		case n == 0:
			m.gone(session.ClientClosed)
			return
		}
		m.receive(p[:n])
		moved += n
	}
}

// receive handles p, which the client has sent, and then has the streams go on that it
// was for.
func (m *multiplexer) receive(p []byte) {
	w := m.worker
	kept := m.input.Len() > 0
	if kept {
		m.loop().Append(&m.input, p)
		p = m.input.Bytes()
	}
	used := 0
	w.replies = w.replies[:0]
	for m.serves() {
		e, n := m.http2.Next(p[used:], m.loop().Now(), &w.replies)
		used += n
		if e.Kind == http2.EventNone {
			break
		}
		m.handle(&e)
	}
	m.write(w.replies)
	if kept {
		m.loop().Consume(&m.input, used)
	} else {
		m.loop().Append(&m.input, p[used:])
	}
	m.notePartial()
	m.run()
}

// notePartial notes since when the client owes the rest of something.
func (m *multiplexer) notePartial() {
	switch {
	case m.http2.Established() && m.input.Len() == 0:
		m.Partial = 0
	case m.Partial == 0:
		m.Partial = m.loop().Now()
	}
}

// handle handles what the client did. Streams go on later, in run.
func (m *multiplexer) handle(e *http2.Event) {
	switch e.Kind {
	case http2.EventRequest, http2.EventTooLarge:
		m.begin(e)
	case http2.EventRefused:
		m.refused(e)
	case http2.EventData, http2.EventTrailers:
		streamOf(e.Stream).take(e)
	case http2.EventReset:
		m.reset(e)
	case http2.EventWindow:
		if e.Stream == nil {
			m.waiting = true
		} else {
			m.touch(streamOf(e.Stream))
		}
	case http2.EventGoAway:
		m.leave()
	case http2.EventFailed:
		m.fail(e)
	}
}

// reset ends a stream that the client has reset, or whose fault made it necessary: then
// it is counted and logged as malformed, however far it had come.
func (m *multiplexer) reset(e *http2.Event) {
	s := streamOf(e.Stream)
	s.failed, s.fault = true, e.Reason
	if e.Reason != http2.ReasonNone {
		m.counters().StreamsRefused[e.Reason].Add(1)
	}
	m.touch(s)
}

// streamOf is what serves a stream of the protocol.
func streamOf(s *http2.Stream) *stream { return s.User.(*stream) }

// begin begins the stream of a request.
func (m *multiplexer) begin(e *http2.Event) {
	s := m.newStream(e.Stream)
	m.Requests++
	if e.Kind == http2.EventTooLarge {
		s.TooLarge = true
		s.client.exchange.origin = m.worker.origins.ofRefused(e.Head)
	} else {
		m.loop().Append(&s.in, e.Head)
		s.Socket = e.WebSocket
		s.Chunks = !e.End && !e.WebSocket && bytes.HasSuffix(e.Head, endOfChunkedHead)
	}
	m.touch(s)
	most := m.settings().Frontend.RequestsPerConnection
	if most > 0 && int(m.Requests) >= most || m.frontend.draining.Load() {
		m.leave()
	}
}

// refused notes a request that was refused without a stream: a malformed one, which is
// charged as any request is, or one too many.
func (m *multiplexer) refused(e *http2.Event) {
	m.counters().StreamsRefused[e.Reason].Add(1)
	if e.Code == http2.RefusedStream {
		return
	}
	m.Source.Allow(m.loop().Now())
	r := m.worker.log.Begin()
	if r == nil {
		return
	}
	now := m.loop().Now()
	r.Began, r.Ended, r.TLS, r.HTTP2 = now, now, session.TLSVersion(m.Conn), true
	r.Client, r.Frontend, r.FrontendConns = m.From, m.settings().Frontend.Name, int32(m.frontend.Current())
	r.Reason, r.Detail, r.Phase = BadRequest.String(), e.Reason.String(), phaseRequest
	m.worker.log.End(r)
}

// touch has the stream go on at the end of what was read.
func (m *multiplexer) touch(s *stream) {
	if !s.touched {
		s.touched = true
		m.worker.touched = append(m.worker.touched, s)
	}
}

// run has the streams go on that were touched.
func (m *multiplexer) run() {
	w := m.worker
	list := w.touched
	w.touched = nil
	for i, s := range list {
		list[i] = nil
		s.touched = false
		if s.owner == m && !m.holds(s) {
			s.run()
		}
	}
	w.touched = list[:0]
}

// full reports whether streams are to produce nothing more for now.
func (m *multiplexer) full() bool { return m.output.Len() >= mostOutput || m.Conn.Blocked() }

// serve has the streams go on that waited until they may send, each in its turn: another
// one is the first each time, and what is parked goes a frame at a time.
func (m *multiplexer) serve() {
	if !m.waiting || m.full() || !m.serves() {
		return
	}
	m.waiting = false
	w := m.worker
	list := w.inTurn(m.http2.Streams(), m.First)
	for sent := true; sent && !m.full(); {
		sent = false
		for _, s := range list {
			if s.owner == m && s.Parked() > 0 && !m.full() && s.drain() {
				sent = true
			}
		}
	}
	for i, s := range list {
		list[i] = nil
		if s.owner != m || !s.waits || m.holds(s) {
			continue
		}
		if s.blocked() {
			m.waiting = m.waiting || m.full() // otherwise the client says when to go on
			continue
		}
		m.First = s.http2.ID() + 1
		s.waits = false
		s.run()
	}
}

// inTurn returns the streams, beginning with the first whose identifier is not below
// first. The slice is good until the next call.
func (w *worker) inTurn(streams []*http2.Stream, first uint32) []*stream {
	at := 0
	for at < len(streams) && streams[at].ID() < first {
		at++
	}
	w.list = w.list[:0]
	for i := range streams {
		w.list = append(w.list, streamOf(streams[(at+i)%len(streams)]))
	}
	return w.list
}

// write adds frames to what is sent at the end of the turn.
func (m *multiplexer) write(frames []byte) {
	if len(frames) == 0 {
		return
	}
	m.loop().Append(&m.output, frames)
	if !m.running {
		m.Conn.Yield()
	}
}

// flush sends what was written, and reports whether the client is still there.
func (m *multiplexer) flush() bool {
	if m.State == muxFinished {
		return false
	}
	if m.output.Len() > 0 && m.Conn.Parked() == 0 {
		errno := m.Conn.Send(m.output.Bytes())
		m.loop().Drop(&m.output)
		if errno != 0 {
			m.gone(session.ClientReset)
			return false
		}
		m.Stuck = 0
	}
	if m.Conn.Parked() == 0 {
		m.Stuck = 0
	} else if m.Stuck == 0 {
		m.Stuck = m.loop().Now()
	}
	return true
}

// endOfChunkedHead is how package http2 ends a head whose body has no length.
var endOfChunkedHead = []byte(http1.FieldChunked + "\r\n")

// malformedHead is what a head over max_header is refused for.
const malformedHead = http1.ReasonHeadSize

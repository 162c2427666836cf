package l7

import (
	"time"

	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/http2"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// stream is one stream of a multiplexer, as the downstream of one request: what the
// client sends is read from it as if it came in HTTP/1.1, and the answer, which is written
// in HTTP/1.1, goes out as frames. It has the client that an exchange works for.
//
// It gives the client credit for a body only when the exchange has taken that, so that
// what waits is bounded by http2_buffer, and parks what windows do not let it send.
type stream struct {
	StreamState
	client client
	owner  *multiplexer
	http2  *http2.Stream
	tunnel *streamTunnel // nil unless it has become one

	in       reactor.PendingBuffer // the request as far as it was not read: head, and body in the form that the head says
	out      reactor.PendingBuffer // data of the answer that wait for a window
	trailers []byte                // complete lines, and an empty one

	failed  bool         // the client, or an error, has ended it
	fault   http2.Reason // of the client, for which it was reset; ReasonNone = it has none
	touched bool         // see multiplexer.touch
	waits   bool         // until it may send
	granted bool         // a slot may still be on its way to it
}

// StreamState is what a new process needs of a stream, what it carries aside.
type StreamState struct {
	Body   Body // of the answer, as it is written
	Unpaid int  // bytes of the request's body in here or with the exchange, for which the client has no credit again

	Chunks   bool // the request's body is in chunks
	Socket   bool // it asks for a WebSocket
	TooLarge bool // its head was
	Began    bool // its head was read
	HeadSent bool // of the final answer
	Ends     bool // the answer ends behind out
	Ended    bool // it has
	Raw      bool // it is a WebSocket: neither side has framing
}

const phaseRequest = accesslog.PhaseRequest

// mostIdleStreams is how many streams a loop keeps for the next requests.
const mostIdleStreams = 256

// newStream begins the stream for one of the protocol's.
func (m *multiplexer) newStream(h *http2.Stream) *stream {
	m.counters().Streams.Add(1)
	return m.makeStream(h)
}

// makeStream makes the stream for one of the protocol's.
func (m *multiplexer) makeStream(h *http2.Stream) *stream {
	w := m.worker
	var s *stream
	if last := len(w.idleStreams) - 1; last >= 0 {
		s = w.idleStreams[last]
		w.idleStreams = w.idleStreams[:last]
		*s = stream{}
	} else {
		s = new(stream)
	}
	s.owner, s.http2 = m, h
	h.User = s
	c := &s.client
	c.worker, c.frontend, c.stream, c.exchange.client = w, m.frontend, s, c
	c.Conn, c.Source, c.Stage, c.From = m.Conn, m.Source, session.StageEntered, m.From
	c.Identity = m.Identity
	c.state, c.Since = reading, m.loop().Now()
	return s
}

// id is the stream's number on its connection; 0 once it is over.
func (s *stream) id() uint32 {
	if s.owner == nil {
		return 0
	}
	return s.http2.ID()
}

// run has the stream go on after something has changed for it.
func (s *stream) run() {
	for s.Parked() > 0 && s.drain() {
	}
	switch {
	case s.TooLarge && !s.Began && !s.failed:
		s.Began = true
		s.refuseHead()
	default:
		s.client.Ready(nil)
	}
}

// refuseHead answers a request whose head was too large, and is charged all the same.
func (s *stream) refuseHead() {
	c := &s.client
	c.Requests++
	c.worker.input = input{}
	if rate := (requester{c}).admit(malformedHead); rate.waits {
		c.Source.Leave(&c.turn)
		c.malformed(malformedHead, verdict{})
	} else {
		c.malformed(malformedHead, rate)
	}
}

// take takes in a piece of the request's body, or its trailers.
func (s *stream) take(e *http2.Event) {
	loop := s.owner.loop()
	s.Unpaid += len(e.Data)
	switch {
	case s.client.state == closing: // it is too late
	case !s.Chunks:
		loop.Append(&s.in, e.Data)
	default:
		s.takeChunk(e)
	}
	s.owner.touch(s)
}

// takeChunk is take for a body in chunks.
func (s *stream) takeChunk(e *http2.Event) {
	w := s.owner.worker
	chunk := w.chunk[:0]
	if len(e.Data) > 0 {
		chunk = http1.AppendChunk(chunk, e.Data)
	}
	switch {
	case e.Kind == http2.EventTrailers:
		chunk = append(chunk, http1.LastChunkLine...)
		chunk = append(chunk, e.Head...)
		chunk = append(chunk, "\r\n"...)
	case e.End:
		chunk = append(chunk, http1.LastChunk...)
	}
	w.loop.Append(&s.in, chunk)
	w.chunk = chunk[:0]
}

// pay gives the client credit for what was taken of the request's body.
func (s *stream) pay() {
	if s.Unpaid == 0 || s.failed {
		return
	}
	m := s.owner
	frames := m.http2.Credit(m.worker.credit[:0], s.http2, s.Unpaid)
	s.Unpaid = 0
	m.write(frames)
	m.worker.credit = frames[:0]
}

// Readable implements downstream.
func (s *stream) Readable() bool { return s.in.Len() > 0 }

// Read implements downstream. Bodies that go into memory get their credit at once: they
// have their own limit.
func (s *stream) Read(p []byte) (n int, errno unix.Errno) {
	if s.in.Len() == 0 {
		return 0, unix.EAGAIN
	}
	s.Began = true
	n = copy(p, s.in.Bytes())
	s.owner.loop().Consume(&s.in, n)
	switch s.client.exchange.state {
	case inspecting, collecting, refusing:
		s.pay()
	}
	return n, 0
}

// Yield implements downstream.
func (s *stream) Yield() {
	if s.owner == nil {
		return
	}
	s.waits, s.owner.waiting = true, true
	s.owner.Conn.Yield()
}

// HungUp implements downstream.
func (s *stream) HungUp() bool { return s.failed }

// Failed implements downstream.
func (s *stream) Failed() bool { return s.failed }

// window is how much DATA may be sent now.
func (s *stream) window() int { return min(s.owner.http2.Window(), s.http2.Window()) }

// Blocked implements downstream. A head is never held back by a window.
func (s *stream) Blocked() bool {
	if s.owner == nil || s.client.state == reading || !s.blocked() {
		return false
	}
	s.waits = true
	s.owner.waiting = s.owner.waiting || s.owner.full()
	return true
}

func (s *stream) blocked() bool {
	return s.Parked() > 0 || s.owner.full() || s.HeadSent && s.window() == 0
}

// least is how much of an answer is read at once, however small the window is.
const least = 1 << 10

// room is how much of an answer may be read at once, so that what must be parked stays
// below http2_buffer, and eight times that for the whole connection.
func (s *stream) room() int {
	buffer := int(s.owner.settings().Frontend.HTTP2Buffer)
	switch {
	case s.HeadSent:
		return min(mostReceived, buffer, max(s.window(), least))
	case s.owner.parked >= 8*buffer:
		return least
	}
	return min(mostReceived, buffer, max(s.window(), buffer/4))
}

// Parked implements downstream: what of the answer has not gone out yet.
func (s *stream) Parked() int {
	n := s.out.Len() + len(s.trailers)
	if s.Ends && n == 0 {
		n = 1
	}
	return n
}

// streamLinger is how long the rest of a request is taken, and thrown away, after its answer:
// some clients take RST_STREAM for a failure although the answer is complete.
const streamLinger = time.Second

// CloseWrite implements downstream: the answer is complete.
func (s *stream) CloseWrite() {
	m := s.owner
	frames := m.worker.frames[:0]
	if !s.Ended {
		if s.Raw || s.Body.Framing == http1.FramingClose {
			frames, _ = m.http2.AppendData(frames, s.http2, nil, true)
		} else {
			frames = m.http2.AppendReset(frames, s.http2, http2.InternalError)
		}
		s.Ended = true
	}
	m.write(frames)
	m.worker.frames = frames[:0]
}

// Cut implements downstream.
func (s *stream) Cut() { s.Reset() }

// Reset implements downstream: the client sees that it does not have all of the answer.
func (s *stream) Reset() {
	code := http2.InternalError
	if s.Raw {
		code = http2.Cancel // as RFC 8441 section 5 has it
	}
	m := s.owner
	frames := m.http2.AppendReset(m.worker.frames[:0], s.http2, code)
	m.write(frames)
	m.worker.frames = frames[:0]
	s.failed = true
}

// Close implements downstream: the stream is over, and its client finished.
func (s *stream) Close() {
	m := s.owner
	if m == nil {
		return
	}
	w := m.worker
	w.loop.Drop(&s.in)
	m.parked -= s.out.Len()
	w.loop.Drop(&s.out)
	s.owner, s.failed = nil, true
	frames := w.frames[:0]
	if s.Ended { // of the request, no more is wanted
		frames = m.http2.AppendReset(frames, s.http2, http2.NoError)
	}
	frames = m.http2.Release(frames, s.http2)
	m.write(frames)
	w.frames = frames[:0]
	m.Since = w.loop.Now()
	if m.serves() && len(m.http2.Streams()) == 0 {
		m.Conn.Yield() // it may be time to leave
	}
	m.counters().StreamsEnded.Add(1)
}

// recycle keeps the stream for another request. It is emptied when that begins: what has
// led to its end may still look at it.
func (s *stream) recycle() {
	w := s.client.worker
	if !s.granted && len(w.idleStreams) < mostIdleStreams {
		w.idleStreams = append(w.idleStreams, s)
	}
}

// cancelled notes a request that the client cancels before it was read: it is charged,
// counted and logged all the same.
func (s *stream) cancelled() {
	c := &s.client
	w := c.worker
	s.Began = true
	n, reason := w.request.Parse(s.in.Bytes(), &c.scan, http1.MaxHead)
	if n == 0 || reason != http1.ReasonNone {
		return
	}
	w.input = input{of: c, p: s.in.Bytes(), n: n}
	requester{c}.admit(reason)
	c.Source.Leave(&c.turn)
	c.Requests++
	c.exchange.note(c.settings())
	recorder{&c.exchange}.countRequest()
	recorder{&c.exchange}.logRequest()
}

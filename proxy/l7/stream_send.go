package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/http2"

	"golang.org/x/sys/unix"
)

// Send implements downstream: it turns p, heads in HTTP/1.1 and what follows them, into
// frames. A head is never split.
func (s *stream) Send(p []byte) unix.Errno {
	if s.failed || s.http2.Closed() {
		return 0 // the exchange learns of it at its next Ready
	}
	w := s.owner.worker
	frames := w.frames[:0]
	for len(p) > 0 && !s.HeadSent {
		var n int
		if frames, n = s.appendHead(frames, p); n == 0 {
			frames = s.owner.http2.AppendReset(frames, s.http2, http2.InternalError)
			s.failed = true
			break
		}
		p = p[n:]
	}
	if s.Raw {
		frames = s.appendData(frames, p, false)
	} else if s.HeadSent && !s.Ended {
		frames = s.appendBody(frames, p)
	}
	s.owner.write(frames)
	w.frames = frames[:0]
	return 0
}

// appendHead appends the head at the beginning of p, and returns its length: 0 if there is
// none.
func (s *stream) appendHead(frames, p []byte) ([]byte, int) {
	head, m := &s.owner.worker.sent, s.owner
	var scan http1.Scan
	asked := http1.RequestContext{Method: s.client.exchange.Method, WebSocket: s.Socket}
	n, reason := head.Parse(p, &scan, 2*mostResponseHead, asked)
	switch {
	case n == 0 || reason != http1.ReasonNone:
		return frames, 0
	case head.Status == 101:
		s.HeadSent, s.Raw = true, true
		return m.http2.AppendResponse(frames, s.http2, p[:n], false), n
	case head.Interim():
		return m.http2.AppendResponse(frames, s.http2, p[:n], false), n
	}
	s.HeadSent = true
	s.Body.begin(head.Framing, head.Length, http1.TrailersPass)
	if head.Framing == http1.FramingLength && head.Length == 0 {
		s.Body.Done = true
	}
	s.Ended = s.Body.Done
	return m.http2.AppendResponse(frames, s.http2, p[:n], s.Ended), n
}

// appendBody appends p, which belongs to the answer's body.
func (s *stream) appendBody(frames, p []byte) []byte {
	var last []byte // the piece that was read last, since the end may come with it
	for len(p) > 0 && !s.Body.Done {
		var data []byte
		var n int
		var reason http1.Reason
		if s.Body.inTrailers() {
			s.trailers, n, reason = s.Body.appendTrailers(s.trailers, p)
		} else {
			data, n, reason = s.Body.next(p)
		}
		if reason != http1.ReasonNone {
			s.failed = true
			return s.owner.http2.AppendReset(frames, s.http2, http2.InternalError)
		}
		p = p[n:]
		if len(data) > 0 {
			frames = s.appendData(frames, last, false)
			last = data
		}
	}
	if !s.Body.Done {
		return s.appendData(frames, last, false)
	}
	if len(s.trailers) <= len("\r\n") {
		s.trailers = nil
		s.Ends = true
		return s.appendData(frames, last, true)
	}
	s.Ends = true
	frames = s.appendData(frames, last, false)
	return s.appendEnd(frames)
}

// appendData appends data as far as nothing is parked and the windows allow, and parks the
// rest. end says that nothing follows, not even trailers.
func (s *stream) appendData(frames, data []byte, end bool) []byte {
	m, n := s.owner, 0
	if len(data) == 0 && !end {
		return frames
	}
	if s.out.Len() == 0 {
		frames, n = m.http2.AppendData(frames, s.http2, data, end)
		if end && n == len(data) {
			s.Ends, s.Ended = false, true
		}
	}
	m.loop().Append(&s.out, data[n:])
	m.parked += len(data) - n
	return frames
}

// appendEnd appends the trailers, or the end, if nothing is parked before them.
func (s *stream) appendEnd(frames []byte) []byte {
	if s.out.Len() > 0 || !s.Ends {
		return frames
	}
	if len(s.trailers) > 0 {
		frames = s.owner.http2.AppendTrailers(frames, s.http2, s.trailers)
	} else {
		frames, _ = s.owner.http2.AppendData(frames, s.http2, nil, true)
	}
	s.trailers, s.Ends, s.Ended = nil, false, true
	return frames
}

// drain sends a frame of what is parked, and reports whether that was possible.
func (s *stream) drain() bool {
	m := s.owner
	if s.failed {
		return false
	}
	w := m.worker
	frames, n := w.frames[:0], 0
	if p := s.out.Bytes(); len(p) > 0 {
		piece := p[:min(len(p), http2.MaxFrameSize)]
		end := s.Ends && len(piece) == len(p) && len(s.trailers) == 0
		frames, n = m.http2.AppendData(frames, s.http2, piece, end)
		m.loop().Consume(&s.out, n)
		m.parked -= n
		if end && n == len(piece) {
			s.Ends, s.Ended = false, true
		}
	}
	frames = s.appendEnd(frames)
	m.write(frames)
	w.frames = frames[:0]
	return len(frames) > 0
}

package http2

// AppendResponse appends HEADERS with the response in head, the text of a valid HTTP/1.1
// head, the empty line included: an interim one, which another follows, or the final one.
// Fields that concern a connection of HTTP/1.1 are left out, names are written in lower
// case, and 101 becomes the 200 that accepts a WebSocket. end says that no body follows.
// It appends nothing to a stream that is closed.
//
// Where head has a Content-Length and a body follows, AppendData holds the body to it.
func (c *Conn) AppendResponse(dst []byte, s *Stream, head []byte, end bool) []byte {
	if s.state == streamClosed || s.state == streamLocal {
		return dst
	}
	w := c.encoder.begin(&c.shared.out)
	length := w.addHead(head)
	if !w.interim && !end {
		s.sendLeft = length
	}
	dst = c.endBlockTo(dst, s.id, w, end)
	if end {
		c.serverDone(s)
	}
	return dst
}

// AppendTrailers appends HEADERS that end the stream with the trailers in lines, complete
// field lines of HTTP/1.1.
func (c *Conn) AppendTrailers(dst []byte, s *Stream, lines []byte) []byte {
	if s.state == streamClosed || s.state == streamLocal {
		return dst
	}
	if s.sendLeft > 0 {
		return c.AppendReset(dst, s, InternalError)
	}
	w := c.encoder.begin(&c.shared.out)
	w.addFields(lines)
	if len(w.block) == 0 { // all of them were left out
		dst, _ = c.AppendData(dst, s, nil, true)
		return dst
	}
	dst = c.endBlockTo(dst, s.id, w, true)
	c.serverDone(s)
	return dst
}

// endBlockTo appends a block that is complete, in as many frames as it needs.
func (c *Conn) endBlockTo(dst []byte, id uint32, w *headWriter, end bool) []byte {
	kind, flags, block := FrameHeaders, uint8(0), w.block
	if end {
		flags = FlagEndStream
	}
	for len(block) > MaxFrameSize {
		dst = AppendFrameHeader(dst, MaxFrameSize, kind, flags, id)
		dst = append(dst, block[:MaxFrameSize]...)
		kind, flags, block = FrameContinuation, 0, block[MaxFrameSize:]
	}
	dst = AppendFrameHeader(dst, len(block), kind, flags|FlagEndHeaders, id)
	return append(dst, block...)
}

// AppendData appends as much of p, the next piece of a stream's body, as the windows allow,
// and returns how much that is: EventWindow says when to go on. end says that nothing
// follows p; the stream is finished when all of it is appended. p may be empty.
//
// A body that is shorter or longer than Content-Length said is cut with INTERNAL_ERROR, so
// that it is not taken for complete.
func (c *Conn) AppendData(dst []byte, s *Stream, p []byte, end bool) ([]byte, int) {
	if s.state == streamClosed || s.state == streamLocal {
		return dst, len(p)
	}
	if s.sendLeft >= 0 && (int64(len(p)) > s.sendLeft || end && int64(len(p)) < s.sendLeft) {
		return c.AppendReset(dst, s, InternalError), len(p)
	}
	n := min(len(p), c.Window(), s.Window())
	for rest := p[:n]; len(rest) > 0; {
		piece := rest[:min(len(rest), MaxFrameSize)]
		rest = rest[len(piece):]
		flags := uint8(0)
		if end && n == len(p) && len(rest) == 0 {
			flags = FlagEndStream
		}
		dst = AppendFrameHeader(dst, len(piece), FrameData, flags, s.id)
		dst = append(dst, piece...)
		c.score.gain(gainDataFrame)
	}
	c.sent(s, n)
	if end && n == len(p) {
		if n == 0 {
			dst = AppendFrameHeader(dst, 0, FrameData, FlagEndStream, s.id)
		}
		c.serverDone(s)
	}
	return dst, n
}

// AppendDataHeader appends the header of a frame of DATA whose n bytes the caller sends
// behind it: what the windows allow (see Window), and MaxFrameSize, at the most. It
// is AppendData for a body that should not be copied.
func (c *Conn) AppendDataHeader(dst []byte, s *Stream, n int) []byte {
	c.score.gain(gainDataFrame)
	c.sent(s, n)
	return AppendFrameHeader(dst, n, FrameData, 0, s.id)
}

// sent counts n bytes of DATA.
func (c *Conn) sent(s *Stream, n int) {
	c.score.data(n)
	c.sendWindow -= int32(n)
	s.sendWindow -= int32(n)
	if s.sendLeft >= 0 {
		s.sendLeft -= int64(n)
	}
}

// serverDone notes that we have finished a stream.
func (c *Conn) serverDone(s *Stream) {
	c.score.gain(gainComplete)
	switch s.state {
	case streamOpen:
		s.state = streamLocal
	case streamRemote:
		c.close(s, closedByEnd)
	}
}

// AppendReset closes a stream with RST_STREAM: with NoError where the response is complete and
// the rest of the request is not wanted. It appends nothing for one that is closed.
func (c *Conn) AppendReset(dst []byte, s *Stream, code ErrorCode) []byte {
	if s.state == streamClosed {
		return dst
	}
	c.close(s, closedByUs)
	return appendReset(dst, s.id, code)
}

// AppendGoAway appends GOAWAY with the last stream that was opened, and a text for those who
// debug: those that are open go on, later ones are refused, which clients take as leave to
// repeat them elsewhere. The second call has an effect only with an error.
func (c *Conn) AppendGoAway(dst []byte, code ErrorCode, text string) []byte {
	if c.leaving && code == NoError {
		return dst
	}
	c.leaving = true
	return appendGoAway(dst, c.lastStream, code, text)
}

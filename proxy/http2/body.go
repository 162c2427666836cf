package http2

// beginData reads the header of DATA, which stands before p, and what flow control counts:
// the frame as a whole, padding included.
func (c *Conn) beginData(h *header, p []byte, out *[]byte) (Event, int) {
	padding, size := 0, FrameHeaderSize
	if h.has(FlagPadded) {
		if h.length > 0 && len(p) == 0 {
			return Event{}, 0
		}
		if h.length == 0 {
			return c.fail(out, FrameSizeError, ReasonFrameSize), size
		}
		if padding = int(p[0]); padding >= h.length {
			return c.fail(out, ProtocolError, ReasonPadding), size
		}
		size++
	}
	if c.isIdle(h.stream) {
		return c.fail(out, ProtocolError, ReasonStreamID), size
	}
	length := int32(h.length)
	if length > c.recvWindow {
		return c.fail(out, FlowControlError, ReasonWindow), size
	}
	c.recvWindow -= length
	overhead := int32(size - FrameHeaderSize + padding)
	c.data = dataFrame{
		id: h.stream, left: length - overhead, padding: int32(padding),
		endStream: h.has(FlagEndStream),
	}
	if c.data.left == 0 && !c.data.endStream {
		c.score.cost(costFrame)
	}
	c.score.data(int(c.data.left))
	c.state = connData
	c.owed += int32(size - FrameHeaderSize) // padding follows when it has come
	if e := c.checkData(length, overhead, out); e.Kind != EventNone {
		if c.state == connData && c.data.left+c.data.padding == 0 {
			c.state = connReady
		}
		return e, size
	}
	e, n := c.readData(p[size-FrameHeaderSize:], out)
	return e, size + n
}

// checkData says which stream the DATA belongs to, and whether anybody wants it.
func (c *Conn) checkData(length, overhead int32, out *[]byte) Event {
	s := c.stream(c.data.id)
	if s == nil || s.Closed() {
		return c.discardClosed(out)
	}
	if s.state == streamRemote {
		c.data.discard = true
		return c.failStream(s, out, StreamClosed, ReasonStreamClosed)
	}
	data := int64(c.data.left)
	switch {
	case length > s.recvWindow:
		c.data.discard = true
		return c.failStream(s, out, FlowControlError, ReasonWindow)
	case s.recvLeft >= 0 && (data > s.recvLeft || c.data.endStream && data < s.recvLeft):
		c.data.discard = true
		return c.failStream(s, out, ProtocolError, ReasonLengthMismatch)
	}
	s.recvWindow -= length
	s.owed += overhead
	*out = c.appendStreamCredit(*out, s)
	if s.recvLeft >= 0 {
		s.recvLeft -= data
	}
	return Event{}
}

// discardClosed discards DATA on a stream that has ended. Where we have reset it, it was under
// way already; where the client had finished, it is an error.
func (c *Conn) discardClosed(out *[]byte) Event {
	c.data.discard = true
	c.score.cost(costFrame)
	switch c.howEnded(c.data.id) {
	case closedByEnd:
		return c.fail(out, StreamClosed, ReasonStreamClosed)
	case closedByPeer:
		*out = appendReset(*out, c.data.id, StreamClosed)
	}
	return Event{}
}

// readData reads a piece of DATA, or of the padding behind it.
func (c *Conn) readData(p []byte, out *[]byte) (Event, int) {
	d := &c.data
	data := p[:min(len(p), int(d.left))]
	d.left -= int32(len(data))
	n := len(data)
	if d.left == 0 {
		padding := min(len(p)-n, int(d.padding))
		d.padding -= int32(padding)
		c.owed += int32(padding)
		n += padding
	}
	done := d.left == 0 && d.padding == 0
	if done {
		c.state = connReady
	}
	s := c.stream(d.id)
	if d.discard || s == nil || s.Closed() {
		c.owed += int32(len(data))
		return Event{}, n
	}
	return c.passData(s, data, done && d.endStream), n
}

// passData reports a piece of a body, and the end of the stream.
func (c *Conn) passData(s *Stream, data []byte, end bool) Event {
	s.held += int32(len(data))
	if end {
		c.clientDone(s)
	} else if len(data) == 0 {
		return Event{}
	}
	return Event{Kind: EventData, ID: s.id, Stream: s, Data: data, End: end}
}

// clientDone notes that the client has finished a stream.
func (c *Conn) clientDone(s *Stream) {
	switch s.state {
	case streamOpen:
		s.state = streamRemote
		c.shrink(s)
	case streamLocal:
		c.close(s, closedByEnd)
	}
}

// Credit gives back n bytes of a stream's body that the caller no longer holds, so that the
// client may send as many more, and appends WINDOW_UPDATE where that is due. A window whose
// bytes were all taken grows, up to Settings.MaxStreamWindow, as long as growth has left half of
// the connection's window: uploads may stall when they have grown, and must not block others.
func (c *Conn) Credit(dst []byte, s *Stream, n int) []byte {
	taken := min(int32(n), s.held) // of a stream that has ended, all is back already
	s.held -= taken
	c.owed += taken
	s.owed += taken
	s.taken += taken
	if s.taken >= s.granted && !s.RequestDone() {
		c.grow(s)
	}
	c.shrink(s)
	return c.appendCredit(c.appendStreamCredit(dst, s))
}

// grow doubles a stream's window, or grows it as far as it may.
func (c *Conn) grow(s *Stream) {
	more := min(s.granted, c.settings.MaxStreamWindow-s.granted, c.settings.connWindow()/2-c.grown)
	if more > 0 {
		s.granted += more
		s.owed += more
		c.grown += more
	}
	s.taken = 0
}

// shrink leaves a window's growth to others once the client has sent everything and the
// caller has taken it.
func (c *Conn) shrink(s *Stream) {
	if s.RequestDone() && s.held == 0 {
		c.grown -= max(s.granted-c.settings.StreamWindow, 0)
		s.granted = min(s.granted, c.settings.StreamWindow)
	}
}

// appendStreamCredit sends a stream's credit once it is half a window.
func (c *Conn) appendStreamCredit(dst []byte, s *Stream) []byte {
	if s.RequestDone() || s.owed == 0 || s.owed < s.granted/2 {
		return dst
	}
	s.recvWindow += s.owed
	dst = appendWindowUpdate(dst, s.id, s.owed)
	s.owed = 0
	return dst
}

// appendCredit sends the connection's credit once it is half a window, or more than what the
// client has left: stalled streams may hold the rest for long.
func (c *Conn) appendCredit(dst []byte) []byte {
	half := c.settings.connWindow() / 2
	if c.owed == 0 || c.owed < half && c.owed < c.recvWindow || c.state == connFailed {
		return dst
	}
	c.recvWindow += c.owed
	dst = appendWindowUpdate(dst, 0, c.owed)
	c.owed = 0
	return dst
}

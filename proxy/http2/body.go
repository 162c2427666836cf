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
	if length > c.window.left {
		return c.fail(out, FlowControlError, ReasonWindow), size
	}
	c.window.left -= length
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
	c.window.owed += int32(size - FrameHeaderSize) // padding follows when it has come
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
	s := c.streams.get(c.data.id)
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
	*out = s.appendCredit(*out)
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
	switch c.ended.how(c.data.id) {
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
		c.window.owed += int32(padding)
		n += padding
	}
	done := d.left == 0 && d.padding == 0
	if done {
		c.state = connReady
	}
	s := c.streams.get(d.id)
	if d.discard || s == nil || s.Closed() {
		c.window.owed += int32(len(data))
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
		c.window.shrink(s)
	case streamLocal:
		c.close(s, closedByEnd)
	}
}

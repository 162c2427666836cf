package http2

import "encoding/binary"

// readHeaders reads HEADERS: a request, or trailers.
func (c *Conn) readHeaders(h *header, p []byte, out *[]byte) Event {
	if h.has(FlagPadded) {
		if len(p) == 0 {
			return c.fail(out, FrameSizeError, ReasonFrameSize)
		}
		padding := int(p[0])
		if padding >= len(p) {
			return c.fail(out, ProtocolError, ReasonPadding)
		}
		p = p[1 : len(p)-padding]
	}
	c.block.id, c.block.flags, c.block.frames, c.block.dependsOn = h.stream, h.flags, 0, 0
	if h.has(FlagPriority) {
		if len(p) < 5 {
			return c.fail(out, FrameSizeError, ReasonFrameSize)
		}
		c.block.dependsOn = binary.BigEndian.Uint32(p) & maxStreamID
		p = p[5:]
	}
	if e := c.checkStream(h.stream, out); e.Kind != EventNone {
		return e
	}
	if !h.has(FlagEndHeaders) {
		c.state = connBlock
		c.block.bytes = append(c.block.bytes[:0], p...)
		return Event{}
	}
	return c.endBlock(p, out)
}

// checkStream refuses HEADERS on a stream that cannot have any.
func (c *Conn) checkStream(id uint32, out *[]byte) Event {
	switch {
	case id%2 == 0:
		return c.fail(out, ProtocolError, ReasonStreamID)
	case id > c.lastStream || c.streams.get(id) != nil:
		return Event{}
	}
	switch c.ended.how(id) {
	case closedByEnd:
		return c.fail(out, StreamClosed, ReasonStreamClosed)
	case closedByUs, closedByPeer:
		return Event{}
	}
	if c.ended.forgotten {
		return Event{} // perhaps trailers of one that we have reset long ago
	}
	return c.fail(out, ProtocolError, ReasonStreamID)
}

// readContinuation reads CONTINUATION.
func (c *Conn) readContinuation(h *header, p []byte, out *[]byte) Event {
	if c.state != connBlock {
		return c.fail(out, ProtocolError, ReasonFrame)
	}
	if len(p) == 0 {
		c.score.cost(costFrame)
	}
	c.block.frames++
	if c.block.frames > mostContinuations || len(c.block.bytes)+len(p) > mostBlock {
		return c.fail(out, EnhanceYourCalm, ReasonBlock)
	}
	c.block.bytes = append(c.block.bytes, p...)
	if !h.has(FlagEndHeaders) {
		return Event{}
	}
	c.state = connReady
	e := c.endBlock(c.block.bytes, out)
	if cap(c.block.bytes) > MaxFrameSize {
		c.block.bytes = nil
	}
	return e
}

// endBlock decodes a complete block. It is decoded whatever the stream's state is, or the
// table would be out of step.
func (c *Conn) endBlock(p []byte, out *[]byte) Event {
	s := c.streams.get(c.block.id)
	trailer := s != nil || c.block.id <= c.lastStream
	head := &c.shared.head
	head.begin(c.settings.MaxHead, c.settings.ExtendedConnect, trailer)
	c.decoder.Begin()
	for len(p) > 0 {
		f, found, n := c.decoder.Next(p, c.shared)
		if n == 0 {
			return c.fail(out, CompressionError, ReasonCompression)
		}
		if found {
			head.add(f)
		}
		p = p[n:]
	}
	end := c.block.flags&FlagEndStream != 0
	why := head.finish(end)
	if trailer {
		return c.trailers(s, why, out)
	}
	return c.request(c.block.id, end, why, out)
}

// trailers ends a stream with the trailers that were read, or discards those of a stream
// that has ended.
func (c *Conn) trailers(s *Stream, why Reason, out *[]byte) Event {
	switch {
	case s == nil, s.Closed():
		c.score.cost(costFrame)
		if c.ended.how(c.block.id) == closedByPeer {
			*out = appendReset(*out, c.block.id, StreamClosed)
		}
		return Event{}
	case s.state == streamRemote:
		return c.failStream(s, out, StreamClosed, ReasonStreamClosed)
	case c.block.dependsOn == s.id:
		return c.failStream(s, out, ProtocolError, ReasonDependency)
	case why != ReasonNone:
		return c.failStream(s, out, ProtocolError, why)
	case s.recvLeft > 0:
		return c.failStream(s, out, ProtocolError, ReasonLengthMismatch)
	}
	c.clientDone(s)
	return Event{Kind: EventTrailers, ID: s.id, Stream: s, Head: c.shared.head.text, End: true}
}

// request opens a stream with the head that was read, or refuses it.
func (c *Conn) request(id uint32, end bool, why Reason, out *[]byte) Event {
	c.lastStream = id
	head := &c.shared.head
	switch {
	case c.leaving:
		return c.refuse(id, out, RefusedStream, ReasonRefused)
	case uint32(len(c.streams)) >= c.settings.MaxStreams:
		return c.refuse(id, out, RefusedStream, ReasonRefused)
	case c.block.dependsOn == id:
		return c.refuse(id, out, ProtocolError, ReasonDependency)
	case why == ReasonHeadSize:
		c.score.cost(costHeadSize)
		return Event{Kind: EventTooLarge, ID: id, Stream: c.open(id, end), End: end, Reason: why, Head: head.text}
	case why != ReasonNone:
		return c.refuse(id, out, ProtocolError, why)
	}
	c.score.gain(gainRequest)
	s := c.open(id, end)
	s.recvLeft = head.length
	return Event{Kind: EventRequest, ID: id, Stream: s, End: end, WebSocket: head.socket, Head: head.text}
}

// refuse resets a stream that is not opened.
func (c *Conn) refuse(id uint32, out *[]byte, code ErrorCode, why Reason) Event {
	c.score.cost(costReset)
	c.ended.add(id, closedByUs)
	*out = appendReset(*out, id, code)
	return Event{Kind: EventRefused, ID: id, Code: code, Reason: why}
}

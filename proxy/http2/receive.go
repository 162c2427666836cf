package http2

import "encoding/binary"

// Next reads the client's bytes up to the next event, and returns how many of p it is done
// with: keep the rest, and call it again with that and more. All but DATA is read when
// a frame is complete, so the rest has less than 17 KB. Answers that the protocol demands
// are appended to out. now is on the caller's clock, in nanoseconds.
func (c *Conn) Next(p []byte, now int64, out *[]byte) (e Event, n int) {
	for c.state != connFailed {
		if c.score.over(now) {
			return c.fail(out, EnhanceYourCalm, ReasonScore), len(p)
		}
		e, size := c.step(p[n:], out)
		n += size
		if e.Kind != EventNone {
			*out = c.appendCredit(*out)
			return e, n
		}
		if size == 0 {
			break
		}
	}
	*out = c.appendCredit(*out)
	return Event{}, n
}

// step reads the preface, a frame, or a piece of DATA, at the beginning of p.
func (c *Conn) step(p []byte, out *[]byte) (Event, int) {
	switch {
	case c.state == connPreface:
		return c.readPreface(p, out)
	case c.state == connData:
		return c.readData(p, out)
	case len(p) < FrameHeaderSize:
		return Event{}, 0
	}
	h := readHeader(p)
	if e := c.checkHeader(&h, out); e.Kind != EventNone {
		return e, len(p)
	}
	p = p[FrameHeaderSize:]
	if h.kind == FrameData {
		return c.beginData(&h, p, out)
	}
	if len(p) < h.length {
		return Event{}, 0
	}
	return c.readFrame(&h, p[:h.length], out), FrameHeaderSize + h.length
}

// readPreface reads the preface.
func (c *Conn) readPreface(p []byte, out *[]byte) (Event, int) {
	switch MatchPreface(p) {
	case MatchNo:
		return c.fail(out, ProtocolError, ReasonPreface), len(p)
	case MatchPartial:
		return Event{}, 0
	}
	c.state = connSettings
	return Event{}, len(Preface)
}

// checkHeader refuses frames that can be refused by their header.
func (c *Conn) checkHeader(h *header, out *[]byte) Event {
	switch {
	case h.length > MaxFrameSize:
		return c.fail(out, FrameSizeError, ReasonFrameSize)
	case c.state == connSettings && (h.kind != FrameSettings || h.has(FlagAck)):
		return c.fail(out, ProtocolError, ReasonPreface)
	case c.state == connBlock && (h.kind != FrameContinuation || h.stream != c.block.id):
		return c.fail(out, ProtocolError, ReasonFrame)
	}
	switch h.kind {
	case FrameData, FrameHeaders, FramePriority, FrameRSTStream, FrameContinuation:
		if h.stream == 0 {
			return c.fail(out, ProtocolError, ReasonStreamID)
		}
	case FrameSettings, FramePing, FrameGoAway:
		if h.stream != 0 {
			return c.fail(out, ProtocolError, ReasonStreamID)
		}
	}
	return Event{}
}

// readFrame reads a frame other than DATA.
func (c *Conn) readFrame(h *header, p []byte, out *[]byte) Event {
	switch h.kind {
	case FrameHeaders:
		return c.readHeaders(h, p, out)
	case FrameContinuation:
		return c.readContinuation(h, p, out)
	case FramePriority:
		return c.readPriority(h, p, out)
	case FrameRSTStream:
		return c.readReset(h, p, out)
	case FrameSettings:
		return c.readSettings(h, p, out)
	case FramePing:
		return c.readPing(h, p, out)
	case FrameGoAway:
		if len(p) < 8 {
			return c.fail(out, FrameSizeError, ReasonFrameSize)
		}
		c.score.cost(costFrame)
		return Event{Kind: EventGoAway, Code: ErrorCode(binary.BigEndian.Uint32(p[4:]))}
	case FrameWindowUpdate:
		return c.readWindowUpdate(h, p, out)
	case FramePushPromise:
		return c.fail(out, ProtocolError, ReasonFrame)
	}
	c.score.cost(costFrame) // unknown: ignored (RFC 9113 section 5.5)
	return Event{}
}

// fail ends the connection.
func (c *Conn) fail(out *[]byte, code ErrorCode, why Reason) Event {
	c.state = connFailed
	*out = appendGoAway(*out, c.lastStream, code, why.Text())
	return Event{Kind: EventFailed, Code: code, Reason: why}
}

// failStream resets a stream for the client's fault.
func (c *Conn) failStream(s *Stream, out *[]byte, code ErrorCode, why Reason) Event {
	c.score.cost(costReset)
	*out = c.AppendReset(*out, s, code)
	return Event{Kind: EventReset, ID: s.id, Stream: s, Code: code, Reason: why}
}

// isIdle reports whether no HEADERS have opened a stream yet, nor closed it by opening a
// higher one.
func (c *Conn) isIdle(id uint32) bool { return id > c.lastStream || id%2 == 0 }

// readPriority reads PRIORITY, which has no meaning any more.
func (c *Conn) readPriority(h *header, p []byte, out *[]byte) Event {
	c.score.cost(costFrame)
	s := c.streams.get(h.stream)
	switch {
	case len(p) != 5:
		return c.streamError(h.stream, s, out, FrameSizeError, ReasonFrameSize)
	case binary.BigEndian.Uint32(p)&maxStreamID == h.stream:
		return c.streamError(h.stream, s, out, ProtocolError, ReasonDependency)
	}
	return Event{}
}

// streamError resets a stream, which may be none of the connection's.
func (c *Conn) streamError(id uint32, s *Stream, out *[]byte, code ErrorCode, why Reason) Event {
	if s != nil && !s.Closed() {
		return c.failStream(s, out, code, why)
	}
	c.score.cost(costReset)
	*out = appendReset(*out, id, code)
	return Event{}
}

// readReset reads RST_STREAM.
func (c *Conn) readReset(h *header, p []byte, out *[]byte) Event {
	if len(p) != 4 {
		return c.fail(out, FrameSizeError, ReasonFrameSize)
	}
	if c.isIdle(h.stream) {
		return c.fail(out, ProtocolError, ReasonStreamID)
	}
	s := c.streams.get(h.stream)
	if s == nil || s.Closed() {
		c.score.cost(costFrame)
		return Event{}
	}
	c.score.cost(costReset)
	c.close(s, closedByPeer)
	return Event{Kind: EventReset, ID: s.id, Stream: s, Code: ErrorCode(binary.BigEndian.Uint32(p))}
}

// readPing answers PING.
func (c *Conn) readPing(h *header, p []byte, out *[]byte) Event {
	if len(p) != 8 {
		return c.fail(out, FrameSizeError, ReasonFrameSize)
	}
	c.score.cost(costReply)
	if !h.has(FlagAck) {
		*out = AppendPing(*out, p, true)
	}
	return Event{}
}

// readSettings reads SETTINGS, and acknowledges them.
func (c *Conn) readSettings(h *header, p []byte, out *[]byte) Event {
	const size = 6
	switch {
	case len(p)%size != 0 || h.has(FlagAck) && len(p) > 0:
		return c.fail(out, FrameSizeError, ReasonFrameSize)
	case h.has(FlagAck):
		c.score.cost(costFrame)
		c.settingsTaken()
		return Event{}
	}
	c.score.cost(costReply + int32(len(p)/size/8))
	grew := false
	for ; len(p) > 0; p = p[size:] {
		id, value := binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])
		if id == settingInitialWindowSize && int64(value) > int64(c.peerWindow) {
			grew = true
		}
		if code := c.apply(id, value); code != NoError {
			return c.fail(out, code, ReasonSetting)
		}
	}
	c.state = connReady
	*out = AppendFrameHeader(*out, 0, FrameSettings, FlagAck, 0)
	if grew && len(c.streams) > 0 {
		return Event{Kind: EventWindow}
	}
	return Event{}
}

// settingsTaken continues when the client has acknowledged our SETTINGS: only now do
// windows of streams have the size that they say (RFC 9113 section 6.9.2).
func (c *Conn) settingsTaken() {
	if c.acknowledged {
		return
	}
	c.acknowledged = true
	for _, s := range c.streams {
		if s.early {
			s.early = false
			s.recvWindow += s.granted - defaultWindow
		}
	}
}

// apply applies one setting of the client.
func (c *Conn) apply(id uint16, value uint32) ErrorCode {
	switch id {
	case settingHeaderTableSize:
		c.encoder.setTableSize(min(value, tableLimit))
	case settingEnablePush:
		if value > 1 {
			return ProtocolError
		}
	case settingInitialWindowSize:
		if value > maxWindow {
			return FlowControlError
		}
		return c.setPeerWindow(int32(value))
	case settingMaxFrameSize:
		if value < MaxFrameSize || value > 1<<24-1 {
			return ProtocolError
		}
	case settingEnableConnect, settingNoPriorities:
		if value > 1 {
			return ProtocolError
		}
	}
	return NoError
}

// setPeerWindow changes the initial window, and those of all streams by the difference.
func (c *Conn) setPeerWindow(value int32) ErrorCode {
	difference := int64(value) - int64(c.peerWindow)
	if difference == 0 {
		return NoError
	}
	c.score.cost(int32(len(c.streams) / 8))
	c.peerWindow = value
	for _, s := range c.streams {
		window := int64(s.sendWindow) + difference
		if window > maxWindow {
			return FlowControlError
		}
		s.sendWindow = int32(max(window, -maxWindow))
	}
	return NoError
}

// readWindowUpdate reads WINDOW_UPDATE.
func (c *Conn) readWindowUpdate(h *header, p []byte, out *[]byte) Event {
	if len(p) != 4 {
		return c.fail(out, FrameSizeError, ReasonFrameSize)
	}
	c.score.cost(costFrame)
	increment := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if h.stream == 0 {
		window := int64(c.sendWindow) + increment
		switch {
		case increment == 0:
			return c.fail(out, ProtocolError, ReasonWindow)
		case window > maxWindow:
			return c.fail(out, FlowControlError, ReasonWindow)
		}
		c.sendWindow = int32(window)
		return Event{Kind: EventWindow}
	}
	if c.isIdle(h.stream) {
		return c.fail(out, ProtocolError, ReasonStreamID)
	}
	s := c.streams.get(h.stream)
	if s == nil || s.Closed() {
		return Event{}
	}
	window := int64(s.sendWindow) + increment
	switch {
	case increment == 0:
		return c.failStream(s, out, ProtocolError, ReasonWindow)
	case window > maxWindow:
		return c.failStream(s, out, FlowControlError, ReasonWindow)
	}
	s.sendWindow = int32(window)
	return Event{Kind: EventWindow, ID: s.id, Stream: s}
}

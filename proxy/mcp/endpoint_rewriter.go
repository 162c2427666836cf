package mcp

import "bytes"

const (
	// maxEvent is the most that an EndpointRewriter holds back, in bytes: a longer
	// event names no endpoint. An endpoint event has about 100 bytes.
	maxEvent = 8 << 10

	// maxWatch is how much of a stream an EndpointRewriter examines event by
	// event, in bytes. The endpoint event is the first (MCP 2024-11-05, Transports,
	// HTTP with SSE). Behind that, an event that begins with its data passes at
	// once.
	maxWatch = 8 << 10
)

// EndpointRewriter reads an event stream and adds a tag to the URI that an
// "endpoint" event of the deprecated HTTP+SSE transport names: the URI to which
// the client sends its POST requests. The tag is a query parameter (see
// TagParameter and SplitQuery), so that any URI can bear it, absolute or relative,
// with or without a query, plain or in JSON. Everything else passes unchanged.
//
// An event is held back until its last byte has arrived, before which no reader
// of an event stream would act on it; comments between events and events over 8
// KiB pass at once, and so do, after the first 8 KiB of the stream, events that
// begin with their data.
//
//	rewriter.Reset(tag)
//	for {
//		p := read()
//		out = rewriter.Append(out[:0], p)
//		forward(out)
//	}
//
// At the end of the stream, call Flush. The zero value passes everything.
//
// The framing is that of the HTML Standard, section 9.2.5: lines end with LF,
// CRLF or CR, an empty line ends an event, a byte order mark may come first (it
// counts as part of the first event). The state transitions; bytes pass in the
// upper three states and are held back in the lower ones:
//
//	state     CR             LF             other
//	begin     beginCR        begin          ":" comment, else line
//	beginCR   beginCR        begin          ":" comment, else line
//	comment   beginCR        begin          comment
//
//	line      lineCR         next           line
//	lineCR    end, beginCR   next           line
//	next      end, beginCR   end, begin     line
//
// LF in beginCR and lineCR belongs to the line end before it. At "end" the
// bytes held back pass, with the tag if they are an endpoint event.
type EndpointRewriter struct {
	held     []byte // the unfinished event
	tag      Tag
	watched  uint16 // bytes read so far, at most maxWatch
	state    streamState
	watching bool
	begun    bool // bytes have passed: no byte order mark can come any more
	passing  bool // the unfinished event is not held back
	tagged   bool
}

type streamState uint8

const (
	streamBegin streamState = iota
	streamBeginCR
	streamComment
	streamLine
	streamLineCR
	streamNext
)

// inEvent reports whether s is a state within an event.
func (s streamState) inEvent() bool { return s >= streamLine }

const byteOrderMark = "\ufeff"

// Reset prepares the rewriter for a stream of the server with tag t. It keeps
// its memory.
func (r *EndpointRewriter) Reset(t Tag) {
	*r = EndpointRewriter{held: r.held[:0], tag: t, watching: true}
}

// Done reports whether everything passes unchanged: the rewriter has its zero
// value, or was flushed.
func (r *EndpointRewriter) Done() bool { return !r.watching }

// Tagged reports whether a URI was found and tagged. If not, and the stream
// is HTTP+SSE, the client's POST requests reach their server only by another
// form of stickiness.
func (r *EndpointRewriter) Tagged() bool { return r.tagged }

// Append reads the next bytes of the stream and appends to dst those to be sent
// to the client now. It allocates only to let dst grow, if an event does not
// arrive in one piece, and for data in JSON or of several lines.
func (r *EndpointRewriter) Append(dst, p []byte) []byte {
	if !r.watching {
		return append(dst, p...)
	}
	start := 0 // of what is not appended yet
	for i := 0; i < len(p); {
		was := r.state
		if was == streamLine || was == streamComment {
			if i += lineLength(p[i:]); i == len(p) {
				break
			}
		}
		r.state = was.next(p[i])
		i++
		switch {
		case !was.inEvent() && r.state.inEvent():
			dst = r.pass(dst, p[start:i-1])
			start = i - 1
			r.passing = p[start] == 'd' && int(r.watched)+start >= maxWatch
		case was.inEvent() && !r.state.inEvent():
			dst = r.endEvent(dst, p[start:i])
			start = i
		}
	}
	r.watched = uint16(min(int(r.watched)+len(p), maxWatch))
	if r.state.inEvent() {
		return r.hold(dst, p[start:])
	}
	return r.pass(dst, p[start:])
}

// Flush appends the bytes still held back when the stream ends. The rewriter is
// then done.
func (r *EndpointRewriter) Flush(dst []byte) []byte {
	dst = append(dst, r.held...)
	r.held = r.held[:0]
	r.watching = false
	return dst
}

// next implements the table.
func (s streamState) next(b byte) streamState {
	switch s {
	case streamComment:
		return lineEnd(b, streamBeginCR, streamBegin, streamComment)
	case streamLine:
		return lineEnd(b, streamLineCR, streamNext, streamLine)
	case streamLineCR:
		return lineEnd(b, streamBeginCR, streamNext, streamLine)
	case streamNext:
		return lineEnd(b, streamBeginCR, streamBegin, streamLine)
	}
	if b == ':' {
		return streamComment
	}
	return lineEnd(b, streamBeginCR, streamBegin, streamLine)
}

// lineEnd returns the state for b: a carriage return, a line feed, or another
// byte.
func lineEnd(b byte, cr, lf, other streamState) streamState {
	switch b {
	case '\r':
		return cr
	case '\n':
		return lf
	}
	return other
}

// pass appends bytes that belong to no event.
func (r *EndpointRewriter) pass(dst, p []byte) []byte {
	r.begun = r.begun || len(p) > 0
	return append(dst, p...)
}

// hold holds back p, more of the unfinished event, or lets the event pass that is
// too long.
func (r *EndpointRewriter) hold(dst, p []byte) []byte {
	if !r.passing && len(r.held)+len(p) <= maxEvent {
		r.held = append(r.held, p...)
		return dst
	}
	r.passing = true
	dst = append(dst, r.held...)
	r.release()
	return r.pass(dst, p)
}

// release lets go of what was held back. A stream at rest keeps little memory.
func (r *EndpointRewriter) release() {
	const most = 512
	if cap(r.held) > most {
		r.held = nil
	}
	r.held = r.held[:0]
}

// endEvent appends the event that is held back and ends with p.
func (r *EndpointRewriter) endEvent(dst, p []byte) []byte {
	if r.passing || len(r.held)+len(p) > maxEvent {
		r.passing = false
		dst = append(dst, r.held...)
		r.release()
		return r.pass(dst, p)
	}
	event := p
	if len(r.held) > 0 {
		r.held = append(r.held, p...)
		event = r.held
	}
	if !r.begun && bytes.HasPrefix(event, []byte(byteOrderMark)) {
		dst = append(dst, byteOrderMark...)
		event = event[len(byteOrderMark):]
	}
	r.begun = true
	dst, tagged := appendEvent(dst, event, r.tag)
	r.tagged = r.tagged || tagged
	r.release()
	return dst
}

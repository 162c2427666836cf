package mcp

import "bytes"

// maxWatch is how much of the beginning of an event stream an EndpointRewriter
// reads, and therefore the most it can hold back, in bytes. The endpoint event
// has about 100 bytes and is the first (MCP 2024-11-05, Transports, HTTP with
// SSE).
const maxWatch = 8 << 10

// EndpointRewriter searches the beginning of an event stream for the "endpoint"
// event of the deprecated HTTP+SSE transport, whose data is the URI to which
// the client sends its POST requests, and adds a tag to the session in that
// URI's query (see SplitQuery). Everything else passes unchanged. An event is
// held back until its last byte has arrived, before which no reader of an event
// stream would act on it; comments between events pass at once. After the
// endpoint event, or 8 KiB without one, the rewriter is Done and holds nothing
// back:
//
//	rewriter.Reset(tag)
//	for !rewriter.Done() {
//		p := read()
//		out = rewriter.Append(out[:0], p)
//		forward(out)
//	}
//	forwardTheRest()
//
// If the stream ends before that, call Flush. The zero value is done.
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
// bytes held back pass, with the tag if they are the endpoint event.
type EndpointRewriter struct {
	held     []byte // the unfinished event
	tag      Tag
	watched  uint16 // bytes read so far
	state    streamState
	watching bool
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

const byteOrderMark = "\ufeff"

// Reset prepares the rewriter for a stream of the server with tag t. It keeps
// its memory.
func (r *EndpointRewriter) Reset(t Tag) {
	*r = EndpointRewriter{held: r.held[:0], tag: t, watching: true}
}

// Done reports whether the rest of the stream passes unchanged, without the
// rewriter.
func (r *EndpointRewriter) Done() bool { return !r.watching }

// Tagged reports whether a session was found and tagged. If not, and the stream
// is HTTP+SSE, the client's POST requests reach their server only by another
// form of stickiness.
func (r *EndpointRewriter) Tagged() bool { return r.tagged }

// Append reads the next bytes of the stream and appends to dst those to be sent
// to the client now. It allocates only to let dst grow, and if an event does
// not arrive in one piece.
func (r *EndpointRewriter) Append(dst, p []byte) []byte {
	for i, b := range p {
		if !r.watching {
			return append(dst, p[i:]...)
		}
		dst = r.take(dst, b)
	}
	return dst
}

// Flush appends the bytes still held back when the stream ends. The rewriter is
// then done.
func (r *EndpointRewriter) Flush(dst []byte) []byte {
	dst = append(dst, r.held...)
	r.held = r.held[:0]
	r.watching = false
	return dst
}

// take reads one byte while watching.
func (r *EndpointRewriter) take(dst []byte, b byte) []byte {
	r.watched++
	was := r.state
	r.state = was.next(b)
	if was < streamLine && r.state < streamLine {
		dst = append(dst, b)
	} else {
		r.held = append(r.held, b)
		if r.state < streamLine {
			dst = r.endEvent(dst)
		}
	}
	if r.watched == maxWatch {
		dst = r.Flush(dst)
	}
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

// endEvent appends the event held back, which is complete.
func (r *EndpointRewriter) endEvent(dst []byte) []byte {
	event := r.held
	r.held = r.held[:0]
	mark := 0
	if int(r.watched) == len(event) && bytes.HasPrefix(event, []byte(byteOrderMark)) {
		mark = len(byteOrderMark)
	}
	uri, found := endpointURI(event[mark:])
	if !found {
		return append(dst, event...)
	}
	r.watching = false
	session := endpointSession(uri.Of(event[mark:]))
	if session.Len() == 0 {
		return append(dst, event...)
	}
	r.tagged = true
	end := mark + uri.Start + session.End
	dst = append(dst, event[:end]...)
	dst = r.tag.appendTo(dst)
	return append(dst, event[end:]...)
}

// endpointURI reports whether a complete event is an endpoint event, and
// returns its URI: the data, if that is one line. White space around values is
// ignored, as clients do.
func endpointURI(event []byte) (uri Span, found bool) {
	data, endpoint := 0, false
	for at := 0; at < len(event); {
		line := Span{at, at + lineLength(event[at:])}
		at = line.End + 1 // the LF of CRLF makes another empty line, which has no effect
		name, value, _ := bytes.Cut(line.Of(event), []byte(":"))
		value = bytes.Trim(value, " \t")
		switch string(name) {
		case "event":
			endpoint = string(value) == "endpoint" // the last event line counts
		case "data":
			data++
			end := line.Start + len(bytes.TrimRight(line.Of(event), " \t"))
			uri = Span{end - len(value), end}
		}
	}
	if data != 1 {
		uri = Span{}
	}
	return uri, endpoint && data > 0
}

// lineLength returns the length of the first line of p, without its line end.
func lineLength(p []byte) int {
	if n := bytes.IndexAny(p, "\r\n"); n >= 0 {
		return n
	}
	return len(p)
}

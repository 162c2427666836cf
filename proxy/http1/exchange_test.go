package http1

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

const testMax = 32 << 10

// reader uses this package as a proxy does: it buffers the head and reads the
// body as it arrives. It stands in for l7 in the tests.
type reader struct {
	response bool
	asked    RequestContext

	request  RequestHead
	answer   ResponseHead
	scan     Scan
	head     []byte // bytes up to the end of the head
	headSize int    // size of the complete head; 0 before
	reason   Reason

	framing Framing
	left    int64
	chunks  Chunked
	body    []byte
	section []byte // the trailer section as it is passed on, with the line that ends it
	rest    []byte
	done    bool
	forward []byte
}

// feed continues with p, which may be changed afterwards.
func (r *reader) feed(p []byte) {
	if r.reason != ReasonNone {
		return
	}
	if r.headSize == 0 {
		r.head = append(r.head, p...)
		r.headSize, r.reason = r.parse(r.head)
		if r.headSize == 0 {
			return
		}
		p = bytes.Clone(r.head[r.headSize:])
		r.begin()
	}
	r.feedBody(p)
}

func (r *reader) parse(p []byte) (int, Reason) {
	if r.response {
		return r.answer.Parse(p, &r.scan, testMax, r.asked)
	}
	return r.request.Parse(p, &r.scan, testMax)
}

func (r *reader) begin() {
	if r.response {
		r.framing, r.left = r.answer.Framing, r.answer.Length
		r.forward = r.answer.AppendFields(r.answer.AppendStatusLine(nil), 0)
	} else {
		r.framing, r.left = r.request.Framing, r.request.Length
		r.forward = r.request.AppendFields(r.request.AppendRequestLine(nil), 0)
	}
	r.done = r.framing == FramingNone
	if r.framing == FramingClose {
		r.left = math.MaxInt64
	}
}

func (r *reader) feedBody(p []byte) {
	for len(p) > 0 && !r.done && r.reason == ReasonNone {
		var data []byte
		n := 0
		if r.framing == FramingChunked {
			if r.chunks.InTrailers() {
				r.section, n, r.reason = r.chunks.AppendTrailers(r.section, p)
			} else {
				data, n, r.reason = r.chunks.NextData(p)
			}
			r.done = r.chunks.Done()
		} else {
			n = int(min(r.left, int64(len(p))))
			data = p[:n]
			r.left -= int64(n)
			r.done = r.left == 0
		}
		r.body = append(r.body, data...)
		p = p[n:]
	}
	r.rest = append(r.rest, p...)
}

// end handles the end of the connection.
func (r *reader) end() {
	if r.headSize > 0 && r.framing == FramingClose {
		r.done = true
	}
}

// outcome returns the outcome as testdata/cases/README.md describes it.
func (r *reader) outcome() string {
	switch {
	case r.reason != ReasonNone && r.response:
		return "refused " + r.reason.String()
	case r.reason != ReasonNone:
		return fmt.Sprintf("refused %d %v", r.reason.Status(), r.reason)
	case !r.done:
		return "incomplete"
	}
	var w strings.Builder
	flag := func(yes bool, word string) {
		if yes {
			w.WriteString(" " + word)
		}
	}
	keep := r.request.KeepAlive
	if r.response {
		keep = r.answer.KeepAlive
		fmt.Fprintf(&w, "%d HTTP/1.%d %v", r.answer.Status, r.answer.Minor, r.framing)
	} else {
		fmt.Fprintf(&w, "%s %s HTTP/1.%d host=%s %v", r.request.MethodName(), r.request.AppendTarget(nil), r.request.Minor, r.request.Host(), r.framing)
	}
	flag(r.framing != FramingNone, fmt.Sprintf("body=%q", r.body))
	flag(len(r.section) > len("\r\n"), fmt.Sprintf("trailers=%q", bytes.TrimSuffix(r.section, []byte("\r\n"))))
	flag(keep, "keep")
	flag(!keep, "close")
	flag(r.request.ExpectContinue, "expect")
	flag(r.request.WebSocket, "websocket")
	flag(r.request.UnexpectedBody, "unexpected-body")
	flag(r.response && r.answer.Interim(), "interim")
	flag(len(r.rest) > 0, fmt.Sprintf("rest=%q", r.rest))
	return w.String()
}

// exchange returns the outcome of a message that arrives in these pieces, each
// of which is overwritten after it was read.
func exchange(r *reader, pieces ...[]byte) string {
	for _, piece := range pieces {
		p := bytes.Clone(piece)
		r.feed(p)
		for i := range p {
			p[i] = 0xaa
		}
	}
	r.end()
	return r.outcome()
}

// bytewise returns p as pieces of one byte.
func bytewise(p []byte) [][]byte {
	pieces := make([][]byte, len(p))
	for i := range p {
		pieces[i] = p[i : i+1]
	}
	return pieces
}

// agree reports whether a split message has the same outcome as the unsplit
// one. One difference is allowed: a fault in a head that has not ended may not
// have been noticed yet.
func agree(unsplit, split string, p []byte) bool {
	return unsplit == split || split == "incomplete" && strings.HasPrefix(unsplit, "refused") && !bytes.Contains(p, []byte("\r\n\r\n"))
}

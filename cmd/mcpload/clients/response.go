package clients

import (
	"bytes"
	"fmt"

	"mcplb/proxy/http1"
)

// maxHead bounds the head of a response.
const maxHead = 32 << 10

// receiver gets what the responses on a wire carry.
type receiver interface {
	// onHead is called with the head of a final response, which is valid until it
	// returns, and the bytes received after it. It reports whether the body is
	// wanted as messages.
	onHead(head *http1.ResponseHead, follows []byte) (wanted bool)
	// onMessage is called with one message or event of the body; event is "" unless
	// the body is an event stream.
	onMessage(event, data []byte)
	// onEnd is called when the response has ended in order.
	onEnd(keepAlive bool)
}

// response reads HTTP/1.1 responses from a wire, one after the other, and extracts
// their messages: a JSON body is one message, an event stream has one per event.
//
//	state     event           next
//	head      a final head    body; head again if there is no body
//	body      the last byte   head
//	upgraded  (onHead has consumed the bytes after a 101, and the wire has another protocol)
type response struct {
	scan      http1.Scan
	chunked   http1.Chunked
	left      int64 // bytes of the body to come, with http1.FramingLength
	framing   http1.Framing
	inBody    bool
	wanted    bool
	events    bool
	keepAlive bool
	asked     http1.RequestContext
}

// feed reads p for r. Anything but HTTP/1.1 ends the session.
func (s *response) feed(w *wire, p []byte, r receiver) {
	for len(p) > 0 && w.up {
		if !s.inBody {
			p = s.feedHead(w, p, r)
		} else {
			p = s.feedBody(w, p, r)
		}
	}
}

// feedHead returns the bytes after the head, none if the head is incomplete.
func (s *response) feedHead(w *wire, p []byte, r receiver) []byte {
	received := w.withPending(p)
	head := &w.client.worker.head
	n, reason := head.Parse(received, &s.scan, maxHead, s.asked)
	switch {
	case reason != http1.ReasonNone:
		w.client.lose("not HTTP: " + reason.String())
		return nil
	case n == 0:
		w.keep(received)
		return nil
	}
	follows := p[len(p)-(len(received)-n):]
	if head.Interim() {
		w.keep(nil)
		return follows
	}
	s.framing, s.left, s.keepAlive = head.Framing, head.Length, head.KeepAlive
	s.events = bytes.HasPrefix(head.Get(http1.HeaderContentType), eventStream)
	s.chunked, s.inBody = http1.Chunked{}, true
	upgraded := head.Status == 101
	s.wanted = r.onHead(head, follows)
	if !w.up || upgraded {
		return nil
	}
	w.keep(nil)
	if s.framing == http1.FramingNone {
		s.end(w, r)
	}
	return follows
}

// feedBody returns the bytes after the body, none if the body continues.
func (s *response) feedBody(w *wire, p []byte, r receiver) []byte {
	switch s.framing {
	case http1.FramingChunked:
		for len(p) > 0 && w.up && !s.chunked.Done() {
			data, n, reason := s.chunked.Next(p)
			if reason != http1.ReasonNone {
				w.client.lose("not HTTP: " + reason.String())
				return nil
			}
			p = p[n:]
			s.data(w, data, r)
		}
		if w.up && s.chunked.Done() {
			s.end(w, r)
		}
		return p
	case http1.FramingLength:
		n := min(int64(len(p)), s.left)
		s.left -= n
		s.data(w, p[:n], r)
		if w.up && s.left == 0 {
			s.end(w, r)
		}
		return p[n:]
	default: // until the connection ends
		s.data(w, p, r)
		return nil
	}
}

// data handles the next bytes of the body.
func (s *response) data(w *wire, p []byte, r receiver) {
	if !s.wanted || len(p) == 0 {
		return
	}
	received := w.withPending(p)
	if !s.events {
		w.keep(received) // until the end
	} else {
		for w.up {
			event, data, rest, complete := nextEvent(received)
			if !complete {
				break
			}
			received = rest
			r.onMessage(event, data)
		}
		if w.up {
			w.keep(received)
		}
	}
	if w.pending.Len() > MaxMessage {
		w.client.lose(answerTooLong)
	}
}

// end ends the body.
func (s *response) end(w *wire, r receiver) {
	s.inBody = false
	if s.wanted && !s.events && w.pending.Len() > 0 {
		r.onMessage(nil, w.pending.Bytes())
	}
	if w.up {
		w.keep(nil)
		r.onEnd(s.keepAlive)
	}
}

var (
	eventStream = []byte("text/event-stream")
	fieldEvent  = []byte("event")
	fieldData   = []byte("data")
	colon       = []byte(":")
	space       = []byte(" ")
)

// nextEvent splits the first event off an event stream (HTML Standard, section
// 9.2.6) whose lines end with LF or CRLF and whose data is one line, as in MCP. An
// event without data has nil.
func nextEvent(stream []byte) (event, data, rest []byte, complete bool) {
	for {
		line, after, found := bytes.Cut(stream, newline)
		if !found {
			return nil, nil, nil, false
		}
		stream = after
		line = bytes.TrimSuffix(line, carriageReturn)
		if len(line) == 0 {
			return event, data, stream, true
		}
		name, value, _ := bytes.Cut(line, colon)
		value = bytes.TrimPrefix(value, space)
		switch {
		case bytes.Equal(name, fieldEvent):
			event = value
		case bytes.Equal(name, fieldData):
			data = value
		}
	}
}

// statusReason is the reason of a loss by a response's status.
func statusReason(status int) string { return fmt.Sprintf("status %d", status) }

package main

import (
	"bytes"
	"fmt"

	"mcplb/proxy/http1"
)

// maxHead bounds the head of a response.
const maxHead = 32 << 10

// receiver gets what responses on a wire bring.
type receiver interface {
	// headed is called with a final response's head, which is valid until it
	// returns. It tells whether the body is wanted as messages.
	headed(head *http1.ResponseHead, follows []byte) (wanted bool)
	// received gets one message or event of the body; event is "" in a body
	// that is not an event stream.
	received(event, data []byte)
	// finished is called when the response has ended in order.
	finished(keepAlive bool)
}

// response reads HTTP/1.1 responses from a wire, one after the other, and takes
// the messages out of them: a JSON body is one, an event stream has one an event.
//
//	state  what comes        next
//	head   a final head      body, or head again when there is no body
//	body   the last byte     head
//	over   (the wire is somebody else's: headed took what followed a 101)
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

// feed reads on in p for r; where it is not HTTP/1.1 the client is lost.
func (s *response) feed(w *wire, p []byte, r receiver) {
	for len(p) > 0 && w.up {
		if !s.inBody {
			p = s.feedHead(w, p, r)
		} else {
			p = s.feedBody(w, p, r)
		}
	}
}

// feedHead returns what follows the head, nothing when it is not complete.
func (s *response) feedHead(w *wire, p []byte, r receiver) []byte {
	whole := w.whole(p)
	head := &w.client.worker.head
	n, reason := head.Parse(whole, &s.scan, maxHead, s.asked)
	switch {
	case reason != http1.ReasonNone:
		w.client.lose("not HTTP: " + reason.String())
		return nil
	case n == 0:
		w.keep(whole)
		return nil
	}
	follows := p[len(p)-(len(whole)-n):]
	if head.Interim() {
		w.keep(nil)
		return follows
	}
	s.framing, s.left, s.keepAlive = head.Framing, head.Length, head.KeepAlive
	s.events = bytes.HasPrefix(head.Get(http1.HeaderContentType), eventStream)
	s.chunked, s.inBody = http1.Chunked{}, true
	upgraded := head.Status == 101
	s.wanted = r.headed(head, follows)
	if !w.up || upgraded {
		return nil
	}
	w.keep(nil)
	if s.framing == http1.FramingNone {
		s.end(w, r)
	}
	return follows
}

// feedBody returns what follows the body, nothing when it goes on.
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

// data takes the next bytes of the body.
func (s *response) data(w *wire, p []byte, r receiver) {
	if !s.wanted || len(p) == 0 {
		return
	}
	whole := w.whole(p)
	if !s.events {
		w.keep(whole) // until the end
	} else {
		for w.up {
			event, data, rest, complete := nextEvent(whole)
			if !complete {
				break
			}
			whole = rest
			r.received(event, data)
		}
		if w.up {
			w.keep(whole)
		}
	}
	if w.kept.Len() > maxMessage {
		w.client.lose("answer too long")
	}
}

// end ends the body.
func (s *response) end(w *wire, r receiver) {
	s.inBody = false
	if s.wanted && !s.events && w.kept.Len() > 0 {
		r.received(nil, w.kept.Bytes())
	}
	if w.up {
		w.keep(nil)
		r.finished(s.keepAlive)
	}
}

var (
	eventStream = []byte("text/event-stream")
	fieldEvent  = []byte("event")
	fieldData   = []byte("data")
)

// nextEvent takes the first event off an event stream (HTML Standard, section
// 9.2.6) whose lines end with LF or CRLF and whose data are one line, as MCP's
// messages are. An event without data has nil.
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

var colon, space = []byte(":"), []byte(" ")

// statusReason is why a client is lost that got a status.
func statusReason(status int) string { return fmt.Sprintf("status %d", status) }

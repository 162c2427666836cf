package main

import (
	"bytes"
	"net/url"

	"mcplb/proxy/http1"
)

// stream is the transport of kindSSE, the deprecated HTTP+SSE (MCP 2024-11-05):
// a GET whose event stream stays open and brings every message of the server,
// and POSTs, answered with 202, on a connection of their own.
type stream struct {
	wire     wire // of the event stream
	response response
	posts    posts
	target   []byte // where to POST, of the endpoint event; empty before it
}

// posts is the second connection; a type of its own, because it is another
// bearer.
type posts struct{ poster }

func (s *stream) open() {
	s.close()
	s.wire.dial()
}

func (s *stream) ready() bool { return s.wire.up && len(s.target) > 0 && !s.posts.busy }

func (s *stream) close() {
	s.wire.close()
	s.posts.close()
	s.response = response{asked: http1.RequestContext{Method: http1.MethodGet}}
	s.target = s.target[:0]
}

func (s *stream) connected(*wire) {
	w := s.wire.client.worker
	w.request = append(w.appendGet(w.request[:0], w.options.ssePath), "Accept: text/event-stream\r\n\r\n"...)
	s.wire.send(w.request)
}

func (s *stream) send(message []byte) {
	w := s.wire.client.worker
	request := w.appendPost(w.request[:0], string(s.target), len(message))
	w.request = append(append(request, "\r\n"...), message...)
	s.posts.post(w.request)
}

func (s *stream) arrived(w *wire, p []byte) { s.response.feed(w, p, s) }

func (s *stream) ended(*wire) { s.wire.client.lose("closed by the server") }

func (s *stream) headed(head *http1.ResponseHead, _ []byte) bool {
	switch {
	case head.Status != 200:
		s.wire.client.lose(statusReason(head.Status))
		return false
	case !bytes.HasPrefix(head.Get(http1.HeaderContentType), eventStream):
		s.wire.client.lose("no event stream")
		return false
	}
	return true
}

var eventEndpoint = []byte("endpoint")

func (s *stream) received(event, data []byte) {
	switch {
	case bytes.Equal(event, eventEndpoint):
		target, err := url.Parse(string(data))
		if err != nil || target.Path == "" {
			s.wire.client.lose("bad endpoint")
			return
		}
		s.target = append(s.target[:0], target.RequestURI()...)
		s.wire.client.carries()
	case len(data) > 0:
		s.wire.client.received(data)
	}
}

func (s *stream) finished(bool) { s.wire.client.lose("closed by the server") }

func (p *posts) connected(*wire)           { p.poster.connected() }
func (p *posts) ended(*wire)               { p.poster.ended() }
func (p *posts) arrived(w *wire, b []byte) { p.response.feed(w, b, p) }
func (p *posts) received(_, _ []byte)      {}

func (p *posts) headed(head *http1.ResponseHead, _ []byte) bool {
	if head.Status != 202 && head.Status != 200 && head.Status != 204 {
		p.wire.client.lose(statusReason(head.Status))
	}
	return false
}

func (p *posts) finished(keepAlive bool) {
	p.done(keepAlive)
	p.wire.client.free()
}

package clients

import (
	"bytes"
	"net/url"

	"mcplb/proxy/http1"
)

// sseTransport is the transport of SSE, the deprecated HTTP+SSE (MCP 2024-11-05): a
// GET whose event stream stays open and carries every message of the server, and
// POSTs, answered with 202, on a second connection.
type sseTransport struct {
	wire     wire // of the event stream
	response response
	posts    ssePosts
	target   []byte // where to POST, from the endpoint event; empty before it
}

// ssePosts is the second connection.
type ssePosts struct{ poster }

func (t *sseTransport) open() {
	t.close()
	t.wire.dial()
}

func (t *sseTransport) ready() bool { return t.wire.up && len(t.target) > 0 && !t.posts.busy }

func (t *sseTransport) close() {
	t.wire.close()
	t.posts.close()
	t.response = response{asked: http1.RequestContext{Method: http1.MethodGet}}
	t.target = t.target[:0]
}

func (t *sseTransport) onConnect(*wire) {
	w := t.wire.client.worker
	w.request = append(w.appendGet(w.request[:0], w.options.SSEPath), "Accept: text/event-stream\r\n\r\n"...)
	t.wire.send(w.request)
}

func (t *sseTransport) send(message []byte) {
	w := t.wire.client.worker
	request := w.appendPost(w.request[:0], string(t.target), len(message))
	w.request = append(append(request, "\r\n"...), message...)
	t.posts.post(w.request)
}

func (t *sseTransport) onData(w *wire, p []byte) { t.response.feed(w, p, t) }

func (t *sseTransport) onEOF(*wire) { t.wire.client.lose(closedByServer) }

func (t *sseTransport) onHead(head *http1.ResponseHead, _ []byte) bool {
	switch {
	case head.Status != 200:
		t.wire.client.lose(statusReason(head.Status))
		return false
	case !bytes.HasPrefix(head.Get(http1.HeaderContentType), eventStream):
		t.wire.client.lose("no event stream")
		return false
	}
	return true
}

var eventEndpoint = []byte("endpoint")

func (t *sseTransport) onMessage(event, data []byte) {
	switch {
	case bytes.Equal(event, eventEndpoint):
		target, err := url.Parse(string(data))
		if err != nil || target.Path == "" {
			t.wire.client.lose("bad endpoint")
			return
		}
		t.target = append(t.target[:0], target.RequestURI()...)
		t.wire.client.connected()
	case len(data) > 0:
		t.wire.client.received(data)
	}
}

func (t *sseTransport) onEnd(bool) { t.wire.client.lose(closedByServer) }

func (p *ssePosts) onConnect(*wire)          { p.poster.connected() }
func (p *ssePosts) onEOF(*wire)              { p.poster.closed() }
func (p *ssePosts) onData(w *wire, b []byte) { p.response.feed(w, b, p) }
func (p *ssePosts) onMessage(_, _ []byte)    {}

func (p *ssePosts) onHead(head *http1.ResponseHead, _ []byte) bool {
	if head.Status != 202 && head.Status != 200 && head.Status != 204 {
		p.wire.client.lose(statusReason(head.Status))
	}
	return false
}

func (p *ssePosts) onEnd(keepAlive bool) {
	p.done(keepAlive)
	p.wire.client.writable()
}

package clients

import (
	"strconv"

	"mcplb/proxy/http1"
)

// poster sends JSON-RPC messages as POSTs, one at a time, on one connection that is
// kept alive. If the server closes it between two POSTs, it connects again. It is
// what the two transports that use POSTs have in common.
//
//	state    event                              next
//	down     post                               dialing
//	dialing  connected: the request is sent     busy
//	idle     post                               busy
//	busy     the response's end                 idle; down if it is not kept alive
//	idle     closed by the server               down
type poster struct {
	wire     wire
	response response
	waiting  []byte // the request that waits for the connection
	busy     bool
}

func (p *poster) post(request []byte) {
	p.busy = true
	if p.wire.up {
		p.wire.send(request)
		return
	}
	p.waiting = append(p.waiting[:0], request...)
	p.wire.dial()
}

// connected sends the request that has waited.
func (p *poster) connected() {
	waiting := p.waiting
	p.waiting = nil
	if len(waiting) > 0 {
		p.wire.send(waiting)
	}
}

// closed handles the server's end of the connection, which is in order unless a
// response is due.
func (p *poster) closed() {
	if p.busy {
		p.wire.client.lose(closedByServer)
		return
	}
	p.close()
}

// done completes an exchange.
func (p *poster) done(keepAlive bool) {
	p.busy = false
	if !keepAlive {
		p.close()
	}
}

func (p *poster) close() {
	p.wire.close()
	p.response, p.busy, p.waiting = response{asked: http1.RequestContext{Method: http1.MethodPost}}, false, nil
}

// httpTransport is the transport of HTTP, HTTPS, H2 and H2C: Streamable HTTP with a session
// (MCP 2025-11-25, Transports).
type httpTransport struct {
	poster
	session []byte // Mcp-Session-Id; empty until it is known
}

func (t *httpTransport) open() {
	t.close()
	t.wire.dial()
}

func (t *httpTransport) close() {
	t.poster.close()
	t.session = t.session[:0]
}

func (t *httpTransport) ready() bool { return !t.busy }

func (t *httpTransport) onConnect(*wire) {
	if t.busy {
		t.poster.connected()
		return
	}
	t.wire.client.connected()
}

func (t *httpTransport) send(message []byte) {
	w := t.wire.client.worker
	request := w.appendPost(w.request[:0], w.options.MCPPath, len(message))
	if len(t.session) > 0 {
		request = append(request, "MCP-Protocol-Version: "+protocolVersion+"\r\n"...)
		request = http1.AppendField(request, "Mcp-Session-Id", t.session)
	}
	w.request = append(append(request, "\r\n"...), message...)
	t.post(w.request)
}

func (t *httpTransport) onData(w *wire, p []byte) { t.response.feed(w, p, t) }

func (t *httpTransport) onEOF(*wire) { t.poster.closed() }

func (t *httpTransport) onHead(head *http1.ResponseHead, _ []byte) bool {
	if head.Status != 200 && head.Status != 202 {
		t.wire.client.lose(statusReason(head.Status))
		return false
	}
	if id := head.Get(http1.HeaderMcpSessionID); len(id) > 0 && len(t.session) == 0 {
		t.session = append(t.session, id...)
	}
	return head.Status == 200
}

func (t *httpTransport) onMessage(_, data []byte) {
	if len(data) > 0 {
		t.wire.client.received(data)
	}
}

func (t *httpTransport) onEnd(keepAlive bool) {
	t.done(keepAlive)
	t.wire.client.writable()
}

// appendPost appends the head of a POST with a body of n bytes, except for the
// empty line at its end.
func (w *worker) appendPost(dst []byte, target string, n int) []byte {
	dst = w.appendRequest(dst, "POST ", target)
	dst = append(dst, "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, "\r\n"...)
}

// appendGet appends the head of a GET, except for the empty line at its end.
func (w *worker) appendGet(dst []byte, target string) []byte {
	return w.appendRequest(dst, "GET ", target)
}

func (w *worker) appendRequest(dst []byte, method, target string) []byte {
	dst = append(dst, method...)
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, w.options.Host...)
	return append(dst, "\r\n"...)
}

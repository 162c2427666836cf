package main

import (
	"strconv"

	"mcplb/proxy/http1"
)

// poster sends JSON-RPC messages as POSTs, one at a time, over one connection
// that is kept alive; where the server closes it between two POSTs it connects
// anew. It holds what the two transports over POSTs have in common.
//
//	state    what happens                       next
//	down     post                               dialing
//	dialing  connected: the request goes out    busy
//	idle     post                               busy
//	busy     the response's end                 idle; down when it is not kept alive
//	idle     closed by the server               down
type poster struct {
	wire     wire
	response response
	pending  []byte // a request that waits for the connection
	busy     bool
}

func (p *poster) post(request []byte) {
	p.busy = true
	if p.wire.up {
		p.wire.send(request)
		return
	}
	p.pending = append(p.pending[:0], request...)
	p.wire.dial()
}

// connected sends what has waited.
func (p *poster) connected() {
	pending := p.pending
	p.pending = nil
	if len(pending) > 0 {
		p.wire.send(pending)
	}
}

// ended is the server's end of the connection: in order while nothing is asked.
func (p *poster) ended() {
	if p.busy {
		p.wire.client.lose("closed by the server")
		return
	}
	p.close()
}

// done ends an exchange.
func (p *poster) done(keepAlive bool) {
	p.busy = false
	if !keepAlive {
		p.close()
	}
}

func (p *poster) close() {
	p.wire.close()
	p.response, p.busy, p.pending = response{asked: http1.RequestContext{Method: http1.MethodPost}}, false, nil
}

// web is the transport of kindHTTP and kindHTTPS: Streamable HTTP with a
// session (MCP 2025-11-25, Transports).
type web struct {
	poster
	session []byte // Mcp-Session-Id; empty before it is known
}

func (h *web) open() {
	h.close()
	h.wire.dial()
}

func (h *web) close() {
	h.poster.close()
	h.session = h.session[:0]
}

func (h *web) ready() bool { return !h.busy }

func (h *web) connected(*wire) {
	if h.busy {
		h.poster.connected()
		return
	}
	h.wire.client.carries()
}

func (h *web) send(message []byte) {
	w := h.wire.client.worker
	request := w.appendPost(w.request[:0], w.options.mcpPath, len(message))
	if len(h.session) > 0 {
		request = append(request, "MCP-Protocol-Version: "+protocolVersion+"\r\n"...)
		request = http1.AppendField(request, "Mcp-Session-Id", h.session)
	}
	w.request = append(append(request, "\r\n"...), message...)
	h.post(w.request)
}

func (h *web) arrived(w *wire, p []byte) { h.response.feed(w, p, h) }

func (h *web) ended(*wire) { h.poster.ended() }

func (h *web) headed(head *http1.ResponseHead, _ []byte) bool {
	if head.Status != 200 && head.Status != 202 {
		h.wire.client.lose(statusReason(head.Status))
		return false
	}
	if id := head.Get(http1.HeaderMcpSessionID); len(id) > 0 && len(h.session) == 0 {
		h.session = append(h.session, id...)
	}
	return head.Status == 200
}

func (h *web) received(_, data []byte) {
	if len(data) > 0 {
		h.wire.client.received(data)
	}
}

func (h *web) finished(keepAlive bool) {
	h.done(keepAlive)
	h.wire.client.free()
}

// appendPost appends the head of a POST of n bytes, but for its end.
func (w *worker) appendPost(dst []byte, target string, n int) []byte {
	dst = append(dst, "POST "...)
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, w.options.host...)
	dst = append(dst, "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, "\r\n"...)
}

// appendGet appends the head of a GET, but for its end.
func (w *worker) appendGet(dst []byte, target string) []byte {
	dst = append(dst, "GET "...)
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, w.options.host...)
	return append(dst, "\r\n"...)
}

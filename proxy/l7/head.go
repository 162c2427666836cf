package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// appendRequest writes the head of the request for the server.
func (c *client) appendRequest(dst []byte) []byte {
	settings := c.frontend.Settings()
	head, x := &c.worker.request, &c.exchange
	without := http1.HeaderSet(1<<http1.HeaderXForwardedFor | 1<<http1.HeaderMcpSessionID)
	trusted := settings.trusts(c.from.Addr())
	if !trusted {
		without |= http1.Forwarding // from anybody else they are lies
	}
	preserve := x.pool.InForce().PreserveHost && len(head.Host()) > 0
	if !preserve || !head.Has(http1.HeaderHost) {
		without |= 1 << http1.HeaderHost
	}
	hide := settings.Frontend.Sticky.Cookie
	if hide != "" {
		without |= 1 << http1.HeaderCookie
	}

	dst = appendRequestLine(dst, head, settings.Frontend.Sticky.Session)
	if without.Has(http1.HeaderHost) {
		dst = c.appendHost(dst, preserve)
	}
	dst = head.AppendFields(dst, without)
	dst = appendSession(dst, head, settings.Frontend.Sticky.Session)
	if hide != "" {
		dst = appendCookies(dst, head, hide)
	}
	dst = c.appendForwarded(dst, settings, trusted)
	if x.flags&toWebSocket != 0 {
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	} else if head.Framing == http1.FramingChunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendRequestLine writes the request line, without the tag that the session
// in a query bears.
func appendRequestLine(dst []byte, head *http1.RequestHead, sessions bool) []byte {
	start := len(dst)
	dst = head.AppendRequestLine(dst)
	if !sessions || head.Query() == nil {
		return dst
	}
	method := len(head.MethodName()) + 1
	target := dst[start+method : len(dst)-len(" HTTP/1.1\r\n")]
	if id, _, ok := mcp.SplitQuery(target); ok {
		end := start + method + id.End
		dst = append(dst[:end], dst[end+mcp.TagSize:]...)
	}
	return dst
}

// appendHost writes Host: the client's, or the server's address.
func (c *client) appendHost(dst []byte, preserve bool) []byte {
	dst = append(dst, "Host: "...)
	if preserve {
		dst = append(dst, c.worker.request.Host()...)
	} else {
		dst = c.exchange.lease.Server().Addr(endpoints[c.exchange.endpoint]).AppendTo(dst)
	}
	return append(dst, "\r\n"...)
}

// appendSession writes Mcp-Session-Id as the server knows it.
func appendSession(dst []byte, head *http1.RequestHead, sessions bool) []byte {
	for i := head.Find(http1.HeaderMcpSessionID, 0); i >= 0; i = head.Find(http1.HeaderMcpSessionID, i+1) {
		id := head.Value(i)
		if sessions {
			id, _, _ = mcp.SplitTagged(id)
		}
		dst = http1.AppendField(dst, "Mcp-Session-Id", id)
	}
	return dst
}

// appendCookies writes the client's cookies without the balancer's own.
func appendCookies(dst []byte, head *http1.RequestHead, hide string) []byte {
	for i := head.Find(http1.HeaderCookie, 0); i >= 0; i = head.Find(http1.HeaderCookie, i+1) {
		start := len(dst)
		dst = append(dst, "Cookie: "...)
		begin := len(dst)
		if dst = http1.AppendCookiesWithout(dst, head.Value(i), hide); len(dst) == begin {
			dst = dst[:start]
			continue
		}
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendForwarded tells the server of the client: who, by which scheme, at
// which host. What a trusted proxy told of scheme and host has passed already.
func (c *client) appendForwarded(dst []byte, settings *Settings, trusted bool) []byte {
	head := &c.worker.request
	dst = append(dst, "X-Forwarded-For: "...)
	if trusted {
		for i := head.Find(http1.HeaderXForwardedFor, 0); i >= 0; i = head.Find(http1.HeaderXForwardedFor, i+1) {
			if value := head.Value(i); len(value) > 0 {
				dst = append(append(dst, value...), ", "...)
			}
		}
	}
	dst = c.from.Addr().AppendTo(dst)
	dst = append(dst, "\r\n"...)
	if !trusted || !head.Has(http1.HeaderXForwardedProto) {
		dst = append(dst, c.forwardedProto()...)
	}
	if host := head.Host(); len(host) > 0 && (!trusted || !head.Has(http1.HeaderXForwardedHost)) {
		dst = http1.AppendField(dst, "X-Forwarded-Host", host)
	}
	return dst
}

// forwardedProto is the field that tells what the client's URIs begin with.
func (c *client) forwardedProto() string {
	if c.conn.HasTransport() {
		return "X-Forwarded-Proto: https\r\n"
	}
	return "X-Forwarded-Proto: http\r\n"
}

// appendResponse writes the head of the server's answer for the client, whose
// body takes the form given.
func (c *client) appendResponse(dst []byte, f form) []byte {
	settings := c.frontend.Settings()
	head, x := &c.worker.response, &c.exchange
	sticky := &settings.Frontend.Sticky
	tags := sticky.Session && x.flags&modern == 0 && head.Has(http1.HeaderMcpSessionID)
	var without http1.HeaderSet
	if tags {
		without |= 1 << http1.HeaderMcpSessionID
	}
	if f.recoded {
		without |= 1<<http1.HeaderContentLength | 1<<http1.HeaderTrailer // trailers are lost
	}
	if f.zipped {
		without |= 1<<http1.HeaderETag | 1<<http1.HeaderAcceptRanges | 1<<http1.HeaderContentDigest
	}
	dst = head.AppendStatusLine(dst)
	dst = head.AppendFields(dst, without)
	if tags {
		dst = c.appendTagged(dst)
	}
	if x.flags&setCookie != 0 {
		dst = c.appendSetCookie(dst, settings, x.origin.tag)
	}
	dst = c.appendForm(dst, f)
	if !head.Has(http1.HeaderDate) {
		dst = http1.AppendField(dst, "Date", c.worker.now())
	}
	dst = c.appendConnection(dst)
	return append(dst, "\r\n"...)
}

// appendTagged writes Mcp-Session-Id with the tag of its server behind it.
func (c *client) appendTagged(dst []byte) []byte {
	x := &c.exchange
	if x.flags&sessioned == 0 {
		c.counters.Opened.Add(1)
	}
	dst = append(dst, "Mcp-Session-Id: "...)
	dst = mcp.AppendTagged(dst, c.worker.response.Get(http1.HeaderMcpSessionID), x.origin.tag)
	return append(dst, "\r\n"...)
}

// appendForm writes what the head says of the form of the body.
func (c *client) appendForm(dst []byte, f form) []byte {
	head := &c.worker.response
	if f.zipped {
		c.counters.Zipped.Add(1)
		dst = append(dst, "Content-Encoding: gzip\r\n"...)
		for i := head.Find(http1.HeaderETag, 0); i >= 0; i = head.Find(http1.HeaderETag, i+1) {
			dst = weaken(dst, head.Value(i))
		}
	}
	if f.varies && !varies(head, "Accept-Encoding") {
		dst = append(dst, "Vary: Accept-Encoding\r\n"...)
	}
	chunked := head.Framing == http1.FramingChunked
	if f.recoded {
		chunked = c.exchange.recoder.chunks
	}
	if chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return dst
}

// varies tells whether Vary names the field already.
func varies(head *http1.ResponseHead, field string) bool {
	for i := head.Find(http1.HeaderVary, 0); i >= 0; i = head.Find(http1.HeaderVary, i+1) {
		if value := head.Value(i); http1.HasToken(value, field) || http1.HasToken(value, "*") {
			return true
		}
	}
	return false
}

// appendSetCookie writes the cookie that binds a browser to its server.
func (c *client) appendSetCookie(dst []byte, settings *Settings, tag mcp.Tag) []byte {
	sticky := &settings.Frontend.Sticky
	dst = append(append(dst, "Set-Cookie: "...), sticky.Cookie...)
	dst = append(append(dst, '='), tag[:]...)
	if sticky.CookieAttributes != "" {
		dst = append(append(dst, "; "...), sticky.CookieAttributes...)
	}
	if settings.secure && c.conn.HasTransport() {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "\r\n"...)
}

// appendConnection tells the client whether its connection lives on, where
// that is not its version's default.
func (c *client) appendConnection(dst []byte) []byte {
	switch {
	case c.closes:
		return append(dst, "Connection: close\r\n"...)
	case c.exchange.flags&oldClient != 0:
		return append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}

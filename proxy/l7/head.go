//go:build linux

package l7

import (
	"bytes"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// forwarded are the fields by which proxies tell of the client: from anybody
// but a trusted proxy they are lies.
const forwarded http1.HeaderSet = 1<<http1.HeaderXForwardedFor | 1<<http1.HeaderXForwardedProto | 1<<http1.HeaderXForwardedHost |
	1<<http1.HeaderXForwardedPort | 1<<http1.HeaderXForwardedServer | 1<<http1.HeaderXRealIP | 1<<http1.HeaderForwarded

// appendRequest writes the head of the request for the server.
func (c *client) appendRequest(dst []byte) []byte {
	settings := c.frontend.Settings()
	head, x := &c.worker.request, &c.exchange
	without := http1.HeaderSet(1<<http1.HeaderXForwardedFor | 1<<http1.HeaderMcpSessionID)
	trusted := c.trusted(settings)
	if !trusted {
		without |= forwarded
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
	dst = c.appendForwarded(dst, trusted)
	if x.flags&websocket != 0 {
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
	if !sessions || bytes.IndexByte(dst[start:], '?') < 0 {
		return dst
	}
	line := dst[start:]
	target := len(head.MethodName()) + 1
	size := bytes.IndexByte(line[target:], ' ')
	if id, _, ok := mcp.SplitQuery(line[target : target+size]); ok {
		end := start + target + id.End
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
func (c *client) appendForwarded(dst []byte, trusted bool) []byte {
	head := &c.worker.request
	dst = append(dst, "X-Forwarded-For: "...)
	if trusted {
		for i := head.Find(http1.HeaderXForwardedFor, 0); i >= 0; i = head.Find(http1.HeaderXForwardedFor, i+1) {
			dst = append(append(dst, head.Value(i)...), ", "...)
		}
	}
	dst = c.from.Addr().AppendTo(dst)
	dst = append(dst, "\r\n"...)
	if !trusted || !head.Has(http1.HeaderXForwardedProto) {
		dst = append(dst, "X-Forwarded-Proto: http\r\n"...)
	}
	if host := head.Host(); len(host) > 0 && (!trusted || !head.Has(http1.HeaderXForwardedHost)) {
		dst = http1.AppendField(dst, "X-Forwarded-Host", host)
	}
	return dst
}

// appendResponse writes the head of the server's answer for the client.
func (c *client) appendResponse(dst []byte) []byte {
	settings := c.frontend.Settings()
	head, x := &c.worker.response, &c.exchange
	sticky := &settings.Frontend.Sticky
	tags := sticky.Session && x.flags&modern == 0 && head.Has(http1.HeaderMcpSessionID)
	var without http1.HeaderSet
	if tags {
		without |= 1 << http1.HeaderMcpSessionID
	}
	dst = head.AppendStatusLine(dst)
	dst = head.AppendFields(dst, without)
	if tags {
		dst = append(dst, "Mcp-Session-Id: "...)
		dst = mcp.AppendTagged(dst, head.Get(http1.HeaderMcpSessionID), mcp.TagOf(x.lease.Server().Name()))
		dst = append(dst, "\r\n"...)
		c.counters.Opened.Add(1)
	}
	if x.flags&setCookie != 0 {
		dst = appendSetCookie(dst, sticky.Cookie, mcp.TagOf(x.lease.Server().Name()), sticky.CookieAttributes)
	}
	if head.Framing == http1.FramingChunked && x.flags&unframed == 0 {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if !head.Has(http1.HeaderDate) {
		dst = http1.AppendField(dst, "Date", c.worker.now())
	}
	dst = c.appendConnection(dst)
	return append(dst, "\r\n"...)
}

// appendSetCookie writes the cookie that binds a browser to its server.
func appendSetCookie(dst []byte, name string, tag mcp.Tag, attributes string) []byte {
	dst = append(append(dst, "Set-Cookie: "...), name...)
	dst = append(append(dst, '='), tag[:]...)
	if attributes != "" {
		dst = append(append(dst, "; "...), attributes...)
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

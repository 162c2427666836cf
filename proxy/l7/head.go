package l7

import (
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// headWriter writes the heads of an exchange: what the server gets of the request,
// and the client of the response.
type headWriter struct {
	exchange *exchange
	settings *Settings
}

// heads writes the exchange's heads by the settings in force.
func (x *exchange) heads() headWriter { return headWriter{x, x.client.settings()} }

// appendRequest writes the head of the parsed request for the server.
func (w headWriter) appendRequest(dst []byte) []byte {
	x, settings := w.exchange, w.settings
	c := x.client
	head := &c.worker.request
	without := http1.HeaderSet(1<<http1.HeaderXForwardedFor | 1<<http1.HeaderMcpSessionID)
	trusted := settings.Trusts(c.From.Addr())
	if !trusted {
		without |= http1.Forwarding // from others they may be forged
	}
	preserve := x.dispatch.Pool.InForce().PreserveHost && len(head.Host()) > 0
	if !preserve || !head.Has(http1.HeaderHost) || x.route.host != nil {
		without |= 1 << http1.HeaderHost
	}
	hide := x.route.cookie
	if hide != "" {
		without |= 1 << http1.HeaderCookie
	}
	if settings.Frontend.Sticky.Session && x.mayOpenStream() && w.wantsEvents(head) {
		without |= 1 << http1.HeaderAcceptEncoding // the endpoint event must be read
	}
	if x.has(mayCreateTask | tagged) {
		without |= 1 << http1.HeaderAcceptEncoding // ids of tasks must be read
	}
	if x.has(tagged) {
		without |= 1<<http1.HeaderMcpName | 1<<http1.HeaderContentLength
	}

	stripped := w.dropPrefixFields(head)
	dst = w.appendRequestLine(dst, head)
	fields := len(dst)
	if without.Has(http1.HeaderHost) {
		dst = w.appendHost(dst, preserve)
	}
	w.keepUsed(head)
	if x.has(tagged) {
		head.DropDescriptions() // the body that the server gets is another
	}
	dst = head.AppendFields(dst, without|1<<http1.HeaderTrailer)
	dst = head.AppendTrailer(dst, router{x}.requestTrailers())
	dst = appendSession(dst, head, settings.Frontend.Sticky.Session)
	if x.has(tagged) {
		dst = tasks{x}.appendName(dst)
	}
	if hide != "" {
		dst = appendCookies(dst, head, hide)
	}
	dst = w.appendForwarded(dst, trusted)
	dst = w.editRequest(dst, fields, stripped)
	if x.has(toWebSocket) {
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	} else if head.Framing == http1.FramingChunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	} else if x.has(tagged) {
		dst = http1.AppendLength(dst, tasks{x}.length())
	}
	return append(dst, "\r\n"...)
}

// keepUsed passes on the fields that Connection names and conditions of routes
// depend on: a server may rely on what they have found.
func (w headWriter) keepUsed(head *http1.RequestHead) {
	if !head.NamesFields() || w.settings.matcher == nil {
		return
	}
	for i := range head.NumFields() {
		if w.settings.matcher.Uses(head.Name(i)) {
			head.Keep(i)
		}
	}
}

// appendRequestLine writes the request line, without the tag in a query that the
// balancer has put there, and with the prefixes of the route. Nothing else of the
// target changes.
func (w headWriter) appendRequestLine(dst []byte, head *http1.RequestHead) []byte {
	start := len(dst)
	if route := w.exchange.route; route.rewritesPath(head) {
		dst = append(append(dst, head.MethodName()...), ' ')
		dst = route.appendPath(dst, w.exchange.client.worker)
		if query := head.Query(); query != nil {
			dst = append(append(dst, '?'), query...)
		}
		dst = append(dst, " HTTP/1.1\r\n"...)
	} else {
		dst = head.AppendRequestLine(dst)
	}
	if !w.settings.Frontend.Sticky.Session || head.Query() == nil {
		return dst
	}
	target := start + len(head.MethodName()) + 1
	if q := mcp.SplitQuery(dst[target : len(dst)-len(" HTTP/1.1\r\n")]); q.Tagged {
		dst = append(dst[:target+q.Cut.Start], dst[target+q.Cut.End:]...)
	}
	return dst
}

// editRequest applies the route's edits to the fields in dst[start:], and says
// which prefix was taken off the path.
func (w headWriter) editRequest(dst []byte, start int, stripped []byte) []byte {
	route := w.exchange.route
	if stripped != nil {
		dst = http1.AppendField(dst, "X-Forwarded-Prefix", stripped)
	}
	if route.request.none() {
		return dst
	}
	if lines := route.request.fixed; lines != nil {
		return route.request.apply(dst, start, lines)
	}
	dst = route.request.remove(dst, start)
	return route.request.appendLines(dst, router{w.exchange}.values(w.settings))
}

// eventStream is the media type of event streams.
const eventStream = "text/event-stream"

// mayOpenStream reports whether the request may open the event stream of the
// deprecated HTTP+SSE transport.
func (x *exchange) mayOpenStream() bool {
	return x.Method == http1.MethodGet && !x.has(modern|headerSession|toWebSocket)
}

// wantsEvents reports whether the request asks for an event stream: by Accept, as
// every SDK does, or by its route.
func (w headWriter) wantsEvents(head *http1.RequestHead) bool {
	if endpoints[w.exchange.Endpoint] == conf.EndpointSSE {
		return true
	}
	for i := head.Find(http1.HeaderAccept, 0); i >= 0; i = head.Find(http1.HeaderAccept, i+1) {
		for e, rest := http1.NextElement(head.Value(i)); e != nil; e, rest = http1.NextElement(rest) {
			if isMediaType(e, eventStream) {
				return true
			}
		}
	}
	return false
}

// appendHost writes Host: what the route sets, if that can be one, the client's, or the
// server's address.
func (w headWriter) appendHost(dst []byte, preserve bool) []byte {
	x := w.exchange
	dst = append(dst, "Host: "...)
	if x.route.host != nil {
		start := len(dst)
		dst = x.route.host.Append(dst, router{x}.values(w.settings))
		if isHost(dst[start:]) {
			return append(dst, "\r\n"...)
		}
		dst = dst[:start]
	}
	if preserve {
		dst = append(dst, x.client.worker.request.Host()...)
	} else {
		dst = x.dispatch.Slot.Server().Addr(endpoints[x.Endpoint]).AppendTo(dst)
	}
	return append(dst, "\r\n"...)
}

// isHost reports whether a server may be sent host in Host: a name or an address,
// with or without a port.
func isHost(host []byte) bool {
	for _, c := range host {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == '~', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return len(host) > 0
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

// appendForwarded names the client to the server, and the scheme and host that it
// used. What a trusted proxy said of scheme and host has passed already.
func (w headWriter) appendForwarded(dst []byte, trusted bool) []byte {
	c := w.exchange.client
	head := &c.worker.request
	dst = append(dst, "X-Forwarded-For: "...)
	if trusted {
		for i := head.Find(http1.HeaderXForwardedFor, 0); i >= 0; i = head.Find(http1.HeaderXForwardedFor, i+1) {
			if value := head.Value(i); len(value) > 0 {
				dst = append(append(dst, value...), ", "...)
			}
		}
	}
	dst = c.From.Addr().AppendTo(dst)
	dst = append(dst, "\r\n"...)
	if !trusted || !head.Has(http1.HeaderXForwardedProto) {
		dst = append(dst, w.forwardedProto()...)
	}
	if host := head.Host(); len(host) > 0 && (!trusted || !head.Has(http1.HeaderXForwardedHost)) {
		dst = http1.AppendField(dst, "X-Forwarded-Host", host)
	}
	return dst
}

// forwardedProto is the field that names the scheme of the client's URIs.
func (w headWriter) forwardedProto() string {
	if w.exchange.client.Conn.HasTransport() {
		return "X-Forwarded-Proto: https\r\n"
	}
	return "X-Forwarded-Proto: http\r\n"
}

// appendResponse writes the head of the server's answer, which is parsed, for the
// client. Its body takes the form given.
func (w headWriter) appendResponse(dst []byte, f form) []byte {
	x := w.exchange
	head := &x.client.worker.response
	tags := w.settings.Frontend.Sticky.Session && !x.has(modern) && head.Has(http1.HeaderMcpSessionID)
	var without http1.HeaderSet
	if tags {
		without |= 1 << http1.HeaderMcpSessionID
	}
	if f.encoded {
		without |= 1 << http1.HeaderContentLength
	}
	if f.zipped || f.decoded {
		without |= 1<<http1.HeaderETag | 1<<http1.HeaderAcceptRanges
	}
	if f.decoded {
		without |= 1 << http1.HeaderContentEncoding
	}
	if f.changed {
		head.DropDescriptions()
	}
	dst = head.AppendStatusLine(dst)
	fields := len(dst)
	dst = head.AppendFields(dst, without|1<<http1.HeaderTrailer)
	dst = head.AppendTrailer(dst, x.Response.Chunked.Trailers)
	if tags {
		dst = w.appendTagged(dst)
	}
	if f.zipped || f.decoded {
		dst = appendWeakened(dst, head)
	}
	if !head.Has(http1.HeaderDate) {
		dst = http1.AppendField(dst, "Date", x.client.worker.now())
	}
	dst = router{x}.edited(dst, fields)
	if x.has(setCookie) && !w.keptByCaches(dst[fields:]) {
		dst = w.appendSetCookie(dst)
	}
	dst = w.appendForm(dst, f)
	dst = w.appendConnection(dst)
	return append(dst, "\r\n"...)
}

// keptByCaches reports whether a shared cache may keep the answer, whose fields are
// lines by now: what the route has set counts, too.
func (w headWriter) keptByCaches(lines []byte) bool {
	head := &w.exchange.client.worker.response
	if route := w.exchange.route; route == nil || route.response.none() {
		return keptByCaches(head, time.Now())
	}
	return keptByCachesEdited(head.Status, lines, time.Now())
}

// appendTagged writes Mcp-Session-Id with the tag of its server behind it.
func (w headWriter) appendTagged(dst []byte) []byte {
	x := w.exchange
	if !x.has(sessioned) {
		x.client.counters().Opened.Add(1)
	}
	id := x.client.worker.response.Get(http1.HeaderMcpSessionID)
	sessionUse{x}.opened(id)
	dst = append(dst, "Mcp-Session-Id: "...)
	dst = mcp.AppendTagged(dst, id, x.upstreamPool.tag)
	return append(dst, "\r\n"...)
}

// appendForm writes what the head says of the form of the body.
func (w headWriter) appendForm(dst []byte, f form) []byte {
	c := w.exchange.client
	head := &c.worker.response
	if f.zipped {
		c.counters().Zipped.Add(1)
		dst = append(dst, "Content-Encoding: gzip\r\n"...)
	}
	if f.varies && (w.exchange.route.response.removes("vary") || !varies(head, "Accept-Encoding")) {
		dst = append(dst, "Vary: Accept-Encoding\r\n"...)
	}
	chunked := head.Framing == http1.FramingChunked
	if f.length > 0 {
		dst = http1.AppendLength(dst, f.length)
	}
	if f.encoded {
		chunked = w.exchange.encoder.chunks
	}
	if chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return dst
}

// varies reports whether Vary names the field already.
func varies(head *http1.ResponseHead, field string) bool {
	for i := head.Find(http1.HeaderVary, 0); i >= 0; i = head.Find(http1.HeaderVary, i+1) {
		if value := head.Value(i); http1.HasToken(value, field) || http1.HasToken(value, "*") {
			return true
		}
	}
	return false
}

// appendSetCookie writes the cookie that binds a browser to its server.
func (w headWriter) appendSetCookie(dst []byte) []byte {
	sticky, tag := &w.settings.Frontend.Sticky, w.exchange.upstreamPool.tag
	dst = append(append(dst, "Set-Cookie: "...), w.exchange.route.cookie...)
	dst = append(append(dst, '='), tag[:]...)
	if sticky.CookieAttributes != "" {
		dst = append(append(dst, "; "...), sticky.CookieAttributes...)
	}
	if w.settings.secure && w.exchange.client.Conn.HasTransport() {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "\r\n"...)
}

// appendConnection says whether the client's connection continues, where that is
// not its version's default.
func (w headWriter) appendConnection(dst []byte) []byte {
	switch {
	case w.exchange.client.Closes:
		return append(dst, "Connection: close\r\n"...)
	case w.exchange.has(oldClient):
		return append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}

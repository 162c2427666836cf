package l7

import (
	"bytes"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/rules"
	"mcplb/proxy/session"
)

// router finds the route of a request and does what that says, up to the point where
// the request asks for a server. It is a part of its exchange.
type router struct{ *exchange }

// begin routes the request that is the input, and about which the rate has decided.
// The order: what the rate says, denials, for which the body may have to be read, the
// limits of the route, the origin, preflights, what is answered here, the size of the
// body.
func (x router) begin(settings *Settings, rate verdict) {
	d := x.match(settings)
	if d.NeedsMessage && !rate.banned && !rate.denied && !rate.refused {
		x.inspect(settings, d)
		return
	}
	x.take(settings, d.Route)
	x.client.worker.taken.Only(d.Route)
	x.noteCall()
	switch {
	case rate.banned:
		x.refuse(generated{why: Banned, retryAfter: rate.wait})
	case rate.denied:
		x.refuse(generated{why: AccessDenied})
	case rate.refused:
		x.refuse(rate.limited())
	case d.Refused != rules.Readable:
		x.refuse(generated{why: BadRequest, text: d.Refused.Text(), detail: d.Refused.String()})
	case d.Denied:
		x.refuse(generated{why: Denied})
	default:
		x.proceed(settings)
	}
}

// proceed answers a request that is not denied, or asks for a server.
func (x router) proceed(settings *Settings) {
	if !x.admitted(settings) {
		return
	}
	head := &x.client.worker.request
	switch {
	case !originAllowed(settings.Frontend.AllowedOrigins, head):
		x.refuse(generated{why: OriginRefused})
	case settings.cors.answers(head, x.origin):
		x.refuse(generated{why: Preflight, fields: settings.cors.preflightFields(head, x.origin)})
	case x.route.respond != nil:
		x.refuse(generated{why: Responded, answer: x.route.respond})
	case x.route.redirect != nil && x.route.toHost && len(head.Host()) == 0:
		x.refuse(generated{why: BadRequest, text: "the request names no host", detail: http1.ReasonNoHost.String()})
	case x.route.redirect != nil:
		x.refuse(generated{why: Redirected, status: x.route.status, fields: x.location(settings)})
	case x.route.add != nil && x.route.leadsOut(x.client.worker):
		x.refuse(generated{why: BadRequest, text: textLeadsOut, detail: "path_leads_out"})
	case x.route.maxBody > 0 && head.Framing == http1.FramingLength && head.Length > x.route.maxBody:
		x.refuse(generated{why: BodyTooLarge})
	default:
		x.askForServer(settings)
	}
}

// askForServer asks for a slot, once enough of the body is there: all of it, where that
// says which server.
func (x router) askForServer(settings *Settings) {
	if x.has(forTask) && tasks(x).await() {
		return
	}
	if body := intake(x); body.mustCollect(settings) {
		body.collect()
		return
	}
	x.state = dispatching
	x.dispatch.Begin(x.exchange)
}

// match finds the route of the request that is parsed.
func (x router) match(settings *Settings) rules.Decision {
	if settings.matcher == nil {
		return rules.Decision{Route: rules.NoRoute}
	}
	w := x.client.worker
	head := &w.request
	w.ruled = rules.Request{
		Method: head.MethodName(), Host: head.Host(), Path: head.Path(), Fields: &head.Fields,
		Source: requester{x.client}.from().Addr(), Forwarded: settings.Trusts(x.client.From.Addr()),
	}
	if settings.matcher.HasMCP() {
		w.ruled.Message = x.sentMessage()
	}
	return settings.matcher.Match(&w.ruled, &w.matching)
}

// take makes the route with that index the request's: what it says holds until the
// exchange is over.
func (x router) take(settings *Settings, route int) {
	x.route = &settings.fallback
	if route != rules.NoRoute {
		x.route = &settings.routes[route]
	}
	x.Timeouts = x.route.timeouts
	x.noteCompression(settings)
	if settings.matcher == nil {
		return
	}
	x.beginBody()
	if x.ruling == nil && (settings.usesID || !x.route.response.none() && x.route.response.fixed == nil) {
		x.ruling = x.client.worker.rulings.get()
	}
	if settings.usesID && len(x.ruling.id) == 0 {
		x.identify(settings)
	}
}

// noteCompression notes whether the response may be compressed for the client.
func (x router) noteCompression(settings *Settings) {
	head := &x.client.worker.request
	if len(x.route.compress) == 0 || !acceptsCoding(head, "gzip") {
		return
	}
	tls := x.client.overTLS(settings)
	x.set(overTLS, tls)
	x.set(acceptsGzip, !tls || !mayBeBrowser(head, x.route.cookie))
}

// beginBody begins the request's body, whose head is parsed. Trailers could bring
// again what a route takes off.
func (x router) beginBody() {
	head := &x.client.worker.request
	x.request.begin(head.Framing, head.Length, x.requestTrailers())
}

// requestTrailers says which trailers of the request are passed on.
func (x router) requestTrailers() http1.Trailers {
	if x.has(tagged) || x.route != nil && len(x.route.request.removed) > 0 {
		return http1.TrailersDrop
	}
	return x.client.worker.request.Trailers()
}

// values are what the names in a route's templates stand for: of the request that is
// parsed. They are good until the worker parses another.
func (x router) values(settings *Settings) *rules.Values {
	c, w := x.client, x.client.worker
	head := &w.request
	v := &w.values
	*v = rules.Values{
		Client: requester{c}.from(), Host: head.Host(), Method: head.MethodName(), Path: head.Path(), Query: head.Query(),
		Scheme: "http", Frontend: settings.Frontend.Name, Backend: x.route.Pool.Name(), TLSVersion: session.TLSVersion(c.Conn),
		MCPMethod: head.Get(http1.HeaderMcpMethod),
	}
	if c.overTLS(settings) {
		v.Scheme = "https"
	}
	if id := c.Identity; id != nil {
		v.TLSSubject, v.TLSFingerprint = id.Subject, id.Fingerprint
	}
	if server := x.dispatch.Slot.Server(); server != nil {
		v.Server = server.Name()
	}
	if x.ruling != nil {
		v.RequestID = x.ruling.id
	}
	if call := x.call; call != nil && len(call.method) > 0 {
		v.MCPMethod, v.MCPName = call.method, call.name
	} else if name, ok := mcp.AppendName(w.name[:0], head.Get(http1.HeaderMcpName)); ok {
		v.MCPName, w.name = name, name[:0]
	}
	return v
}

// noteFields writes the fields that the route sets and adds to the response, where
// they depend on the request, which is parsed, or on its server.
func (x router) noteFields(settings *Settings) {
	if x.ruling == nil || x.route == nil || x.route.response.fixed != nil {
		return
	}
	x.ruling.fields = x.route.response.appendLines(x.ruling.fields[:0], x.values(settings))
}

// edited applies the route's edits to the fields of a response in dst[start:].
func (x router) edited(dst []byte, start int) []byte {
	if x.route == nil || x.route.response.none() {
		return dst
	}
	lines := x.route.response.fixed
	if lines == nil && x.ruling != nil {
		lines = x.ruling.fields
	}
	return x.route.response.apply(dst, start, lines)
}

// location is the line of a redirect that says where to.
func (x router) location(settings *Settings) []byte {
	dst := []byte("Location: ")
	start := len(dst)
	dst = x.route.redirect.Append(dst, x.values(settings))
	return append(safeLocation(dst, start), "\r\n"...)
}

// safeLocation makes of dst[start:] what browsers read as it is meant. One that
// begins with the path of the request, such as {uri}, stays on its host: browsers
// take "//host" for another one.
func safeLocation(dst []byte, start int) []byte {
	const digits = "0123456789ABCDEF"
	target := bytes.Clone(dst[start:])
	for len(target) > 1 && target[0] == '/' && (target[1] == '/' || target[1] == '\\') {
		target = append(target[:1], target[2:]...)
	}
	dst = dst[:start]
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte("\"<>\\^`{|}"), c) >= 0 {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// prefixOf returns a prefix of paths in its canonical form; nil for none.
func prefixOf(path string) []byte {
	canonical := http1.AppendCanonicalPath(nil, []byte(path))
	if len(canonical) <= 1 {
		return nil
	}
	return canonical
}

// rewritesPath reports whether the route changes the path of the request; "*" is none.
func (r *Route) rewritesPath(head *http1.RequestHead) bool {
	return (r.strip != nil || r.add != nil) && head.Path()[0] == '/'
}

// prefixField makes the fields ready in which the server learns what was taken off
// the path of the parsed request, and returns its value; nil = nothing was. What a
// trusted proxy has taken off before stands before it.
func (w headWriter) dropPrefixFields(head *http1.RequestHead) []byte {
	worker, strip := w.exchange.client.worker, w.exchange.route.strip
	if strip == nil {
		return nil
	}
	worker.path = http1.AppendCanonicalPath(worker.path[:0], head.Path())
	if !http1.HasPathPrefix(worker.path, strip) {
		return nil
	}
	worker.name = worker.name[:0]
	for i := head.Find(http1.HeaderXForwardedOther, 0); i >= 0; i = head.Find(http1.HeaderXForwardedOther, i+1) {
		if !http1.EqualFold(head.Name(i), "X-Forwarded-Prefix") {
			continue
		}
		head.Drop(i)
		if outer := head.Value(i); w.settings.Trusts(w.exchange.client.From.Addr()) && len(outer) > 0 && outer[0] == '/' {
			worker.name = append(worker.name, bytes.TrimRight(outer, "/")...)
		}
	}
	worker.name = append(worker.name, strip...)
	return worker.name
}

// appendPath appends the path that the server gets: that of the request that is
// parsed, in its canonical form, without one prefix and with another. A slash at its
// end stays: many servers tell it apart.
func (r *Route) appendPath(dst []byte, w *worker) []byte {
	path, rest := w.request.Path(), r.rest(w)
	dst = append(dst, r.add...)
	if len(rest) > 1 {
		dst = append(dst, rest...)
	}
	if endsWithSlash(path) || len(rest) <= 1 && len(r.add) == 0 {
		dst = append(dst, '/')
	}
	return dst
}

// endsWithSlash reports whether a path means what a slash at its end means.
func endsWithSlash(path []byte) bool {
	return bytes.HasSuffix(path, []byte("/")) || bytes.HasSuffix(path, []byte("/.")) || bytes.HasSuffix(path, []byte("/.."))
}

// rest is the path of the request that is parsed, in its canonical form and without the
// prefix that is taken off. It is in the worker's memory.
func (r *Route) rest(w *worker) []byte {
	w.path = http1.AppendCanonicalPath(w.path[:0], w.request.Path())
	if r.strip != nil && http1.HasPathPrefix(w.path, r.strip) {
		return w.path[len(r.strip):]
	}
	return w.path
}

// textLeadsOut refuses a path that some servers read as one outside of add_prefix.
const textLeadsOut = "a server may read the path so that it leads out of the prefix that is put before it"

// leadsOut reports whether the path of the request that is parsed may lead out of the
// prefix that is put before it.
func (r *Route) leadsOut(w *worker) bool {
	return r.rewritesPath(&w.request) && w.matching.Climbs(r.rest(w))
}

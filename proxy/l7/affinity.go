package l7

import (
	"net/netip"
	"slices"

	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"

	"github.com/cespare/xxhash/v2"
)

// affinity says which server the request is for, the first that holds:
// its MCP session's, its cookie's, the frontend's policy. A session whose
// server is gone is refused, so that the client opens a new one.
//
// A request of the stateless era is balanced by itself.
func (c *client) affinity(settings *Settings, route *Route) (request backend.Request, refusal answer, ok bool) {
	x := &c.exchange
	request = backend.Request{
		Source:   c.sourceAddress(settings),
		Balance:  settings.Frontend.Balance,
		Endpoint: route.Endpoint,
		Tried:    x.tried,
		Stay:     c.conn.HasTransport(),
		Now:      c.worker.loop.Now(),
	}
	x.bound = nil
	x.flags &^= sessioned | setCookie
	if x.flags&modern != 0 {
		return request, answer{}, true
	}
	if settings.Frontend.Sticky.Session {
		found, refusal, ok := c.session(route, &request)
		if found || !ok {
			return request, refusal, ok
		}
	}
	if name := settings.Frontend.Sticky.Cookie; name != "" {
		c.cookie(route, name, &request)
	}
	return request, answer{}, true
}

// session binds the request to the server of the MCP session that it bears, in
// its header or, with the deprecated transport, in its target's query. Another
// server will not do, so that its own is tried again even where it has failed.
func (c *client) session(route *Route, request *backend.Request) (found bool, refusal answer, ok bool) {
	x := &c.exchange
	id, tag, tagged := sessionOf(&c.worker.request)
	if id == nil {
		return false, answer{}, true
	}
	x.flags |= sessioned
	if len(x.tried) == 0 {
		c.counters.WithSession.Add(1)
	}
	if !tagged {
		// Not of our making: always the same server, which answers for itself.
		request.Key = xxhash.Sum64(id) | 1
		return true, answer{}, true
	}
	server := route.tags[tag]
	if server == nil || !server.State().TakesBound() {
		return true, answer{why: SessionGone}, false
	}
	x.bound, request.Bound, request.Tried = server, server, nil
	return true, answer{}, true
}

// sessionOf returns the session that a request bears, and its tag if it has
// one; nil when it bears none.
func sessionOf(head *http1.RequestHead) (id []byte, tag mcp.Tag, tagged bool) {
	if id = head.Get(http1.HeaderMcpSessionID); len(id) > 0 {
		_, tag, tagged = mcp.SplitTagged(id)
		return id, tag, tagged
	}
	if head.Query() == nil {
		return nil, tag, false
	}
	target := head.Target()
	span, tag, tagged := mcp.SplitQuery(target)
	if span.Len() == 0 {
		return nil, tag, false
	}
	return span.Of(target), tag, tagged
}

// cookie binds the request to the server that its cookie names, or has one
// inserted into the answer. A server that was tried in vain binds nobody.
func (c *client) cookie(route *Route, name string, request *backend.Request) {
	x, head := &c.exchange, &c.worker.request
	for i := head.Find(http1.HeaderCookie, 0); i >= 0; i = head.Find(http1.HeaderCookie, i+1) {
		tag, ok := mcp.ParseTag(http1.FindCookie(head.Value(i), name))
		if !ok {
			continue
		}
		server := route.tags[tag]
		if server != nil && server.State().TakesBound() && !slices.Contains(x.tried, server) {
			x.bound, request.Bound = server, server
			return
		}
	}
	x.flags |= setCookie
}

// astray tells whether the server of the lease is another than the one that
// the request is bound to: that went away, or down, meanwhile. Then a cookie
// binds to the new one, but a session is gone.
func (x *exchange) astray() (gone bool) {
	if x.bound == nil || x.bound == x.lease.Server() {
		return false
	}
	x.bound = nil
	if x.flags&sessioned != 0 {
		return true
	}
	x.flags |= setCookie
	return false
}

// sourceAddress is the client's: who connected or, where that is a trusted
// proxy, whom it and the trusted ones before it speak for. What X-Forwarded-For
// says before somebody who is not trusted is anybody's word.
func (c *client) sourceAddress(settings *Settings) netip.Addr {
	peer := c.from.Addr()
	if !settings.trusts(peer) {
		return peer
	}
	source, head := peer, &c.worker.request
	for i := head.Find(http1.HeaderXForwardedFor, 0); i >= 0; i = head.Find(http1.HeaderXForwardedFor, i+1) {
		for e, rest := http1.NextElement(head.Value(i)); e != nil; e, rest = http1.NextElement(rest) {
			switch address, ok := parseAddress(e); {
			case !ok:
				source = peer
			case source == peer || !settings.trusts(address):
				source = address
			}
		}
	}
	return source
}

// parseAddress reads an element of X-Forwarded-For: an address, perhaps with a
// port.
func parseAddress(p []byte) (netip.Addr, bool) {
	text := string(p)
	if address, err := netip.ParseAddr(text); err == nil {
		return address.Unmap(), true
	}
	both, err := netip.ParseAddrPort(text)
	return both.Addr().Unmap(), err == nil
}

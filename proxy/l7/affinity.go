//go:build linux

package l7

import (
	"encoding/binary"
	"net/netip"

	"mcplb/backend"
	"mcplb/conf"
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
	request = backend.Request{
		Source:   c.sourceAddress(settings),
		Balance:  settings.Frontend.Balance,
		Endpoint: route.Endpoint,
		Tried:    c.exchange.tried,
		Now:      c.loop.Now(),
	}
	if c.exchange.flags&modern != 0 {
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
// its header or, with the deprecated transport, in its target's query.
func (c *client) session(route *Route, request *backend.Request) (found bool, refusal answer, ok bool) {
	head := &c.worker.request
	id := head.Get(http1.HeaderMcpSessionID)
	tag, tagged := mcp.Tag{}, false
	if id != nil {
		c.counters.Sessions.Add(1)
		_, tag, tagged = mcp.SplitTagged(id)
	} else {
		var span mcp.Span
		target := head.Target()
		if span, tag, tagged = mcp.SplitQuery(target); !tagged {
			if span.Len() == 0 {
				return false, answer{}, true
			}
			id = span.Of(target)
		}
	}
	if !tagged {
		// Not of our making: always the same server, which answers for itself.
		request.Source, request.Balance = addressOf(id), conf.BalanceSource
		return true, answer{}, true
	}
	server := route.tags[tag]
	if server == nil || !server.State().TakesBound() {
		return true, answer{why: SessionGone}, false
	}
	request.Bound = server
	return true, answer{}, true
}

// addressOf makes of an id what policy source can hash: an address that no
// client has (100::/64 is for discarding, RFC 6666).
func addressOf(id []byte) netip.Addr {
	address := [16]byte{0: 1}
	binary.BigEndian.PutUint64(address[8:], xxhash.Sum64(id))
	return netip.AddrFrom16(address)
}

// cookie binds the request to the server that its cookie names, or has one
// inserted into the answer.
func (c *client) cookie(route *Route, name string, request *backend.Request) {
	head := &c.worker.request
	for i := head.Find(http1.HeaderCookie, 0); i >= 0; i = head.Find(http1.HeaderCookie, i+1) {
		tag, ok := mcp.ParseTag(http1.FindCookie(head.Value(i), name))
		if !ok {
			continue
		}
		if server := route.tags[tag]; server != nil && server.State().TakesBound() {
			request.Bound = server
			return
		}
	}
	c.exchange.flags |= setCookie
}

// sourceAddress is the client's: what a trusted proxy says it is, or who
// connected.
func (c *client) sourceAddress(settings *Settings) netip.Addr {
	if !c.trusted(settings) {
		return c.from.Addr()
	}
	var last []byte
	for e, rest := http1.NextElement(c.worker.request.Get(http1.HeaderXForwardedFor)); e != nil; e, rest = http1.NextElement(rest) {
		last = e
	}
	if address, err := netip.ParseAddr(string(last)); err == nil {
		return address.Unmap()
	}
	return c.from.Addr()
}

// trusted tells whether the peer's X-Forwarded-* are believed.
func (c *client) trusted(settings *Settings) bool {
	for _, prefix := range settings.Frontend.TrustedProxies {
		if prefix.Contains(c.from.Addr()) {
			return true
		}
	}
	return false
}

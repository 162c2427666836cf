package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"

	"github.com/cespare/xxhash/v2"
)

// affinity decides which server a request is for, the first that holds: that of
// its MCP session, that of its task, that of its cookie, one by the frontend's policy. A
// session whose server is gone is refused, so that the client opens a new one; a task
// likewise.
//
// A request of the stateless era has neither session nor cookie, and one of the other era
// no task with a tag.
type affinity struct {
	exchange *exchange
	settings *Settings
	route    *Route
	request  backend.Request // what came of it
}

// choose makes the request for a slot.
func (a *affinity) choose() (refusal generated, ok bool) {
	x, sticky := a.exchange, &a.settings.Frontend.Sticky
	a.request = x.dispatch.Request(&x.client.Client, a.settings.Frontend.Balance, a.route.Endpoint, begins(x.client))
	a.request.Source = requester{x.client}.from().Addr()
	x.bound = nil
	x.Flags &^= sessioned | setCookie | tagged
	if x.has(modern) {
		return a.task()
	}
	if sticky.Session {
		found, refusal, ok := a.session()
		if found || !ok {
			return refusal, ok
		}
	}
	if a.route.cookie != "" {
		a.cookie(a.route.cookie)
	}
	return generated{}, true
}

// session binds the request to the server of the MCP session that it bears, in
// its header or, with the deprecated transport, in its target's query, whatever
// the request says of the protocol's version (see mcp.EraOf). Another
// server will not do, so that its own is tried again even where it has failed.
func (a *affinity) session() (found bool, refusal generated, ok bool) {
	x := a.exchange
	id, tag, tagged, inHeader := sessionOf(&x.client.worker.request)
	if id == nil {
		return false, generated{}, true
	}
	x.Flags |= sessioned
	if len(x.dispatch.Tried()) == 0 {
		x.client.counters().WithSession.Add(1)
	}
	if !tagged {
		// Not of our making: always the same server, which answers for itself.
		hash := xxhash.Sum64(id)
		a.request.Key = hash | 1
		if inHeader {
			x.Session = backend.SessionOfHash(hash)
		}
		return true, generated{}, true
	}
	server := a.route.tags[tag]
	if server == nil || !server.State().TakesBound() {
		return true, generated{why: SessionGone}, false
	}
	x.bound, a.request.Bound, a.request.Tried = server, server, nil
	if inHeader {
		x.Session = backend.KeyOfSession(id[:len(id)-mcp.TagSize])
		server.UseSession(x.Session, x.loop().Now())
	}
	return true, generated{}, true
}

// begins reports whether the client's request is the first of its connection.
func begins(c *client) bool {
	return c.Requests == 1 && (c.stream == nil || c.stream.http2.ID() == 1)
}

// sessionOf returns the session that a request bears, its tag if it has one, and whether
// it stands in the header; nil when it bears none. A tag decides, wherever it stands.
func sessionOf(head *http1.RequestHead) (id []byte, tag mcp.Tag, tagged, inHeader bool) {
	id = head.Get(http1.HeaderMcpSessionID)
	if _, tag, tagged = mcp.SplitTagged(id); tagged {
		return id, tag, true, true
	}
	if head.Query() != nil {
		target := head.Target()
		q := mcp.SplitQuery(target)
		if q.Tagged {
			return target, q.Tag, true, false
		}
		if len(id) == 0 && q.Found() {
			return q.ID.Of(target), tag, false, false
		}
	}
	if len(id) == 0 {
		return nil, tag, false, false
	}
	return id, tag, false, true
}

// cookie binds the request to the server that its cookie names, or has one
// inserted into the answer. A server that was tried in vain is not binding. Of several
// cookies of that name, as browsers send them where another balancer of the same domain
// sets one, the first that names a server counts.
func (a *affinity) cookie(name string) {
	x := a.exchange
	head := &x.client.worker.request
	for i := head.Find(http1.HeaderCookie, 0); i >= 0; i = head.Find(http1.HeaderCookie, i+1) {
		for n, value, rest := http1.NextCookie(head.Value(i)); n != nil; n, value, rest = http1.NextCookie(rest) {
			if string(n) != name {
				continue
			}
			tag, ok := mcp.ParseTag(value)
			if server := a.route.tags[tag]; ok && server != nil && server.State().TakesBound() && !x.dispatch.HasTried(server) {
				x.bound, a.request.Bound = server, server
				return
			}
		}
	}
	x.Flags |= setCookie
}

// misassigned reports whether the slot is of another server than the one that
// the request's session is bound to: that went away, or down, meanwhile. A cookie
// binds to the new server then, but a session is gone, and a task is out of reach.
func (x *exchange) misassigned() (refusal generated, gone bool) {
	if x.bound == nil || x.bound == x.dispatch.Slot.Server() {
		return generated{}, false
	}
	x.bound = nil
	switch {
	case x.has(sessioned):
		return generated{why: SessionGone}, true
	case x.has(tagged):
		return generated{why: TaskUnreachable}, true
	}
	x.Flags |= setCookie
	return generated{}, false
}

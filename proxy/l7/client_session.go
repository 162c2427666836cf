package l7

import (
	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// Abort implements session.Session.
func (c *client) Abort(reason session.Reason) {
	if t := c.tunnel(); t != nil {
		t.relay.Abort(reason)
		return
	}
	c.cut(reason)
}

// Info implements session.Session.
func (c *client) Info() session.Info {
	info := session.Info{
		Frontend: c.settings().Frontend.Name, Client: requester{c}.from(), Proxy: requester{c}.proxy(),
		Since: max(c.Since, c.exchange.dispatch.Since), Requests: uint64(c.Requests),
		State: c.stateName(),
	}
	if c.stream != nil {
		info.Protocol, info.Stream = conf.ProtocolHTTP2, c.stream.id()
	}
	return info
}

// stateName is what Info calls the state.
func (c *client) stateName() string {
	switch c.state {
	case entering:
		return c.Stage.String()
	case busy:
		return c.exchange.stateName()
	}
	return [...]string{reading: "reading", closing: "closing", finished: "finished"}[c.state]
}

// Server implements session.Session.
func (c *client) Server() *backend.Server { return c.exchange.dispatch.Slot.Server() }

// Holds implements session.Session. A stream has a source only if that is not its
// connection's.
func (c *client) Holds() (*backend.Slot, *ratelimit.Source) {
	if c.stream != nil && c.forwarded == nil {
		return &c.exchange.dispatch.Slot, nil
	}
	return &c.exchange.dispatch.Slot, c.Source
}

// ServerDown implements session.Session: a request that waits for a connection is
// given another server; one under way ends, unless the policy is to keep it.
func (c *client) ServerDown(policy conf.OnDown) {
	x := &c.exchange
	switch {
	case x.state == dispatching:
		x.dispatch.ServerDown(x)
	case policy != conf.OnDownClose:
	case x.state == exchanging:
		x.end(generated{why: ServerGone}, x.dispatch.DownOf())
	case x.state == tunnelling:
		c.Abort(x.dispatch.DownOf())
	}
}

// Drain implements session.Session: it ends a client that waits for nothing. A
// request that is on its way, as far as is known, is answered first.
func (c *client) Drain() {
	switch {
	case c.stream != nil: // its connection is drained
	case c.state != reading || c.pending.Len() > 0 || c.down().Readable():
	case c.down().Parked() > 0:
		c.close()
	default:
		c.finish(session.ServerClosed)
	}
}

// SessionOf implements session.Holder: a client's handler serves no other
// connection.
func (c *client) SessionOf(*reactor.Conn) session.Session { return c }

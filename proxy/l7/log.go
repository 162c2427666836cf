package l7

import (
	"time"

	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
)

// completed is what the access log calls a request whose answer was whole, in
// the place of what ended it.
const completed = "completed"

// phases are what the access log calls the states of a client.
var phases = [finished]accesslog.Phase{
	header:     accesslog.PhaseProxy,
	securing:   accesslog.PhaseHandshake,
	reading:    accesslog.PhaseRequest,
	refusing:   accesslog.PhaseRequest,
	queued:     accesslog.PhaseQueue,
	connecting: accesslog.PhaseConnect,
	pausing:    accesslog.PhaseConnect,
	exchanging: accesslog.PhaseResponse,
	tunnelling: accesslog.PhaseTunnel,
	closing:    accesslog.PhaseData,
}

// phase is what the access log calls what is under way.
func (c *client) phase() accesslog.Phase {
	if c.state == exchanging && c.exchange.flags&answered != 0 {
		return accesslog.PhaseData
	}
	return phases[c.state]
}

// logRequest begins the record of the request whose head, of n bytes, is parsed
// and noted, if the log is on.
func (c *client) logRequest(n int) {
	r := c.worker.log.Begin()
	c.log = r
	if r == nil {
		return
	}
	x, head := &c.exchange, &c.worker.request
	r.Began, r.Request, r.BytesIn = c.since, time.Duration(x.began-c.since), uint64(n)
	r.TLS = l4.Version(c.conn)
	r.SetTarget(head.MethodName(), head.Path())
	if head.Has(http1.HeaderMcpMethod) {
		r.Call = mcp.MethodOf(head.Get(http1.HeaderMcpMethod)).String()
	}
	if x.flags&rpc == 0 {
		return
	}
	r.Era = mcp.EraSession.String()
	if x.flags&modern != 0 {
		r.Era = mcp.EraStateless.String()
	}
}

// logAnswer notes that an answer of the server's has begun.
func (c *client) logAnswer(status int) {
	if r := c.log; r != nil {
		r.Status, r.Response = status, time.Duration(c.worker.loop.Now()-c.exchange.sent)
	}
}

// logOwn notes an answer of the balancer's own, also where there is no request
// that it could be said of.
func (c *client) logOwn(a *answer) {
	r := c.log
	if r == nil {
		if r = c.logPart(); r == nil {
			return
		}
	}
	r.Status, r.Reason, r.Phase = a.code(), a.why.String(), c.phase()
	if a.malformed != http1.ReasonNone {
		r.Detail = a.malformed.String()
	}
}

// logPart begins a record of what came of a request of which not even the head
// is whole, or good.
func (c *client) logPart() *accesslog.Record {
	r := c.worker.log.Begin()
	if c.log = r; r != nil {
		r.Began, r.BytesIn = c.since, uint64(c.pending.Len())
	}
	return r
}

// logDone ends the record of an exchange whose answer is complete.
func (c *client) logDone() {
	if r := c.log; r != nil {
		r.Reason, r.Phase = completed, c.phase()
		c.logEnded()
	}
}

// logFinish ends the record of a client's last exchange, if there is one under
// way: the client ends for the reason given. One that ends between two requests
// has none; one that was not let in has, and so has one that left in the middle
// of a head.
func (c *client) logFinish(reason l4.Reason) {
	r := c.log
	refused := reason.Refusal() && c.requests == 0
	if r == nil && (refused || c.state == reading && c.pending.Len() > 0) {
		r = c.logPart()
	}
	if r == nil {
		return
	}
	if r.Reason == "" {
		r.Reason, r.Phase = reason.String(), c.phase()
	}
	if refused && (reason.Limited() || reason == l4.NoResources) {
		r.Phase = accesslog.PhaseAdmission
	}
	c.logEnded()
}

// logEnded hands the record over, if there is one, with what is known at the
// end of every exchange.
func (c *client) logEnded() {
	r := c.log
	if r == nil {
		return
	}
	c.log = nil
	r.Client, r.Frontend, r.Ended = c.from, c.frontend.Settings().Frontend.Name, c.worker.loop.Now()
	if r.Began == 0 {
		r.Began = r.Ended
	}
	r.FrontendConns = c.frontend.Current()
	if server := c.Server(); server != nil {
		r.ServerConns = server.Conns()
	}
	c.worker.log.End(r)
}

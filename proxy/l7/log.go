package l7

import (
	"time"

	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/http2"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
)

// completed is what the access log calls a request whose answer was complete, in
// place of what ended it.
const completed = "completed"

// recorder counts and logs an exchange.
type recorder struct{ *exchange }

// phase is what the access log calls the client's state.
func (c *client) phase() accesslog.Phase {
	switch c.state {
	case entering:
		return c.Stage.Phase()
	case busy:
		return c.exchange.phase()
	case closing:
		return accesslog.PhaseData
	}
	return accesslog.PhaseRequest
}

// phase is what the access log calls the exchange's state.
func (x *exchange) phase() accesslog.Phase {
	switch {
	case x.state == dispatching:
		return x.dispatch.Phase()
	case x.state == exchanging && x.has(answered):
		return accesslog.PhaseData
	case x.state == exchanging:
		return accesslog.PhaseResponse
	case x.state == tunnelling:
		return accesslog.PhaseTunnel
	}
	return accesslog.PhaseRequest
}

// logRequest begins the record of the request whose head is parsed and noted, if
// the log is on.
func (x recorder) logRequest() {
	c, w := x.client, x.client.worker
	r := w.log.Begin()
	x.log = r
	if r == nil {
		return
	}
	head := &w.request
	r.Began, r.Request, r.BytesIn = c.Since, time.Duration(w.loop.Now()-c.Since), uint64(w.input.n)
	r.TLS = session.TLSVersion(c.Conn)
	r.HTTP2 = c.stream != nil
	r.SetTarget(head.MethodName(), head.Path())
	if head.Has(http1.HeaderMcpMethod) {
		r.Call = mcp.MethodOf(head.Get(http1.HeaderMcpMethod)).String()
	}
	if !x.has(rpc) {
		return
	}
	r.Era = mcp.EraSession.String()
	if x.has(modern) {
		r.Era = mcp.EraStateless.String()
	}
}

// logAnswer notes that an answer of the server's has begun.
func (x recorder) logAnswer(status int) {
	if r := x.log; r != nil {
		r.Status, r.Response = status, time.Duration(x.loop().Now()-x.Sent)
	}
}

// logGenerated notes a generated response, also where there is no request that it
// could belong to.
func (x recorder) logGenerated(g *generated) {
	r := x.log
	if r == nil {
		if r = x.logPart(); r == nil {
			return
		}
	}
	r.Status, r.Reason, r.Phase = g.code(), g.why.String(), x.client.phase()
	switch {
	case g.malformed != http1.ReasonNone:
		r.Detail = g.malformed.String()
	case g.detail != "":
		r.Detail = g.detail
	}
}

// logDetail notes what breaks the body of the server's answer.
func (x recorder) logDetail(reason http1.Reason) {
	if x.log != nil {
		x.log.Detail = reason.String()
	}
}

// logPart begins a record of a request of which not even the head is complete, or
// good.
func (x recorder) logPart() *accesslog.Record {
	c := x.client
	r := c.worker.log.Begin()
	if x.log = r; r != nil {
		r.Began, r.BytesIn, r.HTTP2 = c.Since, uint64(c.pending.Len()), c.stream != nil
	}
	return r
}

// logDone ends the record of an exchange whose answer is complete.
func (x recorder) logDone() {
	if r := x.log; r != nil {
		r.Reason, r.Phase = completed, x.phase()
		x.logEnded()
	}
}

// logEnded hands the record over to the log, if there is one, with what is known at
// the end of every exchange.
func (x recorder) logEnded() {
	r := x.log
	if r == nil {
		return
	}
	x.log = nil
	c := x.client
	r.Proxy = requester{c}.proxy()
	r.Identity = c.Identity
	r.Client, r.Frontend, r.Ended = requester{c}.from(), c.settings().Frontend.Name, x.loop().Now()
	if r.Began == 0 {
		r.Began = r.Ended
	}
	r.FrontendConns = int32(c.frontend.Current())
	if server := c.Server(); server != nil {
		r.ServerConns = int32(server.Conns())
	}
	c.worker.log.End(r)
}

// logFinish ends the record of a client's last exchange, if there is one under
// way: the client ends for the reason given. One that ends between two requests
// has none; one that was not accepted has, and so has one that left in the middle
// of a head.
func (c *client) logFinish(reason session.Reason) {
	x := &c.exchange
	r := x.log
	refused := reason.Refusal() && c.Requests == 0
	if r == nil && (refused || reason == session.RequestTimeout || c.state == reading && c.pending.Len() > 0) {
		r = recorder{x}.logPart()
	}
	if r == nil {
		return
	}
	if r.Reason == "" {
		r.Reason, r.Phase = reason.String(), c.phase()
	}
	if s := c.stream; s != nil && s.fault != http2.ReasonNone {
		r.Reason, r.Detail = BadRequest.String(), s.fault.String()
	}
	if detail := session.CertificateDetail(c.Conn, reason); detail != "" {
		r.Detail = detail
	}
	if refused && (reason.Limited() || reason == session.NoResources) {
		r.Phase = accesslog.PhaseAdmission
	}
	recorder{x}.logEnded()
}

package l7

import (
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/session"
)

// deadlines are what an exchange must do in time: a part of it. client.limit has the
// table.
type deadlines struct{ *exchange }

// limit is how long the present state may last, and since when; 0 = forever.
func (x deadlines) limit(f *conf.Frontend) (time.Duration, int64) {
	since := x.dispatch.Since
	switch x.state {
	case refusing:
		return f.TimeoutHTTPRequest, since
	case dispatching:
		return x.dispatch.Limit(), since
	case inspecting:
		return f.TimeoutClient, since
	case delaying:
		return time.Duration(max(x.call.askAt-since, 1)), since
	case exchanging:
		server := x.dispatch.Pool.InForce().TimeoutServer
		switch {
		case x.has(streaming) && x.Timeouts.Stream != 0:
			return orElse(x.Timeouts.Stream, 0), since
		case x.has(streaming):
			return x.idleLimit(f.TimeoutClient, server)
		}
		server = orElse(x.Timeouts.Server, server)
		if x.request.Done && !x.has(answered) {
			return server, since
		}
		return x.idleLimit(f.TimeoutClient, server)
	}
	return 0, 0
}

// idleLimit is how long nothing may move between client and server, and since when:
// for the client, comments count.
func (x deadlines) idleLimit(client, server time.Duration) (time.Duration, int64) {
	since, sent := x.dispatch.Since, x.clientIdleSince()
	if client == 0 || server != 0 && since+int64(server) < sent+int64(client) {
		return server, since
	}
	return client, sent
}

// timeOut does what is due now: the first of the deadlines has come.
func (x deadlines) timeOut() {
	now := x.loop().Now()
	if ends := (intake(x)).bodyDeadline(); ends != 0 && now >= ends {
		intake(x).judgeBody()
		return
	}
	limit, since := x.limit(&x.client.settings().Frontend)
	if due := x.commentDue(); due != 0 && now >= due && (limit == 0 || now < since+int64(limit)) {
		download(x).comment()
		return
	}
	x.expired()
}

// expired ends a state that has lasted too long.
func (x deadlines) expired() {
	switch x.state {
	case refusing:
		x.client.Closes = true
		x.respond(x.refusal.generated, x.refusal.scanner.ID())
	case dispatching:
		x.dispatch.Expired(x.exchange)
	case inspecting:
		intake(x).refuseSlow()
	case delaying:
		router(x).delayOver()
	case exchanging:
		x.stalled()
	}
}

// stalled ends an exchange in which nothing has moved for too long.
func (x deadlines) stalled() {
	if x.request.Done || x.upstream.conn.Blocked() {
		if !x.has(answered) {
			x.dispatch.Release(x.loop(), backend.ServerTimeout)
		}
		x.end(generated{why: ServerTimeout}, session.IdleTimeout)
		return
	}
	x.end(generated{why: RequestTimeout}, session.IdleTimeout)
}

// commentDue is when the next comment is due; 0 = never.
func (x deadlines) commentDue() int64 {
	if x.state != exchanging || x.encoder == nil || x.encoder.keepalive.Every == 0 {
		return 0
	}
	k := &x.encoder.keepalive
	return max(k.Tried, x.dispatch.Since) + int64(k.Every)
}

// clientIdleSince is since when nothing was sent to the client of an answer.
func (x deadlines) clientIdleSince() int64 {
	if x.encoder == nil {
		return x.dispatch.Since
	}
	return max(x.encoder.keepalive.Sent, x.dispatch.Since)
}

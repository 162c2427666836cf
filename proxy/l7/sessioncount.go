package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
)

// sessionUse is the session that a request belongs to, counted for its server. It is a
// part of its exchange.
type sessionUse struct{ *exchange }

// opened notes the session that the server's response names: that of its request, or another
// one, which the request's client bears from then on. One of the deprecated HTTP+SSE transport is not noted: it ends with
// its event stream, which is counted.
func (x sessionUse) opened(id []byte) {
	if len(id) == 0 {
		return
	}
	named := backend.KeyOfSession(id)
	if x.Session == 0 {
		x.Session = named
	}
	x.upstreamPool.server.UseSession(named, x.loop().Now())
}

// noteSessionEnd notes that the session of the request is over, by the status of its
// response: the client has deleted it, or the server does not know it.
func (x sessionUse) noteSessionEnd(status int) {
	if x.Session != 0 && (status == 404 || x.Method == http1.MethodDelete && status/100 == 2) {
		x.upstreamPool.server.EndSession(x.Session)
		x.Session = 0
	}
}

// keepSession notes at the end of an exchange that the session of its event stream was
// used until now, unless it was deleted.
func (x sessionUse) keepSession() {
	if x.Session != 0 && x.has(streaming) && x.upstreamPool != nil {
		x.upstreamPool.server.KeepSession(x.Session, x.loop().Now())
	}
}

package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
)

// opened notes the session that the server's response names. One of the deprecated
// HTTP+SSE transport is not noted: it ends with its event stream, which is counted.
func (x *exchange) opened(id []byte) {
	if len(id) == 0 {
		return
	}
	x.Session = backend.KeyOfSession(id)
	x.upstreamPool.server.UseSession(x.Session, x.loop().Now())
}

// noteSessionEnd notes that the session of the request is over, by the status of its
// response: the client has deleted it, or the server does not know it.
func (x *exchange) noteSessionEnd(status int) {
	if x.Session != 0 && (status == 404 || x.Method == http1.MethodDelete && status/100 == 2) {
		x.upstreamPool.server.EndSession(x.Session)
		x.Session = 0
	}
}

// keepSession notes at the end of an exchange that the session of its event stream was
// used until now, unless it was deleted.
func (x *exchange) keepSession() {
	if x.Session != 0 && x.has(streaming) && x.upstreamPool != nil {
		x.upstreamPool.server.KeepSession(x.Session, x.loop().Now())
	}
}

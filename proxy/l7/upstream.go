//go:build linux

package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
)

// upstream is a connection to a server.
//
//	state        event                                 next
//	connecting   connected                             in use
//	connecting   failed                                closed; its client tries again
//	in use       response complete, both may go on     idle
//	in use       anything else                         closed
//	idle         taken for a request                   in use
//	idle         any event: the server ends it, or     closed
//	             says something that nobody asked
//	idle         idleLimit                             closed
type upstream struct {
	conn   *reactor.Conn
	worker *worker
	server *backend.Server
	client *client // nil while idle
	timer  reactor.Timer
	head   reactor.Kept // of a response head whose end is still to come
	scan   http1.Scan
	served int // requests answered
}

// Ready implements reactor.Handler.
func (u *upstream) Ready(*reactor.Conn) {
	if u.client != nil {
		u.client.serverReady()
		return
	}
	if u.conn.Readable() {
		u.drop()
	}
}

// Expired implements reactor.Expirer: nobody needed it.
func (u *upstream) Expired(*reactor.Timer) { u.drop() }

// drop closes an idle connection.
func (u *upstream) drop() {
	u.worker.forget(u)
	u.worker.loop.Disarm(&u.timer)
	u.conn.Close()
}

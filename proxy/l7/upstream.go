package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// upstream is a connection to a server.
//
//	state        event                                 next
//	connecting   connected                             in use
//	connecting   failed                                closed; its exchange tries again
//	in use       response complete, both may go on     idle
//	in use       anything else                         closed
//	idle         taken for a request                   in use
//	idle         the server ends it, or sends          closed
//	             what was not asked for
//	idle         unused for timeout_idle               closed
type upstream struct {
	conn     *reactor.Conn
	pool     *upstreamPool
	exchange *exchange // nil while idle
	timer    reactor.Timer
	since    int64                 // when it became idle
	expires  int64                 // when it has been idle for too long; 0 = never
	unread   reactor.PendingBuffer // of a response: a head whose end is still to come, or what an encoder has left
	scan     http1.Scan
	tls      session.ServerTLS // under which it was dialed; nil = plain
	endpoint uint8             // of the server, as in endpoints
}

// Ready implements reactor.Handler.
func (u *upstream) Ready(*reactor.Conn) {
	if u.exchange != nil {
		u.exchange.serverReady()
		return
	}
	if !u.quiet() {
		u.pool.drop(u)
	}
}

// Expired implements reactor.Expirer. The timer is not stopped when the
// connection is taken, nor moved when it is put back.
func (u *upstream) Expired(*reactor.Timer) {
	switch {
	case u.exchange != nil, u.expires == 0: // armed again when it is put back
		return
	case u.loop().Now() < u.expires:
		u.loop().Arm(&u.timer, u, u.expires)
		return
	}
	u.pool.drop(u)
}

// quiet reports whether neither unrequested bytes nor the end have come, and the server
// has accepted all that it was sent: the next request would wait behind the rest. What
// the kernel reported may be about bytes that were read since.
func (u *upstream) quiet() bool {
	if u.conn.HungUp() || u.conn.Failed() || u.conn.Blocked() {
		return false
	}
	return !u.conn.Readable() || u.silent()
}

// silent asks the kernel whether nothing is there to be read, not even the end. What
// belongs to TLS alone, such as tickets, is read and does not count.
func (u *upstream) silent() bool {
	read := u.conn.Peek
	if u.conn.HasTransport() {
		read = u.conn.Read
	}
	_, errno := read(u.pool.worker.probe[:])
	return errno == unix.EAGAIN
}

func (u *upstream) loop() *reactor.Loop { return u.pool.worker.loop }

// close closes the connection. It must not be used after.
func (u *upstream) close() {
	u.release()
	u.conn.Close()
}

// reset closes the connection with RST: the server sees that its answer is
// not waited for any more.
func (u *upstream) reset() {
	u.release()
	u.conn.Reset()
}

func (u *upstream) release() {
	u.exchange = nil
	u.loop().Disarm(&u.timer)
	u.loop().Drop(&u.unread)
}

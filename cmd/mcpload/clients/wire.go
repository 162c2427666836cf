package clients

import (
	"golang.org/x/sys/unix"

	"mcplb/proxy/reactor"
)

// protocol is what a wire carries.
type protocol interface {
	// onConnect is called once the connection is established.
	onConnect(w *wire)
	// onData is called with received bytes, which are valid until it returns.
	onData(w *wire, p []byte)
	// onEOF is called when the server has closed the connection in order.
	onEOF(w *wire)
}

// wire is one connection of a client. It connects, reads, and notifies its
// protocol. An error ends the client's session.
//
//	state       conn   up      event               next
//	down        nil    false   dial                connecting
//	connecting  set    false   Ready, connected    up
//	up          set    true    close               down
type wire struct {
	client   *client
	protocol protocol
	conn     *reactor.Conn
	pending  reactor.PendingBuffer // an incomplete message or head; managed by the protocol
	h2       *h2                   // nil unless the connection speaks HTTP/2
	up       bool
}

// dial starts to connect to the target of the client's kind.
func (w *wire) dial() {
	c := w.client
	if c.kind.HTTP2() {
		w.h2 = newH2()
	}
	if c.kind.Secure() {
		w.dialSecure()
		return
	}
	dialing := reactor.DialOptions{To: c.target(), From: c.source()}
	conn, errno := c.worker.loop.Dial(dialing, w)
	if errno != 0 {
		c.lose("connect: " + errno.Error())
		return
	}
	w.conn = conn
}

// Ready implements reactor.Handler.
func (w *wire) Ready(conn *reactor.Conn) {
	if conn != w.conn {
		return // an abandoned connection
	}
	if !w.up {
		done, errno := conn.Connected()
		if !done {
			return
		}
		if errno != 0 {
			w.client.lose("connect: " + errno.Error())
			return
		}
		w.up = true
		if w.h2 != nil {
			w.h2.send(w, w.h2.begin())
		}
		w.protocol.onConnect(w)
	}
	w.read(conn)
}

// read passes received bytes to the protocol, which may close the connection.
func (w *wire) read(conn *reactor.Conn) {
	scratch := w.client.worker.loop.Scratch()
	for w.conn == conn && conn.Readable() {
		switch n, errno := conn.Read(scratch); {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			w.client.lose("read: " + errno.Error())
		case n == 0:
			w.protocol.onEOF(w)
			return
		case w.h2 != nil:
			w.h2.receive(w, scratch[:n])
		default:
			w.protocol.onData(w, scratch[:n])
		}
	}
}

// send writes p; an error ends the client's session.
func (w *wire) send(p []byte) {
	if w.h2 != nil {
		w.h2.request(w, p)
		return
	}
	if errno := w.conn.Send(p); errno != 0 {
		w.client.lose("write: " + errno.Error())
	}
}

// withPending returns the pending bytes followed by p. The result is valid until
// the next call of keep or close.
func (w *wire) withPending(p []byte) []byte {
	if w.pending.Len() == 0 {
		return p
	}
	w.client.worker.loop.Append(&w.pending, p)
	return w.pending.Bytes()
}

// keep makes rest, the end of what withPending returned, the pending bytes.
func (w *wire) keep(rest []byte) {
	loop := w.client.worker.loop
	if n := w.pending.Len(); n > 0 {
		loop.Consume(&w.pending, n-len(rest))
		return
	}
	if len(rest) > 0 {
		loop.Append(&w.pending, rest)
	}
}

// close closes the connection, if there is one.
func (w *wire) close() {
	w.client.worker.loop.Drop(&w.pending)
	w.up, w.h2 = false, nil
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

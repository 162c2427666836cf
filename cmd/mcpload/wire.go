package main

import (
	"golang.org/x/sys/unix"

	"mcplb/proxy/reactor"
)

// bearer is what a wire's connection is for.
type bearer interface {
	// connected is called once, when the connection stands.
	connected(w *wire)
	// arrived gets the bytes that came; they are its until it returns.
	arrived(w *wire, p []byte)
	// ended says that the server has closed the connection in order.
	ended(w *wire)
}

// wire is one connection of a client: it connects, reads, and tells its bearer.
// What breaks it loses the client.
//
//	state       conn   up      what happens       next
//	down        nil    false   dial               connecting
//	connecting  set    false   Ready, connected   up
//	up          set    true    close, an end      down
type wire struct {
	client *client
	bearer bearer
	conn   *reactor.Conn
	kept   reactor.PendingBuffer // what came and is not enough yet; the bearer's
	up     bool
}

// dial begins to connect to the target of the client's kind.
func (w *wire) dial() {
	c := w.client
	if k := c.kind; k == kindTLS || k == kindHTTPS {
		c.worker.secure(w)
		return
	}
	dialing := reactor.DialOptions{To: c.worker.targets[c.kind], From: c.source()}
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
		return // of a connection that was given up
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
		w.bearer.connected(w)
	}
	w.read(conn)
}

// read passes on what has come. What the bearer does with it may take the
// connection down.
func (w *wire) read(conn *reactor.Conn) {
	scratch := w.client.worker.loop.Scratch()
	for w.conn == conn && conn.Readable() {
		switch n, errno := conn.Read(scratch); {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			w.client.lose("read: " + errno.Error())
		case n == 0:
			w.bearer.ended(w)
			return
		default:
			w.bearer.arrived(w, scratch[:n])
		}
	}
}

// send writes p; an error loses the client.
func (w *wire) send(p []byte) {
	if errno := w.conn.Send(p); errno != 0 {
		w.client.lose("write: " + errno.Error())
	}
}

// whole is p with what was kept before it in front. The result is good until
// the next call of keep or drop.
func (w *wire) whole(p []byte) []byte {
	if w.kept.Len() == 0 {
		return p
	}
	w.client.worker.loop.Append(&w.kept, p)
	return w.kept.Bytes()
}

// keep has rest, the end of what whole returned, be all that is kept.
func (w *wire) keep(rest []byte) {
	loop := w.client.worker.loop
	if n := w.kept.Len(); n > 0 {
		loop.Consume(&w.kept, n-len(rest))
		return
	}
	if len(rest) > 0 {
		loop.Append(&w.kept, rest)
	}
}

// close takes the connection down; it does nothing when it is down.
func (w *wire) close() {
	loop := w.client.worker.loop
	loop.Drop(&w.kept)
	w.up = false
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

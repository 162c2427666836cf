package tlsio

import (
	"crypto/tls"
	"io"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// library is crypto/tls on one connection: its handshake, and with TLS 1.2 its records.
// Towards a server of TLS 1.3 it stays until content comes, since it alone can keep the
// tickets that are sent before.
type library struct {
	tls           *tls.Conn
	handshake     *handshake // the goroutine of the handshake
	wire          wire
	client        bool   // the peer is a server
	partial       bool   // crypto/tls may hold part of a decrypted record
	unsentReplies uint16 // bytes of crypto/tls's replies that the peer has not taken
}

// maxUnsentReplies is the most bytes of crypto/tls's replies that may wait for a peer
// that keeps causing them and reads none.
const maxUnsentReplies = 4 << 10

// start starts the handshake's goroutine.
func (t *Transport) start(side func(*wire) *tls.Conn) {
	t.state = handshaking
	h := &handshake{
		loop: t.worker.loop, tokens: t.worker.tokens, more: make(chan struct{}, 1),
		flush: t.flushFlight, feed: t.feed,
	}
	t.library = &library{handshake: h, client: t.strict}
	t.library.wire = wire{worker: t.worker, handshake: h}
	t.library.tls = side(&t.library.wire)
	go h.run(t.library, t.handshakeOver)
}

// flushFlight sends the bytes that the handshake has written.
func (t *Transport) flushFlight() {
	if t.state != handshaking {
		return
	}
	if p := t.library.handshake.written(); len(p) > 0 {
		if errno := t.conn.RawSend(p); errno != 0 {
			t.library.handshake.finish(errno)
		}
	}
}

// handshakeOver leaves the state handshaking: the goroutine has ended. The layer goes
// on; nil = crypto/tls does.
func (t *Transport) handshakeOver(layer *layer, err error) {
	if t.state != handshaking {
		return // closed in the meantime
	}
	t.flushFlight()
	left, end := t.library.handshake.left()
	t.library.handshake, t.library.wire.handshake = nil, nil
	if err != nil {
		t.err = err
		t.fail(faultOf(err), t.failureOf(err))
		t.conn.Yield()
		return
	}
	state := t.library.tls.ConnectionState()
	if t.server != nil {
		t.server.counters.complete(&state)
		t.leaf = leafOf(&state)
	}
	t.state, t.tls12, t.layer, t.protocol = open, state.Version == tls.VersionTLS12, layer, state.NegotiatedProtocol
	if layer != nil {
		t.worker.inUse.add(layer) // its keys were needed to count records
		if !t.strict {
			t.library = nil
		}
	}
	t.worker.loop.Append(&t.unread, left)
	if broken, ok := end.(unix.Errno); ok {
		t.state, t.fault = failed, broken // the kernel reports it only once
	}
	t.conn.RetryRead()
}

// libraryRead decrypts in into p.
func (t *Transport) libraryRead(c *reactor.Conn, in, p []byte) (n, used int) {
	l := t.library
	l.wire.in = in
	t.worker.resetOut()
	for t.state == open && n < len(p) && (l.partial || len(l.wire.in) > 0) {
		m, err := l.tls.Read(p[n:])
		n += m
		l.partial = err == nil && n == len(p)
		switch {
		case err == nil || err == errMore:
		case err == io.EOF:
			t.state = ended
		default:
			t.state, t.fault, t.err = failed, unix.EPROTO, err
		}
	}
	if len(t.worker.out) > 0 {
		t.libraryReply(c)
	}
	used = len(in) - len(l.wire.in)
	l.wire.in = nil
	return n, used
}

// libraryReply sends crypto/tls's replies: alerts. A peer that causes many and reads
// none is disconnected.
func (t *Transport) libraryReply(c *reactor.Conn) {
	if errno := c.RawSend(t.worker.out); errno != 0 || c.Parked() == 0 {
		t.library.unsentReplies = 0
		return
	}
	t.library.unsentReplies += uint16(len(t.worker.out))
	if t.library.unsentReplies > maxUnsentReplies {
		t.state, t.fault = failed, unix.EPROTO
	}
}

// libraryWrite encrypts p and sends it.
func (t *Transport) libraryWrite(c *reactor.Conn, p []byte) unix.Errno {
	t.worker.resetOut()
	if _, err := t.library.tls.Write(p); err != nil {
		return unix.EPIPE // a fatal alert was sent before
	}
	return c.RawSend(t.worker.out)
}

// ticket gives crypto/tls a record of a server that holds a NewSessionTicket.
func (l *library) ticket(record []byte) {
	l.wire.in = record
	_, _ = l.tls.Read(make([]byte, 1)) // errMore; a ticket that is not good is not kept
	l.wire.in = nil
	l.wire.worker.resetOut() // the layer alone speaks to the peer
}

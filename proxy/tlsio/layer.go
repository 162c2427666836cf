package tlsio

import (
	"crypto/tls"
	"errors"
	"io"
	"net"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// Layer is TLS on one connection. It implements reactor.Layer. Only the
// connection's loop may use it.
//
//	state      event                                     next
//	waiting    the client's first bytes                  shaking: a goroutine runs the handshake
//	waiting    they cannot be TLS                        failed
//	waiting    the client ends                           failed
//	shaking    bytes come, or a flight is to be sent     shaking
//	shaking    the handshake is complete                 open
//	shaking    it fails, and the client is told why      failed
//	open       close_notify, or FIN between two records  ended
//	open       FIN within a record, a record that is     failed
//	           not genuine, a broken socket
//	any        Close                                     closed; a handshake's goroutine ends
type Layer struct {
	server    *Server
	conn      *reactor.Conn
	worker    *worker
	tls       *tls.Conn  // from state shaking on
	handshake *handshake // in state shaking
	wire      wire
	kept      reactor.PendingBuffer // records that were read and not asked for yet
	state     state
	said      bool       // our close_notify was sent
	pending   bool       // crypto/tls may hold a part of a record that nobody has asked for yet
	owed      uint16     // bytes of crypto/tls's own answers that the peer has not taken
	fault     unix.Errno // in state failed: why
	old       bool       // of a complete handshake: it is TLS 1.2
}

type state uint8

const (
	waiting state = iota
	shaking
	open
	ended
	failed
	closed
)

// mostOwed is how many bytes of answers to key updates (RFC 8446 section
// 4.6.3) may wait for a peer that goes on asking for them and reads none.
const mostOwed = 4 << 10

// smallestRecord is the least that is worth a read of a socket.
const smallestRecord = 1 << 10

// Step goes on with the handshake: call it at every Ready until it is done.
// Then 0 says that the connection is open; ECONNRESET that the client broke
// off; and any other error that the handshake failed, of which the client was
// told: close the connection with Close, that it may hear so.
func (l *Layer) Step() (done bool, errno unix.Errno) {
	if l.state <= shaking {
		l.feed()
	}
	return l.state > shaking, l.fault
}

// feed reads what the client has sent for the handshake.
func (l *Layer) feed() {
	for l.state <= shaking && l.conn.Readable() {
		room := mostAhead
		if l.handshake != nil {
			room = l.handshake.room()
		}
		if room == 0 {
			return
		}
		p := l.worker.in[:room]
		n, errno := l.conn.RawRead(p)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0 || n == 0:
			l.clientEnded(errno)
			return
		case l.state == waiting && !l.begin(p[:n]):
			return
		}
		l.handshake.arrived(p[:n])
	}
}

// clientEnded ends a handshake whose client sends no more, once what it has
// sent is used up.
func (l *Layer) clientEnded(errno unix.Errno) {
	switch {
	case l.state == waiting:
		l.fail(unix.ECONNRESET, failedGone)
	case errno == 0:
		l.handshake.finish(io.EOF)
	default:
		l.handshake.finish(errno)
	}
}

// begin begins the handshake of a client whose first bytes are p, if they can
// be those of a handshake.
func (l *Layer) begin(p []byte) bool {
	if p[0] != recordHandshake {
		if l.server.speaks("http/1.1") && looksLikeHTTP(p) {
			l.conn.RawTrySend(plainAnswer)
		}
		l.fail(unix.EPROTO, failedPlain)
		return false
	}
	l.state = shaking
	l.handshake = &handshake{
		loop: l.worker.loop, tokens: l.server.workers.tokens, more: make(chan struct{}, 1),
		flush: l.flushFlight, feed: l.feed,
	}
	l.wire = wire{worker: l.worker, handshake: l.handshake}
	l.tls = tls.Server(&l.wire, l.server.base)
	go l.handshake.run(l.tls, l.shaken)
	return true
}

// recordHandshake is the type of a record that a client may begin with.
const recordHandshake = 22

// looksLikeHTTP tells whether p begins like a request line.
func looksLikeHTTP(p []byte) bool {
	for i, b := range p {
		if b == ' ' {
			return i > 0
		}
		if b < 'A' || b > 'Z' {
			return false
		}
	}
	return false
}

// plainAnswer is for those who speak HTTP where HTTPS is spoken.
var plainAnswer = []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 50\r\nConnection: close\r\n\r\n" +
	"This port speaks TLS: ask for it with https://...\n")

// flushFlight sends what the handshake has written.
func (l *Layer) flushFlight() {
	if l.state != shaking {
		return
	}
	if p := l.handshake.written(); len(p) > 0 {
		if errno := l.conn.RawSend(p); errno != 0 {
			l.handshake.finish(errno)
		}
	}
}

// shaken ends the state shaking: the goroutine has ended.
func (l *Layer) shaken(err error) {
	if l.state != shaking {
		return // closed meanwhile
	}
	l.flushFlight()
	left, end := l.handshake.left()
	l.handshake, l.wire.handshake = nil, nil
	if err != nil {
		l.fail(faultOf(err), failureOf(err))
		l.conn.Yield()
		return
	}
	state := l.tls.ConnectionState()
	l.server.counters.complete(&state)
	l.state, l.old = open, state.Version == tls.VersionTLS12
	l.worker.loop.Append(&l.kept, left)
	if broken, ok := end.(unix.Errno); ok {
		l.state, l.fault = failed, broken // the kernel tells it only once
	}
	l.conn.RetryRead()
}

// faultOf is what Step tells of a handshake's error: whether the client has
// gone, or failed.
func faultOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unix.ECONNRESET
	}
	return unix.EPROTO
}

// failureOf says how a handshake's error is counted.
func failureOf(err error) failure {
	var told *net.OpError
	switch {
	case faultOf(err) == unix.ECONNRESET:
		return failedGone
	case errors.As(err, &told) && told.Op == "remote error":
		return failedRefused
	}
	return failedProtocol
}

// Version returns the protocol's version once the handshake is complete, "1.2"
// or "1.3", for logs.
func (l *Layer) Version() string {
	if l.old {
		return "1.2"
	}
	return "1.3"
}

// fail ends the handshake.
func (l *Layer) fail(errno unix.Errno, why failure) {
	l.state, l.fault = failed, errno
	l.server.counters.failed[why].Add(1)
}

// Read implements reactor.Layer.
func (l *Layer) Read(c *reactor.Conn, p []byte) (n int, more bool, errno unix.Errno) {
	if l.state == open && (l.pending || l.kept.Len() > 0) {
		n = l.readKept(c, p)
	}
	for n == 0 && l.state == open {
		if n, errno = l.readSocket(c, p); errno != 0 {
			return 0, false, errno
		}
		if n == 0 && l.state == open && !c.Readable() {
			return 0, false, unix.EAGAIN
		}
	}
	switch {
	case n > 0:
		return n, l.state != open || l.pending || l.kept.Len() > 0, 0
	case l.state == ended:
		return 0, true, 0
	case l.state == failed:
		return 0, true, l.fault
	}
	return 0, false, unix.EAGAIN // the handshake is not over
}

// readKept decrypts what was read before.
func (l *Layer) readKept(c *reactor.Conn, p []byte) int {
	kept := l.kept.Len()
	l.wire.in = l.kept.Bytes()
	n := l.decrypt(c, p)
	l.worker.loop.Consume(&l.kept, kept-len(l.wire.in))
	l.wire.in = nil
	return n
}

// readSocket reads the socket once, and decrypts what came. With what
// crypto/tls holds of the present record it is less than p has room for, where
// that has room for any record: so nothing needs to be kept.
func (l *Layer) readSocket(c *reactor.Conn, p []byte) (int, unix.Errno) {
	room := len(p) - int(l.wire.records.passed)
	if room < smallestRecord {
		room = len(l.worker.in)
	}
	raw, errno := c.RawRead(l.worker.in[:min(room, len(l.worker.in))])
	switch {
	case errno == unix.EAGAIN:
		return 0, errno
	case errno != 0:
		l.state, l.fault = failed, errno
		return 0, 0
	case raw == 0:
		l.state = ended
		if (l.wire.records != framer{}) {
			l.state, l.fault = failed, unix.ECONNRESET
		}
		return 0, 0
	}
	l.wire.in = l.worker.in[:raw]
	n := l.decrypt(c, p)
	l.worker.loop.Append(&l.kept, l.wire.in)
	l.wire.in = nil
	return n, 0
}

// decrypt decrypts from wire.in into p, until the one is empty or the other
// full, and sends what crypto/tls has to answer.
func (l *Layer) decrypt(c *reactor.Conn, p []byte) (n int) {
	l.worker.drained()
	for l.state == open && n < len(p) && (l.pending || len(l.wire.in) > 0) {
		m, err := l.tls.Read(p[n:])
		n += m
		l.pending = err == nil && n == len(p)
		switch {
		case err == nil || err == errMore:
		case err == io.EOF:
			l.state = ended
		default:
			l.state, l.fault = failed, unix.EPROTO
		}
	}
	if len(l.worker.out) > 0 {
		l.answer(c)
	}
	return n
}

// answer sends what crypto/tls says by itself: alerts, and answers to key
// updates. A peer that asks for many of these and reads none is cut off.
func (l *Layer) answer(c *reactor.Conn) {
	if errno := c.RawSend(l.worker.out); errno != 0 || c.Parked() == 0 {
		l.owed = 0
		return
	}
	l.owed += uint16(len(l.worker.out))
	if l.owed > mostOwed {
		l.state, l.fault = failed, unix.EPROTO
	}
}

// Send implements reactor.Layer.
func (l *Layer) Send(c *reactor.Conn, p []byte) unix.Errno {
	if l.said || l.state < open || l.state == closed {
		return unix.EPIPE
	}
	l.worker.drained()
	if _, err := l.tls.Write(p); err != nil {
		return unix.EPIPE // a fatal alert was sent before
	}
	return c.RawSend(l.worker.out)
}

// CloseWrite implements reactor.Layer: it sends close_notify.
func (l *Layer) CloseWrite(c *reactor.Conn) {
	if l.goodbye() {
		_ = c.RawSend(l.worker.out) // an error is told by the next read
	}
}

// goodbye writes close_notify into the worker's memory, once and where it
// means something.
func (l *Layer) goodbye() bool {
	if l.said || l.state != open && l.state != ended {
		return false
	}
	l.said = true
	l.worker.drained()
	return l.tls.CloseWrite() == nil
}

// Close implements reactor.Layer.
func (l *Layer) Close(c *reactor.Conn, cut bool) {
	if !cut && c.Parked() == 0 && l.goodbye() {
		c.RawTrySend(l.worker.out)
	}
	if l.handshake != nil {
		l.handshake.cancel()
	}
	l.worker.loop.Drop(&l.kept)
	l.state = closed
}

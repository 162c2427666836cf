package tlsio

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// Transport is TLS on one connection. It implements reactor.Transport. Only the
// connection's loop may use it.
//
//	state          event                                     next
//	awaitingHello  first bytes of a TLS handshake            handshaking: a goroutine runs the handshake
//	awaitingHello  first bytes that are not TLS              failed
//	awaitingHello  the client closes                         failed
//	handshaking    bytes arrive, or a flight is ready        handshaking
//	handshaking    the handshake is complete                 open
//	handshaking    it fails; an alert tells the client why   failed
//	open           close_notify, or from a client FIN        ended
//	               between two records
//	open           FIN within a record, or from a server     failed
//	               without close_notify; a forged record, a
//	               broken socket
//	any            Close                                     closed; the handshake's goroutine ends
type Transport struct {
	server          *Server // nil = the peer is a server
	conn            *reactor.Conn
	worker          *worker
	tls             *tls.Conn  // from handshaking on
	handshake       *handshake // while handshaking
	wire            wire
	unread          reactor.PendingBuffer // records read from the socket but not yet decrypted
	state           state
	closeNotifySent bool
	partial         bool              // crypto/tls may hold part of a decrypted record
	unsentReplies   uint16            // bytes of crypto/tls's replies that the peer has not taken
	fault           unix.Errno        // why it failed
	tls12           bool              // the version, once the handshake is complete
	strict          bool              // FIN without close_notify is no end
	err             error             // of crypto/tls
	leaf            *x509.Certificate // the peer's, verified; nil = none
}

type state uint8

const (
	awaitingHello state = iota
	handshaking
	open
	ended
	failed
	closed
)

// maxUnsentReplies is the most bytes of replies to key updates (RFC 8446
// section 4.6.3) that may wait for a peer that keeps requesting them and reads
// none.
const maxUnsentReplies = 4 << 10

// minRead is the smallest size that is worth a read of the socket.
const minRead = 1 << 10

// Step continues the handshake: call it at every Ready until it is done. Then 0
// says that the connection is open, ECONNRESET that the peer gave up, and any
// other error that the handshake failed. In that case an alert is on its way to
// the peer: close the connection with Close, so that it arrives.
func (t *Transport) Step() (done bool, errno unix.Errno) {
	if t.state <= handshaking {
		t.feed()
	}
	return t.state > handshaking, t.fault
}

// Err is why the handshake failed, or the stream behind it by what the peer sent; nil =
// neither has.
func (t *Transport) Err() error { return t.err }

// feed reads what the peer has sent for the handshake.
func (t *Transport) feed() {
	for t.state <= handshaking && t.conn.Readable() {
		room := maxAhead
		if t.handshake != nil {
			room = t.handshake.room()
		}
		if room == 0 {
			return
		}
		p := t.worker.in[:room]
		n, errno := t.conn.RawRead(p)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0 || n == 0:
			t.peerEnded(errno)
			return
		case t.state == awaitingHello && !t.begin(p[:n]):
			return
		}
		t.handshake.arrived(p[:n])
	}
}

// peerEnded ends a handshake whose peer has closed, once the handshake has
// consumed the peer's bytes.
func (t *Transport) peerEnded(errno unix.Errno) {
	switch {
	case t.state == awaitingHello:
		t.fail(unix.ECONNRESET, failedGone)
	case errno == 0:
		t.handshake.finish(io.EOF)
	default:
		t.handshake.finish(errno)
	}
}

// begin begins the handshake of a client whose first bytes are p, and reports
// whether they can be those of a handshake.
func (t *Transport) begin(p []byte) bool {
	if p[0] != recordHandshake {
		if t.server.offers("http/1.1") && looksLikeHTTP(p) {
			t.conn.RawTrySend(plainHTTPResponse)
		}
		t.fail(unix.EPROTO, failedPlain)
		return false
	}
	t.start(func(w *wire) *tls.Conn { return tls.Server(w, t.server.current.Load().base) })
	return true
}

// start starts the handshake's goroutine.
func (t *Transport) start(side func(*wire) *tls.Conn) {
	t.state = handshaking
	t.handshake = &handshake{
		loop: t.worker.loop, tokens: t.worker.tokens, more: make(chan struct{}, 1),
		flush: t.flushFlight, feed: t.feed,
	}
	t.wire = wire{worker: t.worker, handshake: t.handshake}
	t.tls = side(&t.wire)
	go t.handshake.run(t.tls, t.handshakeOver)
}

// recordHandshake is the type of a client's first record.
const recordHandshake = 22

// looksLikeHTTP reports whether p begins like a request line.
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

// plainHTTPResponse is sent to clients that use HTTP on an HTTPS port.
var plainHTTPResponse = []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 50\r\nConnection: close\r\n\r\n" +
	"This port offers TLS: ask for it with https://...\n")

// flushFlight sends the bytes that the handshake has written.
func (t *Transport) flushFlight() {
	if t.state != handshaking {
		return
	}
	if p := t.handshake.written(); len(p) > 0 {
		if errno := t.conn.RawSend(p); errno != 0 {
			t.handshake.finish(errno)
		}
	}
}

// handshakeOver leaves the state handshaking: the goroutine has ended.
func (t *Transport) handshakeOver(err error) {
	if t.state != handshaking {
		return // closed in the meantime
	}
	t.flushFlight()
	left, end := t.handshake.left()
	t.handshake, t.wire.handshake = nil, nil
	if err != nil {
		t.err = err
		t.fail(faultOf(err), t.failureOf(err))
		t.conn.Yield()
		return
	}
	state := t.tls.ConnectionState()
	if t.server != nil {
		t.server.counters.complete(&state)
	}
	t.leaf = leafOf(&state)
	t.state, t.tls12 = open, state.Version == tls.VersionTLS12
	t.worker.loop.Append(&t.unread, left)
	if broken, ok := end.(unix.Errno); ok {
		t.state, t.fault = failed, broken // the kernel reports it only once
	}
	t.conn.RetryRead()
}

// faultOf returns the result of Step for a handshake's error: whether the
// peer has gone, or the handshake has failed.
func faultOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unix.ECONNRESET
	}
	return unix.EPROTO
}

// failureOf returns how a handshake's error is counted.
func (t *Transport) failureOf(err error) failure {
	var alert *net.OpError
	switch {
	case t.server != nil && t.server.refused(err):
		return failedCertificate
	case faultOf(err) == unix.ECONNRESET:
		return failedGone
	case errors.As(err, &alert) && alert.Op == "remote error":
		return failedRefused
	}
	return failedProtocol
}

// Version returns the TLS version, "1.2" or "1.3", once the handshake is
// complete.
func (t *Transport) Version() string {
	if t.tls12 {
		return "1.2"
	}
	return "1.3"
}

// fail ends the handshake.
func (t *Transport) fail(errno unix.Errno, why failure) {
	t.state, t.fault = failed, errno
	if t.server != nil {
		t.server.counters.failed[why].Add(1)
	}
}

// Read implements reactor.Transport.
func (t *Transport) Read(c *reactor.Conn, p []byte) (n int, more bool, errno unix.Errno) {
	if t.state == open && (t.partial || t.unread.Len() > 0) {
		n = t.readUnread(c, p)
	}
	for n == 0 && t.state == open {
		if n, errno = t.readSocket(c, p); errno != 0 {
			return 0, false, errno
		}
		if n == 0 && t.state == open && !c.Readable() {
			return 0, false, unix.EAGAIN
		}
	}
	switch {
	case n > 0:
		return n, t.state != open || t.partial || t.unread.Len() > 0, 0
	case t.state == ended:
		return 0, true, 0
	case t.state == failed:
		return 0, true, t.fault
	}
	return 0, false, unix.EAGAIN // the handshake is not over
}

// readUnread decrypts records that were read earlier.
func (t *Transport) readUnread(c *reactor.Conn, p []byte) int {
	before := t.unread.Len()
	t.wire.in = t.unread.Bytes()
	n := t.decrypt(c, p)
	t.worker.loop.Consume(&t.unread, before-len(t.wire.in))
	t.wire.in = nil
	return n
}

// readSocket reads the socket once, and decrypts the bytes. Together with the
// part of the current record that crypto/tls holds, it reads no more than fits
// into p, provided that p is large enough for any record: then nothing needs to
// be buffered.
func (t *Transport) readSocket(c *reactor.Conn, p []byte) (int, unix.Errno) {
	room := len(p) - int(t.wire.records.passed)
	if room < minRead {
		room = len(t.worker.in)
	}
	raw, errno := c.RawRead(t.worker.in[:min(room, len(t.worker.in))])
	switch {
	case errno == unix.EAGAIN:
		return 0, errno
	case errno != 0:
		t.state, t.fault = failed, errno
		return 0, 0
	case raw == 0:
		t.state = ended
		if t.strict || (t.wire.records != framer{}) {
			t.state, t.fault = failed, unix.ECONNRESET
		}
		return 0, 0
	}
	t.wire.in = t.worker.in[:raw]
	n := t.decrypt(c, p)
	t.worker.loop.Append(&t.unread, t.wire.in)
	t.wire.in = nil
	return n, 0
}

// decrypt decrypts wire.in into p until the former is empty or the latter is
// full, and sends crypto/tls's replies.
func (t *Transport) decrypt(c *reactor.Conn, p []byte) (n int) {
	t.worker.resetOut()
	for t.state == open && n < len(p) && (t.partial || len(t.wire.in) > 0) {
		m, err := t.tls.Read(p[n:])
		n += m
		t.partial = err == nil && n == len(p)
		switch {
		case err == nil || err == errMore:
		case err == io.EOF:
			t.state = ended
		default:
			t.state, t.fault, t.err = failed, unix.EPROTO, err
		}
	}
	if len(t.worker.out) > 0 {
		t.reply(c)
	}
	return n
}

// reply sends crypto/tls's replies: alerts, and responses to key updates. A
// peer that requests many of these and reads none is disconnected.
func (t *Transport) reply(c *reactor.Conn) {
	if errno := c.RawSend(t.worker.out); errno != 0 || c.Parked() == 0 {
		t.unsentReplies = 0
		return
	}
	t.unsentReplies += uint16(len(t.worker.out))
	if t.unsentReplies > maxUnsentReplies {
		t.state, t.fault = failed, unix.EPROTO
	}
}

// Send implements reactor.Transport.
func (t *Transport) Send(c *reactor.Conn, p []byte) unix.Errno {
	if t.closeNotifySent || t.state < open || t.state == closed {
		return unix.EPIPE
	}
	t.worker.resetOut()
	if _, err := t.tls.Write(p); err != nil {
		return unix.EPIPE // a fatal alert was sent before
	}
	return c.RawSend(t.worker.out)
}

// CloseWrite implements reactor.Transport: it sends close_notify.
func (t *Transport) CloseWrite(c *reactor.Conn) {
	if t.writeCloseNotify() {
		_ = c.RawSend(t.worker.out) // the next read returns the error
	}
}

// writeCloseNotify writes close_notify into the worker's buffer, unless it was
// sent already or the state does not allow it. It reports whether it did.
func (t *Transport) writeCloseNotify() bool {
	if t.closeNotifySent || t.state != open && t.state != ended {
		return false
	}
	t.closeNotifySent = true
	t.worker.resetOut()
	return t.tls.CloseWrite() == nil
}

// Close implements reactor.Transport.
func (t *Transport) Close(c *reactor.Conn, cut bool) {
	if !cut && c.Parked() == 0 && t.writeCloseNotify() {
		c.RawTrySend(t.worker.out)
	}
	if t.handshake != nil {
		t.handshake.cancel()
	}
	t.worker.loop.Drop(&t.unread)
	t.state = closed
}

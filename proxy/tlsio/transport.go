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
//
// Once open, records of TLS 1.3 are those of a layer, and records of TLS 1.2 those of
// crypto/tls. With a layer, an open or ended Transport can go on in another process
// (Detach).
type Transport struct {
	server          *Server // nil = the peer is a server, or the handshake was in another process
	conn            *reactor.Conn
	worker          *worker
	library         *library              // crypto/tls: from handshaking on, until it is not needed any more
	layer           *layer                // nil = crypto/tls has the records
	unread          reactor.PendingBuffer // records read from the socket but not yet decrypted
	plain           reactor.PendingBuffer // of a layer: decrypted, and not read yet
	fault           unix.Errno            // why it failed
	err             error                 // what the peer did wrong, or said
	state           state
	closeNotifySent bool
	tls12           bool   // the version, once the handshake is complete
	resumed         bool   // it continued an earlier session with the server
	strict          bool   // the peer is a server: FIN without close_notify is no end
	protocol        string // by ALPN; "" = none

	leaf *x509.Certificate // the client's, verified, until it is asked for; nil = none
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
		if t.state == handshaking {
			room = t.library.handshake.room()
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
		t.library.handshake.arrived(p[:n])
	}
}

// peerEnded ends a handshake whose peer has closed, once the handshake has
// consumed the peer's bytes.
func (t *Transport) peerEnded(errno unix.Errno) {
	switch {
	case t.state == awaitingHello:
		t.fail(unix.ECONNRESET, failedGone)
	case errno == 0:
		t.library.handshake.finish(io.EOF)
	default:
		t.library.handshake.finish(errno)
	}
}

// begin begins the handshake of a client whose first bytes are p, and reports
// whether they can be those of a handshake.
func (t *Transport) begin(p []byte) bool {
	if p[0] != recordHandshake {
		if (t.server.offers("http/1.1") || t.server.offers("h2")) && looksLikeHTTP(p) {
			t.conn.RawTrySend(plainHTTPResponse)
		}
		t.fail(unix.EPROTO, failedPlain)
		return false
	}
	t.start(func(w *wire) *tls.Conn { return tls.Server(w, t.server.current.Load().base) })
	return true
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

// Protocol returns the application protocol that was agreed on (ALPN), once the handshake
// is complete; "" = none.
func (t *Transport) Protocol() string { return t.protocol }

// fail ends the handshake.
func (t *Transport) fail(errno unix.Errno, why failure) {
	t.state, t.fault = failed, errno
	if t.server != nil {
		t.server.counters.failed[why].Add(1)
	}
}

// Read implements reactor.Transport.
func (t *Transport) Read(c *reactor.Conn, p []byte) (n int, more bool, errno unix.Errno) {
	if t.state == open && t.holds() {
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
		return n, t.state != open || t.holds(), 0
	case t.plain.Len() > 0:
		return t.takePlain(p), true, 0
	case t.state == ended:
		return 0, true, 0
	case t.state == failed:
		return 0, true, t.fault
	}
	return 0, false, unix.EAGAIN // the handshake is not over
}

// holds reports whether something can be read without the socket.
func (t *Transport) holds() bool {
	if t.layer == nil {
		return t.library.partial || t.unread.Len() > 0
	}
	size, refused := frame(t.unread.Bytes())
	return t.plain.Len() > 0 || size > 0 || refused != 0
}

// readUnread decrypts records that were read earlier.
func (t *Transport) readUnread(c *reactor.Conn, p []byte) int {
	n, used := t.decrypt(c, t.unread.Bytes(), p)
	t.worker.loop.Consume(&t.unread, used)
	return n
}

// readSocket reads the socket once, and decrypts the bytes. Together with the
// part of the current record that is there already, it reads no more than fits
// into p, provided that p is large enough for any record: then nothing needs to
// be buffered.
func (t *Transport) readSocket(c *reactor.Conn, p []byte) (int, unix.Errno) {
	in, before := t.worker.in, t.unread.Len() // with a layer, that is part of a record
	if t.layer == nil {
		before = int(t.library.wire.records.passed)
	} else {
		in = in[copy(in, t.unread.Bytes()):]
	}
	room := len(p) - before
	if room < minRead {
		room = len(in)
	}
	raw, errno := c.RawRead(in[:min(room, len(in))])
	switch {
	case errno == unix.EAGAIN:
		return 0, errno
	case errno != 0:
		t.state, t.fault = failed, errno
		return 0, 0
	case raw == 0:
		t.state = ended
		if t.strict || before > 0 || t.within() {
			t.state, t.fault = failed, unix.ECONNRESET
		}
		return 0, 0
	}
	t.worker.loop.Drop(&t.unread)
	read := t.worker.in[:len(t.worker.in)-len(in)+raw]
	n, used := t.decrypt(c, read, p)
	t.worker.loop.Append(&t.unread, read[used:])
	return n, 0
}

// within reports whether crypto/tls holds part of a record.
func (t *Transport) within() bool {
	return t.layer == nil && t.library.wire.records != framer{}
}

// decrypt decrypts the records in in into p until the former is used up or the latter is
// full, and sends what the peer has to be answered.
func (t *Transport) decrypt(c *reactor.Conn, in, p []byte) (n, used int) {
	if t.layer != nil {
		return t.openRecords(c, in, p)
	}
	return t.libraryRead(c, in, p)
}

// Send implements reactor.Transport.
func (t *Transport) Send(c *reactor.Conn, p []byte) unix.Errno {
	if t.closeNotifySent || t.state < open || t.state == closed {
		return unix.EPIPE
	}
	if t.layer != nil {
		return t.sealRecords(c, p)
	}
	return t.libraryWrite(c, p)
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
	if t.layer != nil {
		t.worker.out = t.layer.sealAlert(t.worker, t.worker.out, closeNotify)
		return true
	}
	return t.library.tls.CloseWrite() == nil
}

// Close implements reactor.Transport.
func (t *Transport) Close(c *reactor.Conn, cut bool) {
	if !cut && c.Parked() == 0 && t.writeCloseNotify() {
		c.RawTrySend(t.worker.out)
	}
	if t.state == handshaking {
		t.library.handshake.cancel()
	}
	if t.layer != nil {
		t.layer.wipe()
	}
	t.drop()
}

// drop gives up everything: the connection is closed, or continues elsewhere.
func (t *Transport) drop() {
	t.worker.loop.Drop(&t.unread)
	t.worker.loop.Drop(&t.plain)
	if t.layer != nil {
		t.worker.inUse.remove(t.layer)
	}
	t.state, t.layer, t.library = closed, nil, nil
}

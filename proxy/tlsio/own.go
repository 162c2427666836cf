package tlsio

import (
	"crypto/tls"
	"encoding/binary"
	"errors"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// newLayer returns the layer that continues after a handshake of crypto/tls, as the
// client or the server that it was; sent is everything that crypto/tls has sent. It is
// nil if crypto/tls has to go on: with TLS 1.2.
func newLayer(state *tls.ConnectionState, s *secrets, client bool, sent []byte) *layer {
	defer s.wipe()
	if state.Version != tls.VersionTLS13 {
		return nil
	}
	suite, l := suiteOf(state.CipherSuite), &layer{}
	in, out := s.client, s.server
	if client {
		in, out = s.server, s.client
	}
	if l.in.set(suite, in, 0) != nil || l.out.set(suite, out, 0) != nil || l.countSent(sent) != nil {
		return nil
	}
	return l
}

var errUncounted = errors.New("what was sent does not end with records under the traffic secret")

// countSent counts the records that were sent under the traffic secret already: the
// tickets of a server, which are the last of its records. They are recognized by being
// opened, so that no record number can be used twice.
func (l *layer) countSent(sent []byte) error {
	reader := layer{in: l.out}
	var scratch worker
	for len(sent) >= headerSize {
		size := min(headerSize+int(binary.BigEndian.Uint16(sent[headerSize-2:])), len(sent))
		_, _, refused := reader.open(&scratch, sent[:size], make([]byte, 0, size))
		switch {
		case refused == 0:
		case reader.in.seq > 1:
			return errUncounted
		default:
			reader.in.seq = 0
		}
		sent = sent[size:]
	}
	l.out = reader.in
	return nil
}

// takePlain reads what is decrypted already.
func (t *Transport) takePlain(p []byte) int {
	n := copy(p, t.plain.Bytes())
	t.worker.loop.Consume(&t.plain, n)
	return n
}

// openRecords decrypts the complete records in in into p, and answers the peer where it
// wants new keys, unless it takes nothing at the moment: then the next content brings
// them (RFC 8446 section 4.6.3), and a peer that keeps asking makes nothing pile up.
func (t *Transport) openRecords(c *reactor.Conn, in, p []byte) (n, used int) {
	n = t.takePlain(p)
	t.worker.inUse.add(t.layer)
	for t.state == open && n < len(p) {
		size, refused := frame(in[used:])
		if refused != 0 {
			t.refuse(c, refused)
		}
		if size == 0 {
			break
		}
		n += t.openRecord(c, in[used:used+size], p[n:])
		used += size
	}
	if t.state == open && t.layer.replies() && !t.closeNotifySent && c.Parked() == 0 {
		t.worker.resetOut()
		t.worker.out = t.layer.updateKeys(t.worker, t.worker.out)
		_ = c.RawSend(t.worker.out) // the next read returns the error
	}
	return n, used
}

// openRecord decrypts one record. What of its content does not fit into p waits.
func (t *Transport) openRecord(c *reactor.Conn, record, p []byte) (n int) {
	room := p
	if len(p) < len(record)-headerSize-tagSize {
		room = t.worker.plainRoom()
	}
	kind, content, refused := t.layer.open(t.worker, record, room)
	switch {
	case refused != 0:
	case kind == typeApplication && len(content) > 0:
		if refused = t.layer.content(); refused != 0 {
			break
		}
		t.library = nil
		n = copy(p, content)
		t.worker.loop.Append(&t.plain, content[n:])
		return n
	default:
		refused = t.control(kind, content, record)
	}
	if refused != 0 {
		t.refuse(c, refused)
	}
	return 0
}

// control takes a record that has no content for the stream.
func (t *Transport) control(kind byte, content, record []byte) (refused alert) {
	refused, end := t.layer.take(kind, content, t.strict)
	switch {
	case end == errEnd:
		t.state = ended
	case end != nil:
		t.state, t.fault, t.err = failed, unix.EPROTO, end
	}
	if t.library == nil {
		return refused
	}
	updated := t.layer.in.seq == 0 // crypto/tls cannot follow: it would answer, too
	if kind == typeHandshake && refused == 0 && !updated {
		t.library.ticket(record)
	} else {
		t.library = nil
	}
	return refused
}

// refuse ends a stream that breaks the protocol, with an alert.
func (t *Transport) refuse(c *reactor.Conn, a alert) {
	t.state, t.fault, t.err = failed, unix.EPROTO, a.local()
	if t.closeNotifySent {
		return
	}
	t.closeNotifySent = true // nothing may follow an alert
	t.worker.resetOut()
	t.worker.out = t.layer.sealAlert(t.worker, t.worker.out, a)
	_ = c.RawSend(t.worker.out)
}

// sealRecords encrypts p and sends it.
func (t *Transport) sealRecords(c *reactor.Conn, p []byte) unix.Errno {
	if t.state == failed {
		return unix.EPIPE
	}
	t.worker.resetOut()
	t.worker.inUse.add(t.layer)
	t.worker.out = t.layer.write(t.worker, t.worker.out, p)
	return c.RawSend(t.worker.out)
}

package tlsio

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"slices"
)

// layer is the record layer of TLS 1.3 (RFC 8446 section 5) on a connection whose
// handshake is over. It works on memory, allocates nothing per record, and can go on in
// another process, since it is no more than two secrets and two numbers. Whether a
// record is authentic is decided by the AEAD alone, which works in constant time.
//
//	a record                                    is
//	application data                            content
//	application data of 0 bytes                 skipped: at most mostUseless in a row
//	handshake: KeyUpdate                        the peer's next keys; mostUseless likewise
//	handshake: NewSessionTicket of a server     skipped: mostUseless likewise
//	alert: close_notify                         the end
//	alert: user_canceled                        skipped: mostUseless likewise
//	any other alert                             the end, with its error
//	anything else                               refused with an alert
type layer struct {
	in, out  direction
	messages messages
	place    int32 // in the worker's list of those in use, from 1 on; 0 = not listed
	useless  uint8 // records since the last content
	asked    bool  // the peer was asked for new keys, since the last it had
	owes     bool  // the peer has asked for new keys, and has not got them
}

const (
	maxPlaintext  = 1 << 14            // of one record, RFC 8446 section 5.1
	maxCiphertext = maxPlaintext + 256 // section 5.2

	// mostUseless is how many records without content may follow one another.
	mostUseless = 16
)

// The content types, RFC 8446 appendix B.1.
const (
	typeAlert       = 21
	typeHandshake   = recordHandshake
	typeApplication = 23
)

// alert is a description of an alert, RFC 8446 section 6. 0, close_notify, stands for
// none where one is returned.
type alert uint8

const (
	closeNotify       alert = 0
	unexpectedMessage alert = 10
	badRecordMAC      alert = 20
	recordOverflow    alert = 22
	illegalParameter  alert = 47
	decodeError       alert = 50
	userCanceled      alert = 90
)

// The levels of alerts. In TLS 1.3 they say nothing that the description does not.
const (
	levelWarning = 1
	levelFatal   = 2
)

// local is the error that the layer ended a connection with.
func (a alert) local() error { return &net.OpError{Op: "local error", Err: tls.AlertError(a)} }

// remote is the error that the peer ended a connection with.
func (a alert) remote() error { return &net.OpError{Op: "remote error", Err: tls.AlertError(a)} }

// frame returns the size of the record at the beginning of p, 0 if it is not complete.
// The version is not looked at (RFC 8446 section 5.1): it is authenticated.
func frame(p []byte) (size int, refused alert) {
	if len(p) < headerSize {
		return 0, 0
	}
	body := int(binary.BigEndian.Uint16(p[headerSize-2:]))
	switch {
	case p[0] != typeApplication:
		return 0, unexpectedMessage // after a handshake nothing is sent in the clear
	case body > maxCiphertext:
		return 0, recordOverflow
	case len(p) < headerSize+body:
		return 0, 0
	}
	return headerSize + body, 0
}

// open decrypts a record into room, which must have the capacity for its ciphertext
// less the tag, and returns its type and content.
func (l *layer) open(w *worker, record, room []byte) (kind byte, content []byte, refused alert) {
	header, body := record[:headerSize], record[headerSize:]
	aead := l.in.cipher()
	content, err := aead.Open(room[:0], l.in.nonce(&w.nonce), body, header)
	if err != nil {
		return 0, nil, badRecordMAC
	}
	if len(content) > maxPlaintext+1 {
		return 0, nil, recordOverflow
	}
	for n := len(content); n > 0; n-- { // the padding is zeros
		if kind = content[n-1]; kind != 0 {
			return kind, content[:n-1], 0
		}
	}
	return 0, nil, unexpectedMessage
}

// seal appends a record to out. The content is at most maxPlaintext bytes.
func (l *layer) seal(w *worker, out []byte, kind byte, content []byte) []byte {
	size := len(content) + 1 + tagSize
	out = slices.Grow(out, headerSize+size)
	out = append(out, typeApplication, 3, 3, byte(size>>8), byte(size))
	start := len(out)
	out = append(append(out, content...), kind)
	aead := l.out.cipher()
	return aead.Seal(out[:start], l.out.nonce(&w.nonce), out[start:], out[start-headerSize:start])
}

// write appends content to out, in records, and before it new keys where the peer is
// owed them or the present ones are spent.
func (l *layer) write(w *worker, out, content []byte) []byte {
	for len(content) > 0 {
		if l.owes || l.out.spent() {
			out = l.updateKeys(w, out)
		}
		n := min(len(content), maxPlaintext)
		out = l.seal(w, out, typeApplication, content[:n])
		content = content[n:]
	}
	return out
}

// updateKeys appends a KeyUpdate (RFC 8446 section 4.6.3), and continues with new keys. It
// asks the peer for new ones if it has used its own up, which matters to the reader.
func (l *layer) updateKeys(w *worker, out []byte) []byte {
	message := [...]byte{messageKeyUpdate, 0, 0, 1, updateNotRequested}
	if l.in.spent() && !l.asked {
		l.asked = true
		message[4] = updateRequested
	}
	out = l.seal(w, out, typeHandshake, message[:])
	l.out.update()
	l.owes = false
	return out
}

// replies reports whether the layer has something to say that does not wait for content.
func (l *layer) replies() bool { return l.owes || l.in.spent() && !l.asked }

// sealAlert appends an alert to out.
func (l *layer) sealAlert(w *worker, out []byte, a alert) []byte {
	message := [...]byte{levelFatal, byte(a)}
	if a == closeNotify {
		message[0] = levelWarning
	}
	return l.seal(w, out, typeAlert, message[:])
}

// errEnd is the end that the peer has announced.
var errEnd = errors.New("close_notify")

// take judges the content of a record that is not application data, or empty. An alert
// says that it is refused, an error that the peer has ended the stream: errEnd, or why.
func (l *layer) take(kind byte, content []byte, fromServer bool) (refused alert, ended error) {
	if l.useless++; l.useless > mostUseless {
		return unexpectedMessage, nil
	}
	if l.messages.partial() && kind != typeHandshake {
		return unexpectedMessage, nil // RFC 8446 section 5.1: they must not be interleaved
	}
	switch kind {
	case typeApplication:
		return 0, nil
	case typeHandshake:
		return l.handshake(content, fromServer), nil
	case typeAlert:
		return alertIn(content)
	}
	return unexpectedMessage, nil
}

// alertIn reads an alert: a record has one, complete (RFC 8446 section 5.1).
func alertIn(content []byte) (refused alert, ended error) {
	if len(content) != 2 {
		return decodeError, nil
	}
	switch a := alert(content[1]); a {
	case closeNotify:
		return 0, errEnd
	case userCanceled:
		return 0, nil // close_notify follows
	default:
		return 0, a.remote()
	}
}

// handshake reads the handshake messages in a record.
func (l *layer) handshake(content []byte, fromServer bool) (refused alert) {
	if len(content) == 0 {
		return unexpectedMessage
	}
	update, requested, refused := l.messages.read(content, fromServer)
	if refused != 0 || !update {
		return refused
	}
	l.in.update()
	l.asked = false
	l.owes = l.owes || requested
	return 0
}

// content notes that a record had content.
func (l *layer) content() (refused alert) {
	if l.messages.partial() {
		return unexpectedMessage
	}
	l.useless = 0
	return 0
}

// rest gives up the keys of directions that were not used since the last call. It
// reports whether none are left.
func (l *layer) rest() bool {
	in, out := l.in.rest(), l.out.rest()
	return in && out
}

// wipe forgets the secrets.
func (l *layer) wipe() {
	l.in.wipe()
	l.out.wipe()
}

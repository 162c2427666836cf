package tlsio

// The handshake messages that may follow a handshake, RFC 8446 section 4.6.
const (
	messageNewSessionTicket = 4
	messageKeyUpdate        = 24
)

// What a KeyUpdate asks for, RFC 8446 section 4.6.3.
const (
	updateNotRequested = 0
	updateRequested    = 1
)

// mostTicket is the most bytes of a NewSessionTicket, as in crypto/tls.
const mostTicket = 1 << 16

// messages reads the handshake messages that follow a handshake, however they are cut
// into records. Nothing is kept of them: a KeyUpdate is a byte, and what else may come
// is skipped. The zero value is between two messages. It is fit for encoding.
//
//	state     bytes                              next
//	header    fewer than 4                       header
//	header    of a KeyUpdate, with its byte      header, if the record ends there; else refused
//	header    of a server's NewSessionTicket     skipping
//	header    of anything else                   refused
//	skipping  the rest of the message            header
type messages struct {
	Header [4]byte
	Have   uint8  // bytes of the header
	Skip   uint32 // bytes of the message that are still to come
}

// partial reports whether a message has begun and not ended.
func (m *messages) partial() bool { return *m != messages{} }

// valid reports whether m is a state that read leaves: another process may be faulty.
func (m *messages) valid() bool {
	switch {
	case m.Have < uint8(len(m.Header)):
		return m.Skip == 0
	case m.Header[0] == messageKeyUpdate:
		return m.Have == uint8(len(m.Header)) && m.Skip == 1
	}
	return m.Have == uint8(len(m.Header)) && m.Skip > 0 && m.Skip <= mostTicket
}

// read reads the content of a record of handshake messages. update says that the peer
// has updated its keys after this record, requested that it wants the same.
func (m *messages) read(p []byte, fromServer bool) (update, requested bool, refused alert) {
	for len(p) > 0 {
		if m.Have < uint8(len(m.Header)) {
			n := copy(m.Header[m.Have:], p)
			m.Have += uint8(n)
			p = p[n:]
			if refused := m.begin(fromServer); refused != 0 {
				return false, false, refused
			}
			continue
		}
		if m.Header[0] == messageKeyUpdate {
			return m.keyUpdate(p)
		}
		n := min(int(m.Skip), len(p))
		m.Skip -= uint32(n)
		p = p[n:]
		if m.Skip == 0 {
			*m = messages{}
		}
	}
	return false, false, 0
}

// begin judges a header, as far as it has come.
func (m *messages) begin(fromServer bool) (refused alert) {
	kind := m.Header[0]
	if kind != messageKeyUpdate && !(kind == messageNewSessionTicket && fromServer) {
		return unexpectedMessage // such as a CertificateRequest, which no client of ours has agreed to
	}
	if m.Have < uint8(len(m.Header)) {
		return 0
	}
	m.Skip = uint32(m.Header[1])<<16 | uint32(m.Header[2])<<8 | uint32(m.Header[3])
	if m.Skip == 0 || m.Skip > mostTicket || kind == messageKeyUpdate && m.Skip != 1 {
		return decodeError
	}
	return 0
}

// keyUpdate reads the byte of a KeyUpdate. The peer's next record has other keys: it
// must be the record's last (RFC 8446 section 5.1).
func (m *messages) keyUpdate(p []byte) (update, requested bool, refused alert) {
	*m = messages{}
	switch {
	case len(p) > 1:
		return false, false, unexpectedMessage
	case p[0] > updateRequested:
		return false, false, illegalParameter
	}
	return true, p[0] == updateRequested, 0
}

package mcp

// MaxBodyScan is how much of a body a BodyScanner looks at, in bytes.
const MaxBodyScan = 64 << 10

// BodyScanner reads the JSON-RPC message in the body of an HTTP request while
// the body passes, and finds what an answer by the balancer itself must name:
// the id. The zero value is ready for the first byte of a body; Reset makes it
// so again. It holds some 250 bytes.
//
// It differs from IDScanner in that it need not see the end. It looks no
// further once it has both id and method, which in the messages of most SDKs
// come first; of several ids or methods in one message the first pair counts
// then. And it looks at the first 64 KiB at most: an id that comes later, behind
// parameters of that size, is not found, and the error has no id.
type BodyScanner struct {
	message IDScanner
	fed     int // bytes looked at
}

// Reset makes the scanner ready for another body.
func (s *BodyScanner) Reset() { *s = BodyScanner{} }

// Feed takes the next bytes of the body. Nothing of p is kept but the id.
func (s *BodyScanner) Feed(p []byte) {
	p = p[:min(len(p), MaxBodyScan-s.fed)]
	for len(p) > 0 && !s.Done() {
		n := s.message.feedSome(p)
		s.fed += n
		p = p[n:]
	}
}

// Done reports whether there is nothing more to be found, so that feeding may
// end: id and method are known, the message has ended or is none, or 64 KiB of
// it were seen.
func (s *BodyScanner) Done() bool {
	m := &s.message
	if m.state == scanFailed || m.state == scanEnd || s.fed >= MaxBodyScan {
		return true
	}
	return m.Request() && m.state != scanMethodText && s.hasID()
}

// ID returns the id by which to answer the request, as raw JSON, or nil where
// an answer has none: the body is a notification, itself an answer, a batch or
// not JSON, the id is not to be had (see IDScanner), or id and method were not
// both among what was fed. The slice is good until the next call of Feed or
// Reset.
func (s *BodyScanner) ID() []byte {
	if !s.message.Request() || !s.hasID() {
		return nil
	}
	return s.message.rawID()
}

// Method returns the method of the message: MethodNone if it has none or none
// was read yet, MethodOther if that is not known or not a string.
func (s *BodyScanner) Method() Method { return s.message.Method() }

// hasID reports whether an id was read to its end.
func (s *BodyScanner) hasID() bool {
	m := &s.message
	reading := m.inID && (m.state == scanText || m.state == scanScalar)
	return m.idSize > 0 && !reading
}

package mcp

// MaxBodyScan is how much of a body a BodyScanner reads, in bytes.
const MaxBodyScan = 64 << 10

// BodyScanner reads the JSON-RPC message in the body of an HTTP request while
// the body passes, and finds the id that a generated response must contain. The
// zero value is ready for the first byte of a body; Reset prepares it for the
// next body. It has about 250 bytes.
//
// Unlike IDScanner, it need not see the end. It stops once it has both id and
// method, which come first in the messages of most SDKs; if a message has
// several ids or methods, the first pair then counts. It reads at most the
// first 64 KiB: an id that comes later, after parameters of that size, is not
// found, and the error has no id.
type BodyScanner struct {
	message IDScanner
	fed     int // bytes read
}

// Reset makes the scanner ready for another body.
func (s *BodyScanner) Reset() { *s = BodyScanner{} }

// Feed reads the next bytes of the body. It keeps nothing of p but the id.
func (s *BodyScanner) Feed(p []byte) {
	p = p[:min(len(p), MaxBodyScan-s.fed)]
	for len(p) > 0 && !s.Done() {
		n := s.message.feedSome(p)
		s.fed += n
		p = p[n:]
	}
}

// Done reports whether nothing more can be found, so that feeding may stop: id
// and method are known, the message has ended or is invalid, or 64 KiB were
// read.
func (s *BodyScanner) Done() bool {
	m := &s.message
	if m.state == scanFailed || m.state == scanEnd || s.fed >= MaxBodyScan {
		return true
	}
	return m.Request() && m.state != scanMethodText && s.hasID()
}

// ID returns the id for the response, as raw JSON, or nil if the response has
// none: the body is a notification, itself a response, a batch or not JSON, the
// id is unusable (see IDScanner), or the bytes read do not contain both id and
// method. The slice is valid until the next call of Feed or Reset.
func (s *BodyScanner) ID() []byte {
	if !s.message.Request() || !s.hasID() {
		return nil
	}
	return s.message.rawID()
}

// Method returns the method of the message: MethodNone if it has none or none
// was read yet, MethodOther if the method is unknown or not a string.
func (s *BodyScanner) Method() Method { return s.message.Method() }

// hasID reports whether a complete id was read.
func (s *BodyScanner) hasID() bool {
	m := &s.message
	reading := m.inID && (m.state == scanText || m.state == scanScalar)
	return m.idSize > 0 && !reading
}

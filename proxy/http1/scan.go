package http1

import "bytes"

// Scan remembers how far an incomplete head has been looked through, so that a
// head that comes byte by byte costs no more than the bytes. It belongs to the
// connection (a head is shared, a connection is many). The zero value is for a
// head of which nothing was seen; Parse sets it back to zero when it is
// through with a head.
type Scan uint32

// worthwhile reports whether to parse p: at the first bytes (most heads come
// whole), when the head is complete, and when it is to be refused for a bare
// LF or its size. In between it only looks for the head's end.
func (s *Scan) worthwhile(p []byte, max int) bool {
	if *s == 0 || len(p) >= max {
		return true
	}
	for from := min(int(*s), len(p)); ; {
		at := bytes.IndexByte(p[from:], '\n')
		if at < 0 {
			*s = Scan(len(p))
			return false
		}
		at += from
		if at == 0 || p[at-1] != '\r' {
			return true
		}
		switch rest := p[at+1:]; {
		case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
			return true
		case len(rest) < 2:
			*s = Scan(at) // to be looked at again
			return false
		}
		from = at + 1
	}
}

// wait notes that p is not a complete head, and refuses it with tooLarge when
// it will not become one within max.
func (s *Scan) wait(p []byte, max int, tooLarge Reason) Reason {
	if len(p) >= max {
		*s = 0
		return tooLarge
	}
	// The last three bytes may begin the CRLF CRLF that ends the head.
	*s = Scan(min(len(p), 1))
	if len(p) > 3 {
		*s = Scan(len(p) - 3)
	}
	return ReasonNone
}

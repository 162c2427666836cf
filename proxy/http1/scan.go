package http1

import "bytes"

// Scan records how much of an incomplete head has been searched, so that a head
// that arrives byte by byte is searched only once. It belongs to the
// connection, while the head is shared by many connections. The zero value is
// for a new head; Parse resets it at the end of a head.
type Scan uint32

// shouldParse reports whether to parse p: at the first bytes (most heads arrive
// in one piece), when the head is complete, and when it must be refused for a
// bare LF or its size. Otherwise it only searches for the head's end.
func (s *Scan) shouldParse(p []byte, max int) bool {
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
			*s = Scan(at) // search from here again
			return false
		}
		from = at + 1
	}
}

// needMore records that p is not a complete head, and refuses it with tooLarge
// if it cannot become one within max bytes.
func (s *Scan) needMore(p []byte, max int, tooLarge Reason) Reason {
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

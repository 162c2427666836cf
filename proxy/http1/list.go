package http1

import "bytes"

var (
	comma     = []byte{','}
	semicolon = []byte{';'}
)

// NextElement returns the first element of a comma-separated list (RFC 9110
// section 5.6.1), without surrounding white space, and the rest of the list. It
// skips empty elements; at the end, the element is nil. A comma within a quoted
// string belongs to the element. To visit all elements:
//
//	for e, rest := NextElement(list); e != nil; e, rest = NextElement(rest) {
func NextElement(list []byte) (element, rest []byte) {
	for len(list) > 0 {
		end := elementEnd(list)
		element = trim(list[:end])
		list = list[min(end+1, len(list)):]
		if len(element) > 0 {
			return element, list
		}
	}
	return nil, nil
}

// nextMember is NextElement for lists of tokens, where a quote has no meaning:
// every comma separates.
func nextMember(list []byte) (member, rest []byte) {
	for len(list) > 0 {
		end := indexOr(list, ',')
		member = trim(list[:end])
		list = list[min(end+1, len(list)):]
		if len(member) > 0 {
			return member, list
		}
	}
	return nil, nil
}

// elementEnd returns the index of the first comma in p that is not within a
// quoted string (RFC 9110 section 5.6.4), or len(p). A quote that is never
// closed quotes the rest of p.
func elementEnd(p []byte) int {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case ',':
			return i
		case '"':
			i = quotedEnd(p, i)
		}
	}
	return len(p)
}

// quotedEnd returns the index of the quote that closes the one at p[i], or
// len(p).
func quotedEnd(p []byte, i int) int {
	for i++; i < len(p); i++ {
		switch p[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return len(p)
}

// HasToken reports whether token is an element of list, ignoring case.
func HasToken(list []byte, token string) bool {
	for e, rest := NextElement(list); e != nil; e, rest = NextElement(rest) {
		if EqualFold(e, token) {
			return true
		}
	}
	return false
}

// AcceptsCoding reports whether an Accept-Encoding with the value list accepts
// coding (RFC 9110 section 12.5.3): it names the coding, or "*", with a weight
// above zero. A malformed weight counts as zero.
func AcceptsCoding(list []byte, coding string) bool {
	if n := len(coding); len(list) > n && list[n] == ',' && EqualFold(list[:n], coding) {
		return true // as most clients begin the list
	}
	others := false
	for e, rest := NextElement(list); e != nil; e, rest = NextElement(rest) {
		name, weight, weighted := bytes.Cut(e, semicolon)
		switch name = trim(name); {
		case EqualFold(name, coding):
			return !weighted || positiveWeight(weight)
		case string(name) == "*":
			others = !weighted || positiveWeight(weight)
		}
	}
	return others
}

// positiveWeight reports whether p is "q=" and a qvalue above zero.
func positiveWeight(p []byte) bool {
	p = trim(p)
	return len(p) >= 3 && p[0]|0x20 == 'q' && p[1] == '=' && positiveQuality(p[2:])
}

// positiveQuality reports whether p is a qvalue (RFC 9110 section 12.4.2)
// above zero.
func positiveQuality(p []byte) bool {
	if len(p) > 5 || len(p) > 1 && p[1] != '.' || p[0] != '0' && p[0] != '1' {
		return false
	}
	positive := p[0] == '1'
	for _, c := range p[min(2, len(p)):] {
		switch {
		case !is(c, isDigit), p[0] == '1' && c != '0':
			return false
		case c != '0':
			positive = true
		}
	}
	return positive
}

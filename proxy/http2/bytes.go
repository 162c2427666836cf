package http2

// The classes of bytes, as bits of class.
const (
	isName    = 1 << iota // of a field name: tchar without capital letters
	isCapital             //
	isValue               // HTAB, SP, visible ASCII, obs-text: RFC 9110 section 5.5
	isVisible             // visible ASCII
	isSpace
	isDigit
)

// class holds the classes of each byte.
var class = func() (table [256]uint8) {
	const others = "!#$%&'*+-.^_`|~"
	for i := range table {
		c := byte(i)
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			table[i] |= isName
		}
		if c >= '0' && c <= '9' {
			table[i] |= isDigit
		}
		if c >= 'A' && c <= 'Z' {
			table[i] |= isCapital
		}
		if c == ' ' || c == '\t' {
			table[i] |= isSpace
		}
		if c > ' ' && c < 0x7f {
			table[i] |= isVisible
		}
		if c > ' ' && c != 0x7f || c == ' ' || c == '\t' {
			table[i] |= isValue
		}
	}
	for _, c := range []byte(others) {
		table[c] |= isName
	}
	return table
}()

// all reports whether every byte of p is in one of the classes of mask.
func all(p []byte, mask uint8) bool {
	for _, c := range p {
		if class[c]&mask == 0 {
			return false
		}
	}
	return true
}

// isTrimmed reports whether no white space stands around p.
func isTrimmed(p []byte) bool {
	return len(p) == 0 || (class[p[0]]|class[p[len(p)-1]])&isSpace == 0
}

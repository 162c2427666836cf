package mcp

// knownWord reads a text of JSON in pieces, up to its closing quote, to find out which
// of some known words it is. The zero value is ready for the byte behind the opening
// quote.
type knownWord struct {
	text    [maxMethodName]byte // its beginning, unescaped
	size    uint8               // bytes of it; more than len(text): longer than any known
	escaped bool                // after a backslash
	hex     uint8               // digits of \uXXXX still to come
	unit    uint16              // the value of the digits so far
}

// begin begins another word.
func (w *knownWord) begin() { *w = knownWord{} }

// is reports whether the word that was read is want.
func (w *knownWord) is(want string) bool {
	return int(w.size) == len(want) && string(w.text[:len(want)]) == want
}

// of returns the word that was read; nil where it is longer than any known.
func (w *knownWord) of() []byte {
	if int(w.size) > len(w.text) {
		return nil
	}
	return w.text[:w.size]
}

// feed reads a part of the word, and its closing quote if it is there, and returns how
// many bytes it read.
func (w *knownWord) feed(p []byte) (n int, ended bool) {
	for n := 0; n < len(p); n++ {
		switch b := p[n]; {
		case w.hex > 0:
			w.feedHex(b)
		case w.escaped:
			w.feedEscape(b)
		case b == '\\':
			w.escaped = true
		case b == '"':
			return n + 1, true
		default:
			size := plain(p[n:])
			w.add(p[n : n+size]...)
			n += size - 1
		}
	}
	return len(p), false
}

// feedEscape reads the byte after a backslash. Of the one-letter escapes, only that of
// the slash occurs in a known word.
func (w *knownWord) feedEscape(b byte) {
	w.escaped = false
	switch b {
	case 'u':
		w.hex, w.unit = 4, 0
	case '/':
		w.add('/')
	default:
		w.add(0)
	}
}

// feedHex reads one digit of \uXXXX.
func (w *knownWord) feedHex(b byte) {
	digit, ok := hexDigit(b)
	if !ok { // not JSON: the word may become anything but a known one
		w.hex = 0
		w.add(0)
		return
	}
	w.unit = w.unit<<4 | digit
	w.hex--
	switch {
	case w.hex > 0:
	case w.unit < 0x80:
		w.add(byte(w.unit))
	default:
		w.add(0) // no known word has it
	}
}

func hexDigit(b byte) (digit uint16, ok bool) {
	switch {
	case '0' <= b && b <= '9':
		return uint16(b - '0'), true
	case 'a' <= b && b <= 'f':
		return uint16(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return uint16(b-'A') + 10, true
	}
	return 0, false
}

// add appends unescaped bytes.
func (w *knownWord) add(p ...byte) {
	size := int(w.size)
	if size < len(w.text) {
		copy(w.text[size:], p)
	}
	w.size = uint8(min(size+len(p), len(w.text)+1))
}

// feedWord reads a member's name or the method up to and including its closing
// quote, and returns how many bytes it read.
func (s *IDScanner) feedWord(p []byte) int {
	n, ended := s.word.feed(p)
	if ended {
		s.endWord()
	}
	return n
}

// endWord handles the closing quote of a name or of the method.
func (s *IDScanner) endWord() {
	if s.state == scanName {
		s.state = scanColon
		return
	}
	s.state = scanAfter
	if word := s.word.of(); len(word) > 0 {
		s.method = MethodOf(word)
	}
}

package mcp

// feedWord reads a member's name or the method up to and including its closing
// quote, and returns how many bytes it read.
func (s *IDScanner) feedWord(p []byte) int {
	for n := 0; n < len(p); n++ {
		switch b := p[n]; {
		case s.hex > 0:
			s.feedHex(b)
		case s.escaped:
			s.feedEscape(b)
		case b == '\\':
			s.escaped = true
		case b == '"':
			s.endWord()
			return n + 1
		default:
			size := plain(p[n:])
			s.addWord(p[n : n+size]...)
			n += size - 1
		}
	}
	return len(p)
}

// feedEscape reads the byte after a backslash in a word. Of the one-letter
// escapes, only that of the slash occurs in a known word.
func (s *IDScanner) feedEscape(b byte) {
	s.escaped = false
	switch b {
	case 'u':
		s.hex, s.unit = 4, 0
	case '/':
		s.addWord('/')
	default:
		s.addWord(0)
	}
}

// endWord handles the closing quote of a name or of the method.
func (s *IDScanner) endWord() {
	if s.state == scanName {
		s.state = scanColon
		return
	}
	s.state = scanAfter
	if n := int(s.wordSize); 0 < n && n <= len(s.word) {
		s.method = MethodOf(s.word[:n])
	}
}

// feedHex reads one digit of \uXXXX in a word.
func (s *IDScanner) feedHex(b byte) {
	digit, ok := hexDigit(b)
	if !ok { // not JSON: the word may become anything but a known one
		s.hex = 0
		s.addWord(0)
		return
	}
	s.unit = s.unit<<4 | digit
	s.hex--
	switch {
	case s.hex > 0:
	case s.unit < 0x80:
		s.addWord(byte(s.unit))
	default:
		s.addWord(0) // no known word has it
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

// addWord appends unescaped bytes to the word being read.
func (s *IDScanner) addWord(p ...byte) {
	size := int(s.wordSize)
	if size < len(s.word) {
		copy(s.word[size:], p)
	}
	s.wordSize = uint8(min(size+len(p), len(s.word)+1))
}

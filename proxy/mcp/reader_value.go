package mcp

// The values of a Reader that are neither arrays nor objects.

// beginScalar reads the first byte of a number, true, false or null.
func (r *Reader) beginScalar(b byte) {
	switch {
	case b == '-':
		r.state = readMinus
	case b == '0':
		r.state = readZero
	case '1' <= b && b <= '9':
		r.state = readDigits
	case b == 't':
		r.state, r.literal = readLiteral, "rue"
	case b == 'f':
		r.state, r.literal = readLiteral, "alse"
	case b == 'n':
		r.state, r.literal = readLiteral, "ull"
	default:
		r.fail(FaultSyntax)
	}
}

// readLiteral reads a byte of true, false or null.
func (r *Reader) readLiteral(b byte) {
	if b != r.literal[0] {
		r.fail(FaultSyntax)
		return
	}
	if r.literal = r.literal[1:]; r.literal == "" {
		r.ended()
	}
}

// readNumber reads a part of a number, and returns its size; the byte behind the
// number is not a part.
func (r *Reader) readNumber(p []byte) int {
	b := p[0]
	digit := '0' <= b && b <= '9'
	switch {
	case digit:
		return r.readDigits(p)
	case b == '.' && (r.state == readZero || r.state == readDigits):
		r.state = readPoint
	case b|0x20 == 'e' && (r.state == readZero || r.state == readDigits || r.state == readFraction):
		r.state = readExponent
	case (b == '+' || b == '-') && r.state == readExponent:
		r.state = readSign
	case r.state == readZero, r.state == readDigits, r.state == readFraction, r.state == readPower:
		r.ended()
		return 0
	default:
		r.fail(FaultSyntax)
	}
	return 1
}

// readDigits reads the digits that p begins with.
func (r *Reader) readDigits(p []byte) int {
	switch r.state {
	case readZero:
		r.fail(FaultSyntax) // a leading zero
		return 1
	case readMinus:
		r.state = readDigits
		if p[0] == '0' {
			r.state = readZero
			return 1
		}
	case readPoint:
		r.state = readFraction
	case readExponent, readSign:
		r.state = readPower
	}
	n := 1
	for n < len(p) && '0' <= p[n] && p[n] <= '9' {
		n++
	}
	return n
}

// ended continues behind a value.
func (r *Reader) ended() {
	r.state = readAfter
	if r.depth == 0 {
		r.state = readEnd
	}
}

// readText reads a part of a text, up to its closing quote or a backslash, and
// returns its size.
func (r *Reader) readText(p []byte) int {
	for i, b := range p {
		switch {
		case b >= 0x80 || r.text.inRune():
			if !r.text.step(b) {
				r.fail(FaultEncoding)
				return i + 1
			}
		case b == '"':
			r.text.add(p[:i])
			r.endText()
			return i + 1
		case b == '\\':
			r.text.add(p[:i])
			r.state = readEscape
			return i + 1
		case b < ' ':
			r.fail(FaultSyntax)
			return i + 1
		}
	}
	r.text.add(p)
	return len(p)
}

// readEscape reads the byte behind a backslash.
func (r *Reader) readEscape(b byte) {
	r.state = readText
	switch b {
	case 'u':
		r.state = readHex
		r.text.beginHex()
	case '"', '\\', '/':
		r.text.addByte(b)
	case 'b':
		r.text.addByte('\b')
	case 'f':
		r.text.addByte('\f')
	case 'n':
		r.text.addByte('\n')
	case 'r':
		r.text.addByte('\r')
	case 't':
		r.text.addByte('\t')
	default:
		r.fail(FaultSyntax)
	}
}

// readHex reads one digit of \uXXXX.
func (r *Reader) readHex(b byte) {
	digit, ok := hexDigit(b)
	if !ok {
		r.fail(FaultSyntax)
		return
	}
	if r.text.hex(digit) {
		r.state = readText
	}
}

// endText reads the closing quote of a text.
func (r *Reader) endText() {
	r.text.end()
	switch r.text.kind {
	case keyUnread:
		r.state = readColon
	case keyRead:
		r.state = readColon
		r.endKey()
	case valueRead:
		f := r.field
		r.field = noField
		r.ended()
		if r.text.nul {
			r.fail(FaultAmbiguous)
		} else if !r.calls.note(f, r.text.word) {
			r.fail(FaultAmbiguous)
		}
	default:
		r.ended()
	}
}

// endKey finds out which field a key names that is read.
func (r *Reader) endKey() {
	r.field = fieldOf(r.text.word)
	switch {
	case r.text.nul:
		r.fail(FaultAmbiguous)
	case r.atMessage() != r.field.ofMessage():
		r.field = noField
	}
}

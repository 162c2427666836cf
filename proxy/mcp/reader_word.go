package mcp

import "unicode/utf8"

// textKind is what a text is, and whether it is kept.
type textKind uint8

const (
	valueUnread textKind = iota
	valueRead
	keyUnread
	keyRead
)

// maxCallName is how much of a method or name is kept, in bytes: more than any that
// a configuration could name.
const maxCallName = 8 << 10

// maxKey is how much of a key is kept, without what is left out: more than any that
// is looked for.
const maxKey = 24

// wordReader decodes one text of JSON, and keeps it if it is wanted. Half of a
// surrogate pair alone becomes U+FFFD, as in Go; others keep it as it is, so that no
// name that a configuration can have is meant.
type wordReader struct {
	word []byte // decoded, as far as it is kept
	kind textKind
	nul  bool // it is kept and has a NUL: where C ends a text

	left   uint8  // bytes that a rune still needs
	lo, hi byte   // bounds of the next of them
	digits uint8  // of \uXXXX that still come
	unit   uint16 // the value of those that came
	high   uint16 // the first half of a surrogate pair; 0 = none
}

// begin begins another text.
func (w *wordReader) begin(kind textKind) {
	*w = wordReader{word: w.word[:0], kind: kind}
}

// kept reports whether the text is wanted.
func (w *wordReader) kept() bool { return w.kind == keyRead || w.kind == valueRead }

// inRune reports whether a rune has begun and not ended.
func (w *wordReader) inRune() bool { return w.left > 0 }

// step reads a byte of a rune that is not ASCII, and reports whether it is UTF-8
// (Unicode 16, table 3-7).
func (w *wordReader) step(b byte) bool {
	if w.left > 0 {
		ok := w.lo <= b && b <= w.hi
		w.left--
		w.lo, w.hi = 0x80, 0xbf
		return ok
	}
	w.lo, w.hi = 0x80, 0xbf
	switch {
	case 0xc2 <= b && b <= 0xdf:
		w.left = 1
	case 0xe0 <= b && b <= 0xef:
		w.left = 2
	case 0xf0 <= b && b <= 0xf4:
		w.left = 3
	default:
		return false
	}
	switch b {
	case 0xe0:
		w.lo = 0xa0
	case 0xed:
		w.hi = 0x9f
	case 0xf0:
		w.lo = 0x90
	case 0xf4:
		w.hi = 0x8f
	}
	return true
}

// add adds bytes that mean themselves.
func (w *wordReader) add(p []byte) {
	if len(p) == 0 || !w.kept() {
		return
	}
	w.flush()
	if w.kind == valueRead {
		w.word = append(w.word, p[:min(len(p), maxCallName-len(w.word))]...)
		return
	}
	for _, b := range p {
		w.addKey(b)
	}
}

// addByte adds one byte of ASCII that an escape stands for.
func (w *wordReader) addByte(b byte) {
	if !w.kept() {
		return
	}
	w.flush()
	w.nul = w.nul || b == 0
	if w.kind == keyRead {
		w.addKey(b)
	} else if len(w.word) < maxCallName {
		w.word = append(w.word, b)
	}
}

// addKey adds a byte to a key. Some readers of JSON ignore dashes and underscores in
// keys (Go's encoding/json/v2, names in snake case).
func (w *wordReader) addKey(b byte) {
	if b != '_' && b != '-' && len(w.word) <= maxKey {
		w.word = append(w.word, b)
	}
}

// addRune adds a rune that an escape stands for.
func (w *wordReader) addRune(r rune) {
	if r < utf8.RuneSelf {
		w.addByte(byte(r))
		return
	}
	most := maxCallName
	if w.kind == keyRead {
		most = maxKey + 1
	}
	if len(w.word)+utf8.RuneLen(r) <= most {
		w.word = utf8.AppendRune(w.word, r)
	}
}

// beginHex begins a \uXXXX.
func (w *wordReader) beginHex() { w.digits, w.unit = 4, 0 }

// hex reads one of its digits, and reports whether it was the last.
func (w *wordReader) hex(digit uint16) (done bool) {
	w.unit = w.unit<<4 | digit
	if w.digits--; w.digits > 0 {
		return false
	}
	if w.kept() {
		w.addUnit(w.unit)
	}
	return true
}

// addUnit adds a unit of UTF-16.
func (w *wordReader) addUnit(unit uint16) {
	switch {
	case w.high != 0 && 0xdc00 <= unit && unit <= 0xdfff:
		pair := 0x10000 + rune(w.high-0xd800)<<10 + rune(unit-0xdc00)
		w.high = 0
		w.addRune(pair)
	case 0xd800 <= unit && unit <= 0xdbff:
		w.flush()
		w.high = unit
	case 0xdc00 <= unit && unit <= 0xdfff:
		w.flush()
		w.addRune(utf8.RuneError)
	default:
		w.flush()
		w.addRune(rune(unit))
	}
}

// flush adds the first half of a surrogate pair whose second half does not come.
func (w *wordReader) flush() {
	if w.high != 0 {
		w.high = 0
		w.addRune(utf8.RuneError)
	}
}

// end ends the text.
func (w *wordReader) end() {
	if w.kept() {
		w.flush()
	}
}

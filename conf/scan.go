package conf

import (
	"fmt"
	"strings"
)

// The TOML library reports no line of a key that it accepts. But it lists the
// keys in the order of the file, and every key either is a header or stands
// before an equals sign. So scan notes each header and each equals sign with
// its line: the n-th of these marks belongs to the n-th key of the list.

// mark is a header or an equals sign of a TOML document.
type mark struct {
	form  form
	line  int // from 1
	start int // the offset of the statement, a header or a key with its value
}

// form is the way in which a document names a path.
type form uint8

const (
	implied      form = iota // on the way to the path of a header
	dotted                   // on the way to the path of a key
	header                   // [path]
	arrayHeader              // [[path]]
	keyValue                 // path = value
	inlineValue              // { path = value }
	listedInline             // [{ path = value }]
)

// The limits of what the library is given: its stack grows with the depth of
// a document, and its time with the square of a key's length.
const (
	deepest    = 16  // brackets within brackets
	longestKey = 512 // bytes
)

// scanner reads a document only as far as to find its marks: it knows strings
// and comments, which can hide a bracket, an equals sign or the end of a line.
type scanner struct {
	text  string
	at    int // the offset of the next byte
	line  int // of that byte, from 1
	marks []mark

	// Of the current statement.
	start  int
	named  bool // its header or equals sign has been seen
	square int  // square brackets that are open
	curly  int  // curly brackets that are open
	key    int  // the offset where a key may have begun
}

// scan returns the marks of text, which need not be TOML. It stops at what
// exceeds the limits, and returns that as an error.
func scan(text string) ([]mark, *syntaxError) {
	s := scanner{text: text, line: 1}
	for s.skipBlank(); s.at < len(text); s.skipBlank() {
		if err := s.statement(); err != nil {
			return s.marks, err
		}
	}
	return s.marks, nil
}

// skipBlank skips white space and comments between statements.
func (s *scanner) skipBlank() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.step()
		case '#':
			s.skipComment()
		default:
			return
		}
	}
}

// step skips one byte.
func (s *scanner) step() {
	if s.text[s.at] == '\n' {
		s.line++
	}
	s.at++
}

// statement reads one statement, up to the end of its last line.
func (s *scanner) statement() *syntaxError {
	s.start, s.key = s.at, s.at
	s.named, s.square, s.curly = false, 0, 0
	switch {
	case strings.HasPrefix(s.text[s.at:], "[["):
		s.mark(arrayHeader)
	case s.text[s.at] == '[':
		s.mark(header)
	}
	isHeader := s.named
	for s.at < len(s.text) && (s.text[s.at] != '\n' || s.square+s.curly > 0) {
		if err := s.token(isHeader); err != nil {
			return err
		}
	}
	return nil
}

// token reads a byte, or a string or comment as a unit.
func (s *scanner) token(isHeader bool) *syntaxError {
	switch s.text[s.at] {
	case '"', '\'':
		s.skipString()
		return nil
	case '#':
		s.skipComment()
		return nil
	case '[':
		s.square++
	case '{':
		s.curly++
	case ']':
		s.square = max(s.square-1, 0)
	case '}':
		s.curly = max(s.curly-1, 0)
	case '=':
		s.equals()
	}
	return s.checkLimits(isHeader)
}

// equals notes the equals sign at hand.
func (s *scanner) equals() {
	switch {
	case s.square > 0:
		s.mark(listedInline)
	case s.curly > 0:
		s.mark(inlineValue)
	case !s.named:
		s.mark(keyValue)
	}
}

func (s *scanner) mark(f form) {
	s.named = true
	s.marks = append(s.marks, mark{f, s.line, s.start})
}

// checkLimits skips the byte at hand, if it is within the limits.
func (s *scanner) checkLimits(isHeader bool) *syntaxError {
	if s.square+s.curly > deepest {
		return &syntaxError{tooComplex, s.at, fmt.Sprintf("more than %d brackets within each other", deepest)}
	}
	c := s.text[s.at]
	if (c == '=' || c == ']' && isHeader) && s.at-s.key > longestKey {
		return &syntaxError{tooComplex, s.key, fmt.Sprintf("a key of more than %d bytes", longestKey)}
	}
	s.step()
	if strings.IndexByte("[{,=\n", c) >= 0 {
		s.key = s.at
	}
	return nil
}

// skipComment skips a comment, up to the end of its line.
func (s *scanner) skipComment() {
	if length := strings.IndexByte(s.text[s.at:], '\n'); length >= 0 {
		s.at += length
	} else {
		s.at = len(s.text)
	}
}

// skipString skips a string. One that is not closed ends with its line, or,
// where it may have several, with the text.
func (s *scanner) skipString() {
	rest := s.text[s.at:]
	quote := rest[:1]
	if strings.HasPrefix(rest, quote+quote+quote) {
		s.skipTo(quote + quote + quote)
		for strings.HasPrefix(s.text[s.at:], quote) {
			s.at++ // up to two quotes may stand before the closing ones
		}
		return
	}
	s.skipTo(quote)
}

// skipTo skips the string at hand and the quotes that close it, which are the
// same as those that open it.
func (s *scanner) skipTo(quotes string) {
	for s.at += len(quotes); s.at < len(s.text); s.step() {
		switch {
		case strings.HasPrefix(s.text[s.at:], quotes):
			s.at += len(quotes)
			return
		case s.text[s.at] == '\n' && len(quotes) == 1:
			return
		case s.text[s.at] == '\\' && quotes[0] == '"' && s.at+1 < len(s.text) && s.text[s.at+1] != '\n':
			s.at++ // what is escaped closes nothing
		}
	}
}

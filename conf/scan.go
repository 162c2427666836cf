package conf

import (
	"fmt"
	"strings"
)

// The TOML library does not report the lines of keys. But it lists the keys in the
// order of the file, and each key is either in a header or before an equals sign.
// So scan notes the line of each header and each equals sign: the n-th of these
// marks belongs to the n-th key in the list.

// mark is a header or an equals sign of a TOML document.
type mark struct {
	form     form
	line     int   // from 1
	start    int   // the offset of its statement: a header, or a key with its value
	elements []int // of a keyValue with a list: the lines where its elements begin
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

// Limits that protect the library: its stack grows with the depth of a document,
// and its time with the square of a key's length.
const (
	deepest    = 16  // brackets within brackets
	longestKey = 512 // bytes
)

// scanner finds the marks of a document. All it knows of TOML is brackets, equals
// signs and ends of lines, and the strings and comments that may contain them.
type scanner struct {
	text  string
	at    int // the offset of the next byte
	line  int // of that byte, from 1
	marks []mark

	// Of the current statement.
	start  int
	first  int  // the index of its first mark
	named  bool // it has that mark
	next   bool // an element of its list may begin
	square int  // square brackets that are open
	curly  int  // curly brackets that are open
	key    int  // the offset where a key may have begun
}

// scan returns the marks of text, which need not be valid TOML. It stops with an
// error where a limit is exceeded.
func scan(text string) ([]mark, *syntaxError) {
	s := scanner{text: text, line: 1, marks: make([]mark, 0, strings.Count(text, "="))}
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
	s.first, s.named, s.next = len(s.marks), false, true
	s.square, s.curly = 0, 0
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

// token reads a byte, a string or a comment.
func (s *scanner) token(isHeader bool) *syntaxError {
	if s.named && !isHeader && s.square == 1 && s.curly == 0 {
		s.element()
	}
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
	return s.skipByte(isHeader)
}

// element notes the next byte if an element of the statement's list begins there.
func (s *scanner) element() {
	switch c := s.text[s.at]; {
	case c == ',':
		s.next = true
	case s.next && strings.IndexByte(" \t\r\n#]", c) < 0:
		s.next = false
		of := &s.marks[s.first]
		of.elements = append(of.elements, s.line)
	}
}

// equals notes the next byte, an equals sign.
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
	s.marks = append(s.marks, mark{form: f, line: s.line, start: s.start})
}

// skipByte skips one byte, unless a limit is exceeded there.
func (s *scanner) skipByte(isHeader bool) *syntaxError {
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

// skipString skips a string. If it is not closed, it ends with the line, or with
// the text if it may have several lines.
func (s *scanner) skipString() {
	rest := s.text[s.at:]
	quote := rest[:1]
	if strings.HasPrefix(rest, quote+quote+quote) {
		s.skipTo(quote + quote + quote)
		for strings.HasPrefix(s.text[s.at:], quote) {
			s.at++ // the string may end with up to two quotes
		}
		return
	}
	s.skipTo(quote)
}

// skipTo skips a string that the given quotes open and close.
func (s *scanner) skipTo(quotes string) {
	for s.at += len(quotes); s.at < len(s.text); s.step() {
		switch {
		case strings.HasPrefix(s.text[s.at:], quotes):
			s.at += len(quotes)
			return
		case s.text[s.at] == '\n' && len(quotes) == 1:
			return
		case s.text[s.at] == '\\' && quotes[0] == '"' && s.at+1 < len(s.text) && s.text[s.at+1] != '\n':
			s.at++ // an escaped quote does not close the string
		}
	}
}

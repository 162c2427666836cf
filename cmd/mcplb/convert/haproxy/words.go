package haproxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The errors of a line's grammar.
var (
	errQuote  = errors.New("a quote is not closed")
	errEscape = errors.New("a backslash escapes nothing")
	errBrace  = errors.New(`"${" is not closed`)
)

// splitter splits a line into words, as HAProxy's parse_line does: spaces and tabs
// separate, "#" begins a comment, '...' is taken as it is, in "..." and outside of
// quotes a backslash escapes, and in "..." variables of the environment are replaced.
type splitter struct {
	rest     string
	lookup   func(name string) (value string, set bool)
	word     strings.Builder
	inWord   bool
	words    []string
	replaced []string // variables that were replaced
	unset    []string // and those that are not set
}

// split returns the words of a line.
func (s *splitter) split(line string) error {
	s.rest = line
	for s.rest != "" {
		c := s.rest[0]
		s.rest = s.rest[1:]
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			s.end()
		case c == '#':
			s.rest = ""
		default:
			s.inWord = true
			if err := s.char(c); err != nil {
				return err
			}
		}
	}
	s.end()
	return nil
}

func (s *splitter) end() {
	if s.inWord {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.inWord = false
}

// char takes a character outside of quotes, whose rest follows.
func (s *splitter) char(c byte) error {
	switch c {
	case '\'':
		text, rest, closed := strings.Cut(s.rest, "'")
		if !closed {
			return errQuote
		}
		s.word.WriteString(text)
		s.rest = rest
	case '"':
		return s.quoted()
	case '\\':
		return s.escape()
	default:
		s.word.WriteByte(c)
	}
	return nil
}

// quoted takes what is in double quotes.
func (s *splitter) quoted() error {
	for s.rest != "" {
		c := s.rest[0]
		s.rest = s.rest[1:]
		var err error
		switch c {
		case '"':
			return nil
		case '\\':
			err = s.escape()
		case '$':
			err = s.variable()
		default:
			s.word.WriteByte(c)
		}
		if err != nil {
			return err
		}
	}
	return errQuote
}

// escape takes what stands behind a backslash.
func (s *splitter) escape() error {
	if s.rest == "" {
		return errEscape
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	switch c {
	case ' ', '\\', '#', '\'', '"', '$':
		s.word.WriteByte(c)
	case 'r':
		s.word.WriteByte('\r')
	case 'n':
		s.word.WriteByte('\n')
	case 't':
		s.word.WriteByte('\t')
	case 'x':
		if len(s.rest) < 2 {
			return errEscape
		}
		code, err := strconv.ParseUint(s.rest[:2], 16, 8)
		if err != nil {
			return fmt.Errorf(`"\x%s" is no character`, s.rest[:2])
		}
		s.word.WriteByte(byte(code))
		s.rest = s.rest[2:]
	default:
		s.word.WriteByte('\\')
		s.word.WriteByte(c)
	}
	return nil
}

// variable takes the name of a variable, and puts its value into the word.
func (s *splitter) variable() error {
	name, fallback, hasFallback := "", "", false
	if strings.HasPrefix(s.rest, "{") {
		inside, rest, closed := strings.Cut(s.rest[1:], "}")
		if !closed {
			return errBrace
		}
		s.rest = rest
		name, fallback, hasFallback = strings.Cut(inside, "-")
		name = strings.TrimSuffix(name, "[*]")
	} else {
		n := 0
		for n < len(s.rest) && isNameByte(s.rest[n]) {
			n++
		}
		if n == 0 {
			s.word.WriteByte('$')
			return nil
		}
		name, s.rest = s.rest[:n], s.rest[n:]
	}
	value, set := s.lookup(name)
	if !set && hasFallback {
		value, set = fallback, true
	}
	if set {
		s.replaced = append(s.replaced, name)
	} else {
		s.unset = append(s.unset, name)
	}
	s.word.WriteString(value)
	return nil
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

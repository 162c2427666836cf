package nginx

import (
	"errors"
	"strings"
)

// token is a word, or one of the signs ; { }.
type token struct {
	text string
	sign byte // 0 for a word
	line int
}

// The errors of the grammar.
var (
	errQuoteOpen   = errors.New("a quote is not closed")
	errAfterQuote  = errors.New("a quote is followed by something else than a space or a sign")
	errBlockOpen   = errors.New(`the file ends, where "}" is expected`)
	errUnfinished  = errors.New(`the file ends, where ";" or "{" is expected`)
	errUnexpected  = errors.New("a sign stands where a directive is expected")
	errTooDeep     = errors.New("blocks are nested too deeply")
	errIncludeDeep = errors.New("files include one another without end")
)

// lexer reads tokens.
type lexer struct {
	text string
	line int // of what follows
}

// next returns the next token; ok is false at the end.
func (x *lexer) next() (t token, ok bool, err error) {
	x.skipSpace()
	if x.text == "" {
		return token{line: x.line}, false, nil
	}
	line := x.line
	switch c := x.text[0]; c {
	case ';', '{', '}':
		x.text = x.text[1:]
		return token{sign: c, line: line}, true, nil
	case '"', '\'':
		text, err := x.quoted(c)
		return token{text: text, line: line}, true, err
	}
	return token{text: x.word(), line: line}, true, nil
}

func (x *lexer) skipSpace() {
	for x.text != "" {
		switch c := x.text[0]; {
		case c == '\n':
			x.line++
			x.text = x.text[1:]
		case c == ' ' || c == '\t' || c == '\r':
			x.text = x.text[1:]
		case c == '#':
			end := strings.IndexByte(x.text, '\n')
			if end < 0 {
				end = len(x.text)
			}
			x.text = x.text[end:]
		default:
			return
		}
	}
}

// quoted reads what is in quotes.
func (x *lexer) quoted(quote byte) (string, error) {
	for i := 1; i < len(x.text); i++ {
		switch x.text[i] {
		case '\\':
			if i++; i < len(x.text) && x.text[i] == '\n' {
				x.line++
			}
		case '\n':
			x.line++
		case quote:
			raw := x.text[1:i]
			x.text = x.text[i+1:]
			if x.text != "" && !strings.ContainsRune(" \t\r\n;{)", rune(x.text[0])) {
				return "", errAfterQuote
			}
			return unescape(raw), nil
		}
	}
	x.text = ""
	return "", errQuoteOpen
}

// word reads what is not in quotes.
func (x *lexer) word() string {
	i := 0
loop:
	for i < len(x.text) {
		switch c := x.text[i]; c {
		case ' ', '\t', '\r', '\n', ';':
			break loop
		case '{':
			if i == 0 || x.text[i-1] != '$' {
				break loop
			}
		case '\\':
			if i++; i < len(x.text) && x.text[i] == '\n' {
				x.line++
			}
		}
		i++
	}
	i = min(i, len(x.text))
	raw := x.text[:i]
	x.text = x.text[i:]
	return unescape(raw)
}

// raw reads a block of another language up to its closing brace, which is taken too.
func (x *lexer) raw() error {
	depth := 1
	for i := 0; i < len(x.text); i++ {
		switch c := x.text[i]; c {
		case '\n':
			x.line++
		case '"', '\'':
			for i++; i < len(x.text) && x.text[i] != c && x.text[i] != '\n'; i++ {
				if x.text[i] == '\\' {
					i++
				}
			}
		case '-':
			if strings.HasPrefix(x.text[i:], "--") {
				if end := strings.IndexByte(x.text[i:], '\n'); end > 0 {
					i += end - 1
				}
			}
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				x.text = x.text[i+1:]
				return nil
			}
		}
	}
	x.text = ""
	return errBlockOpen
}

// escapes are the characters that a backslash before them escapes; before others it
// stands for itself.
var escapes = map[byte]byte{'"': '"', '\'': '\'', '\\': '\\', 't': '\t', 'r': '\r', 'n': '\n'}

func unescape(raw string) string {
	if !strings.Contains(raw, `\`) {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 < len(raw) {
			if c, ok := escapes[raw[i+1]]; ok {
				b.WriteByte(c)
				i++
				continue
			}
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}

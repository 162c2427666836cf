package conf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// The keys of mistakes for which there is no key, since the document cannot be
// read.
const (
	notUTF8    = "not UTF-8"
	notTOML    = "not valid TOML"
	tooComplex = "too complex"
)

// syntaxError says why a document cannot be read.
type syntaxError struct {
	title  string // one of the above
	offset int    // where, in bytes
	reason string
}

// explainTOML converts an error of the TOML library.
func explainTOML(err error) *syntaxError {
	wrong := toml.ParseError{Message: err.Error()}
	errors.As(err, &wrong)
	return &syntaxError{notTOML, wrong.Position.Start, oneLine(wrong.Message)}
}

// oneLine makes a message of the library fit on one line. It may quote the
// document verbatim.
func oneLine(message string) string {
	const longest = 200
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, message)
}

// in returns the line of text, from 1, that has the error, and the reason with the
// column and a guess at the mistake.
func (e *syntaxError) in(text string) (line int, reason string) {
	before := text[:min(max(e.offset, 0), len(text))]
	line = strings.Count(before, "\n") + 1
	column := len(before) - strings.LastIndexByte(before, '\n')
	reason = fmt.Sprintf("%s (column %d)", e.reason, column)
	if e.title == notTOML {
		reason += cmp.Or(foreignHint(text), characterHint(text[len(before):]), lineHint(text, line), hint(text, line, e.reason))
	}
	return line, reason
}

// characterHint says which character stands at the beginning of rest, if editors do
// not show it, or not as what it is: people see a line without a mistake.
func characterHint(rest string) string {
	switch r, _ := utf8.DecodeRuneInString(rest); {
	case r == '\ufeff':
		return ": a byte order mark (U+FEFF) stands there, as where files were joined: delete it"
	case r == '\u200b' || r == '\u200c' || r == '\u200d' || r == '\u2060' || r == '\u00ad':
		return fmt.Sprintf(": an invisible character (U+%04X) stands there: delete it", r)
	case unicode.IsSpace(r) && r > 0x7f:
		return fmt.Sprintf(": that is no plain space (U+%04X): write a space", r)
	case strings.ContainsRune("\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2033", r):
		return `: that is a typographic quotation mark: write "`
	case unicode.IsLetter(r) && r > 0x7f:
		return fmt.Sprintf(": the letter is U+%04X, and keys have none but a to z: write that which looks like it", r)
	}
	return ""
}

// lineHint says what a line is that begins as no line of TOML does.
func lineHint(text string, line int) string {
	start := strings.TrimSpace(strings.Split(text, "\n")[line-1])
	for _, odd := range oddLines {
		if slices.ContainsFunc(odd.starts, func(s string) bool { return strings.HasPrefix(start, s) }) {
			return odd.hint
		}
	}
	return ""
}

// oddLines are beginnings of lines that got into a file, and what to do about them.
var oddLines = []struct {
	starts []string
	hint   string
}{
	{[]string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"}, ": the line marks a conflict of a merge: decide for one side, and delete the marks"},
	{[]string{"```", "~~~"}, ": the line belongs to a Markdown document: delete it"},
	{[]string{"//", "/*", ";", "--", "<!--"}, ": a comment begins with #"},
}

// hint guesses at the most common mistakes in a line that is not TOML: a string
// without quotes, no value at all, and a list above it that is not closed.
func hint(text string, line int, reason string) string {
	key, value, hasValue := strings.Cut(strings.Split(text, "\n")[line-1], "=")
	key = strings.TrimSpace(key)
	value, _, _ = strings.Cut(value, "#")
	value = strings.TrimSpace(value)
	for _, known := range reasonHints {
		if strings.Contains(reason, known.reason) {
			return known.hint
		}
	}
	switch {
	case strings.Contains(reason, "to end table name"):
		return tableHint(key)
	case strings.HasPrefix(key, "[") && (strings.Contains(reason, "expected value") || strings.Contains(reason, "array terminator")):
		return ": is the list above closed?"
	case strings.Contains(reason, "expected '.' or '='"):
		return assignmentHint(key)
	case !hasValue || !isBareKey(strings.ReplaceAll(key, ".", "")):
		return ""
	case strings.Contains(reason, "got ';'"), strings.Contains(reason, "got ','"):
		return ": a line ends with its value: leave out what stands behind it"
	case value == "":
		return ": write a value after the ="
	case valueHints[strings.ToLower(value)] != "":
		return fmt.Sprintf(valueHints[strings.ToLower(value)], key, strconv.Quote(value))
	case environmentVariable.MatchString(value):
		return fmt.Sprintf(": environment variables stand in quotes, as %s = %s", key, strconv.Quote(value))
	case strings.ContainsFunc(value, isStringLike) && !strings.ContainsAny(value, `"'[]{}`):
		return fmt.Sprintf(": write a string in quotes, as %s = %s", key, strconv.Quote(value))
	}
	return ""
}

// reasonHints are what to do about the library's reasons that say enough by themselves.
var reasonHints = []struct{ reason, hint string }{
	{"control characters: '0x0d'", ": lines end with CR alone: save the file with the line ends of Unix (LF)"},
	{"control characters", ": delete it"},
	{"strings cannot contain newlines", ": close the string, in the same line, with the quotation mark that it begins with"},
	{"end of table array name", ": write ]] at its end"},
	{"got '/'", ": a comment begins with #"},
}

// valueHints are what to write instead of words that other languages have and TOML has
// not. Each may also be a string without its quotes.
var valueHints = map[string]string{
	"true": ": write %[1]s = true, in lower case", "false": ": write %[1]s = false, in lower case",
	"yes": choiceHint, "no": choiceHint, "on": choiceHint, "off": choiceHint,
	"null": noneHint, "none": noneHint, "nil": noneHint,
}

const (
	choiceHint = ": write true or false, or a string in quotes, as %[1]s = %[2]s"
	noneHint   = ": for the default leave the line out; write a string in quotes, as %[1]s = %[2]s"
)

// tableHint guesses at the head of a table that other languages write otherwise, or that is
// not closed.
func tableHint(head string) string {
	name := strings.TrimFunc(strings.TrimSpace(head), func(r rune) bool { return strings.ContainsRune("[] \t\r", r) })
	words := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(".:/ \t\"'", r) })
	if len(words) == 0 || slices.ContainsFunc(words, func(word string) bool { return !isBareKey(word) }) {
		return ""
	}
	return fmt.Sprintf(": write [%s]", strings.Join(words, "."))
}

// assignmentHint guesses at a line that sets a key as other languages do: "key: value"
// or "key value", or that begins a block in braces.
func assignmentHint(line string) string {
	if head, ok := strings.CutSuffix(line, "{"); ok {
		return tableHint(head)
	}
	end := strings.IndexFunc(line, func(r rune) bool { return r == ':' || unicode.IsSpace(r) })
	if end < 0 || !isBareKey(line[:end]) {
		return ""
	}
	value, _, _ := strings.Cut(strings.TrimLeft(line[end:], ": \t"), "#")
	value = strings.TrimRight(value, "; \t\r")
	switch {
	case value == "" || strings.ContainsAny(value, "{}"):
		return ""
	case !strings.ContainsAny(value, `"'[]`) && strings.ContainsFunc(value, isStringLike) && value != "true" && value != "false":
		value = strconv.Quote(value)
	}
	return fmt.Sprintf(": write %s = %s", line[:end], value)
}

// isStringLike reports whether r occurs in words, paths and addresses, but rarely
// in numbers.
func isStringLike(r rune) bool { return unicode.IsLetter(r) || r == ':' || r == '/' }

package documents

import (
	"regexp"
	"strings"
)

// Command is a command of a block, with the output that the document shows.
type Command struct {
	Line   int // in the document
	Text   string
	Output string
}

// Commands returns the commands of a block. Lines before the first one are ignored.
func (b *Block) Commands() (found []Command) {
	for i, text := range strings.Split(strings.TrimSuffix(b.Text, "\n"), "\n") {
		command, begins := strings.CutPrefix(text, "$ ")
		switch last := len(found) - 1; {
		case begins:
			found = append(found, Command{Line: b.Line + i, Text: command})
		case last < 0:
		case found[last].Output == "" && (text == ">" || strings.HasPrefix(text, "> ")):
			found[last].Text += "\n" + strings.TrimPrefix(strings.TrimPrefix(text, ">"), " ")
		default:
			found[last].Output += text + "\n"
		}
	}
	return found
}

// Matches reports whether an output is the one that a document shows.
func Matches(shown, output string) bool {
	return pattern(shown).MatchString(normal(output))
}

// pattern is a regular expression for the output that is shown.
func pattern(shown string) *regexp.Regexp {
	var expression strings.Builder
	expression.WriteString(`\A`)
	for text := range strings.Lines(normal(shown)) {
		if strings.TrimSpace(text) == "..." {
			expression.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(strings.TrimSuffix(text, "\n"), "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		expression.WriteString(strings.Join(parts, `.*?`) + `\n`)
	}
	return regexp.MustCompile(expression.String() + `\z`)
}

var blanks = regexp.MustCompile(`[ \t\r]+`)

// normal is a text with single blanks, none at the end of a line or of the text, and no
// empty lines at its end.
func normal(text string) string {
	lines := strings.Split(blanks.ReplaceAllString(text, " "), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	if text = strings.TrimRight(strings.Join(lines, "\n"), "\n"); text != "" {
		text += "\n"
	}
	return text
}

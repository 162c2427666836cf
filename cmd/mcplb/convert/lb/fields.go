package lb

import (
	"fmt"
	"strings"
)

// Text returns the text that a name has, names compared without case.
func (l Inline) Text(name string) (text string, ok bool) {
	for _, p := range l {
		if strings.EqualFold(p.Key, name) {
			text, ok = p.Value.(string)
			return text, ok
		}
	}
	return "", false
}

// JoinFields returns the value of one header line for two of a name, and what is to be said of
// it: one line with a list means what several lines mean (RFC 9110, section 5.3), except for
// Set-Cookie, of which the last counts.
func JoinFields(name, first, second string) (value, note string) {
	if strings.EqualFold(name, "Set-Cookie") {
		return second, fmt.Sprintf("%s is sent once, with the last value", name)
	}
	return first + ", " + second, fmt.Sprintf("%s is one line, with all values", name)
}

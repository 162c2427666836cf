package rules

// Unreadable is why a path is refused: servers read it in ways that no rule can
// foresee.
type Unreadable uint8

// The reasons.
const (
	Readable  Unreadable = iota // it is not refused
	BadEscape                   // a "%" that begins no escape
	Control                     // an escaped control byte
	Overlong                    // overlong UTF-8
	Backslash                   // a backslash
	Ambiguous                   // long, and with very many readings
)

var unreadable = [...]string{
	Readable:  "",
	BadEscape: `the path has a "%" that begins no escape`,
	Control:   "the path has an escaped control character",
	Overlong:  "the path has a character in overlong UTF-8",
	Backslash: "the path has a backslash",
	Ambiguous: "the path can be read in too many ways",
}

// Text says what is wrong with the path, for the client; "" for Readable.
func (u Unreadable) Text() string { return unreadable[u] }

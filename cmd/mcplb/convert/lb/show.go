package lb

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// show returns a value in TOML.
func show(value any) string {
	switch v := value.(type) {
	case string:
		return Quote(v)
	case time.Duration:
		return Quote(Duration(v))
	case int:
		return number(v)
	case []string:
		return list(v, Quote)
	case []int:
		return list(v, strconv.Itoa)
	case []any:
		return list(v, show)
	case []Inline:
		return list(v, func(i Inline) string { return show(i) })
	case Inline:
		pairs := make([]string, len(v))
		for i, p := range v {
			pairs[i] = Key(p.Key) + " = " + show(p.Value)
		}
		return "{ " + strings.Join(pairs, ", ") + " }"
	}
	return fmt.Sprint(value) // bool, float64
}

func list[V any](values []V, show func(V) string) string {
	shown := make([]string, len(values))
	for i, v := range values {
		shown[i] = show(v)
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

// number writes large numbers as lb.toml does: 25_000.
func number(v int) string {
	s := strconv.Itoa(v)
	if v < 10_000 {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "_" + s[i:]
	}
	return s
}

// Duration is time.Duration's String without trailing zeros: "5m", not "5m0s".
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Quote returns s as a string of TOML that mcplb reads as s: quotes, backslashes and
// control characters are escaped, what is no UTF-8 is replaced, and "${" is no variable.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "${", "$${") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// File returns the name of a file as lb.toml can have it: without control characters.
func File(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, name)
}

// Key returns a key of TOML, in quotes where it needs them.
func Key(s string) string {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

// Plain returns text without control characters, which neither comments nor tables can have.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\uFEFF' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

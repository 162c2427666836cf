package lb

import (
	"regexp"
	"strings"
)

var (
	// prefixed is a prefix, a slash or none, what may be a slash, and what is behind.
	prefixed = regexp.MustCompile(`^\^?(/[\w./-]*?)(/?)(\(\?:/\|\$\)|\(\?:/\)\?|\[/\]\?|/\?|\(/\)\?|\(/\|\$\))?(\(\.\*\)|\(/\.\*\)\??)\$?$`)
	replaced = regexp.MustCompile(`^(/[\w./-]*)?[\\$]([12])$`)
)

// ChangedPrefix reads a regular expression for a path and its replacement, whose groups are
// \1 or $1: ok says that a prefix of the path is replaced by another one, and nothing else.
func ChangedPrefix(expression, replacement string) (prefix, by string, ok bool) {
	from, to := prefixed.FindStringSubmatch(expression), replaced.FindStringSubmatch(replacement)
	if from == nil || to == nil {
		return "", "", false
	}
	group := "1"
	if strings.HasPrefix(from[3], "(") && !strings.HasPrefix(from[3], "(?:") {
		group = "2"
	}
	// The slash between the prefix and the rest comes from the one or the other.
	slash := strings.HasPrefix(from[4], "(/") || from[2]+from[3] == "" && !strings.HasSuffix(from[1], "/")
	if prefix, by = strings.TrimSuffix(from[1], "/"), to[1]; to[2] != group || slash == strings.HasSuffix(by, "/") {
		return "", "", false
	}
	return prefix, strings.TrimSuffix(by, "/"), true
}

package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a file of a configuration.
type Error struct {
	File   string // as given to Load or Parse
	Line   int    // from 1; for a missing key, the line of the section that lacks it
	Key    string // the full path of the key, see Errors
	Reason string // what is wrong, and what is allowed or how to fix it
}

// Error returns the mistake as FILE:LINE: KEY: reason.
func (e Error) Error() string {
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Key, e.Reason)
}

// Errors are all mistakes in a configuration, sorted by file and line. Load and Parse
// return it as their error.
//
// A Key is a path as TOML writes dotted keys, with the elements of lists counted
// from 0 in brackets: backend.nodes.server[2].tcp is the key tcp of the third
// server of the backend "nodes". A file that cannot be read
// as TOML yields that alone: what is defined twice, or one mistake with the key
// "not valid TOML", "not UTF-8" or "too complex".
type Errors []Error

// Error returns the mistakes, one per line, without a newline at the end.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, mistake := range e {
		lines[i] = mistake.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted orders mistakes by file, in the order of files, line, then key, and removes
// duplicates.
func sorted(mistakes Errors, files []string) Errors {
	slices.SortStableFunc(mistakes, func(a, b Error) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Reason, b.Reason))
	})
	return slices.Compact(mistakes)
}

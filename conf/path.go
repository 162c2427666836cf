package conf

import (
	"iter"
	"strconv"
	"strings"
)

// A path names a key, a section or an element of a list, as described at Errors.

// join returns the path of key in the section at path.
func join(path, key string) string {
	if !isBareKey(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// element returns the path of a list's element, counted from 0.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// isBareKey reports whether key needs no quotes in TOML.
func isBareKey(key string) bool {
	for i := range len(key) {
		c := key[i]
		if !isLetterOrDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return key != ""
}

func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// enclosing returns path and the paths of what is around it, the longest first.
func enclosing(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for path != "" && yield(path) {
			path = path[:max(strings.LastIndexAny(path, ".["), 0)]
		}
	}
}

// tableName returns the name in the header of a table at path: TOML counts no elements.
func tableName(path string) string {
	name := ""
	for path != "" {
		before, rest, _ := strings.Cut(path, "[")
		name += before
		_, path, _ = strings.Cut(rest, "]")
	}
	return name
}

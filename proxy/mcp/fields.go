package mcp

import (
	"bytes"
	"unicode/utf8"
)

// field is a member of a message, or of its params, that a Reader looks for.
type field uint8

const (
	noField field = iota
	fieldMethod
	fieldParams
	fieldName // of params: a tool or prompt
	fieldURI  // of params: a resource
	fieldTask // of params: a task's id
)

// fieldNames are their keys, folded.
var fieldNames = map[string]field{
	"method": fieldMethod, "params": fieldParams, "name": fieldName, "uri": fieldURI, "taskid": fieldTask,
}

// isText reports whether the field's text is wanted.
func (f field) isText() bool { return f != noField && f != fieldParams }

// ofMessage reports whether it is a member of a message, and not of its params.
func (f field) ofMessage() bool { return f == fieldMethod || f == fieldParams }

// fieldOf returns the field that a key names to any reader: readers differ in
// whether case matters (not in Go's encoding/json, nor in .NET), and a wordReader
// has left out what some ignore.
func fieldOf(key []byte) field {
	if len(key) > maxKey {
		return noField
	}
	var folded [maxKey]byte
	return fieldNames[string(foldKey(folded[:0], key))]
}

// foldKey appends a key in lower case, with the letters that simple case folding, or
// upper and lower case in turn, equate with those of ASCII.
func foldKey(dst, key []byte) []byte {
	if len(key) == 0 {
		return dst
	}
	for len(key) > 0 {
		r, size := utf8.DecodeRune(key)
		key = key[size:]
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r == '\u017f': // long s
			r = 's'
		case r == '\u212a': // the sign of Kelvin
			r = 'k'
		case r == '\u0130', r == '\u0131': // i with, and without dot
			r = 'i'
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// namedBy returns which of the fields a method's name is in: those of them that
// servers look at.
func namedBy(method []byte) (fields [3]field, n int) {
	switch {
	case bytes.HasPrefix(method, []byte("tools/")), bytes.HasPrefix(method, []byte("prompts/")):
		return [3]field{fieldName}, 1
	case bytes.HasPrefix(method, []byte("resources/")):
		return [3]field{fieldURI}, 1
	case bytes.HasPrefix(method, []byte("tasks/")):
		return [3]field{fieldTask}, 1
	}
	return [3]field{fieldName, fieldURI, fieldTask}, 3
}

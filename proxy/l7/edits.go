package l7

import (
	"bytes"
	"slices"

	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/rules"
)

// fieldEdits are what a route does to the fields of a head: it removes some, in
// every spelling, and adds lines. A header that is set is removed and added. It is
// immutable; the zero value changes nothing.
type fieldEdits struct {
	removed  []string // names, folded (http1.FoldName)
	added    []fieldTemplate
	fixed    []byte // the lines of added, where none of them has a name; nil = they are made for each request
	byServer bool   // {server} is among the names
}

// fieldTemplate is a line that is added.
type fieldTemplate struct {
	name  string
	value rules.Template
}

func newFieldEdits(set, add []conf.HeaderValue, remove []string) fieldEdits {
	var e fieldEdits
	for _, name := range remove {
		e.removed = append(e.removed, foldedName(name))
	}
	for _, h := range set {
		e.removed = append(e.removed, foldedName(h.Name))
	}
	dynamic := false
	for _, h := range slices.Concat(set, add) {
		e.added = append(e.added, fieldTemplate{h.Name, rules.NewTemplate(h.Value)})
		names := templateNames(h.Value)
		dynamic = dynamic || len(names) > 0
		e.byServer = e.byServer || slices.Contains(names, "server")
	}
	if !dynamic {
		e.fixed = e.appendLines([]byte{}, &rules.Values{})
	}
	return e
}

// foldedName returns a name as names are compared (http1.FoldName).
func foldedName(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		folded[i] = http1.FoldName(c)
	}
	return string(folded)
}

// none reports whether e changes nothing.
func (e *fieldEdits) none() bool { return len(e.removed)+len(e.added) == 0 }

// removes reports whether fields called name, in lower case, are removed.
func (e *fieldEdits) removes(name string) bool { return slices.Contains(e.removed, name) }

// appendLines appends the lines that are added. One whose value is empty is left
// out: what it is about is not there, such as a client's certificate.
func (e *fieldEdits) appendLines(dst []byte, v *rules.Values) []byte {
	for i := range e.added {
		line := &e.added[i]
		start := len(dst)
		dst = append(append(dst, line.name...), ": "...)
		value := len(dst)
		dst = line.value.Append(dst, v)
		if trimmed := bytes.TrimRight(dst[value:], " "); len(trimmed) == 0 {
			dst = dst[:start]
			continue
		}
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// apply edits the fields in dst[start:], complete lines, and appends lines.
func (e *fieldEdits) apply(dst []byte, start int, lines []byte) []byte {
	return append(e.remove(dst, start), lines...)
}

// remove removes fields from dst[start:], complete lines.
func (e *fieldEdits) remove(dst []byte, start int) []byte {
	if len(e.removed) == 0 {
		return dst
	}
	kept := start
	for at := start; at < len(dst); {
		line := dst[at:]
		end := bytes.IndexByte(line, '\n') + 1
		line = line[:end]
		at += end
		if !e.matches(line) {
			kept += copy(dst[kept:], line)
		}
	}
	return dst[:kept]
}

// matches reports whether the field in line is removed.
func (e *fieldEdits) matches(line []byte) bool {
	name := line[:bytes.IndexByte(line, ':')]
	for _, removed := range e.removed {
		if equalFolded(name, removed) {
			return true
		}
	}
	return false
}

// equalFolded reports whether name is folded, however it is written.
func equalFolded(name []byte, folded string) bool {
	if len(name) != len(folded) {
		return false
	}
	for i, c := range name {
		if http1.FoldName(c) != folded[i] {
			return false
		}
	}
	return true
}

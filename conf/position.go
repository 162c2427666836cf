package conf

import (
	"slices"

	"github.com/BurntSushi/toml"
)

// positions holds where a document names keys and sections.
type positions struct {
	at        map[string]position // by path
	conflicts []conflict          // in the order of the document
}

// position is where a document names a path.
type position struct {
	line  int // from 1
	order int // the number of the mark
	form  form
}

// conflict is a path that is defined again where it must not be.
type conflict struct {
	path          string
	first, second int    // lines
	remedy        string // what to do about it
}

// line returns the line, from 1, of path. A path that the document does not name
// has the line of the nearest section or list around it, or else line 1.
func (p *positions) line(path string) int {
	for path := range enclosing(path) {
		if found, ok := p.at[path]; ok {
			return found.line
		}
	}
	return 1
}

// names reports whether the document names path.
func (p *positions) names(path string) bool {
	_, ok := p.at[path]
	return ok
}

// fill adds the positions of what has none yet in raw, the value at path: what is
// in an element of a list has the line of the element, or of the list.
func (p *positions) fill(path string, raw any) {
	if !p.names(path) && path != "" {
		p.at[path] = position{line: p.line(path)}
	}
	if table, ok := raw.(map[string]any); ok {
		for key, v := range table {
			p.fill(join(path, key), v)
		}
	}
	list, _ := elements(raw)
	for i, v := range list {
		p.fill(element(path, i), v)
	}
}

// locator finds the positions of a document's keys, added in their order. It finds
// conflicts, too, since the library accepts those of inline tables and dotted
// keys.
type locator struct {
	positions positions
	header    int             // the number of parts of the last header
	section   string          // its path
	length    map[string]int  // elements so far, by path of an array of tables
	twice     map[string]bool // paths that are in conflict
	order     int
}

// locate returns the positions of keys, each of which has one of marks.
func locate(keys []toml.Key, marks []mark) *positions {
	l := newLocator(len(marks))
	for i, m := range marks[:min(len(marks), len(keys))] {
		key := keys[i]
		if m.form >= keyValue {
			key = key[min(l.header, len(key)):]
		}
		l.add(key, m)
	}
	return &l.positions
}

// locateSingly returns the positions of keys in a document that is not valid TOML.
// It decodes statement by statement, up to the first that is not valid by itself.
func locateSingly(text string, marks []mark) *positions {
	l := newLocator(len(marks))
	for i, m := range marks {
		if m.form > keyValue {
			continue // within a statement
		}
		end := len(text)
		if next := slices.IndexFunc(marks[i:], func(n mark) bool { return n.start > m.start }); next > 0 {
			end = marks[i+next].start
		}
		_, meta, err := decodeTOML(text[m.start:end])
		if err != nil || len(meta.Keys()) == 0 {
			break
		}
		l.add(meta.Keys()[0], m)
	}
	return &l.positions
}

func newLocator(marks int) *locator {
	return &locator{positions: positions{at: make(map[string]position, marks)}, length: map[string]int{}, twice: map[string]bool{}}
}

// add notes the position of key, which has the mark m. The key of a header is
// absolute, that of a value relative to the last header.
func (l *locator) add(key toml.Key, m mark) {
	l.order++
	switch m.form {
	case header, arrayHeader:
		l.header = len(key)
		l.section = l.addHeader(key, m)
	case keyValue:
		path := l.addKey(key, m)
		for i, line := range m.elements {
			l.set(element(path, i), line, inlineValue)
		}
	case inlineValue:
		path := l.section
		for _, part := range key {
			path = join(path, part)
			if !l.positions.names(path) {
				l.set(path, m.line, m.form)
			}
		}
	}
}

// addHeader notes the parts of a header and returns the section's path. A part
// that names an array of tables means its last element.
func (l *locator) addHeader(key toml.Key, m mark) string {
	path := ""
	for i, part := range key {
		path = join(path, part)
		if i < len(key)-1 {
			l.define(path, m.line, implied)
		} else {
			l.define(path, m.line, m.form)
		}
		if n := l.length[path]; n > 0 {
			path = element(path, n-1)
		}
	}
	return path
}

// addKey notes the parts of a key in the current section and returns its path.
func (l *locator) addKey(key toml.Key, m mark) string {
	path := l.section
	for i, part := range key {
		path = join(path, part)
		if i < len(key)-1 {
			l.define(path, m.line, dotted)
		} else {
			l.define(path, m.line, m.form)
		}
	}
	return path
}

// define notes that a line names path in the form f, or the conflict if it must
// not.
func (l *locator) define(path string, line int, f form) {
	before, known := l.positions.at[path]
	switch {
	case !known && f == arrayHeader:
		l.set(path, line, f)
		l.lengthen(path, line)
	case !known:
		l.set(path, line, f)
	case f == arrayHeader && before.form == arrayHeader:
		l.lengthen(path, line)
	case f == header && before.form == implied:
		l.set(path, line, f)
	case f == implied && before.form <= arrayHeader, f == dotted && before.form == dotted:
		// One more key or section in it.
	case before.form == arrayHeader && f == header:
		l.conflict(path, line, "write [["+path+"]] in double brackets for one more")
	case before.form == header && f == arrayHeader:
		l.conflict(path, line, "write [["+path+"]] in double brackets there, too")
	default:
		l.conflict(path, line, "leave one out")
	}
}

// lengthen notes one more element of the array of tables at path.
func (l *locator) lengthen(path string, line int) {
	l.set(element(path, l.length[path]), line, header)
	l.length[path]++
}

func (l *locator) set(path string, line int, f form) {
	l.positions.at[path] = position{line, l.order, f}
}

// conflict notes that path is defined again, unless something around it is.
func (l *locator) conflict(path string, line int, remedy string) {
	for outer := range enclosing(path) {
		if l.twice[outer] {
			return
		}
	}
	l.twice[path] = true
	l.positions.conflicts = append(l.positions.conflicts, conflict{path, l.positions.at[path].line, line, remedy})
}

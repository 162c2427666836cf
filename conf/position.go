package conf

import (
	"slices"

	"github.com/BurntSushi/toml"
)

// positions holds where the documents of a configuration name keys and sections.
type positions struct {
	at        map[string]position // by path
	conflicts []conflict          // in the order of the documents
}

// location is a line of a document.
type location struct {
	file int // the number of the document, from 0
	line int // from 1
}

// position is where a document names a path.
type position struct {
	location
	order int // the number of the mark, over all documents
	form  form
}

// conflict is a path that is defined again where it must not be.
type conflict struct {
	path          string
	first, second location
	remedy        string // what to do about it
}

// place returns where path is. A path that no document names is at the nearest section
// or list around it, or else at the first line of the first document.
func (p *positions) place(path string) location {
	for path := range enclosing(path) {
		if found, ok := p.at[path]; ok {
			return found.location
		}
	}
	return location{0, 1}
}

// line is the line of place.
func (p *positions) line(path string) int { return p.place(path).line }

// names reports whether a document names path.
func (p *positions) names(path string) bool {
	_, ok := p.at[path]
	return ok
}

// fill adds the positions of what has none yet in raw, the value at path: what is
// in an element of a list has the line of the element, or of the list.
func (p *positions) fill(path string, raw any) {
	if !p.names(path) && path != "" {
		p.at[path] = position{location: p.place(path)}
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

// locator finds the positions of the keys of documents, added in their order. It finds
// conflicts, too, since the library accepts those of inline tables and dotted
// keys, and does not see those of two documents.
type locator struct {
	positions positions
	file      int             // the document that is being added
	header    int             // the number of parts of the last header
	section   string          // its path
	length    map[string]int  // elements so far, by path of an array of tables
	twice     map[string]bool // paths that are in conflict
	order     int
}

// addDocument adds the keys of one more document, each of which has one of marks.
func (l *locator) addDocument(file int, keys []toml.Key, marks []mark) {
	l.file, l.header, l.section = file, 0, ""
	for i, m := range marks[:min(len(marks), len(keys))] {
		key := keys[i]
		if m.form >= keyValue {
			key = key[min(l.header, len(key)):]
		}
		l.add(key, m)
	}
}

// merge adds the values of one more document, at path, to those of the others, and
// returns them. Arrays of tables are joined.
func (l *locator) merge(path string, to, from map[string]any) map[string]any {
	if to == nil {
		return from
	}
	for key, added := range from {
		before, known := to[key]
		if !known {
			to[key] = added
			continue
		}
		at := join(path, key)
		switch before := before.(type) {
		case map[string]any:
			if table, same := added.(map[string]any); same {
				to[key] = l.merge(at, before, table)
				continue
			}
		case []map[string]any:
			if tables, same := added.([]map[string]any); same {
				to[key] = append(before, tables...)
				continue
			}
		}
		l.conflict(at, l.place(1), "leave one out") // unless it has been found already
	}
	return to
}

// addSingly adds the keys of a document that is not valid TOML. It decodes statement by
// statement, up to the first that is not valid by itself.
func (l *locator) addSingly(text string, marks []mark) {
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
}

// place is a line of the document that is being added.
func (l *locator) place(line int) location { return location{l.file, line} }

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
	case before.file != l.file && f <= dotted && before.form <= dotted:
		// The same in another document.
	case before.form == arrayHeader && f == header:
		l.conflict(path, l.place(line), "write [["+path+"]] in double brackets for one more")
	case before.form == header && f == arrayHeader:
		l.conflict(path, l.place(line), "write [["+path+"]] in double brackets there, too")
	default:
		l.conflict(path, l.place(line), "leave one out")
	}
}

// lengthen notes one more element of the array of tables at path.
func (l *locator) lengthen(path string, line int) {
	l.set(element(path, l.length[path]), line, header)
	l.length[path]++
}

func (l *locator) set(path string, line int, f form) {
	l.positions.at[path] = position{l.place(line), l.order, f}
}

// conflict notes that path is defined again, unless something around it is.
func (l *locator) conflict(path string, at location, remedy string) {
	for outer := range enclosing(path) {
		if l.twice[outer] {
			return
		}
	}
	l.twice[path] = true
	l.positions.conflicts = append(l.positions.conflicts, conflict{path, l.positions.at[path].location, at, remedy})
}

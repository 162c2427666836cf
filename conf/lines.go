package conf

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// The TOML library is pelletier/go-toml and not BurntSushi/toml, as section 8
// of the design has it: BurntSushi gives no position of keys, and without one
// a mistake cannot be reported with its line. Values come from the library's
// stable Unmarshal; its unstable parser serves here for positions alone.

// positions knows where in a file each key, table and array element stands.
type positions struct {
	lines     []int               // the offset of each line's first byte
	at        map[string]position // by full path
	conflicts []conflict          // in the order of the file
}

// position is where the file names a path.
type position struct {
	offset   int
	explicit bool // by a key of its own or its own header, not only on the way to a longer path
}

// conflict is a path that is defined again where it must not be.
type conflict struct {
	path          string
	first, second int    // offsets
	remedy        string // what to do about it
}

// line returns the line, from 1, of path. What the file does not name stands
// where the nearest table around it does, and at worst in line 1.
func (p *positions) line(path string) int {
	for path != "" {
		if found, ok := p.at[path]; ok {
			return p.lineOf(found.offset)
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 1
}

// lineOf returns the line, from 1, of an offset.
func (p *positions) lineOf(offset int) int {
	line, found := slices.BinarySearch(p.lines, offset)
	if found {
		line++
	}
	return line
}

// names reports whether the file names path.
func (p *positions) names(path string) bool {
	_, ok := p.at[path]
	return ok
}

// longestPath bounds a path, so that thousands of nested keys do not cost the
// square of their number. No valid path comes near it.
const longestPath = 512

// join returns the path of key in the table at path.
func join(path, key string) string {
	if len(path) > longestPath {
		return path
	}
	if !isBareKey(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// element returns the path of an array's element, counted from 0.
func element(path string, i int) string {
	if len(path) > longestPath {
		return path
	}
	return path + "[" + strconv.Itoa(i) + "]"
}

// isBareKey reports whether TOML lets key stand without quotes.
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

// locate finds the positions of everything in text, up to its first syntax
// error, which is left for Unmarshal to report.
func locate(text []byte) *positions {
	s := scanner{
		positions: &positions{lines: []int{0}, at: map[string]position{}},
		length:    map[string]int{},
	}
	for i := 0; ; i++ {
		next := bytes.IndexByte(text[i:], '\n')
		if next < 0 {
			break
		}
		i += next
		s.positions.lines = append(s.positions.lines, i+1)
	}
	parser := unstable.Parser{}
	parser.Reset(text)
	for parser.NextExpression() {
		s.expression(parser.Expression())
	}
	return s.positions
}

// scanner walks a document's expressions in order.
type scanner struct {
	positions *positions
	table     string         // the path of the table that keys go into now
	length    map[string]int // elements so far, by path of an array of tables
}

func (s *scanner) expression(e *unstable.Node) {
	switch e.Kind {
	case unstable.Table:
		s.table = s.header(e, false)
	case unstable.ArrayTable:
		s.table = s.header(e, true)
	case unstable.KeyValue:
		s.keyValue(s.table, e)
	}
}

// header follows the key of [table] or [[table]] and returns the table's
// path. A part that names an array of tables stands for its last element.
func (s *scanner) header(e *unstable.Node, array bool) string {
	path, key := "", e.Key()
	for key.Next() {
		part, last := key.Node(), key.IsLast()
		path = join(path, string(part.Data))
		switch {
		case last && array:
			s.mark(path, part, false)
			s.length[path]++
		case last && s.length[path] > 0:
			s.conflict(path, part, "write ["+"["+path+"]] in double brackets for one more")
		default:
			s.mark(path, part, last)
		}
		if n := s.length[path]; n > 0 {
			path = element(path, n-1)
			s.mark(path, part, last && array)
		}
	}
	return path
}

// keyValue marks every part of a (dotted) key in the table at path, and what
// is inside its value.
func (s *scanner) keyValue(path string, e *unstable.Node) {
	key := e.Key()
	for key.Next() {
		path = join(path, string(key.Node().Data))
		s.mark(path, key.Node(), key.IsLast())
	}
	s.value(path, e.Value())
}

// value marks what is inside an array or an inline table.
func (s *scanner) value(path string, v *unstable.Node) {
	if len(path) > longestPath {
		return
	}
	children := v.Children()
	switch v.Kind {
	case unstable.Array:
		for i := 0; children.Next(); i++ {
			child := children.Node()
			if child.Raw.Length > 0 { // an array in an array has no position
				s.mark(element(path, i), child, true)
			}
			s.value(element(path, i), child)
		}
	case unstable.InlineTable:
		for children.Next() {
			s.keyValue(path, children.Node())
		}
	}
}

// mark notes that node names path. The first explicit mention counts, or
// else the first of all.
func (s *scanner) mark(path string, node *unstable.Node, explicit bool) {
	before, known := s.positions.at[path]
	switch {
	case !known, explicit && !before.explicit:
		s.positions.at[path] = position{int(node.Raw.Offset), explicit}
	case explicit:
		s.conflict(path, node, "leave one out")
	}
}

// conflict notes that node defines path again, unless what path is in is
// already noted.
func (s *scanner) conflict(path string, node *unstable.Node, remedy string) {
	for _, c := range s.positions.conflicts {
		if path == c.path || strings.HasPrefix(path, c.path+".") || strings.HasPrefix(path, c.path+"[") {
			return
		}
	}
	s.positions.conflicts = append(s.positions.conflicts,
		conflict{path, s.positions.at[path].offset, int(node.Raw.Offset), remedy})
}

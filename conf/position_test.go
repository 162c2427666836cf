package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// readPositions returns the positions of a document, which need not be valid, and why the
// library refuses it.
func readPositions(text string) (*positions, *syntaxError) {
	doc, err := readDocument(text)
	l := newLocator(len(doc.marks))
	if err != nil {
		l.addSingly(text, doc.marks)
		return &l.positions, err
	}
	l.addDocument(0, doc.keys, doc.marks)
	l.positions.fill("", doc.values)
	return &l.positions, nil
}

// locateText returns the positions of a valid document.
func locateText(t testing.TB, text string) *positions {
	t.Helper()
	found, err := readPositions(text)
	if err != nil || len(found.conflicts) > 0 {
		t.Fatalf("not valid: %v %v", err, found.conflicts)
	}
	return found
}

func TestPositions(t *testing.T) {
	t.Parallel()
	p := locateText(t, `# 1
a = 1
[t]  # 3
b.c = 2
"d.e" = 3
list = [
  "one", # 7
  { x = 1,
    y = [10,
      11] },
]
[[t.s]]
name = 13
[[t.s]]
[t.s.sub]
name = 16
[late.sub]
[late] # 18
z = 19
[[t.s.deep]]
[[t.s.deep]]
q = 22`)
	for path, line := range map[string]int{
		"a": 2, "t": 3, "t.b": 4, "t.b.c": 4, `t."d.e"`: 5, "t.list": 6, "t.list[0]": 7, "t.list[1]": 8, "t.list[1].x": 8,
		"t.list[1].y": 8, "t.list[1].y[0]": 8, "t.list[1].y[1]": 8, "t.s[0]": 12, "t.s[0].name": 13, "t.s[1]": 14,
		"t.s[1].sub": 15, "t.s[1].sub.name": 16, "late.sub": 17, "late": 18, "late.z": 19,
		"t.s[1].deep[0]": 20, "t.s[1].deep[1]": 21, "t.s[1].deep[1].q": 22,
	} {
		if !p.names(path) {
			t.Errorf("%s has no position", path)
		}
		if got := p.line(path); got != line {
			t.Errorf("%s is in line %d, want %d", path, got, line)
		}
	}
	// A missing path has the line of the section around it.
	for path, line := range map[string]int{
		"t.missing": 3, "t.s[1].missing": 14, "t.s[7].missing": 12, "missing": 1, "missing.missing[3].x": 1, "": 1, `t."x.y".z`: 3,
	} {
		if got := p.line(path); got != line || p.names(path) {
			t.Errorf("%s, which is missing, is in line %d, want %d", path, got, line)
		}
	}
}

// TestConflicts checks that what TOML lets a document define once is not
// defined twice, and that nothing else is refused.
func TestConflicts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a = 1\nb = 1\na = 2\nb = 3":                        "a 1 3, b 2 4",
		"[a]\nx = 1\n[b]\n[a]\nx = 2":                       "a 1 4",
		"[[a]]\nx = 1\n[[a]]\nx = 1\nx = 2":                 "a[1].x 4 5",
		"[[a]]\n[a.b]\n[[a]]\n[a.b]\n[a.b]":                 "a[1].b 4 5",
		"[[a]]\n[a]":                                        "a 1 2",
		"[a]\n[[a]]":                                        "a 1 2",
		"[a.b]\n[[a]]":                                      "a 1 2",
		"a = []\n[[a]]":                                     "a 1 2",
		"a = 1\n[a.b]":                                      "a 1 2",
		"a = { b = 1 }\n[a.c]":                              "a 1 2",
		"a = { b = 1 }\na.c = 2":                            "a 1 2",
		"a.b = 1\n[a]":                                      "a 1 2",
		"[a]\nb.c = 1\n[a.b]":                               "a.b 2 3",
		"[a.b]\n[a]\nb.c = 1":                               "a.b 1 3",
		"[a]\nb.c = 1\n[a.b.d]":                             "",
		"[a.b.c]\n[a.b]\n[a]":                               "",
		"a.b = 1\na.c = 2\n[b.c]\nd.e = 1\nd.f = 2":         "",
		"[[a.b]]\n[a]\nx = 1\n[[a.b]]\n[a.b.c]":             "",
		"[[a]]\nb.c = 1\n[[a]]\nb.c = 1\n[a.d]":             "",
		"a = { b = { c = 1 }, d.e = 1, d.f = 2 }\nf = [{}]": "",
		"a = [{ x = 1 }, { x = 1 }]\nb = { a = [{ x.y = 1 }, { x = 2 }] }": "",
	} {
		positions, err := readPositions(text)
		var found []string
		for _, c := range positions.conflicts {
			found = append(found, fmt.Sprint(c.path, " ", c.first.line, " ", c.second.line))
		}
		if got := strings.Join(found, ", "); got != want || want == "" && err != nil {
			t.Errorf("%q: %q (%v), want %q", text, got, err, want)
		}
	}
}

// TestLimits checks that a document that would take the library long, or more
// stack than there is, is refused, and that no other is.
func TestLimits(t *testing.T) {
	t.Parallel()
	const many = 500_000
	for name, text := range map[string]string{
		"arrays":        "\na = " + strings.Repeat("[", many) + strings.Repeat("]", many),
		"unclosed":      "\n" + strings.Repeat("[", many),
		"inline tables": "\na = " + strings.Repeat("{ a = ", many) + "1" + strings.Repeat("}", many),
		"dotted":        "\n" + strings.Repeat("a.", many) + "a = 1",
		"in a table":    "\na = { b = 1, " + strings.Repeat("a.", many) + "a = 1 }",
		"header":        "\n[" + strings.Repeat("a.", many) + "a]",
		"long":          "\n'" + strings.Repeat("a", many) + "' = 1",
	} {
		_, err := Parse("x", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), "x:2: too complex: ") {
			t.Errorf("%s: %.200v", name, err)
		}
	}
	long := strings.Repeat("x", many)
	for name, text := range map[string]string{
		"a list of long strings": "a = [ '" + long + "', '" + long + "' ]",
		"a long comment":         "[a] # " + long + "\nb = { c = 1, # " + long + "\n d = 2 }",
		"a long string":          "a = \"" + long + "\"\nb = 1",
		"many brackets":          "a = [" + strings.Repeat("[[]], ", many/10) + "]\n",
		"brackets in strings":    "a = [" + strings.Repeat("'[', \"{\", ", 100) + "] # [[[[[[[[[[[[[[[[[[[[[[[",
	} {
		if _, err := readDocument(text); err != nil {
			t.Errorf("%s: %+v", name, err)
		}
	}
}

// TestScan checks that strings and comments hide what is in them.
func TestScan(t *testing.T) {
	t.Parallel()
	marks, err := scan(`a = "x = [\" # y" # z = [
'b = ' = 'c = \'
"c \\" = """ ["" = 1
\""" = 2 """"" # =
d = '''
[ = 1'''''
[ "e]" ] # =
f = [ 1, # = ]
  { x = 1, "y = " = 2 } ]
g = { x = { y = 1 },
  z = [] }
[[h]]
`)
	var got []string
	for _, m := range marks {
		got = append(got, fmt.Sprint(m.line, " ", m.form))
	}
	const want = "1 4, 2 4, 3 4, 5 4, 7 2, 8 4, 9 6, 9 6, 10 4, 10 5, 10 5, 11 5, 12 3"
	if list := strings.Join(got, ", "); list != want || err != nil {
		t.Errorf("got %s, %v\nwant %s", list, err, want)
	}
}

// TestLines checks that each key is in the line that the library gives for it
// when its value is refused.
func TestLines(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/broken/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, path := range append(files, "testdata/lb.toml") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		compared += compareLines(t, string(text))
	}
	if compared < 1000 {
		t.Errorf("only %d keys were compared", compared)
	}
}

// refusal is a value that refuses what the document has.
type refusal struct{}

func (refusal) UnmarshalTOML(any) error { return errors.New("refused") }

// compareLines returns how many keys of text it could compare: not those in
// arrays of tables, for which the library has no position, and none of a
// document that is not valid or has strings of several lines, which the library
// places at their end.
func compareLines(t *testing.T, text string) (compared int) {
	t.Helper()
	positions, wrong := readPositions(text)
	if wrong != nil || len(positions.conflicts) > 0 || strings.Contains(text, `"""`) || strings.Contains(text, "'''") {
		return 0
	}
	var top map[string]toml.Primitive
	meta, err := toml.Decode(text, &top)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range meta.Keys() {
		value, ok := primitive(&meta, top, key)
		if !ok || meta.Type(key...) == "ArrayHash" {
			continue // where its last element is, for the library
		}
		path := ""
		for _, part := range key {
			path = join(path, part)
		}
		var refused toml.ParseError
		if !errors.As(meta.PrimitiveDecode(value, &refusal{}), &refused) {
			t.Fatalf("%s was not refused", path)
		}
		if got := positions.line(path); got != refused.Position.Line {
			t.Errorf("%s is in line %d, want %d, of:\n%s", path, got, refused.Position.Line, text)
		}
		compared++
	}
	return compared
}

// primitive returns the value of key, unless it is in an array of tables.
func primitive(meta *toml.MetaData, table map[string]toml.Primitive, key toml.Key) (toml.Primitive, bool) {
	for _, part := range key[:len(key)-1] {
		var inner map[string]toml.Primitive
		if meta.PrimitiveDecode(table[part], &inner) != nil {
			return toml.Primitive{}, false
		}
		table = inner
	}
	value, ok := table[key[len(key)-1]]
	return value, ok
}

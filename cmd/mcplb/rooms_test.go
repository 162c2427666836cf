package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is a package and what of this module it may import.
type room struct {
	name    string
	imports []string
	pure    bool // works on bytes alone: no files, no network
}

// rooms are the module's packages. Imports point only upward in this list:
// no package knows of one that stands below it. The list stands here because
// cmd/mcplb stands last: it is where everything comes together.
var rooms = []room{
	{name: "conf"},
	{name: "ratelimit", imports: []string{"conf"}},
	{name: "backend", imports: []string{"conf"}},
	{name: "healthcheck", imports: []string{"conf", "backend"}},
	{name: "proxy/reactor"}, // mechanism only: knows no protocol and no backend
	{name: "proxy/http1", pure: true},
	{name: "proxy/mcp", pure: true},
	{name: "proxy/accesslog"}, // told everything by loops
	{name: "proxy/l4", imports: []string{"conf", "ratelimit", "backend", "proxy/reactor", "proxy/mcp", "proxy/accesslog"}},
	{name: "proxy/l7", imports: []string{"conf", "ratelimit", "backend", "proxy/reactor", "proxy/http1", "proxy/mcp", "proxy/accesslog", "proxy/l4"}},
	{name: "proxy/tlsio", imports: []string{"proxy/reactor"}},
	{name: "proxy/admin"}, // shows what its Source tells it
	{name: "proxy/upgrade", imports: []string{"conf", "ratelimit", "backend", "healthcheck", "proxy/reactor", "proxy/l4", "proxy/l7"}},
	{name: "proxy", imports: []string{"conf", "ratelimit", "backend", "healthcheck", "proxy/reactor", "proxy/mcp", "proxy/accesslog", "proxy/l4", "proxy/l7", "proxy/tlsio", "proxy/admin", "proxy/upgrade"}},
	{name: "cmd/mcpnode"}, // a companion: it knows nothing of the balancer
	{name: "cmd/mcpload", imports: []string{"proxy/reactor", "proxy/http1", "proxy/mcp"}}, // its clients stand on the same engine
	{name: "cmd/mcpcluster", imports: []string{"conf"}},
	{name: "cmd/mcplb", imports: []string{"conf", "proxy/reactor", "proxy/admin", "proxy/upgrade", "proxy"}},
}

// helpers are what tests import from below testdata. They import upward, too, and
// a test may use those that know nothing which it may not know itself.
var helpers = []room{
	{name: "testdata/leak"},
	{name: "testdata/witness"},
	{name: "testdata/peer"},
	{name: "testdata/certificate"},
	{name: "testdata/golden"},
	{name: "testdata/output", imports: []string{"testdata/peer"}},
	{name: "testdata/rig", imports: []string{"conf", "ratelimit", "proxy/reactor", "proxy/accesslog", "testdata/peer"}},
}

const module = "mcplb"

// impure are the packages that a pure room does not import.
var impure = []string{"net", "net/http", "os", "os/exec", "syscall", "golang.org/x/sys/unix"}

// TestImportDirection holds every package to its row of rooms.
func TestImportDirection(t *testing.T) {
	t.Parallel()
	found := readImports(t)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		i := slices.IndexFunc(rooms, func(r room) bool { return r.name == name })
		if i < 0 {
			t.Errorf("package %s is not in the list of rooms: say there what it may import", name)
			continue
		}
		checkImports(t, &rooms[i], found[name].code)
		checkTestImports(t, name, rooms[:i+1], found[name].tests)
	}
	for i := range helpers {
		lists := &importLists{}
		for _, file := range goFiles(t, helpers[i].name) {
			if err := lists.add(file); err != nil {
				t.Error(err)
			}
		}
		checkImports(t, &helpers[i], lists.code)
		checkTestImports(t, helpers[i].name, above(helpers[i].imports), lists.tests)
	}
}

// goFiles are those of a package, which must have some.
func goFiles(t *testing.T, name string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(name), "*.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("package %s: %d files, %v", name, len(files), err)
	}
	return files
}

// above are the rooms of these names.
func above(names []string) (found []room) {
	for _, r := range rooms {
		if slices.Contains(names, r.name) {
			found = append(found, r)
		}
	}
	return found
}

// The list itself must keep the direction.
func TestRoomsPointUpward(t *testing.T) {
	t.Parallel()
	for i, r := range rooms {
		for _, imported := range r.imports {
			if !slices.ContainsFunc(rooms[:i], func(above room) bool { return above.name == imported }) {
				t.Errorf("%s may import %s, which does not stand above it", r.name, imported)
			}
		}
	}
}

func checkImports(t *testing.T, r *room, imports []string) {
	t.Helper()
	for _, imported := range imports {
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		if isOurs && !slices.Contains(r.imports, ours) {
			t.Errorf("%s imports %s, which it may not know", r.name, ours)
		}
		if r.pure && slices.Contains(impure, imported) {
			t.Errorf("%s imports %s, but is to work on bytes alone", r.name, imported)
		}
	}
}

// checkTestImports lets tests use whatever they know, and the helpers that know
// no more.
func checkTestImports(t *testing.T, name string, known []room, imports []string) {
	t.Helper()
	for _, imported := range imports {
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		if isOurs && ours != name && !knows(known, ours) {
			t.Errorf("a test of %s imports %s, which it may not know", name, ours)
		}
	}
}

// knows tells whether a package is one of the known, or a helper that imports
// nothing else.
func knows(known []room, name string) bool {
	if slices.ContainsFunc(known, func(r room) bool { return r.name == name }) {
		return true
	}
	i := slices.IndexFunc(helpers, func(r room) bool { return r.name == name })
	return i >= 0 && !slices.ContainsFunc(helpers[i].imports, func(imported string) bool { return !knows(known, imported) })
}

// importLists are the import paths of one package's files.
type importLists struct{ code, tests []string }

// readImports reads every Go file of the module, for whatever system and tags
// it is, and returns the imports by the package's path in the module. What is
// below a testdata directory is no part of it.
func readImports(t *testing.T) map[string]*importLists {
	t.Helper()
	root := filepath.Join("..", "..")
	found := map[string]*importLists{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && file != root && (name == "testdata" || strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		inModule, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		return addImports(found, file, path.Dir(filepath.ToSlash(inModule)))
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func addImports(found map[string]*importLists, file, name string) error {
	if found[name] == nil {
		found[name] = &importLists{}
	}
	return found[name].add(file)
}

// add reads the imports of a file.
func (l *importLists) add(file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	list := &l.code
	if strings.HasSuffix(file, "_test.go") {
		list = &l.tests
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		*list = append(*list, imported)
	}
	return nil
}

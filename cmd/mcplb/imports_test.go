package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer is a package and what of this module it imports.
type layer struct {
	name    string
	imports []string
	pure    bool // works on bytes alone: no files, no network
}

// layers are the packages that ship. Imports point only upward in this list: no
// package knows one that stands below it. The list stands here because cmd/mcplb
// stands last: it is where everything comes together.
var layers = []layer{
	{name: "plot", pure: true},
	{name: "conf"},
	{name: "ratelimit", imports: []string{"conf"}},
	{name: "proxy/metrics"},                                // counters of everything below
	{name: "backend/servertls", imports: []string{"conf"}}, // for connections and checks alike
	{name: "backend", imports: []string{"conf", "proxy/metrics", "backend/servertls"}},
	{name: "backend/discovery", imports: []string{"conf"}}, // knows no backend and no client
	{name: "healthcheck", imports: []string{"conf", "backend", "backend/servertls"}},
	{name: "proxy/reactor"}, // mechanism only: knows no protocol and no backend
	{name: "proxy/http1", pure: true},
	{name: "proxy/http2", imports: []string{"proxy/http1"}, pure: true},
	{name: "proxy/websocket", pure: true},
	{name: "proxy/inflate", pure: true},
	{name: "proxy/mcp", pure: true},
	{name: "proxy/clienthello", pure: true},
	{name: "proxy/clientcert", imports: []string{"conf"}},                          // knows certificates, and no connection
	{name: "proxy/accesslog", imports: []string{"conf", "proxy/clientcert"}},       // loops give it all that it writes
	{name: "proxy/lograte"},                                                        // knows no line
	{name: "proxy/fleet", imports: []string{"conf", "ratelimit", "proxy/lograte"}}, // several balancers, by way of Redis
	{name: "proxy/tlsio", imports: []string{"proxy/metrics", "proxy/reactor"}},
	{name: "proxy/session", imports: []string{"conf", "ratelimit", "proxy/metrics", "backend", "proxy/reactor", "proxy/accesslog", "proxy/clientcert"}},
	{name: "proxy/l4", imports: []string{"conf", "ratelimit", "proxy/metrics", "backend", "proxy/reactor", "proxy/mcp", "proxy/clienthello", "proxy/accesslog", "proxy/session"}},
	{name: "proxy/rules", imports: []string{"conf", "proxy/http1", "proxy/mcp"}, pure: true},
	{name: "proxy/l7", imports: []string{"conf", "ratelimit", "proxy/metrics", "backend", "proxy/reactor", "proxy/http1", "proxy/http2", "proxy/websocket", "proxy/inflate", "proxy/mcp", "proxy/accesslog", "proxy/session", "proxy/l4", "proxy/rules"}},
	{name: "proxy/admin", imports: []string{"plot", "proxy/metrics", "proxy/lograte"}}, // shows what its Source reports
	{name: "proxy/handover", imports: []string{"conf", "ratelimit", "proxy/metrics", "backend", "backend/discovery", "proxy/reactor", "proxy/tlsio", "proxy/session", "proxy/l4", "proxy/l7", "proxy/admin"}},
	{name: "proxy", imports: []string{"conf", "ratelimit", "proxy/metrics", "backend", "backend/discovery", "backend/servertls", "healthcheck", "proxy/reactor", "proxy/http1", "proxy/mcp", "proxy/accesslog", "proxy/lograte", "proxy/fleet", "proxy/tlsio", "proxy/clientcert", "proxy/session", "proxy/l4", "proxy/rules", "proxy/l7", "proxy/admin", "proxy/handover"}},
	{name: "cmd/internal/build"},
	{name: "cmd/internal/holder"},   // who listens on an address
	{name: "cmd/internal/cli"},      // command lines; knows no program
	{name: "cmd/internal/logqueue"}, // a log that does not wait for its reader
	{name: "cmd/mcpnode", imports: []string{"cmd/internal/build", "cmd/internal/logqueue"}}, // knows nothing of the balancer
	{name: "cmd/mcpload/latency"},
	{name: "cmd/mcpload/proc"},
	{name: "cmd/mcpload/clients", imports: []string{"proxy/reactor", "proxy/http1", "proxy/http2", "proxy/mcp", "cmd/mcpload/latency"}}, // they run on the balancer's engine
	{name: "cmd/mcpload/report", imports: []string{"plot", "cmd/mcpload/latency", "cmd/mcpload/proc"}},
	{name: "cmd/mcpload/run", imports: []string{"proxy/reactor", "cmd/mcpload/latency", "cmd/mcpload/proc", "cmd/mcpload/clients", "cmd/mcpload/report"}},
	{name: "cmd/mcpload/origin", imports: []string{"proxy/reactor", "proxy/http1", "proxy/mcp"}},
	{name: "cmd/mcpload/lab", imports: []string{"proxy/reactor", "cmd/mcpload/clients", "cmd/mcpload/run"}},
	{name: "cmd/mcpload/bench", imports: []string{"plot", "cmd/mcpload/clients", "cmd/mcpload/report", "cmd/mcpload/run", "cmd/mcpload/lab"}},
	{name: "cmd/mcpload/stress", imports: []string{"cmd/mcpload/proc", "cmd/mcpload/report", "cmd/mcpload/run", "cmd/mcpload/lab"}},
	{name: "cmd/mcpload/comparison", imports: []string{"plot", "cmd/mcpload/proc", "cmd/mcpload/clients", "cmd/mcpload/report", "cmd/mcpload/run", "cmd/mcpload/lab"}},
	{name: "cmd/mcpload", imports: []string{"cmd/internal/build", "cmd/internal/cli", "cmd/mcpload/clients", "cmd/mcpload/report", "cmd/mcpload/run", "cmd/mcpload/origin", "cmd/mcpload/bench", "cmd/mcpload/stress", "cmd/mcpload/comparison"}},
	{name: "cmd/mcpcluster", imports: []string{"conf", "cmd/internal/build", "cmd/internal/holder", "cmd/internal/cli", "cmd/internal/logqueue"}},
	{name: "cmd/mcplb/doctor", imports: []string{"conf", "backend/discovery", "backend/servertls", "healthcheck", "cmd/internal/holder"}},
	{name: "cmd/mcplb/convert/lb"}, // knows no language
	{name: "cmd/mcplb/convert/haproxy", imports: []string{"cmd/mcplb/convert/lb"}},
	{name: "cmd/mcplb/convert/nginx", imports: []string{"cmd/mcplb/convert/lb"}},
	{name: "cmd/mcplb/convert", imports: []string{"conf", "cmd/mcplb/convert/lb", "cmd/mcplb/convert/haproxy", "cmd/mcplb/convert/nginx"}},
	{name: "cmd/mcplb", imports: []string{"conf", "proxy/reactor", "proxy/rules", "proxy/admin", "proxy/handover", "proxy", "cmd/internal/build", "cmd/internal/cli", "cmd/internal/logqueue", "cmd/mcplb/doctor", "cmd/mcplb/convert"}},
}

// helpers are what tests import and what runs beside them; nothing of it ships.
// They import upward, too, and a test may use those that know nothing which it may
// not know itself.
var helpers = []layer{
	{name: "internal/leak"},
	{name: "internal/lateness"},
	{name: "internal/expectfail"},
	{name: "internal/endpoint"},
	{name: "internal/redistest", imports: []string{"internal/endpoint"}},
	{name: "internal/certificate"},
	{name: "internal/kubeapi", imports: []string{"conf"}},
	{name: "internal/golden"},
	{name: "internal/nameserver"},
	{name: "internal/documents"},
	{name: "internal/browser"},
	{name: "internal/proxyheaders"},
	{name: "internal/metricstest", imports: []string{"proxy/metrics"}},
	{name: "internal/output", imports: []string{"internal/endpoint"}},
	{name: "internal/harness", imports: []string{"conf", "ratelimit", "proxy/reactor", "proxy/accesslog", "internal/endpoint"}},
	{name: "internal/suites/chaos", imports: []string{"internal/certificate"}},
	{name: "internal/suites/conformance", imports: []string{"internal/certificate"}},
	{name: "internal/suites/handshakes"},
	{name: "internal/suites/hold"},
	{name: "internal/suites/pictures", imports: []string{"internal/browser"}},
	{name: "internal/suites/http2"},
	{name: "internal/suites/http2cost", imports: []string{"internal/certificate", "cmd/mcpload/proc"}},
	{name: "internal/suites/http2peers", imports: []string{"internal/certificate", "cmd/mcpload/proc"}},
	{name: "internal/suites/session"},
	{name: "internal/suites/slowhttp"},
	{name: "internal/suites/tlscost", imports: []string{"cmd/mcpload/proc"}},
}

const module = "mcplb"

// impure are the packages that a pure package does not import.
var impure = []string{"net", "net/http", "os", "os/exec", "syscall", "golang.org/x/sys/unix"}

// A reader of the folders trusts that a package knows only what the list says.
func TestImports(t *testing.T) {
	t.Parallel()
	found := readImports(t)
	all := slices.Concat(layers, helpers)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		i := slices.IndexFunc(all, func(l layer) bool { return l.name == name })
		if i < 0 {
			t.Errorf("package %s is not in the list: say there what it may import", name)
			continue
		}
		checkImports(t, &all[i], found[name].code)
		checkTestImports(t, name, known(i, &all[i]), found[name].tests)
	}
	for _, l := range all {
		if found[l.name] == nil {
			t.Errorf("package %s is in the list, but not in the module", l.name)
		}
	}
}

// A package is found by its comment: it opens the folder's doc.go, and says what
// the package guarantees.
func TestDoc(t *testing.T) {
	t.Parallel()
	for name := range readImports(t) {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name), "doc.go"))
		if err != nil {
			t.Errorf("package %s has no doc.go: %v", name, err)
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), "doc.go", text, parser.ParseComments)
		if err != nil || len(parsed.Doc.Text()) < 40 {
			t.Errorf("%s/doc.go says too little: %q, %v", name, parsed.Doc.Text(), err)
		}
	}
}

// known are the layers that a package's tests may know: those above it, those
// that a helper imports, and all of them for what runs the finished programs.
func known(i int, l *layer) []layer {
	switch {
	case strings.HasPrefix(l.name, "internal/suites/"):
		return layers
	case i >= len(layers):
		return above(l.imports)
	}
	return layers[:i+1]
}

// above are the layers of these names.
func above(names []string) (found []layer) {
	for _, l := range layers {
		if slices.Contains(names, l.name) {
			found = append(found, l)
		}
	}
	return found
}

// The list itself must keep the direction.
func TestLayersPointUpward(t *testing.T) {
	t.Parallel()
	for i, l := range layers {
		for _, imported := range l.imports {
			if !slices.ContainsFunc(layers[:i], func(above layer) bool { return above.name == imported }) {
				t.Errorf("%s may import %s, which does not stand above it", l.name, imported)
			}
		}
	}
}

// checkImports holds a package to exactly what its line allows.
func checkImports(t *testing.T, l *layer, imports []string) {
	t.Helper()
	for _, imported := range imports {
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		if isOurs && !slices.Contains(l.imports, ours) {
			t.Errorf("%s imports %s, which it may not know", l.name, ours)
		}
		if l.pure && slices.Contains(impure, imported) {
			t.Errorf("%s imports %s, but is to work on bytes alone", l.name, imported)
		}
	}
	for _, allowed := range l.imports {
		if !slices.Contains(imports, module+"/"+allowed) {
			t.Errorf("%s may import %s, but does not: take it off the list", l.name, allowed)
		}
	}
}

// checkTestImports lets tests use whatever they know, and the helpers that know
// no more.
func checkTestImports(t *testing.T, name string, known []layer, imports []string) {
	t.Helper()
	for _, imported := range imports {
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		if isOurs && ours != name && !knows(known, ours) {
			t.Errorf("a test of %s imports %s, which it may not know", name, ours)
		}
	}
}

// knows reports whether a package is one of the known, or a helper that imports
// nothing else.
func knows(known []layer, name string) bool {
	if slices.ContainsFunc(known, func(l layer) bool { return l.name == name }) {
		return true
	}
	i := slices.IndexFunc(helpers, func(l layer) bool { return l.name == name })
	return i >= 0 && !slices.ContainsFunc(helpers[i].imports, func(imported string) bool { return !knows(known, imported) })
}

// importLists are the import paths of one package's files.
type importLists struct{ code, tests []string }

// readImports reads every Go file of the module, for whatever system and tags
// it is, and returns the imports by the package's path in the module.
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

package proxy

import (
	"cmp"
	"slices"
	"strings"

	"mcplb/backend/discovery"
	"mcplb/conf"
	"mcplb/proxy/mcp"
)

// extra is the servers that a backend has beside those of the file: added at run time,
// and found. Proxy.mu guards it; the watch has a lock of its own.
type extra struct {
	runtime  []conf.Server    // by name
	settings *conf.Discover   // how servers are found; nil = they are not
	watch    *discovery.Watch // nil = it does not run, and known is what is known
	known    discovery.State
	failed   bool // the log says that servers cannot be found
}

// extras are those of all backends that have any, by the backend's name.
type extras map[string]*extra

// state returns what is known of found servers.
func (e *extra) state() discovery.State {
	if e.watch != nil {
		return e.watch.State()
	}
	return e.known
}

// setRuntime makes server the one of that name that was added to a backend; nil = there
// is none any more. It returns the one before, nil if there was none.
func (all extras) setRuntime(backendName, name string, server *conf.Server) (before *conf.Server) {
	e := all[backendName]
	if e == nil {
		e = &extra{}
		all[backendName] = e
	}
	if old := named(e.runtime, name); old != nil {
		copied := *old
		before = &copied
	}
	e.runtime = slices.DeleteFunc(slices.Clone(e.runtime), func(s conf.Server) bool { return s.Name == name })
	if server != nil {
		e.runtime = append(e.runtime, *server)
		slices.SortFunc(e.runtime, func(a, b conf.Server) int { return strings.Compare(a.Name, b.Name) })
	}
	return before
}

// added reports whether a server was added by a command, be it in force or not: one of
// the file, or one that was found, may have its address.
func (all extras) added(backendName, name string) bool {
	e := all[backendName]
	return e != nil && named(e.runtime, name) != nil
}

// origins are where a server may come from, as the status calls it.
const (
	originFile     = "file"
	originDiscover = "discover"
	originRuntime  = "runtime"
)

// join returns c with the servers beside those of the file. Of two servers that could
// not be distinguished, by name, tag or address, the file's counts before one that was
// added, and that before one that was found.
func (all extras) join(c *conf.Config) *conf.Config {
	if len(all) == 0 {
		return c
	}
	joined := *c
	joined.Backends = slices.Clone(c.Backends)
	for i := range joined.Backends {
		b := &joined.Backends[i]
		if e := all[b.Name]; e != nil {
			b.Servers = e.join(b.Servers)
		}
	}
	return &joined
}

// join returns the written servers and those of e.
func (e *extra) join(written []conf.Server) []conf.Server {
	found := e.state().Servers
	if len(e.runtime)+len(found) == 0 {
		return written
	}
	known := newTaken()
	for i := range written {
		known.take(&written[i])
	}
	joined := slices.Clone(written)
	for _, more := range [][]conf.Server{e.runtime, found} {
		for i := range more {
			if known.take(&more[i]) {
				joined = append(joined, more[i])
			}
		}
	}
	return joined
}

// taken is what no two servers of a backend may share.
type taken struct {
	tags      map[mcp.Tag]bool // of names
	addresses map[string]bool
}

func newTaken() taken { return taken{map[mcp.Tag]bool{}, map[string]bool{}} }

// take takes what s has, and returns false if another server has some of it.
func (t *taken) take(s *conf.Server) bool {
	tag := mcp.TagOf(s.Name)
	free := !t.tags[tag]
	for _, e := range allEndpoints {
		free = free && !t.addresses[s.Address(e)]
	}
	if !free {
		return false
	}
	t.tags[tag] = true
	for _, e := range allEndpoints {
		if address := s.Address(e); address != "" {
			t.addresses[address] = true
		}
	}
	return true
}

// origins returns where a server of a backend comes from, by its name; written are the
// backend's servers in the file, and e may be nil.
func origins(written []conf.Server, e *extra) func(name string) string {
	known := map[string]string{}
	if e != nil {
		for i := range e.runtime {
			known[e.runtime[i].Name] = originRuntime
		}
	}
	for i := range written {
		known[written[i].Name] = originFile
	}
	return func(name string) string { return cmp.Or(known[name], originDiscover) }
}

// named returns the server of a name, nil if there is none.
func named(servers []conf.Server, name string) *conf.Server {
	if i := slices.IndexFunc(servers, func(s conf.Server) bool { return s.Name == name }); i >= 0 {
		return &servers[i]
	}
	return nil
}

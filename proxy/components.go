package proxy

import (
	"log/slog"
	"maps"
	"slices"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/healthcheck"
	"mcplb/proxy/reactor"
)

// pool is a backend and its checker.
type pool struct {
	*backend.Pool
	checker *healthcheck.Checker
}

func newPool(made *backend.Pool, log *slog.Logger) *pool {
	b := &pool{Pool: made, checker: healthcheck.New(made, log)}
	made.Observe(b.checker.Observe)
	return b
}

// components are the frontends and backends: those of the configuration, and
// those that are leaving. Proxy.mu guards them.
type components struct {
	frontends map[string]*layered
	backends  map[string]*pool
	leaving   leaving
}

func newComponents() components {
	return components{
		frontends: map[string]*layered{}, backends: map[string]*pool{},
		leaving: leaving{frontends: map[string]*layered{}},
	}
}

// poolOf returns the pool of a configured backend; nil = there is none.
func (c *components) poolOf(name string) *backend.Pool {
	if b := c.backends[name]; b != nil {
		return b.Pool
	}
	return nil
}

// anyPoolOf returns the pool of a backend that is configured or leaving; nil =
// there is none.
func (c *components) anyPoolOf(name string) *backend.Pool {
	if b := c.poolOf(name); b != nil {
		return b
	}
	for _, b := range c.leaving.pools {
		if b.Name() == name {
			return b.Pool
		}
	}
	return nil
}

// pools returns all pools.
func (c *components) pools() []*pool {
	return slices.AppendSeq(slices.Clone(c.leaving.pools), maps.Values(c.backends))
}

// allFrontends returns all frontends by name.
func (c *components) allFrontends() map[string]*layered {
	all := maps.Clone(c.frontends)
	maps.Copy(all, c.leaving.frontends)
	return all
}

// prune forgets the frontends and backends that were removed and have no clients
// left.
func (c *components) prune(engine *reactor.Engine) {
	l := &c.leaving
	if len(l.frontends)+len(l.pools) == 0 {
		return
	}
	engine.Barrier() // clients on their way to a loop are counted there
	l.pruneFrontends()
	used := map[string]bool{}
	for _, f := range c.allFrontends() {
		for _, layer := range f.layers() {
			for _, name := range backendsOf(layer.config()) {
				used[name] = true
			}
		}
	}
	l.prunePools(func(b *pool) bool { return used[b.Name()] && c.backends[b.Name()] == nil })
}

// backendsOf returns the backends that a frontend's clients may be sent to, the
// default first.
func backendsOf(f *conf.Frontend) []string {
	names := []string{f.Backend}
	for _, r := range f.Routes {
		if r.Backend != "" && !slices.Contains(names, r.Backend) {
			names = append(names, r.Backend)
		}
	}
	return names
}

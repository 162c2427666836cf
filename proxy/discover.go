package proxy

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"mcplb/backend/discovery"
	"mcplb/conf"
)

// nextExtras returns the extras for a configuration, with watches that run wherever
// servers are found. Those that must be started are awaited for a while, so that a
// start and a reload have servers for the first clients. Nothing is changed; started
// has the new watches, for the caller to stop if the configuration is not applied.
func (p *Proxy) nextExtras(ctx context.Context, c *conf.Config) (next extras, started []*discovery.Watch) {
	p.mu.RLock()
	now, suspended := p.extras, p.suspended
	p.mu.RUnlock()
	next = extras{}
	for i := range c.Backends {
		b := &c.Backends[i]
		e := now[b.Name].next(b)
		if e == nil {
			continue
		}
		next[b.Name] = e
		if e.settings != nil && e.watch == nil && !suspended {
			e.watch = p.watch(b.Name, e)
			started = append(started, e.watch)
		}
	}
	for _, w := range started {
		w.Wait(ctx)
	}
	return next, started
}

// next returns the extra of a backend whose settings are b's, after e, which may be
// nil; nil if it has none. A source with other settings is another one, but what was
// found before stays until the new one has an answer.
func (e *extra) next(b *conf.Backend) *extra {
	n := &extra{settings: b.Discover}
	if e != nil {
		n.runtime = slices.DeleteFunc(slices.Clone(e.runtime), func(s conf.Server) bool { return named(b.Servers, s.Name) != nil })
		if b.Discover != nil {
			n.known = e.state()
			n.failed = e.failed
			if reflect.DeepEqual(e.settings, b.Discover) {
				n.watch = e.watch
			}
		}
	}
	if n.settings == nil && len(n.runtime) == 0 {
		return nil
	}
	return n
}

// watch starts the source of a backend.
func (p *Proxy) watch(name string, e *extra) *discovery.Watch {
	known := e.known
	known.Err, known.ErrAt = nil, time.Time{}
	source := discovery.NewSource(e.settings, discoveryNames{p}, known.At)
	w := discovery.Start(source, e.settings.Most, known, func() { p.refresh(name) })
	p.watching.Go(func() { <-w.Ended() })
	return w
}

// adopt makes next the extras, and stops the watches that are not among them.
func (p *Proxy) adopt(next extras) {
	for name, e := range p.extras {
		n := next[name]
		if n == nil {
			n = &extra{}
		}
		if e.watch != nil && n.watch != e.watch {
			e.watch.Stop()
		}
		if len(n.runtime) < len(e.runtime) {
			p.options.Log.Info("servers that were added at run time are in the file now, or their backend has gone", "backend", name)
		}
	}
	p.extras = next
}

// stopWatches stops every source and waits for its end. The caller does not hold the
// lock.
func (p *Proxy) stopWatches() {
	p.mu.RLock()
	for _, e := range p.extras {
		if e.watch != nil {
			e.watch.Stop()
		}
	}
	p.mu.RUnlock()
	p.watching.Wait()
}

// startWatches starts the sources of a balancer that was started suspended.
func (p *Proxy) startWatches() {
	for name, e := range p.extras {
		if e.settings != nil && e.watch == nil {
			e.watch = p.watch(name, e)
		}
	}
}

// refresh brings the servers of a backend to what its source has found by now. It is
// called by sources, after every change.
func (p *Proxy) refresh(name string) {
	p.mu.RLock()
	joined := p.joinedWith(name)
	fresh := newUses(p.config, joined, name)
	resolver := p.config.Resolver
	p.mu.RUnlock()
	if len(fresh) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
		defer cancel()
		p.names.Refresh(ctx, fresh, resolver) // without the lock: name servers may be slow
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.still() {
		return // Resume does it
	}
	p.refreshLocked(name)
	if len(fresh) > 0 {
		p.names.Want(usesOf(p.config), p.config.Resolver)
		p.bringIn() // what has changed meanwhile
	}
}

// newUses returns the names that a backend of after has and that of before has not.
func newUses(before, after *conf.Config, name string) []discovery.Use {
	known := map[discovery.Use]bool{}
	uses := func(c *conf.Config) []discovery.Use {
		b := c.Backend(name)
		if b == nil {
			return nil
		}
		return usesOf(&conf.Config{Backends: []conf.Backend{*b}})
	}
	for _, use := range uses(before) {
		known[use] = true
	}
	return slices.DeleteFunc(uses(after), func(use discovery.Use) bool { return known[use] })
}

// still reports whether no servers may come and go now: a hand-over is under way, or
// the process is about to end.
func (p *Proxy) still() bool { return p.suspended || p.handing || p.draining || p.replaced }

// refreshAll does what refresh does for every backend with further servers, for what has happened
// while the balancer stood still. The lock is held.
func (p *Proxy) refreshAll() {
	for name := range p.extras {
		p.refreshLocked(name)
	}
}

// joinedWith returns what is in force, with the servers that backend name has by now.
func (p *Proxy) joinedWith(name string) *conf.Config {
	c, e := *p.config, p.extras[name]
	i := slices.IndexFunc(c.Backends, func(b conf.Backend) bool { return b.Name == name })
	if i < 0 || e == nil {
		return p.config
	}
	written := p.written.Backend(name)
	c.Backends = slices.Clone(c.Backends)
	c.Backends[i].Servers = e.join(written.Servers)
	return &c
}

// refreshLocked is refresh, under the lock.
func (p *Proxy) refreshLocked(name string) {
	p.noteFailure(name)
	joined := p.joinedWith(name)
	after := joined.Backend(name)
	if after == nil {
		return
	}
	before := p.backends[name].InForce() // not p.config: a reload applies only what the file changes
	if slices.Equal(before.Servers, after.Servers) {
		return
	}
	p.options.Log.Info("servers changed", "backend", name, "changes", describeServers(before.Servers, after.Servers))
	p.names.Want(usesOf(joined), joined.Resolver)
	p.config = joined
	change := &change{proxy: p, to: joined, addresses: addressesOf(joined, p.names)}
	change.applyBackend(p.backends[name], after)
}

// noteFailure logs when servers cannot be found any more, and when they can again.
func (p *Proxy) noteFailure(name string) {
	e := p.extras[name]
	if e == nil || e.settings == nil {
		return
	}
	state := e.state()
	if failed := state.Err != nil; failed != e.failed {
		e.failed = failed
		what := []any{"backend", name, "by", e.settings.Kind(), "of", e.settings.Target(), "servers", len(state.Servers)}
		if failed {
			p.options.Log.Warn("servers cannot be found, those found before stay", append(what, "err", state.Err)...)
		} else {
			p.options.Log.Info("servers can be found again", what...)
		}
	}
}

// mostDescribed is how many changes a log line has.
const mostDescribed = 20

// describeServers describes the differences between two lists of servers in a line.
func describeServers(before, after []conf.Server) string {
	var parts []string
	withdrawn := make(map[string]bool, len(before))
	for i := range before {
		withdrawn[before[i].Name] = before[i].NoNewClients
	}
	changes := conf.Diff(&conf.Config{Backends: []conf.Backend{{Servers: before}}}, &conf.Config{Backends: []conf.Backend{{Servers: after}}})
	for _, b := range changes.Backends {
		for _, s := range b.Servers {
			parts = append(parts, string(s.Action)+s.Name)
		}
	}
	for i := range after {
		if was, there := withdrawn[after[i].Name]; there && was != after[i].NoNewClients {
			word := " takes new clients"
			if after[i].NoNewClients {
				word = " takes no new clients"
			}
			parts = append(parts, after[i].Name+word)
		}
	}
	more := len(parts) - mostDescribed
	text := strings.Join(parts[:min(len(parts), mostDescribed)], ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

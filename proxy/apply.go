package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/l7"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// reload is what became of the last attempt to change the configuration.
type reload struct {
	at  time.Time
	err error
}

// Apply changes what runs to what c says, and tells in one line what that was.
// When it fails, nothing has changed. What only another process can change
// (conf.Fixed) is left as it is.
func (p *Proxy) Apply(c *conf.Config) (summary string, err error) {
	summary, err = p.apply(c)
	p.Note(err)
	return summary, err
}

// Note keeps for the status how an attempt to change the configuration went:
// nil is success. Apply notes its own; a file that could not be read is the
// caller's to note.
func (p *Proxy) Note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reload = reload{at: time.Now(), err: err}
}

// apply carries a plan out: first all that can fail, which opens things and
// changes none, then the changes. It tells what they were.
func (p *Proxy) apply(c *conf.Config) (summary string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.given.staying {
		return "", ErrDraining
	}
	plan := conf.Diff(p.config, c)
	ready, err := p.prepare(c, &plan)
	if err != nil {
		return "", err
	}
	p.limiter.Apply(c.RateLimit)
	p.gate.setLimit(ready.maxconn)
	moved := p.applyBackends(c, &plan, ready)
	p.applyFrontends(c)
	p.applyListeners(c, &plan, ready)
	p.dropUnused(c)
	p.log.SetJSON(c.Global.LogFormat == conf.LogJSON)
	if ready.log != nil {
		p.log.Use(*ready.log)
	}
	p.config = c
	if p.reload.at.IsZero() {
		p.reload.at = time.Now()
	}
	if len(moved) == 0 {
		return plan.String(), nil
	}
	if !plan.Empty() {
		moved = append([]string{plan.String()}, moved...)
	}
	return strings.Join(moved, ", "), nil
}

// prepared is what a plan needs that can fail, done before anything changes.
type prepared struct {
	maxconn   int
	addresses addresses
	pools     map[string]*pool  // of backends that are added
	listeners []*listener       // of addresses that are added
	log       *accesslog.Opened // where the access log is to go; nil = where it goes
}

func (p *Proxy) prepare(c *conf.Config, plan *conf.Plan) (*prepared, error) {
	ready := &prepared{pools: map[string]*pool{}}
	var err error
	if ready.maxconn, err = maxConnections(c.Global.MaxConn, p.options.FileLimit); err != nil {
		return nil, err
	}
	if ready.addresses, err = resolveAll(c); err != nil {
		return nil, err
	}
	if err := checkTags(c); err != nil {
		return nil, err
	}
	for _, change := range plan.Backends {
		if change.Action != conf.Added {
			continue
		}
		if ready.pools[change.Name], err = p.newPool(*change.New, ready.addresses.resolve); err != nil {
			return nil, err
		}
	}
	if err := p.openListeners(c, plan, ready); err != nil {
		ready.closeListeners()
		return nil, err
	}
	if c.Global.AccessLog != p.config.Global.AccessLog {
		opened, err := accesslog.Open(c.Global.AccessLog)
		if err != nil {
			ready.closeListeners()
			return nil, err
		}
		ready.log = &opened
	}
	return ready, nil
}

// checkTags refuses two servers of a backend whose sessions and cookies could
// not be told apart.
func checkTags(c *conf.Config) error {
	for _, b := range c.Backends {
		var names []string
		for _, s := range b.Servers {
			names = append(names, s.Name)
		}
		if first, second, found := mcp.Collision(names); found {
			return fmt.Errorf("backend %s: the names of the servers %s and %s have the same tag: give one of them another name", b.Name, first, second)
		}
	}
	return nil
}

// openListeners opens every new address, and tells of all that it cannot open.
// Nobody is accepted there yet.
func (p *Proxy) openListeners(c *conf.Config, plan *conf.Plan, ready *prepared) error {
	var failed []error
	for _, change := range plan.Listeners {
		if change.From != "" {
			continue
		}
		f := c.Frontend(change.To)
		l, err := p.openListener(change.Address, c.Backend(f.Backend).TimeoutTCPUser, plan)
		if err != nil {
			failed = append(failed, fmt.Errorf("frontend %s: %w", f.Name, err))
			continue
		}
		l.frontend = f.Name
		ready.listeners = append(ready.listeners, l)
	}
	return errors.Join(failed...)
}

func (ready *prepared) closeListeners() {
	for _, l := range ready.listeners {
		l.Close()
	}
}

// openListener opens one address, or takes over the socket that is open there:
// an inherited one, or one that an earlier reload is still closing.
func (p *Proxy) openListener(address string, userTimeout time.Duration, plan *conf.Plan) (*listener, error) {
	for i, l := range p.retiring {
		if l.wanted == address && !strings.HasSuffix(address, ":0") && l.CancelRetire() {
			p.retiring = slices.Delete(p.retiring, i, i+1)
			return l, nil
		}
	}
	socket, err := p.open(address, userTimeout, plan)
	if err != nil {
		return nil, err
	}
	defer socket.Close() // the engine has a copy
	made, err := p.engine.Listen(socket, notYet{})
	if err != nil {
		return nil, err
	}
	return &listener{Listener: made, wanted: address, address: canonical(socket), userTimeout: userTimeout}, nil
}

// notYet is who accepts nobody.
type notYet struct{}

func (notYet) MayAccept() bool                             { return false }
func (notYet) Accepted(*reactor.Loop, int, netip.AddrPort) {} // never called
func (notYet) AcceptFailed(unix.Errno)                     {}

// applyBackends adds pools and changes those there are. It tells which servers
// have other addresses only because their names mean others now.
func (p *Proxy) applyBackends(c *conf.Config, plan *conf.Plan, ready *prepared) (moved []string) {
	changed := map[string]bool{}
	for _, change := range plan.Backends {
		changed[change.Name] = true
	}
	for i := range c.Backends {
		after := &c.Backends[i]
		b := p.backends[after.Name]
		if b == nil {
			b = ready.pools[after.Name]
			p.backends[after.Name] = b
			p.check(b)
			continue
		}
		if !changed[after.Name] {
			named := elsewhere(b, after, ready.addresses)
			if len(named) == 0 {
				continue
			}
			moved = append(moved, named...)
		}
		p.applyBackend(b, after, ready.addresses)
	}
	return moved
}

// elsewhere tells which of a backend's servers are not at the addresses that
// their names mean now.
func elsewhere(b *pool, after *conf.Backend, found addresses) (moved []string) {
	for i, server := range b.Servers() {
		for _, e := range allEndpoints {
			name := after.Servers[i].Address(e)
			if name != "" && found[name] != server.Addr(e) {
				moved = append(moved, fmt.Sprintf("~server %s/%s %s %s: %s -> %s", after.Name, server.Name(), e, name, server.Addr(e), found[name]))
			}
		}
	}
	return moved
}

// applyBackend changes one backend.
func (p *Proxy) applyBackend(b *pool, after *conf.Backend, found addresses) {
	gone, err := b.Apply(*after, found.resolve)
	if err != nil {
		// Every address was resolved before: this is a fault of ours.
		p.options.Log.Error("backend keeps its old configuration", "backend", after.Name, "err", err)
		return
	}
	p.check(b)
	p.forget(gone, after.OnRemoved)
}

// check has a backend's servers checked, unless the verdicts on them are still
// to come: Restore.
func (p *Proxy) check(b *pool) {
	if !p.options.Suspended {
		b.checker.Apply(b.InForce().Check, b.Servers())
	}
}

// forget closes the connections kept to servers that are gone, and those of
// clients where the policy is to.
func (p *Proxy) forget(gone []*backend.Server, policy conf.OnDown) {
	for _, server := range gone {
		p.workers.Forget(server)
		if policy == conf.OnDownClose && server.Conns() > 0 {
			p.evictions.add(server, policy)
		}
	}
}

// applyFrontends gives every frontend its settings, and makes those that are
// new. One that comes back while clients of its last time are connected is the
// same again.
func (p *Proxy) applyFrontends(c *conf.Config) {
	directory := l7.NewDirectory(p.poolOf)
	for i := range c.Frontends {
		f := &c.Frontends[i]
		known := p.frontends[f.Name]
		if known == nil {
			if known = p.leaving.frontends[f.Name]; known == nil {
				known = &layered{proxy: p}
			}
			delete(p.leaving.frontends, f.Name)
			p.frontends[f.Name] = known
		}
		known.apply(f, directory)
	}
}

// applyListeners begins to accept on new addresses, hands others over, and
// closes those that no frontend has any more: nobody who is connecting there
// is refused.
func (p *Proxy) applyListeners(c *conf.Config, plan *conf.Plan, ready *prepared) {
	p.retiring = slices.DeleteFunc(p.retiring, func(l *listener) bool { return l.Closed() })
	for _, change := range plan.Listeners {
		l := p.listenerOf(change.Address, change.From)
		if l == nil {
			continue
		}
		if change.To == "" {
			l.Retire()
			p.listeners = slices.DeleteFunc(p.listeners, func(other *listener) bool { return other == l })
			p.retiring = append(p.retiring, l)
			continue
		}
		l.frontend = change.To
		l.SetHandler(p.frontends[change.To])
	}
	for _, l := range ready.listeners {
		l.SetHandler(p.frontends[l.frontend])
	}
	p.listeners = append(p.listeners, ready.listeners...)
	for _, l := range p.listeners {
		l.setUserTimeout(c.Backend(c.Frontend(l.frontend).Backend).TimeoutTCPUser)
	}
}

// dropUnused forgets frontends and backends that the configuration no longer
// has. Their sessions live on to their end, which for kept-alive connections is
// the next answer; as long as they do, they are counted.
func (p *Proxy) dropUnused(c *conf.Config) {
	p.prune()
	for name, f := range p.frontends {
		if c.Frontend(name) == nil {
			delete(p.frontends, name)
			f.drain()
			p.leaving.frontends[name] = f
		}
	}
	for name, b := range p.backends {
		if c.Backend(name) == nil {
			b.checker.Stop()
			b.Retire()
			p.forget(b.Servers(), b.InForce().OnRemoved)
			delete(p.backends, name)
			p.leaving.pools = append(p.leaving.pools, b)
		}
	}
}

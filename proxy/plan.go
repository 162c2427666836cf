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
)

// change is a change of the configuration: what differs, and everything it needs
// that can fail, done before anything that runs is touched. Proxy.mu is held while
// it is in use.
type change struct {
	proxy *Proxy
	to    *conf.Config
	plan  conf.Plan

	maxconn   int
	addresses addresses
	pools     map[string]*pool  // of backends that are added
	opened    []*listener       // of addresses that are added
	log       *accesslog.Opened // where the access log is to be written; nil = no change
}

// prepare does everything that can fail for a change to c, whose names have been
// looked up. On an error nothing has changed, and nothing is left open.
func (p *Proxy) prepare(c *conf.Config) (*change, error) {
	change := &change{
		proxy: p, to: c, plan: conf.Diff(p.config, c), pools: map[string]*pool{}, addresses: addressesOf(c, p.names),
	}
	if err := change.prepare(); err != nil {
		for _, l := range change.opened {
			l.Close()
		}
		return nil, err
	}
	return change, nil
}

// Check reports why a start or a reload with c would fail, where that depends on
// more than the file: the limit of open files, fileLimit, and the names of addresses
// to listen on. It opens nothing.
func Check(c *conf.Config, fileLimit int) error {
	_, err := check(c, fileLimit)
	return errors.Join(err, checkListenNames(c))
}

// check returns how many clients a configuration allows.
func check(c *conf.Config, fileLimit int) (maxconn int, err error) {
	if maxconn, err = budget(c, fileLimit).maxConnections(c.Global.MaxConn); err != nil {
		return 0, err
	}
	return maxconn, checkTags(c)
}

func (c *change) prepare() (err error) {
	if c.maxconn, err = check(c.to, c.proxy.options.FileLimit); err != nil {
		return err
	}
	if err := c.createPools(); err != nil {
		return err
	}
	if err := c.openListeners(); err != nil {
		return err
	}
	return c.openLog()
}

// checkTags refuses two servers of a backend whose sessions and cookies could not
// be distinguished.
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

func (c *change) createPools() (err error) {
	for _, b := range c.plan.Backends {
		if b.Action != conf.Added {
			continue
		}
		if c.pools[b.Name], err = c.proxy.newPool(*b.New, c.addresses[b.Name]); err != nil {
			return err
		}
	}
	return nil
}

// openListeners opens every new address. Its error names all that it cannot open.
func (c *change) openListeners() error {
	var failed []error
	for _, listener := range opening(c.plan.Listeners) {
		f := c.to.Frontend(listener.To)
		l, err := c.proxy.listeners.open(listener.Address, c.socketOptions(f, listener.IPv6Only))
		if err != nil {
			failed = append(failed, fmt.Errorf("frontend %s: %w", f.Name, err))
			continue
		}
		l.frontend = f.Name
		c.opened = append(c.opened, l)
	}
	return errors.Join(failed...)
}

// opening returns the listeners to open, first those for IPv6 alone: they may
// replace one of the old process that includes others.
func opening(changes []conf.ListenerChange) []conf.ListenerChange {
	all := slices.DeleteFunc(slices.Clone(changes), func(l conf.ListenerChange) bool { return l.From != "" })
	slices.SortStableFunc(all, func(a, b conf.ListenerChange) int {
		switch {
		case a.IPv6Only == b.IPv6Only:
			return 0
		case a.IPv6Only:
			return -1
		}
		return 1
	})
	return all
}

// socketOptions are those of a frontend's listening sockets.
func (c *change) socketOptions(f *conf.Frontend, ipv6Only bool) socketOptions {
	return socketOptions{liveness: c.liveness(f), sendBuffer: f.SendBuffer, ipv6Only: ipv6Only}
}

// liveness is how a frontend's clients are watched.
func (c *change) liveness(f *conf.Frontend) reactor.Liveness {
	return reactor.Liveness{UserTimeout: c.to.Backend(f.Backend).TimeoutTCPUser, KeepAlive: f.KeepAlive}
}

func (c *change) openLog() error {
	if c.to.Global.AccessLog == c.proxy.config.Global.AccessLog {
		return nil
	}
	opened, err := accesslog.Open(c.to.Global.AccessLog)
	if err != nil {
		return err
	}
	c.log = &opened
	return nil
}

// apply changes what runs, and returns a summary of the changes.
func (c *change) apply() (summary string) {
	p := c.proxy
	p.limiter.Apply(c.to.RateLimit, p.engine.Now())
	p.fleet.Apply(c.to.Fleet, c.to.Admin.Listen)
	p.accounts.Resize(c.to.RateLimit.TableSize)
	p.connections.setLimit(c.maxconn)
	p.engine.LimitDials(dialCeiling(c.to, p.options.FileLimit))
	p.names.Want(usesOf(c.to), c.to.Resolver)
	moved := c.applyBackends()
	c.applyFrontends()
	if c.verificationChanges() {
		p.endOutdated()
	}
	c.applyListeners()
	c.retire()
	p.log.SetJSON(c.to.Global.LogFormat == conf.LogJSON)
	if c.log != nil {
		p.log.Use(*c.log)
	}
	p.config = c.to
	if p.reload.at.IsZero() {
		p.reload.at = time.Now()
	}
	return c.summary(moved)
}

// summary describes the plan and the servers that moved without it.
func (c *change) summary(moved []string) string {
	if len(moved) == 0 {
		return c.plan.String()
	}
	if !c.plan.Empty() {
		moved = append([]string{c.plan.String()}, moved...)
	}
	return strings.Join(moved, ", ")
}

// applyBackends adds backends and changes the present ones. It returns the servers
// whose addresses change only because their names resolve to others now.
func (c *change) applyBackends() (moved []string) {
	p := c.proxy
	changed := map[string]bool{}
	for _, b := range c.plan.Backends {
		changed[b.Name] = true
	}
	for i := range c.to.Backends {
		after := &c.to.Backends[i]
		b := p.backends[after.Name]
		if b == nil {
			b = c.pools[after.Name]
			p.backends[after.Name] = b
			p.settle(b)
			continue
		}
		if !changed[after.Name] {
			named := c.movedServers(b, after)
			if len(named) == 0 {
				continue
			}
			moved = append(moved, named...)
		}
		c.applyBackend(b, after)
	}
	return moved
}

// movedServers describes those of a backend's servers whose names resolve to other
// addresses now.
func (c *change) movedServers(b *pool, after *conf.Backend) (moved []string) {
	for i, server := range b.Servers() {
		now := c.addresses[after.Name][i]
		for _, e := range allEndpoints {
			if to := now.Of(e); to != server.Addr(e) {
				moved = append(moved, fmt.Sprintf("~server %s/%s %s %s: %s -> %s", after.Name, server.Name(), e, after.Servers[i].Address(e), showAddress(server.Addr(e)), showAddress(to)))
			}
		}
	}
	return moved
}

// showAddress shows an address, which may be unresolved.
func showAddress(address netip.AddrPort) string {
	if !address.IsValid() {
		return "unresolved"
	}
	return address.String()
}

// applyBackend changes one backend.
func (c *change) applyBackend(b *pool, after *conf.Backend) {
	before := b.InForce()
	c.proxy.secure(b.Pool, after.TLS)
	gone, err := b.ApplyAt(*after, c.addresses[after.Name])
	if err != nil {
		// Every name of a server was checked before: this is a bug of ours.
		c.proxy.options.Log.Error("backend keeps its old configuration", "backend", after.Name, "err", err)
		return
	}
	if before.TimeoutIdle != after.TimeoutIdle {
		for _, server := range b.Servers() {
			c.proxy.workers.CloseIdle(server) // they count by the old time
		}
	}
	c.proxy.settle(b)
	removed, moved := splitGone(gone, before, after)
	c.proxy.removed(removed, after.OnRemoved)
	c.proxy.removed(moved, after.OnDown)
}

// splitGone separates the servers that the file removes, or gives other addresses,
// from those whose names have moved.
func splitGone(gone []*backend.Server, before, after *conf.Backend) (removed, moved []*backend.Server) {
	if len(gone) == 0 {
		return nil, nil
	}
	old, now := serversByName(before), serversByName(after)
	for _, server := range gone {
		was, is := old[server.Name()], now[server.Name()]
		if was != nil && is != nil && was.SameAddresses(is) {
			moved = append(moved, server)
		} else {
			removed = append(removed, server)
		}
	}
	return removed, moved
}

// serversByName returns the servers of a backend by their names.
func serversByName(b *conf.Backend) map[string]*conf.Server {
	byName := make(map[string]*conf.Server, len(b.Servers))
	for i := range b.Servers {
		byName[b.Servers[i].Name] = &b.Servers[i]
	}
	return byName
}

// applyFrontends gives every frontend its settings, and creates the new ones. A
// frontend that returns while clients from its earlier life are connected is the
// same one again.
func (c *change) applyFrontends() {
	p := c.proxy
	directory := l7.NewDirectory(p.poolOf)
	for i := range c.to.Frontends {
		f := &c.to.Frontends[i]
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

func (c *change) applyListeners() {
	listeners := &c.proxy.listeners
	listeners.apply(&c.plan, c.opened, c.proxy.frontends)
	for _, l := range listeners.active {
		f := c.to.Frontend(l.frontend)
		l.setLiveness(c.liveness(f))
		l.setSendBuffer(f.SendBuffer)
	}
}

// retire removes the frontends and backends that the configuration no longer has.
// Their sessions continue to their end, which for kept-alive connections is the
// next response; until then they are counted.
func (c *change) retire() {
	p := c.proxy
	p.prune()
	for name, f := range p.frontends {
		if c.to.Frontend(name) == nil {
			delete(p.frontends, name)
			f.drain()
			p.leaving.frontends[name] = f
		}
	}
	for name, b := range p.backends {
		if c.to.Backend(name) == nil {
			b.checker.Stop()
			b.Retire()
			p.removed(b.Servers(), b.InForce().OnRemoved)
			delete(p.backends, name)
			p.leaving.pools = append(p.leaving.pools, b)
		}
	}
}

//go:build linux

package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
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
// When it fails, nothing has changed. What only a new process can change
// (Plan.Restart) is left as it is and named in the summary.
func (p *Proxy) Apply(c *conf.Config) (summary string, err error) {
	plan, err := p.apply(c)
	p.Note(err)
	if err != nil {
		return "", err
	}
	return plan.String(), nil
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
// changes none, then the changes.
func (p *Proxy) apply(c *conf.Config) (conf.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining {
		return conf.Plan{}, ErrDraining
	}
	plan := conf.Diff(p.config, c)
	ready, err := p.prepare(c, &plan)
	if err != nil {
		return conf.Plan{}, err
	}
	p.limiter.Apply(c.RateLimit)
	p.gate.setLimit(ready.maxconn)
	p.applyBackends(&plan, ready)
	p.applyFrontends(c)
	p.applyListeners(&plan, ready)
	p.dropUnused(c)
	p.log.SetJSON(c.Global.LogFormat == conf.LogJSON)
	if ready.log != nil {
		p.log.Use(*ready.log)
	}
	p.config = c
	if p.reload.at.IsZero() {
		p.reload.at = time.Now()
	}
	return plan, nil
}

// prepared is what a plan needs that can fail, done before anything changes.
type prepared struct {
	maxconn   int
	addresses addresses
	pools     map[string]*pool     // of backends that are added
	listeners map[string]*listener // of addresses that are added
	log       *accesslog.Opened    // where the access log is to go; nil = where it goes
}

func (p *Proxy) prepare(c *conf.Config, plan *conf.Plan) (*prepared, error) {
	ready := &prepared{pools: map[string]*pool{}, listeners: map[string]*listener{}}
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
		if ready.pools[change.Name], err = p.newPool(*change.New, ready.addresses); err != nil {
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
		l, err := p.openListener(change.Address, c.Backend(f.Backend).TimeoutTCPUser)
		if err != nil {
			failed = append(failed, fmt.Errorf("frontend %s: %w", f.Name, err))
			continue
		}
		l.frontend = f.Name
		ready.listeners[change.Address] = l
	}
	return errors.Join(failed...)
}

func (ready *prepared) closeListeners() {
	for _, l := range ready.listeners {
		l.Close()
	}
}

// openListener opens one address, or takes over the socket that is open there.
func (p *Proxy) openListener(address string, userTimeout time.Duration) (*listener, error) {
	socket, err := p.open(address, userTimeout)
	if err != nil {
		return nil, err
	}
	defer socket.Close() // the engine has a copy
	made, err := p.engine.Listen(socket, notYet{})
	if err != nil {
		return nil, err
	}
	return &listener{Listener: made, address: canonical(socket)}, nil
}

// notYet is who accepts nobody.
type notYet struct{}

func (notYet) MayAccept() bool                             { return false }
func (notYet) Accepted(*reactor.Loop, int, netip.AddrPort) {} // never called
func (notYet) AcceptFailed(unix.Errno)                     {}

// applyBackends adds pools and changes those there are.
func (p *Proxy) applyBackends(plan *conf.Plan, ready *prepared) {
	for _, change := range plan.Backends {
		b := p.backends[change.Name]
		switch change.Action {
		case conf.Removed:
			continue // frontends may still use it: dropUnused
		case conf.Added:
			b = ready.pools[change.Name]
			p.backends[change.Name] = b
		case conf.Changed:
			gone, err := b.Apply(*change.New, ready.addresses.resolve)
			if err != nil {
				// Every address was resolved before: this is a fault of ours.
				p.options.Log.Error("backend keeps its old configuration", "backend", change.Name, "err", err)
				continue
			}
			p.forget(gone)
		}
		if !p.options.Suspended { // else the verdicts are still to come: Restore
			b.checker.Apply(change.New.Check, b.Servers())
		}
	}
}

// forget closes the connections kept to servers that are gone.
func (p *Proxy) forget(gone []*backend.Server) {
	for _, server := range gone {
		p.workers.Forget(server)
	}
}

// applyFrontends gives every frontend its settings, and makes those that are
// new, or that changed their mode: the sessions of the old mode live on.
func (p *Proxy) applyFrontends(c *conf.Config) {
	for i := range c.Frontends {
		f := &c.Frontends[i]
		known := p.frontends[f.Name]
		if known != nil && known.apply(f, p.poolOf) {
			continue
		}
		p.frontends[f.Name] = p.newFrontend(f)
		if known != nil {
			known.drain()
		}
	}
}

// applyListeners begins to accept on new addresses, hands others over, and
// closes those that no frontend has any more.
func (p *Proxy) applyListeners(plan *conf.Plan, ready *prepared) {
	maps.Copy(p.listeners, ready.listeners)
	for _, change := range plan.Listeners {
		if l := p.listeners[change.Address]; change.To == "" && l != nil {
			l.Close()
			delete(p.listeners, change.Address)
		} else if change.From != "" && l != nil {
			l.frontend = change.To
		}
	}
	for _, l := range p.listeners {
		l.Hand(p.frontends[l.frontend]) // also where the frontend of that name is another now
	}
}

// dropUnused forgets frontends and backends that the configuration no longer
// has. Their sessions live on to their end, which for kept-alive connections is
// the next answer.
func (p *Proxy) dropUnused(c *conf.Config) {
	for name, f := range p.frontends {
		if c.Frontend(name) == nil {
			delete(p.frontends, name)
			f.drain()
		}
	}
	for name, b := range p.backends {
		if c.Backend(name) == nil {
			b.checker.Stop()
			p.forget(b.Servers())
			delete(p.backends, name)
		}
	}
}

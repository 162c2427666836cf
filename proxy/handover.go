package proxy

import (
	"encoding/json"
	"net/netip"
	"slices"

	"mcplb/backend"
	"mcplb/backend/discovery"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/handover"
	"mcplb/proxy/l7"
	"mcplb/proxy/metrics"
	"mcplb/proxy/reactor"
	"mcplb/proxy/tlsio"
	"mcplb/ratelimit"
)

// Handover is the balancer as package handover sees it, in the old process and in
// the new one.
type Handover struct{ proxy *Proxy }

var (
	_ handover.OldBalancer = (*Handover)(nil)
	_ handover.NewBalancer = (*Handover)(nil)
)

// Engine implements handover.Balancer.
func (h *Handover) Engine() *reactor.Engine { return h.proxy.engine }

// Accounts implements handover.Balancer.
func (h *Handover) Accounts() *ratelimit.Accounts { return h.proxy.accounts }

// Limiter implements handover.Balancer.
func (h *Handover) Limiter() *ratelimit.Limiter { return h.proxy.limiter }

// Resume implements handover.Balancer.
func (h *Handover) Resume() {
	p := h.proxy
	p.startChecks()
	p.setHanding(false)
	p.resumePools()
	p.fleet.Resume()
	p.connections.closed.Store(false)
	p.resumeListeners()
}

// startChecks starts the checks of a balancer that was started suspended: the old
// process's verdicts are restored by now.
func (p *Proxy) startChecks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.suspended {
		return
	}
	p.suspended = false
	for _, b := range p.backends {
		p.settle(b)
	}
	p.bringIn() // what names stand for by now
	p.startWatches()
	p.refreshAll()
}

// EachCounters implements handover.Balancer.
func (h *Handover) EachCounters(visit func(name string, loop int, counters metrics.Set)) {
	h.proxy.mu.RLock()
	defer h.proxy.mu.RUnlock()
	h.proxy.components.eachCounters(len(h.proxy.engine.Loops()), visit)
}

// Sockets implements handover.OldBalancer.
func (h *Handover) Sockets() ([]handover.Socket, error) {
	h.proxy.mu.RLock()
	defer h.proxy.mu.RUnlock()
	return h.proxy.listeners.copies()
}

// Suspend implements handover.OldBalancer.
func (h *Handover) Suspend() {
	p := h.proxy
	p.setHanding(true)
	p.connections.closed.Store(true)
	p.fleet.Suspend()  // the new process takes this balancer's place
	p.engine.Barrier() // an accept that has begun ends within its loop's turn
	for p.disconnector.underWay() {
		p.engine.Barrier()
	}
}

// setHanding says whether the state is being handed over. What names stand for takes
// effect afterwards.
func (p *Proxy) setHanding(handing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.handing
	p.handing = handing
	if was && !handing {
		p.bringIn()
		p.refreshAll()
	}
}

// Names implements handover.OldBalancer.
func (h *Handover) Names() []discovery.Handover {
	return h.proxy.names.Handover(h.proxy.engine.Now())
}

// AdoptServers implements handover.NewBalancer.
func (h *Handover) AdoptServers(all []handover.BackendState) {
	p := h.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range all {
		state := &all[i]
		name := state.Settings.Name
		before := &extra{runtime: state.Extra.Runtime}
		before.known.Servers, before.known.At = state.Extra.Found, state.Extra.FoundAt
		written := p.written.Backend(name)
		if written == nil || state.Removed {
			continue
		}
		if e := before.next(written); e != nil {
			p.extras[name] = e
			p.refreshLocked(name)
		}
	}
}

// RestoreNames implements handover.NewBalancer.
func (h *Handover) RestoreNames(all []discovery.Handover) {
	p := h.proxy
	p.names.Restore(all, p.engine.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bringIn()
}

// Pools implements handover.OldBalancer.
func (h *Handover) Pools() (all []handover.Pool) {
	p := h.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune()
	for _, b := range p.pools() {
		one := handover.Pool{Pool: b.Pool, Removed: p.poolOf(b.Name()) != b.Pool}
		if e := p.extras[b.Name()]; e != nil && !one.Removed {
			found := e.state()
			one.Extra = handover.ExtraServers{Runtime: e.runtime, Found: found.Servers, FoundAt: found.At}
		}
		all = append(all, one)
	}
	return all
}

// Frontends implements handover.OldBalancer.
func (h *Handover) Frontends() (all []handover.FrontendState) {
	h.proxy.mu.RLock()
	defer h.proxy.mu.RUnlock()
	for name, f := range h.proxy.allFrontends() {
		state := handover.FrontendState{Name: name, Peak: f.Peak()}
		if f.stream != nil {
			state.Stream = withoutTLS(f.stream.config())
		}
		if f.http != nil {
			state.HTTP = withoutTLS(f.http.config())
		}
		all = append(all, state)
	}
	return all
}

// withoutTLS returns a copy of a frontend's settings.
func withoutTLS(c *conf.Frontend) *conf.Frontend {
	copied := *c
	copied.TLS = nil
	return &copied
}

// Figures implements handover.OldBalancer.
func (h *Handover) Figures() handover.Figures {
	p := h.proxy
	p.mu.RLock()
	defer p.mu.RUnlock()
	forgotten, _ := json.Marshal(&p.leaving.forgotten) // of numbers and words: never fails
	return handover.Figures{Peak: p.connections.peak.Load(), Failed: p.connections.failed.Load(), Forgotten: forgotten, Fleet: p.fleet.Pending()}
}

// Leave implements handover.OldBalancer. Until Stop, which must follow, the health
// page reports of this process what holds for both: new clients are served.
func (h *Handover) Leave() {
	p := h.proxy
	p.log.Follow()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replaced = true
	for _, f := range p.allFrontends() {
		f.setReplaced()
	}
}

// Restore implements handover.NewBalancer.
func (h *Handover) Restore(figures handover.Figures) error {
	var forgotten admin.Frontend
	if err := json.Unmarshal(figures.Forgotten, &forgotten); err != nil {
		return err
	}
	p := h.proxy
	p.connections.peak.Store(figures.Peak)
	p.connections.failed.Add(figures.Failed)
	p.fleet.Restore(figures.Fleet)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving.forgotten = forgotten
	return nil
}

// Pool implements handover.NewBalancer.
func (h *Handover) Pool(state *handover.BackendState) (*backend.Pool, error) {
	p := h.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.backends[state.Settings.Name]; b != nil && !state.Removed {
		return b.Pool, nil
	}
	b, err := p.leavingPool(state.Settings)
	if err != nil {
		return nil, err
	}
	b.Retire()
	p.leaving.pools = append(p.leaving.pools, b)
	return b.Pool, nil
}

// leavingPool creates the pool of a backend that only the old process has. Its
// addresses are resolved.
func (p *Proxy) leavingPool(c conf.Backend) (*pool, error) {
	addresses := make([]backend.Addresses, len(c.Servers))
	for i := range c.Servers {
		for _, e := range allEndpoints {
			text := c.Servers[i].Address(e)
			if text == "" {
				continue
			}
			address, err := netip.ParseAddrPort(text)
			if err != nil {
				return nil, err
			}
			addresses[i].Set(e, address)
		}
	}
	return p.newPool(c, addresses)
}

// Frontend implements handover.NewBalancer.
func (h *Handover) Frontend(state *handover.FrontendState) (found handover.Frontend) {
	p := h.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.frontends[state.Name]
	gone := f == nil
	if gone {
		f = &layered{proxy: p}
	}
	directory := l7.NewDirectory(p.anyPoolOf)
	for _, layer := range []*conf.Frontend{state.Stream, state.HTTP} {
		if layer != nil && !slices.ContainsFunc(backendsOf(layer), func(name string) bool { return p.anyPoolOf(name) == nil }) {
			f.ensureMode(layer, directory)
		}
	}
	if f.active.Load() == nil {
		return found // its backends have gone, and so it can have no clients
	}
	if gone {
		f.drain()
		p.leaving.frontends[state.Name] = f
	}
	f.RestorePeak(state.Peak)
	if f.stream != nil {
		found.Stream = f.stream.Frontend
	}
	if f.http != nil {
		found.HTTP = f.http.Frontend
	}
	return found
}

// SetOldClients implements handover.NewBalancer.
func (h *Handover) SetOldClients(n int) { h.proxy.connections.setOld(n) }

// Disconnect implements handover.NewBalancer.
func (h *Handover) Disconnect(server *backend.Server, policy conf.OnDown) {
	h.proxy.disconnector.add(server, policy)
}

// Draining implements handover.NewBalancer.
func (h *Handover) Draining() bool {
	h.proxy.mu.RLock()
	defer h.proxy.mu.RUnlock()
	return h.proxy.draining
}

// TLS implements handover.NewBalancer.
func (h *Handover) TLS() *tlsio.Workers { return h.proxy.tlsWorkers }

// Alone implements handover.NewBalancer.
func (h *Handover) Alone() {
	h.proxy.mu.Lock()
	defer h.proxy.mu.Unlock()
	h.proxy.prune()
}

package backend

import "net/netip"

// Displacement says that a source does not belong on its first server by hash,
// but on another: what balancers that share their servers cannot find by hashing.
type Displacement struct {
	Source netip.Prefix // an IPv4 /32 or an IPv6 /64
	Server string       // by name
}

// mostDisplacements is how many displacements a pool keeps between two calls of
// Displaced.
const mostDisplacements = 10_000

// displacements collects what Displaced returns.
type displacements struct {
	members *members
	wanted  bool
	list    []Displacement
	lost    int
}

// add notes the displacement that e is.
func (d *displacements) add(e *entry) {
	switch {
	case !d.wanted:
	case len(d.list) == mostDisplacements:
		d.lost++
	default:
		d.list = append(d.list, Displacement{sourceOf(e.Source), d.members.names[e.Server]})
	}
}

// Displaced appends to list the sources that were displaced since the last call,
// and those that were and whose last connection has ended since: sticky_time begins
// again there. The first call starts the collection, and returns none. More than
// 10,000 between two calls are lost; lost counts them.
func (p *Pool) Displaced(list []Displacement) (all []Displacement, lost int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.balancer.sticky.shared
	lost = d.lost
	all = append(list, d.list...)
	d.wanted, d.lost, d.list = true, 0, d.list[:0]
	return all, lost
}

// Displace remembers for sticky_time from now on, on the caller's clock, what
// another balancer says of a source. It reports whether it did: not if the pool
// has no such server, nor if the source has connections here, nor if the memory is
// full of sources that have.
func (p *Pool) Displace(d Displacement, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.balancer.advance(now)
	server := p.balancer.members.named([]string{d.Server})[0]
	if server == none || p.balancer.members.all[server].server == nil {
		return false
	}
	return p.balancer.sticky.adopt(sourceKey(d.Source.Addr()), server)
}

// adopt makes an idle source one that was displaced to a server now.
func (k *sticky) adopt(source [16]byte, server int32) bool {
	if k.connected(k.recall(source)) {
		return false
	}
	r := k.find(source, server)
	if r == noEntry {
		if r = k.enter(source, server); r == noEntry {
			return false
		}
	}
	wanted := k.shared.wanted
	k.shared.wanted = false // it is known to the others
	k.displace(r, true)
	k.shared.wanted = wanted
	k.memory.busy(r)
	k.memory.at(r).Left = k.now
	k.memory.idle(r)
	return true
}

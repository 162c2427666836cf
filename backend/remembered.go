package backend

import (
	"net/netip"
	"time"
)

// Remembered is one line of a pool's sticky memory: where connections of a
// source belong. A source that was too much for one server has several; one that
// has no connections has a line only if it was displaced.
type Remembered struct {
	Source      netip.Prefix  // an IPv4 /32 or an IPv6 /64
	Server      string        // the name of the server where they belong
	Fallback    string        // while that is out of use, the server that hashing prefers; "" = none
	Displaced   bool          // the server is not the source's first by hash
	Connections int           // now, on the server or another
	Idle        time.Duration // since it last had a connection; 0 while it has one
}

// Remembered returns how many sources are in the sticky memory (policy source):
// those that have connections, and those that were displaced.
func (p *Pool) Remembered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.balancer.sticky.memory.first)
}

// Sticky returns up to most lines of the sticky memory, in no particular order,
// as of now on the caller's clock. The pool is locked meanwhile: about a
// microsecond per line.
func (p *Pool) Sticky(most int, now int64) []Remembered {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Remembered
	for _, first := range p.balancer.sticky.memory.first {
		if list = p.balancer.sticky.list(list, first, now); len(list) >= most {
			return list[:most]
		}
	}
	return list
}

// StickyOf returns the lines of the source of an address, none if that is not
// remembered.
func (p *Pool) StickyOf(source netip.Addr, now int64) []Remembered {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.balancer.sticky.list(nil, p.balancer.sticky.memory.first[sourceKey(source)], now)
}

// list appends the lines of a source, whose first entry is first, to list.
func (k *sticky) list(list []Remembered, first ref, now int64) []Remembered {
	for r := first; r != noEntry; r = k.memory.at(r).sibling {
		e := k.memory.at(r)
		if !e.Displaced && e.live == 0 {
			continue
		}
		line := Remembered{
			Source:      sourceOf(e.Source),
			Server:      k.members.names[e.Server],
			Fallback:    k.members.fallbackOf(e),
			Displaced:   e.Displaced,
			Connections: int(e.live),
		}
		if e.live == 0 {
			line.Idle = time.Duration(max(now-e.Left, 0))
		}
		list = append(list, line)
	}
	return list
}

// fallbackOf returns the name of the server that hashing prefers for connections of
// e while theirs is out of use, "" while it is in use or if there is none.
func (ms *members) fallbackOf(e *entry) string {
	home := &ms.all[e.Server]
	if home.tier != unusable {
		return ""
	}
	f := filter{endpoints: home.endpoints}
	if home.server == nil {
		f.endpoints = anyEndpoint
	}
	f.backup = !ms.served(f.endpoints)
	best, highest := none, rank{}
	for i := range ms.all {
		m := &ms.all[i]
		if m.tier == unusable || m.endpoints&f.endpoints == 0 || m.backup != f.backup {
			continue
		}
		if r := rankOf(m.hash, hashOf(e.Source), m.share); best == none || r.above(highest) {
			best, highest = i, r
		}
	}
	if best == none {
		return ""
	}
	return ms.names[best]
}

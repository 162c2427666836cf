package backend

import (
	"net/netip"
	"time"
)

// Remembered is one line of a pool's sticky memory: where connections of a
// source belong. A source that was too much for one server has several.
type Remembered struct {
	Source      netip.Prefix  // an IPv4 /32 or an IPv6 /64
	Server      string        // the name of the primary server
	Fallback    string        // the server used while that is out of use; "" = none
	Connections int           // now, on the primary server or another
	Idle        time.Duration // since it last had a connection; 0 while it has one
}

// Remembered returns how many sources' servers are remembered (policy source).
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
		line := Remembered{
			Source:      sourceOf(e.Source),
			Server:      k.members.names[e.Primary],
			Connections: int(e.live),
		}
		if e.Fallback != none {
			line.Fallback = k.members.names[e.Fallback]
		}
		if e.live == 0 {
			line.Idle = time.Duration(max(now-e.Left, 0))
		}
		list = append(list, line)
	}
	return list
}

package backend

import (
	"net/netip"
	"time"
)

// Remembered is one line of a pool's sticky memory: where connections of a
// source belong. A source that was too much for one server has several.
type Remembered struct {
	Source      netip.Addr
	Server      string        // the name of the server where it is at home
	Refuge      string        // the one it uses while that is out of use; "" = none
	Connections int           // now, at home or elsewhere
	Idle        time.Duration // since it last had a connection; 0 while it has one
}

// Sticky returns up to most lines of the sticky memory, of no particular order,
// as of now on the caller's clock. The pool is locked meanwhile: about a
// microsecond for each line.
func (p *Pool) Sticky(most int, now int64) []Remembered {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Remembered
	for _, first := range p.memory.first {
		if list = p.appendSticky(list, first, now); len(list) >= most {
			return list[:most]
		}
	}
	return list
}

// StickyOf returns the lines of one source, none if nothing is remembered of it.
func (p *Pool) StickyOf(source netip.Addr, now int64) []Remembered {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, known := p.memory.first[source.As16()]
	if !known {
		return nil
	}
	return p.appendSticky(nil, first, now)
}

// appendSticky appends the entries of the source whose first one it is.
func (p *Pool) appendSticky(list []Remembered, first ref, now int64) []Remembered {
	for r := first; r != noEntry; {
		e := p.memory.at(r)
		line := Remembered{
			Source:      netip.AddrFrom16(e.source).Unmap(),
			Server:      p.names[e.home],
			Connections: int(e.live),
		}
		if e.refuge != none {
			line.Refuge = p.names[e.refuge]
		}
		if e.live == 0 {
			line.Idle = time.Duration(max(now-e.left, 0))
		}
		list = append(list, line)
		r = e.sibling
	}
	return list
}

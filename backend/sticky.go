package backend

// settle makes the entry of pl, if need be, and counts a connection for it
// that was given slot. It returns the entry, noEntry if nothing is to be
// remembered or the memory is full of live ones.
func (p *Pool) settle(pl *plan, slot int) ref {
	if !pl.remember || pl.home == none {
		return noEntry
	}
	r := pl.entry
	if r == noEntry {
		if r = p.enter(pl); r == noEntry {
			return noEntry
		}
	}
	e := p.memory.at(r)
	if slot == int(pl.home) {
		p.setRefuge(e, none)
	} else if pl.shelter {
		p.setRefuge(e, int32(slot))
	}
	p.connect(r)
	return r
}

// enter makes an idle entry for pl, in place of the one idle the longest if the
// memory is full.
func (p *Pool) enter(pl *plan) ref {
	r := p.memory.insert(pl.source)
	if r == noEntry {
		idle := p.memory.longestIdle()
		if idle == noEntry {
			return noEntry
		}
		p.forget(idle)
		r = p.memory.insert(pl.source)
	}
	e := p.memory.at(r)
	e.home, e.refuge, e.left = pl.home, none, p.clock
	e.peers = pl.peers
	p.count(e, 1)
	p.memory.idle(r)
	return r
}

// connect counts a connection for r.
func (p *Pool) connect(r ref) {
	e := p.memory.at(r)
	if e.live == 0 {
		p.memory.busy(r)
	}
	p.count(e, -1)
	e.live++
	e.peak = max(e.peak, e.live)
	p.count(e, 1)
}

// disconnect ends a connection that was counted for r; noEntry does nothing.
func (p *Pool) disconnect(r ref) {
	if r == noEntry {
		return
	}
	e := p.memory.at(r)
	p.decay(e)
	if e.live == e.peak || e.live == 1 {
		e.left = p.clock
	}
	p.count(e, -1)
	e.live--
	p.count(e, 1)
	if e.live == 0 {
		p.memory.idle(r)
	}
}

// forget removes an idle entry. If it is its source's first, the next one
// becomes the first.
func (p *Pool) forget(r ref) {
	e := p.memory.at(r)
	p.count(e, -1)
	p.memory.busy(r)
	heir := e.sibling
	if e.further || heir == noEntry {
		p.memory.remove(r)
		return
	}
	p.count(p.memory.at(heir), -1)
	p.memory.remove(r)
	p.count(p.memory.at(heir), 1)
}

// expire forgets entries idle for longer than sticky_time: a few at a time, but
// more than a request can add.
func (p *Pool) expire() {
	for range 2 {
		r := p.memory.longestIdle()
		if r == noEntry || !p.expired(p.memory.at(r)) {
			return
		}
		p.forget(r)
	}
}

// expired reports whether e has been as it is for longer than sticky_time; 0
// is no limit.
func (p *Pool) expired(e *entry) bool {
	return p.sticky > 0 && p.clock-e.left > p.sticky
}

// decay forgets the places of e that no connection used for sticky_time.
func (p *Pool) decay(e *entry) {
	if e.live > 0 && e.live < e.peak && p.expired(e) {
		p.setPeak(e, e.live)
	}
}

// count adds e to the counts of its slots (by 1) or takes it out of them (by
// -1). Whoever changes an entry takes it out before and adds it afterwards.
func (p *Pool) count(e *entry, by int32) {
	home := &p.slots[e.home]
	home.attributed += by * e.live
	home.residents.entries += by
	home.residents.expected += by * e.expected()
	if !e.further {
		home.residents.sources += by
		if e.live > 0 {
			home.residents.live += by
		}
		if e.grown() {
			home.residents.grown += by
		}
	}
	if e.refuge != none {
		refuge := p.slots[e.refuge].residents
		refuge.guests += by
		refuge.refugees += by * e.peak
	}
}

func (p *Pool) setPeak(e *entry, peak int32) {
	p.count(e, -1)
	e.peak = peak
	p.count(e, 1)
}

func (p *Pool) setRefuge(e *entry, slot int32) {
	if e.refuge == slot {
		return
	}
	p.count(e, -1)
	e.refuge = slot
	p.count(e, 1)
}

func (p *Pool) setHome(e *entry, slot int32) {
	p.count(e, -1)
	e.home = slot
	p.count(e, 1)
}

package backend

// sticky remembers where the connections of each source belong. It keeps the
// entries of its memory, and what the members count of them, up to date.
//
//	an entry is   with            until
//	live          connections     the last one ends: then it is idle
//	idle          none            one comes: then it is live; or sticky_time has passed,
//	                                or the memory is full: then it is forgotten
type sticky struct {
	memory   memory
	members  *members
	duration int64 // sticky_time in nanoseconds; 0 = no limit
	now      int64 // the latest monotonic time that a caller passed
}

// advance brings to now what changes with time alone: it forgets entries idle
// for longer than sticky_time, a few per call, but more than a request can add.
func (k *sticky) advance(now int64) {
	k.now = max(k.now, now)
	for range 2 {
		r := k.memory.longestIdle()
		if r == noEntry || !k.expired(k.memory.at(r)) {
			return
		}
		k.forget(r)
	}
}

// expired reports whether e has been as it is for longer than sticky_time.
func (k *sticky) expired(e *entry) bool {
	return k.duration > 0 && k.now-e.Left > k.duration
}

// recall returns the first of the source's entries that have not expired.
func (k *sticky) recall(source [16]byte) ref {
	first := k.memory.first[source]
	for r := first; r != noEntry; {
		e := k.memory.at(r)
		sibling := e.sibling
		if e.live == 0 && k.expired(e) {
			k.forget(r)
		}
		r = sibling
	}
	return k.memory.first[source]
}

// settle counts a connection that was given member i for the entry of pl, which
// it makes if there is none. It returns the entry, noEntry if nothing is to be
// remembered or the memory is full of live ones.
func (k *sticky) settle(pl *plan, i int) ref {
	if !pl.remember || pl.primary == none {
		return noEntry
	}
	r := pl.entry
	if r == noEntry {
		if r = k.enter(pl); r == noEntry {
			return noEntry
		}
	}
	e := k.memory.at(r)
	if i == int(pl.primary) {
		k.setFallback(e, none)
	} else if pl.fallback {
		k.setFallback(e, int32(i))
	}
	k.connect(r)
	return r
}

// enter makes an idle entry for pl, in place of the one idle the longest if the
// memory is full.
func (k *sticky) enter(pl *plan) ref {
	r := k.memory.insert(pl.source)
	if r == noEntry {
		idle := k.memory.longestIdle()
		if idle == noEntry {
			return noEntry
		}
		k.forget(idle)
		r = k.memory.insert(pl.source)
	}
	e := k.memory.at(r)
	e.Primary, e.Fallback, e.Left = pl.primary, none, k.now
	e.Peers = pl.peers
	k.count(e, 1)
	k.memory.idle(r)
	return r
}

// connect counts a connection for r.
func (k *sticky) connect(r ref) {
	e := k.memory.at(r)
	if e.live == 0 {
		k.memory.busy(r)
	}
	k.count(e, -1)
	e.live++
	e.Peak = max(e.Peak, e.live)
	k.count(e, 1)
}

// disconnect ends a connection that was counted for r; noEntry does nothing.
func (k *sticky) disconnect(r ref) {
	if r == noEntry {
		return
	}
	e := k.memory.at(r)
	k.decay(e)
	if e.live == e.Peak || e.live == 1 {
		e.Left = k.now
	}
	k.count(e, -1)
	e.live--
	k.count(e, 1)
	if e.live == 0 {
		k.memory.idle(r)
	}
}

// forget removes an idle entry. If it is its source's first, the next one
// becomes the first.
func (k *sticky) forget(r ref) {
	e := k.memory.at(r)
	k.count(e, -1)
	k.memory.busy(r)
	heir := e.sibling
	if e.Further || heir == noEntry {
		k.memory.remove(r)
		return
	}
	k.count(k.memory.at(heir), -1)
	k.memory.remove(r)
	k.count(k.memory.at(heir), 1)
}

// decay forgets the places of e that no connection used for sticky_time.
func (k *sticky) decay(e *entry) {
	if e.live > 0 && e.live < e.Peak && k.expired(e) {
		k.count(e, -1)
		e.Peak = e.live
		k.count(e, 1)
	}
}

// setPrimary moves e to another primary server.
func (k *sticky) setPrimary(e *entry, i int32) {
	k.count(e, -1)
	e.Primary = i
	k.count(e, 1)
}

// setFallback gives e another fallback server, or none.
func (k *sticky) setFallback(e *entry, i int32) {
	if e.Fallback == i {
		return
	}
	k.count(e, -1)
	e.Fallback = i
	k.count(e, 1)
}

// count adds e to the counts of its members (by 1) or removes it from them (by
// -1). Every change of an entry stands between a removal and an addition.
func (k *sticky) count(e *entry, by int32) {
	primary := &k.members.all[e.Primary]
	primary.attributed += by * e.live
	counts := primary.placements
	counts.entries += by
	counts.expected += by * e.expected()
	if !e.Further {
		counts.sources += by
		if e.live > 0 {
			counts.live += by
		}
		if e.grown() {
			counts.grown += by
		}
	}
	if e.Fallback != none {
		counts := k.members.all[e.Fallback].placements
		counts.fallbacks += by
		counts.fallbackPeaks += by * e.Peak
	}
}

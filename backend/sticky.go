package backend

// sticky remembers where the connections of each source belong. It keeps the
// entries of its memory, and what the members count of them, up to date.
//
//	an entry is   with            until
//	live          connections     the last one ends: then it is idle if it is
//	                                displaced, else forgotten
//	idle          none            one comes: then it is live; or sticky_time has passed,
//	                                or the memory is full: then it is forgotten
type sticky struct {
	memory   memory
	members  *members
	duration int64 // sticky_time in nanoseconds; 0 = no limit
	now      int64 // the latest monotonic time that a caller passed

	sources int32 // that have connections
	conns   int32 // of all of them

	shared displacements
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

// expired reports whether e, which is idle, has been so for longer than sticky_time.
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

// connected reports whether a source with this first entry has connections.
func (k *sticky) connected(first ref) bool {
	for r := first; r != noEntry; r = k.memory.at(r).sibling {
		if k.memory.at(r).live > 0 {
			return true
		}
	}
	return false
}

// average returns the connections of a source, rounded down, at least 1.
func (k *sticky) average() int32 { return max(1, k.conns/max(1, k.sources)) }

// settle counts a connection for the entry of pl, which it makes if there is none.
// It returns the entry, noEntry if nothing is to be remembered or the memory is
// full of live ones.
func (k *sticky) settle(pl *plan) ref {
	if !pl.remember || pl.server == none {
		return noEntry
	}
	r := k.find(pl.source, pl.server)
	if r == noEntry {
		if r = k.enter(pl.source, pl.server); r == noEntry {
			return noEntry
		}
	}
	if !pl.connected || pl.moved {
		k.displace(r, pl.displaced)
	}
	k.connect(r)
	return r
}

// find returns the entry of a source for a server, noEntry if there is none.
func (k *sticky) find(source [16]byte, server int32) ref {
	r := k.memory.first[source]
	for r != noEntry && k.memory.at(r).Server != server {
		r = k.memory.at(r).sibling
	}
	return r
}

// enter makes an idle entry, in place of the one idle the longest if the memory is
// full; noEntry if none is idle.
func (k *sticky) enter(source [16]byte, server int32) ref {
	r := k.memory.insert(source)
	if r == noEntry {
		idle := k.memory.longestIdle()
		if idle == noEntry {
			return noEntry
		}
		k.forget(idle)
		r = k.memory.insert(source)
	}
	e := k.memory.at(r)
	e.Server, e.Left = server, k.now
	k.members.all[server].entries++
	k.memory.idle(r)
	return r
}

// displace says whether r is where its source was displaced to. A source is
// displaced to one server at most.
func (k *sticky) displace(r ref, displaced bool) {
	e := k.memory.at(r)
	for other := k.memory.first[e.Source]; other != noEntry; {
		o, next := k.memory.at(other), k.memory.at(other).sibling
		if other != r && o.Displaced {
			o.Displaced = false
			if o.live == 0 && !o.handedOver {
				k.forget(other)
			}
		}
		other = next
	}
	if displaced && !e.Displaced {
		k.shared.add(e)
	}
	e.Displaced = displaced
}

// connect counts a connection for r.
func (k *sticky) connect(r ref) {
	e := k.memory.at(r)
	if !k.connected(k.memory.first[e.Source]) {
		k.sources++
	}
	if e.live == 0 {
		k.memory.busy(r)
	}
	e.live++
	k.conns++
	k.members.all[e.Server].attributed++
}

// disconnect ends a connection that was counted for r; noEntry does nothing.
func (k *sticky) disconnect(r ref) {
	if r == noEntry {
		return
	}
	e := k.memory.at(r)
	e.live--
	k.conns--
	k.members.all[e.Server].attributed--
	if e.live > 0 {
		return
	}
	if !k.connected(k.memory.first[e.Source]) {
		k.sources--
	}
	e.Left = k.now
	k.memory.idle(r)
	if e.Displaced {
		k.shared.add(e)
	} else if !e.handedOver {
		k.forget(r)
	}
}

// forget removes an idle entry.
func (k *sticky) forget(r ref) {
	k.members.all[k.memory.at(r).Server].entries--
	k.memory.busy(r)
	k.memory.remove(r)
}

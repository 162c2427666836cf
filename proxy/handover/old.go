package handover

import (
	"slices"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// Old is the balancer in the old process: what it hands over to the new
// process, connections included. A value serves one hand-over. Its methods are
// called one after the other, by one goroutine, Suspend first.
//
// While both processes live, every client, slot and connection of a source counts
// in the new process: as its own, or as held by the old one. State says what the
// old process holds; a batch turns what is held there into what is held here;
// reports say what is left. The old process grants no slots any more, except to
// clients that cannot move: from what it has reserved for them (Suspend), from what
// is released there, and when that is not enough, from what the new process reserves
// for them in answer to a report. So no limit is exceeded at any moment.
type Old struct {
	Balancer OldBalancer
	History  *admin.History // nil = none is handed over

	encoder encoder
	counts  oldCounts
	pools   []Pool // their places are ServerState.Backend
	servers map[*backend.Server]uint32
	list    []*backend.Server        // by number, from 1 on
	staying int                      // clients that cannot move, and may ask for a slot
	refused map[session.Session]bool // by the new process, which cannot serve them

	historySent bool
	left        bool
	batchSize   int // of descriptors; 0 = mostInBatch
}

// Suspend stops accepting clients and granting slots, until Resume: clients wait
// in the listeners' backlogs and in the pools' queues.
func (o *Old) Suspend() {
	o.Balancer.Suspend()
	o.countStaying()
	o.servers, o.refused = map[*backend.Server]uint32{}, map[session.Session]bool{}
	o.pools = o.Balancer.Pools()
	for _, p := range o.pools {
		p.Suspend(o.staying)
	}
	o.Balancer.Engine().Barrier() // slots granted before have reached their sessions
	for _, p := range o.pools {
		for _, server := range slices.Concat(p.Servers(), p.Leaving()) {
			o.number(server)
		}
	}
}

// Resume accepts clients and grants slots again: the hand-over failed.
func (o *Old) Resume() { o.Balancer.Resume() }

// Leave notes that the new process serves. Clients that cannot move are drained
// from now on.
func (o *Old) Leave() {
	o.left = true
	o.Balancer.Leave()
}

// number returns the server's number in the hand-over.
func (o *Old) number(server *backend.Server) uint32 {
	n := o.servers[server]
	if n == 0 {
		o.list = append(o.list, server)
		n = uint32(len(o.list))
		o.servers[server] = n
	}
	return n
}

// everySession calls visit for every session, loop by loop, and waits.
func (o *Old) everySession(visit func(*reactor.Conn, session.Session)) {
	for _, loop := range o.Balancer.Engine().Loops() {
		loop.Do(func() {
			loop.SweepFrom(0, func(c *reactor.Conn) bool {
				session.Each(c, func(s session.Session) { visit(c, s) })
				return true
			})
		})
	}
}

// State returns the encoded State. It is called once, while suspended.
func (o *Old) State() ([]byte, error) {
	now := o.Balancer.Engine().Now()
	state := State{
		Limiter: o.Balancer.Limiter().Handover(now), Accounts: o.Balancer.Accounts().Handover(now),
		Figures: o.Balancer.Figures(), Names: o.Balancer.Names(), Frontends: o.Balancer.Frontends(),
	}
	places := map[*backend.Pool]int{}
	for i, p := range o.pools {
		places[p.Pool] = i
		state.Backends = append(state.Backends, BackendState{Settings: resolved(p), Removed: p.Removed, Known: p.Handover(now), Extra: p.Extra})
	}
	for _, server := range o.list {
		state.Servers = append(state.Servers, ServerState{places[server.Pool()], server.Identity(), server.Removed()})
	}
	state.Held = o.holdings()
	return o.encoder.encode(&state)
}

// Report returns what is still held here and waited for, encoded, and how many
// clients that is.
func (o *Old) Report() (payload []byte, clients int, err error) {
	o.countStaying()
	r := report{Held: o.holdings(), Waiting: o.waiting()}
	if !o.historySent && o.History != nil {
		o.historySent = true
		history := o.History.Handover()
		r.History = &history
	}
	payload, err = o.encoder.encode(&r)
	return payload, r.Held.Clients, err
}

// countStaying counts the clients that cannot move and may ask for a slot: in mode http
// for each request, in the others once. One at rest is not counted: it may rest for long,
// and the new process would be without a slot for each. What it asks for is reserved then
// (waiting).
func (o *Old) countStaying() {
	o.staying = 0
	o.everySession(func(c *reactor.Conn, s session.Session) {
		if slot, _ := s.Holds(); session.Lingers(c) && (asksAgain(s) || slot.Server() == nil) && !rests(c, s) {
			o.staying++
		}
	})
}

// holdings returns what this process holds now: slots in use, and those that may be
// until the next report.
func (o *Old) holdings() Holdings {
	most := o.reserve() // before the slots are counted: from now on there will be no more
	h := Holdings{Clients: o.Balancer.Engine().Load(), Accounts: o.Balancer.Accounts().Active(), Counts: o.counts.growth(o.Balancer)}
	slots, sources := map[SlotKey]int{}, map[uint64]int{}
	o.everySession(func(_ *reactor.Conn, s session.Session) {
		slot, source := s.Holds()
		if slot.Server() != nil {
			key := o.keyOf(slot)
			slots[key]++
			most[key.Server]--
		}
		if source != nil {
			sources[source.Key()]++
		}
	})
	for server, spare := range most {
		if spare > 0 {
			slots[SlotKey{server, spareEntry}] = spare
		}
	}
	for key, n := range slots {
		h.Slots = append(h.Slots, SlotCount{key, n})
	}
	for key, n := range sources {
		h.Sources = append(h.Sources, SourceCount{key, n})
	}
	return h
}

// reserve gives up the slots that the clients who stay do not need any more, and
// returns the most that may be in use, by the servers' numbers.
func (o *Old) reserve() (most map[uint32]int) {
	most = map[uint32]int{}
	for _, p := range o.pools {
		for server, n := range p.Suspend(o.staying) {
			most[o.number(server)] = n
		}
	}
	return most
}

// waiting returns what clients wait for in the queues.
func (o *Old) waiting() (all []Waiting) {
	for i, p := range o.pools {
		for _, w := range p.Waiting() {
			one := Waiting{WaitKey{Backend: i, Endpoint: w.Endpoint}, w.Count}
			if w.Bound != nil {
				one.Key.Server = o.number(w.Bound)
			}
			all = append(all, one)
		}
	}
	return all
}

// Extend gives the slots that the new process has reserved to those who wait.
func (o *Old) Extend(reserved []SlotCount) {
	for _, r := range reserved {
		if r.Key.Server == 0 || int64(r.Key.Server) > int64(len(o.list)) {
			continue
		}
		server := o.list[r.Key.Server-1]
		for n := 0; n < r.Count && server.Pool().Extend(server); n++ {
		}
	}
}

func (o *Old) keyOf(slot *backend.Slot) SlotKey {
	return SlotKey{o.servers[slot.Server()], slot.Entry()}
}

// resolved returns a backend's settings with the addresses that its servers have,
// so that the new process need not resolve host names.
func resolved(p Pool) conf.Backend {
	c := p.Config()
	c.Servers = slices.Clone(c.Servers)
	for i, server := range p.Servers() {
		s := &c.Servers[i]
		for e, address := range map[conf.Endpoint]*string{conf.EndpointTCP: &s.TCP, conf.EndpointHTTP: &s.HTTP, conf.EndpointWS: &s.WS, conf.EndpointSSE: &s.SSE} {
			if *address != "" {
				*address = ""
				if known := server.Addr(e); known.IsValid() { // its name resolves
					*address = known.String()
				}
			}
		}
	}
	return c
}

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
// reports say what is left. Since the old process grants no slots any more, no
// limit is exceeded at any moment.
type Old struct {
	Balancer OldBalancer
	History  *admin.History // nil = none is handed over

	encoder encoder
	counts  oldCounts
	pools   []Pool // their places are ServerState.Backend
	servers map[*backend.Server]uint32
	list    []*backend.Server        // by number, from 1 on
	spare   []SlotCount              // slots reserved for clients that cannot move
	refused map[session.Session]bool // by the new process, which cannot serve them

	historySent bool
	left        bool
	batchSize   int // of descriptors; 0 = mostInBatch
}

// Suspend stops accepting clients and granting slots, until Resume: clients wait
// in the listeners' backlogs and in the pools' queues.
func (o *Old) Suspend() {
	o.Balancer.Suspend()
	staying := 0
	o.everySession(func(c *reactor.Conn, _ session.Session) {
		if staysForRequests(c) {
			staying++
		}
	})
	o.servers, o.refused = map[*backend.Server]uint32{}, map[session.Session]bool{}
	o.pools = o.Balancer.Pools()
	for _, p := range o.pools {
		for server, n := range p.Suspend(staying) {
			o.spare = append(o.spare, SlotCount{SlotKey{o.number(server), spareEntry}, n})
		}
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
				if s := session.Of(c); s != nil {
					visit(c, s)
				}
				return true
			})
		})
	}
}

// State returns the encoded State. It is called once, while suspended.
func (o *Old) State() ([]byte, error) {
	now := o.Balancer.Engine().Now()
	state := State{
		Limiter: o.Balancer.Limiter().Handover(now), Figures: o.Balancer.Figures(), Frontends: o.Balancer.Frontends(),
	}
	places := map[*backend.Pool]int{}
	for i, p := range o.pools {
		places[p.Pool] = i
		state.Backends = append(state.Backends, BackendState{Settings: resolved(p), Removed: p.Removed, Known: p.Handover(now)})
	}
	for _, server := range o.list {
		state.Servers = append(state.Servers, ServerState{places[server.Pool()], server.Identity(), server.Removed()})
	}
	state.Held = o.holdings()
	return o.encoder.encode(&state)
}

// Report returns what is still held here, encoded, and how many clients that is.
func (o *Old) Report() (payload []byte, clients int, err error) {
	r := report{Held: o.holdings()}
	if !o.historySent && o.History != nil {
		o.historySent = true
		history := o.History.Handover()
		r.History = &history
	}
	payload, err = o.encoder.encode(&r)
	return payload, r.Held.Clients, err
}

// holdings returns what this process holds now.
func (o *Old) holdings() Holdings {
	h := Holdings{Clients: o.Balancer.Engine().Load(), Counts: o.counts.growth(o.Balancer)}
	slots, sources := map[SlotKey]int{}, map[uint64]int{}
	staying := false
	o.everySession(func(c *reactor.Conn, s session.Session) {
		slot, source := s.Holds()
		if slot.Server() != nil {
			slots[o.keyOf(slot)]++
		}
		if source != nil {
			sources[source.Key()]++
		}
		staying = staying || staysForRequests(c)
	})
	if staying {
		h.Slots = append(h.Slots, o.spare...)
	}
	for key, n := range slots {
		h.Slots = append(h.Slots, SlotCount{key, n})
	}
	for key, n := range sources {
		h.Sources = append(h.Sources, SourceCount{key, n})
	}
	return h
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

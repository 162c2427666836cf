package handover

import (
	"fmt"

	"mcplb/backend"
	"mcplb/ratelimit"
)

// reservations are what counts in this process although the old one holds it:
// slots and connections of sources. They also know what the old process's names
// and numbers stand for, whatever reloads do meanwhile.
type reservations struct {
	limiter *ratelimit.Limiter
	now     func() int64
	slots   map[SlotKey][]backend.Slot
	sources map[uint64][]*ratelimit.Source
	clients int                 // of the old process
	pools   []*backend.Pool     // by ServerState.Backend
	entries []map[uint32]uint32 // likewise: the Entry here of each Entry there
	servers []knownServer       // by number, from 1 on
}

// knownServer is a server of the old process.
type knownServer struct {
	ServerState
	here *backend.Server // nil = not asked for yet
}

// reconstruct finds, or creates, the backends that the old process has.
func (r *reservations) reconstruct(b NewBalancer, state *State) error {
	*r = reservations{
		limiter: b.Limiter(), now: b.Engine().Now,
		slots: map[SlotKey][]backend.Slot{}, sources: map[uint64][]*ratelimit.Source{},
	}
	for i := range state.Backends {
		pool, err := b.Pool(&state.Backends[i])
		if err != nil {
			return fmt.Errorf("reconstructing backend %s: %w", state.Backends[i].Settings.Name, err)
		}
		r.pools = append(r.pools, pool)
		r.entries = append(r.entries, pool.Restore(state.Backends[i].Known, r.now()))
	}
	for _, server := range state.Servers {
		if server.Backend < 0 || server.Backend >= len(r.pools) {
			return fmt.Errorf("decoding what is handed over: server %s has no backend", server.Name)
		}
		r.servers = append(r.servers, knownServer{ServerState: server})
	}
	return nil
}

// adjust reserves what the old process says it holds, and no more.
func (r *reservations) adjust(h *Holdings) {
	r.adjustSlots(h.Slots)
	r.adjustSources(h.Sources)
}

func (r *reservations) adjustSlots(counts []SlotCount) {
	wanted := map[SlotKey]int{}
	for _, c := range counts {
		wanted[c.Key] = c.Count
	}
	unwanted := r.takeUnwanted(wanted)
	for key, n := range wanted {
		if server := r.server(key); server != nil {
			for len(r.slots[key]) < n {
				r.slots[key] = append(r.slots[key], r.reserve(server, key, unwanted))
			}
		}
	}
	for _, slots := range unwanted {
		for i := range slots {
			slots[i].Release(backend.Completed, r.now())
		}
	}
}

// takeUnwanted takes the slots that are not wanted any more out of the reserved ones,
// and returns them by the numbers of their servers.
func (r *reservations) takeUnwanted(wanted map[SlotKey]int) map[uint32][]backend.Slot {
	unwanted := map[uint32][]backend.Slot{}
	for key, slots := range r.slots {
		if n := wanted[key]; n < len(slots) {
			unwanted[key.Server] = append(unwanted[key.Server], slots[n:]...)
			r.slots[key] = slots[:n]
		}
	}
	return unwanted
}

// reserve takes a slot of a server for a key, an unwanted one if there is one: it has
// only changed its key in the old process, and must not be free in between.
func (r *reservations) reserve(server *backend.Server, key SlotKey, unwanted map[uint32][]backend.Slot) backend.Slot {
	list := unwanted[key.Server]
	if len(list) == 0 {
		return r.reinstate(server, key)
	}
	slot := list[len(list)-1]
	unwanted[key.Server] = list[:len(list)-1]
	at := r.servers[key.Server-1].Backend
	r.pools[at].Attribute(&slot, r.entries[at][key.Entry])
	return slot
}

func (r *reservations) adjustSources(counts []SourceCount) {
	wanted := map[uint64]int{}
	for _, c := range counts {
		wanted[c.Key] = c.Count
	}
	for key, sources := range r.sources {
		for len(sources) > wanted[key] {
			last := len(sources) - 1
			sources[last].Release()
			sources = sources[:last]
		}
		r.sources[key] = sources
	}
	for key, n := range wanted {
		for len(r.sources[key]) < n {
			r.sources[key] = append(r.sources[key], r.limiter.Reinstate(key, r.now()))
		}
	}
}

// server returns the server of a slot, even if this process's configuration has
// removed it; nil = there is none of that number.
func (r *reservations) server(key SlotKey) *backend.Server {
	if key.Server == 0 || int64(key.Server) > int64(len(r.servers)) {
		return nil
	}
	known := &r.servers[key.Server-1]
	if known.here == nil {
		known.here = r.pools[known.Backend].Identified(known.Identity)
	}
	return known.here
}

// keyOf is the key of a spare slot of a server here; known is false if the old
// process does not have the server.
func (r *reservations) keyOf(server *backend.Server) (key SlotKey, known bool) {
	for i := range r.servers {
		known := &r.servers[i]
		same := known.here == nil && r.pools[known.Backend] == server.Pool() && known.Identity == server.Identity()
		if same || known.here == server {
			return SlotKey{uint32(i + 1), spareEntry}, true
		}
	}
	return SlotKey{}, false
}

// unknown returns the servers of a pool that the old process does not have.
func (r *reservations) unknown(pool *backend.Pool) (all []*backend.Server) {
	for _, server := range pool.Servers() {
		if _, known := r.keyOf(server); !known {
			all = append(all, server)
		}
	}
	return all
}

// reinstate takes a slot that is in use in the old process.
func (r *reservations) reinstate(server *backend.Server, key SlotKey) backend.Slot {
	at := r.servers[key.Server-1].Backend
	return r.pools[at].Reinstate(server, r.entries[at][key.Entry])
}

// claim gives a session, and its streams, the slots and the sources' connections that were
// reserved for them: all, or none.
func (r *reservations) claim(a *arriving) error {
	err := a.held(r.claimOne)
	if err != nil {
		r.unclaim(a)
	}
	return err
}

func (r *reservations) claimOne(h *Holding, c *claimed) error {
	if h.Slot.Server != 0 {
		server := r.server(h.Slot)
		if server == nil {
			return errUnknown
		}
		c.server, c.pool = server, server.Pool()
		if reserved := r.slots[h.Slot]; len(reserved) > 0 {
			c.slot = reserved[len(reserved)-1]
			r.slots[h.Slot] = reserved[:len(reserved)-1]
		} else { // granted since the last report
			c.slot = r.reinstate(server, h.Slot)
		}
	}
	if h.Limited {
		if reserved := r.sources[h.Source]; len(reserved) > 0 {
			c.source = reserved[len(reserved)-1]
			r.sources[h.Source] = reserved[:len(reserved)-1]
		} else {
			c.source = r.limiter.Reinstate(h.Source, r.now())
		}
		c.source.Charge(h.Spent, r.now())
	}
	return nil
}

// unclaim reserves again what a session has claimed: it stays in the old process.
func (r *reservations) unclaim(a *arriving) {
	_ = a.held(func(h *Holding, c *claimed) error { // of an error there is none
		if c.slot.Server() != nil {
			r.slots[h.Slot] = append(r.slots[h.Slot], c.slot)
		}
		if c.source != nil {
			r.sources[h.Source] = append(r.sources[h.Source], c.source)
		}
		*c = claimed{}
		return nil
	})
}

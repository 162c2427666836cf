package backend

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// member is a server's place in the pool: what balancing needs to know of the
// server, side by side in memory. A member outlives its server for as long as
// sources are remembered for it, so that the server gets them back if it
// returns. It fills one cache line.
type member struct {
	server    *Server   // nil: removed from the configuration
	hash      uint64    // of the server's name, for rendezvous hashing; kept after the server was removed
	ramp      int64     // when slow start began; 0 = none under way
	current   int64     // roundrobin: the running weight of the smooth weighted algorithm
	conns     int32     // slots in use
	limit     int32     // most slots in use
	weight    int32     // as configured or set by the operator
	effective int32     // weight * weightScale, less during slow start
	endpoints endpoints // which addresses the server has
	tier      tier      // how suitable the server is for new clients
	backup    bool      // takes clients only while no other server is usable

	// Of policy source.
	share      int32 // the weight by which sources belong here, in use or not: as configured while the operator's is 0
	attributed int32 // live connections, wherever they are, of sources that belong here
	entries    int32 // of the sticky memory, for this member
}

// tier orders servers by how suitable they are for new clients.
type tier uint8

const (
	unusable tier = iota
	degraded      // only where no good one can be had
	good
)

// none is the index of no member.
const none = -1

// full reports whether every slot of the member is in use.
func (m *member) full() bool { return m.conns >= m.limit }

// saturated reports whether as many connections belong to the member as it may
// ever hold.
func (m *member) saturated() bool { return m.attributed >= m.limit }

// mayBeMain reports whether sources that want one of these endpoints may belong on
// the member, be it in use or not.
func (m *member) mayBeMain(want endpoints) bool {
	return m.share > 0 && !m.backup && m.endpoints&want != 0
}

// open reports whether a request may have a slot of the member now.
func (m *member) open(f *filter) bool {
	return m.tier == f.tier && m.backup == f.backup && m.endpoints&f.endpoints != 0 && m.conns < m.limit &&
		(len(f.tried) == 0 || !slices.Contains(f.tried, m.server))
}

// lighter reports whether m has fewer connections for its weight than other.
func (m *member) lighter(other *member) bool {
	return int64(m.conns)*int64(other.effective) < int64(other.conns)*int64(m.effective)
}

// members is the servers of a pool as balancing sees them.
type members struct {
	all       []member
	names     []string  // by member, of its server; kept after the server was removed
	primaries endpoints // what the usable servers that are no backups serve; see served
	changed   bool      // a member has changed since primaries were counted
}

// served reports whether a usable server that is no backup serves one of the
// endpoints: then backup servers take no new clients for them. What is served is
// counted when it is needed, not at every change: a reload changes all members.
func (ms *members) served(want endpoints) bool {
	if ms.changed {
		ms.count()
	}
	return ms.primaries&want != 0
}

// count brings to date what the usable servers serve.
func (ms *members) count() {
	ms.primaries, ms.changed = 0, false
	for i := range ms.all {
		if m := &ms.all[i]; m.tier != unusable && !m.backup {
			ms.primaries |= m.endpoints
		}
	}
}

// of returns the member of s, nil once a reload removed s.
func (ms *members) of(s *Server) *member {
	if s.member == removed {
		return nil
	}
	return &ms.all[s.member]
}

// usable reports whether there is a usable server that f admits, full or not.
func (ms *members) usable(f *filter) bool {
	for i := range ms.all {
		m := &ms.all[i]
		if m.tier != unusable && m.backup == f.backup && m.endpoints&f.endpoints != 0 && !slices.Contains(f.tried, m.server) {
			return true
		}
	}
	return false
}

// seat gives a member to every server without one: the empty member of its name
// if sources are remembered for it, else an empty one without sources, else a new
// one.
func (ms *members) seat(servers []*Server) {
	remembered, forgotten := ms.empty()
	for _, s := range servers {
		if s.member != removed {
			continue
		}
		i, ok := remembered[s.id.Name]
		if !ok && len(forgotten) > 0 {
			i, ok = forgotten[0], true
			forgotten = forgotten[1:]
		}
		if !ok {
			i = len(ms.all)
			ms.all, ms.names = append(ms.all, member{}), append(ms.names, "")
		}
		m := &ms.all[i]
		m.server, m.hash, m.endpoints = s, xxhash.Sum64String(s.id.Name), s.id.Addresses.endpoints()
		ms.names[i] = s.id.Name
		s.member = i
	}
}

// empty returns the members without a server: by name those for which sources
// are remembered, and the others.
func (ms *members) empty() (remembered map[string]int, forgotten []int) {
	remembered = make(map[string]int)
	for i := range ms.all {
		switch m := &ms.all[i]; {
		case m.server != nil:
		case m.entries > 0:
			remembered[ms.names[i]] = i
		default:
			forgotten = append(forgotten, i)
		}
	}
	return remembered, forgotten
}

// named returns for each of names the index of the member with that name, none
// if there is none.
func (ms *members) named(names []string) []int32 {
	byName := make(map[string]int32, len(ms.names))
	for i, name := range ms.names {
		byName[name] = int32(i)
	}
	found := make([]int32, len(names))
	for i, name := range names {
		var ok bool
		if found[i], ok = byName[name]; !ok {
			found[i] = none
		}
	}
	return found
}

// vacate takes s out of its member, which keeps what sources remember.
func (ms *members) vacate(s *Server) {
	m := ms.of(s)
	*m = member{hash: m.hash, attributed: m.attributed, entries: m.entries}
	s.member = removed
}

// reserve lowers every limit so that at most spare more slots can be taken, and
// returns the limits of the servers that have one.
func (ms *members) reserve(spare int) map[*Server]int {
	most := map[*Server]int{}
	for i := range ms.all {
		m := &ms.all[i]
		if m.server == nil || m.limit == math.MaxInt32 {
			continue
		}
		free := max(0, min(int32(spare), m.limit-m.conns))
		m.limit = min(m.limit, m.conns+free)
		most[m.server] = int(m.limit)
	}
	return most
}

// highest returns the member of set that rendezvous hashing prefers, none of an
// empty set.
func (ms *members) highest(set []int32, hash uint64) int32 {
	best, highest := int32(none), rank{}
	for _, i := range set {
		m := &ms.all[i]
		if r := rankOf(m.hash, hash, m.share); best == none || r.above(highest) {
			best, highest = i, r
		}
	}
	return best
}

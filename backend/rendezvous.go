package backend

import "math"

// plain is weighted rendezvous hashing over the slots that f admits: what
// balance_factor 0 asks for.
func (p *Pool) plain(hash uint64, f *filter) int {
	best, highest := none, rank{}
	for i := range p.slots {
		if !p.open(i, f) {
			continue
		}
		sl := &p.slots[i]
		if r := rankOf(sl.hash, hash, sl.effective); best == none || r.above(highest) {
			best, highest = i, r
		}
	}
	return best
}

// highest returns the slot of set that rendezvous hashing prefers, none of an
// empty set.
func (p *Pool) highest(set []int32, hash uint64) int32 {
	best, highest := int32(none), rank{}
	for _, i := range set {
		sl := &p.slots[i]
		if r := rankOf(sl.hash, hash, sl.weight); best == none || r.above(highest) {
			best, highest = i, r
		}
	}
	return best
}

// rank is a server's standing with a source in rendezvous hashing. The highest
// wins: each server has it for its share of the sources by weight, and taking
// a server away moves only those that it had.
//
// Weighted rendezvous hashing: Schindler and Schomaker, "Weighted distributed
// hash tables" (2005), logarithmic method.
type rank struct {
	u      float64 // in (0, 1), a hash of server and source
	weight int32
}

func rankOf(server, source uint64, weight int32) rank {
	return rank{u: (float64(mix(server^source)>>11) + 0.5) / (1 << 53), weight: weight}
}

// above compares by -weight/ln(u), which for equal weights is the order of u.
func (r rank) above(other rank) bool {
	if r.weight == other.weight {
		return r.u > other.u
	}
	return -float64(r.weight)/math.Log(r.u) > -float64(other.weight)/math.Log(other.u)
}

// mix spreads every bit of x over all bits: the finalizer of splitmix64
// (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

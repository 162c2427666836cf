package backend

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// keyedHash chooses by weighted rendezvous hashing of the request's key, or of
// its source if it has no key (policy source with balance_factor 0). The same
// key gets the same server in every pool of the same servers, and nothing is
// remembered.
type keyedHash struct {
	members *members
}

func (p *keyedHash) prepare(s *search) {
	s.hash = s.key
	if s.key == 0 {
		s.hash = hashOf(sourceKey(s.source))
	}
}

// hashOf returns the hash of a source. It is the same in every version.
func hashOf(source [16]byte) uint64 { return xxhash.Sum64(source[:]) }

func (p *keyedHash) choose(s *search) int {
	best, highest := none, rank{}
	for i := range p.members.all {
		m := &p.members.all[i]
		if !m.open(&s.filter) {
			continue
		}
		if r := rankOf(m.hash, s.hash, m.effective); best == none || r.above(highest) {
			best, highest = i, r
		}
	}
	return best
}

// rank is a server's rank for a source in rendezvous hashing. The highest wins:
// each server gets its share of the sources by weight, and removing a server
// moves only the sources that it had.
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

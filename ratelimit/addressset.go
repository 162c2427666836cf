package ratelimit

import (
	"net/netip"
	"slices"
	"sort"
)

// AddressSet is an immutable set of addresses, empty as its zero value. It is prefixes in ascending order, none within
// another. Prefixes are nested or disjoint, never overlapping otherwise, so the
// only one that can contain an address is the last that does not start after it.
type AddressSet []netip.Prefix

// NewAddressSet returns the addresses that lie in any of the prefixes. Invalid
// prefixes contain nothing.
func NewAddressSet(prefixes []netip.Prefix) AddressSet {
	sorted := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p = unmapPrefix(p).Masked(); p.IsValid() {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits() // the wider first
	})
	var set AddressSet
	for _, p := range sorted {
		if len(set) == 0 || !set[len(set)-1].Contains(p.Addr()) {
			set = append(set, p)
		}
	}
	return set
}

// unmapPrefix turns a prefix of IPv4-mapped addresses into one of IPv4.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// Contains reports whether an address is in the set, an IPv4-mapped one not.
func (e AddressSet) Contains(address netip.Addr) bool {
	after := sort.Search(len(e), func(i int) bool { return e[i].Addr().Compare(address) > 0 })
	return after > 0 && e[after-1].Contains(address)
}

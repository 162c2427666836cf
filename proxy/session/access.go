package session

import (
	"net/netip"

	"mcplb/conf"
	"mcplb/ratelimit"
)

// Access is the lists allow and deny of a frontend: which addresses clients may
// have. It is immutable; nil lets all in.
type Access struct {
	all         bool // there is no list allow
	allow, deny ratelimit.AddressSet
}

// NewAccess returns the lists of a frontend, nil if both are empty.
func NewAccess(f *conf.Frontend) *Access {
	if len(f.Allow)+len(f.Deny) == 0 {
		return nil
	}
	return &Access{all: len(f.Allow) == 0, allow: ratelimit.NewAddressSet(f.Allow), deny: ratelimit.NewAddressSet(f.Deny)}
}

// Admits reports whether a client of this address may come in: one that deny
// contains may not, another one may if allow contains it or there is no such list.
// An IPv4-mapped address counts as IPv4, and without its zone.
func (a *Access) Admits(address netip.Addr) bool {
	if a == nil {
		return true
	}
	address = address.Unmap().WithZone("")
	return !a.deny.Contains(address) && (a.all || a.allow.Contains(address))
}

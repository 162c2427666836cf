package ratelimit

import (
	"encoding/binary"
	"net/netip"
)

// key identifies a source: an IPv6 /64 by its upper 64 bits, an IPv4 address
// by markIPv4 with the address in the lower 32. That is how 0:1::/32 would be
// written, which no host has: ::/8 is reserved (RFC 4291 section 2.4).
type key uint64

const markIPv4 = 1 << 32

// normal returns address without what does not identify a source: the zone, and
// the IPv6 form of an IPv4 address.
func normal(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// keyOf returns the key of a normal address.
func keyOf(address netip.Addr) key {
	if address.Is4() {
		b := address.As4()
		return key(markIPv4 | uint64(binary.BigEndian.Uint32(b[:])))
	}
	b := address.As16()
	return key(binary.BigEndian.Uint64(b[:8]))
}

// prefix is the reverse of keyOf.
func (k key) prefix() netip.Prefix {
	if k&^0xffffffff == markIPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(k))
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

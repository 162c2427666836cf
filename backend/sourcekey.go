package backend

import "net/netip"

// sourceKey returns what policy source and the sticky memory tell sources by: an
// IPv4 address, or the /64 of an IPv6 one, since that is one customer, whose devices
// change their addresses within it. (6to4 and NAT64 need nothing: their /64s hold one
// customer, or one translator, as well.) It is written as the first address of the
// source, IPv4 in its form of IPv6.
func sourceKey(address netip.Addr) [16]byte {
	address = address.Unmap()
	key := address.As16()
	if address.Is6() {
		clear(key[8:])
	}
	return key
}

// sourceOf returns the source that a key stands for: an IPv4 /32 or an IPv6 /64.
func sourceOf(key [16]byte) netip.Prefix {
	address := netip.AddrFrom16(key).Unmap()
	if address.Is4() {
		return netip.PrefixFrom(address, 32)
	}
	return netip.PrefixFrom(address, 64)
}

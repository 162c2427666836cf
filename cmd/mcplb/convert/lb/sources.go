package lb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// mostSources bounds the networks that one network may become.
const mostSources = 200

// Prefix reads an address or a network.
func Prefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is no address", s)
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network", s)
	}
	return p.Masked(), nil
}

// Both returns the networks that two lists have in common.
func Both(a, b []string) (common []string, err error) {
	for _, x := range a {
		p, err := Prefix(x)
		if err != nil {
			return nil, err
		}
		for _, y := range b {
			q, err := Prefix(y)
			if err != nil {
				return nil, err
			}
			if !p.Overlaps(q) {
				continue
			}
			narrow := x
			if p.Bits() < q.Bits() {
				narrow = y
			}
			if !slices.Contains(common, narrow) {
				common = append(common, narrow)
			}
		}
	}
	return common, nil
}

// Without returns what a list of networks has that another has not.
func Without(list, other []string) (rest []string, err error) {
	for _, s := range list {
		p, err := Prefix(s)
		if err != nil {
			return nil, err
		}
		left := []netip.Prefix{p}
		for _, o := range other {
			q, err := Prefix(o)
			if err != nil {
				return nil, err
			}
			var next []netip.Prefix
			for _, l := range left {
				next = append(next, without(l, q)...)
			}
			left = next
		}
		if len(left) == 1 && left[0] == p {
			rest = append(rest, s) // as it was written
			continue
		}
		for _, l := range left {
			rest = append(rest, l.String())
		}
	}
	if len(rest) > mostSources {
		return nil, fmt.Errorf("what is left of these networks are more than %d", mostSources)
	}
	return rest, nil
}

// without returns the halves of p, and the halves of halves, that q is not in.
func without(p, q netip.Prefix) (rest []netip.Prefix) {
	switch {
	case !p.Overlaps(q):
		return []netip.Prefix{p}
	case q.Bits() <= p.Bits():
		return nil
	}
	for bits := p.Bits() + 1; bits <= q.Bits(); bits++ {
		rest = append(rest, sibling(netip.PrefixFrom(q.Addr(), bits).Masked()))
	}
	return rest
}

// sibling returns the other half of the network that a prefix is half of.
func sibling(p netip.Prefix) netip.Prefix {
	bytes := p.Addr().AsSlice()
	bit := p.Bits() - 1
	bytes[bit/8] ^= 1 << (7 - bit%8)
	a, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(a, p.Bits())
}

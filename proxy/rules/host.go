package rules

import (
	"bytes"
	"net/netip"
	"strings"
	"unsafe"
)

// isWildcard reports whether a host of a route is a domain with any number of
// labels before it.
func isWildcard(host string) bool { return strings.HasPrefix(host, "*.") }

// appendHost appends a host as a client sent it in the form of conf.Route.Host: in
// lower case, without port, trailing dots and brackets, an IPv6 address as
// netip.Addr writes it.
func appendHost(dst, host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		return appendIPv6(dst, host[1:])
	}
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	for len(host) > 0 && host[len(host)-1] == '.' {
		host = host[:len(host)-1]
	}
	return appendLower(dst, host)
}

// appendIPv6 appends the address that a bracket ends.
func appendIPv6(dst, host []byte) []byte {
	host, _, _ = bytes.Cut(host, []byte{']'})
	const longest = len("0000:0000:0000:0000:0000:ffff:255.255.255.255")
	if len(host) == 0 || len(host) > longest || bytes.IndexByte(host, '%') >= 0 {
		return appendLower(dst, host)
	}
	// The string lives no longer than this call: an address without a zone refers to
	// nothing, and the error is not looked at.
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(host), len(host)))
	if err != nil {
		return appendLower(dst, host)
	}
	return addr.AppendTo(dst)
}

// appendLower appends ASCII in lower case.
func appendLower(dst, p []byte) []byte {
	for _, c := range p {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// matchesHost reports whether a host in the form of appendHost is one of hosts.
func matchesHost(hosts []string, host []byte) bool {
	for _, one := range hosts {
		if isWildcard(one) {
			if suffix := one[1:]; len(host) >= len(suffix) && string(host[len(host)-len(suffix):]) == suffix {
				return true
			}
		} else if string(host) == one {
			return true
		}
	}
	return false
}

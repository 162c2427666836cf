package http1

import "bytes"

var colon = []byte{':'}

// validHost reports whether p is a host with an optional port, which may be
// empty: a name, an IPv4 address, or an IPv6 address in brackets. The package
// comment lists the parts of RFC 3986 section 3.2 that are refused.
func validHost(p []byte) bool {
	if len(p) == 0 {
		return false
	}
	end := 0
	if p[0] == '[' {
		end = bytes.IndexByte(p, ']') + 1
		if end == 0 || !validIPv6(p[1:end-1]) {
			return false
		}
	} else if end = skip(p, 0, isHost); end == 0 {
		return false
	}
	return end == len(p) || p[end] == ':' && (end+1 == len(p) || validPort(p[end+1:]))
}

// validPort reports whether p is a decimal number from 0 to 65535, of at most
// five digits.
func validPort(p []byte) bool {
	n := 0
	for _, c := range p {
		if !is(c, isDigit) {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return len(p) > 0 && len(p) <= 5 && n <= 65535
}

// validIPv6 reports whether p is an IPv6 address (RFC 3986 section 3.2.2),
// without a zone.
func validIPv6(p []byte) bool {
	groups, double := 0, false
	for i := 0; i < len(p); {
		if groups == 8 {
			return false
		}
		end := skip(p, i, isHex)
		switch {
		case end < len(p) && p[end] == '.': // the last two groups as IPv4
			return groups <= 6 && (double || groups == 6) && validIPv4(p[i:])
		case end == i: // "::", at the beginning or after a group's colon
			if double || p[i] != ':' || i == 0 && (len(p) < 2 || p[1] != ':') {
				return false
			}
			double = true
			if i == 0 {
				end++
			}
		case end-i > 4:
			return false
		default:
			groups++
			if end < len(p) && (p[end] != ':' || end+1 == len(p)) {
				return false
			}
		}
		i = end + 1
	}
	return groups == 8 && !double || double && groups < 8
}

// validIPv4 reports whether p is four decimal numbers up to 255.
func validIPv4(p []byte) bool {
	for part := range 4 {
		end := skip(p, 0, isDigit)
		n := 0
		if end == 0 || end > 3 || p[0] == '0' && end > 1 {
			return false
		}
		for _, c := range p[:end] {
			n = n*10 + int(c-'0')
		}
		if n > 255 {
			return false
		}
		if part == 3 {
			return end == len(p)
		}
		if end == len(p) || p[end] != '.' {
			return false
		}
		p = p[end+1:]
	}
	return false
}

// sameHost reports whether the target's authority and Host are equivalent: the
// scheme's default port may be given, empty or absent (RFC 3986 section 6.2.3).
func (h *RequestHead) sameHost(authority, host []byte) bool {
	port := ":80"
	if h.hostStart-h.targetStart == len("https://") {
		port = ":443"
	}
	return EqualFold(withoutPort(authority, port), withoutPort(host, port))
}

// withoutPort returns host without port, or without an empty port, if it ends
// with either.
func withoutPort(host []byte, port string) []byte {
	if name := len(host) - len(port); name > 0 && string(host[name:]) == port {
		return host[:name]
	}
	return bytes.TrimSuffix(host, colon)
}

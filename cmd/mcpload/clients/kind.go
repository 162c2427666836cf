package clients

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is the protocol by which a client reaches its server.
type Kind uint8

// The kinds.
const (
	TCP   Kind = iota // one JSON-RPC message per line, to a frontend of mode mcp or tcp
	HTTP              // Streamable HTTP: POSTs on one kept-alive connection, in a session
	WS                // WebSocket: one message per text frame
	SSE               // HTTP+SSE: answers on an open event stream, POSTs on a second connection
	TLS               // TCP over TLS
	HTTPS             // HTTP over TLS
	H2                // HTTP/2 over TLS, agreed on by ALPN, to the address of HTTPS
	H2C               // HTTP/2 without TLS, by prior knowledge, to that of HTTP
	NumKinds
)

var kindNames = [NumKinds]string{"tcp", "http", "ws", "sse", "tls", "https", "h2", "h2c"}

// String returns the kind's name, such as "tcp".
func (k Kind) String() string { return kindNames[k] }

// Secure reports whether the kind uses TLS.
func (k Kind) Secure() bool { return k == TLS || k == HTTPS || k == H2 }

// HTTP2 reports whether the kind uses HTTP/2.
func (k Kind) HTTP2() bool { return k == H2 || k == H2C }

// Files returns how many descriptors a client of the kind uses in this process.
// With TLS these are a socket and the pair that leads to the loop (see
// secureDialer).
func (k Kind) Files() int {
	switch k {
	case SSE:
		return 2
	case TLS, HTTPS, H2:
		return 3
	default:
		return 1
	}
}

// Mix is the proportions of the kinds in a fleet. The zero value is invalid.
type Mix [NumKinds]int

// Only returns the mix of one kind.
func Only(k Kind) Mix {
	var m Mix
	m[k] = 1
	return m
}

// ParseMix reads a mix such as "tcp=70,http=10,ws=10,sse=10", or the name of one
// kind.
func ParseMix(text string) (Mix, error) {
	var m Mix
	for part := range strings.SplitSeq(text, ",") {
		name, number, weighted := strings.Cut(strings.TrimSpace(part), "=")
		k := slices.Index(kindNames[:], name)
		if k < 0 {
			return m, fmt.Errorf("%q is no kind of client: there are %s", name, strings.Join(kindNames[:], ", "))
		}
		share := 1
		if weighted {
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 || n > 1000 {
				return m, fmt.Errorf("%q: the share must be an integer from 0 to 1000", part)
			}
			share = n
		}
		m[k] += share
	}
	if m == (Mix{}) {
		return m, fmt.Errorf("%q has no clients", text)
	}
	return m, nil
}

// String returns the mix in the format of ParseMix.
func (m Mix) String() string {
	var parts []string
	for k, share := range m {
		if share > 0 {
			parts = append(parts, fmt.Sprintf("%v=%d", Kind(k), share))
		}
	}
	return strings.Join(parts, ",")
}

// Secure reports whether any kind of the mix uses TLS.
func (m Mix) Secure() bool { return m[TLS]+m[HTTPS]+m[H2] > 0 }

// Pattern returns a sequence of kinds that, repeated, is as close as possible to
// the mix's proportions at every point (smooth weighted round robin).
func (m Mix) Pattern() []Kind {
	total := 0
	for _, share := range m {
		total += share
	}
	pattern := make([]Kind, 0, total)
	var credit Mix
	for range total {
		next := 0
		for k, share := range m {
			credit[k] += share
			if credit[k] > credit[next] {
				next = k
			}
		}
		credit[next] -= total
		pattern = append(pattern, Kind(next))
	}
	return pattern
}

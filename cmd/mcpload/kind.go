package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kind is how a client reaches its server.
type kind uint8

const (
	kindTCP   kind = iota // one JSON-RPC message a line, to a frontend of mode mcp or tcp
	kindHTTP              // Streamable HTTP: POSTs on one kept-alive connection, in a session
	kindWS                // WebSocket: one message a text frame
	kindSSE               // HTTP+SSE: answers on a held event stream, POSTs on a second connection
	kindTLS               // kindTCP over TLS
	kindHTTPS             // kindHTTP over TLS
	numKinds
)

var kindNames = [numKinds]string{"tcp", "http", "ws", "sse", "tls", "https"}

func (k kind) String() string { return kindNames[k] }

// files is how many descriptors of mcpload a client of the kind holds: TLS has
// a socket and the pair that leads to the loop (see secure).
func (k kind) files() int {
	switch k {
	case kindSSE:
		return 2
	case kindTLS, kindHTTPS:
		return 3
	default:
		return 1
	}
}

// mix is how many clients of each kind there are, as proportions.
type mix [numKinds]int

// parseMix reads a mix such as "tcp=70,http=10,ws=10,sse=10", or one kind's
// name alone.
func parseMix(text string) (mix, error) {
	var m mix
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
				return m, fmt.Errorf("%q: the share must be a whole number from 0 to 1000", part)
			}
			share = n
		}
		m[k] += share
	}
	if m == (mix{}) {
		return m, fmt.Errorf("%q asks for nobody", text)
	}
	return m, nil
}

// String writes the mix as parseMix reads it.
func (m mix) String() string {
	var parts []string
	for k, share := range m {
		if share > 0 {
			parts = append(parts, fmt.Sprintf("%v=%d", kind(k), share))
		}
	}
	return strings.Join(parts, ",")
}

// pattern is a sequence of kinds that, repeated, has the mix's proportions at
// every point as nearly as can be: smooth weighted round robin.
func (m mix) pattern() []kind {
	total := 0
	for _, share := range m {
		total += share
	}
	pattern := make([]kind, 0, total)
	var credit mix
	for range total {
		next := 0
		for k, share := range m {
			credit[k] += share
			if credit[k] > credit[next] {
				next = k
			}
		}
		credit[next] -= total
		pattern = append(pattern, kind(next))
	}
	return pattern
}

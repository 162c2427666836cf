package main

import (
	"fmt"
	"slices"
	"strings"
)

// mode is what clients, mcplb and servers speak with each other.
type mode struct {
	name  string // of -mode
	label string // in the name of a route
	tls   bool   // from clients to mcplb and from mcplb to servers, all of which verify certificates
	http2 bool   // from clients to mcplb, by ALPN
}

// allModes are all modes. Prior knowledge without TLS is none: no client here can do it.
var allModes = []mode{
	{name: "plain", label: "mcplb"},
	{name: "tls", label: "mcplb, TLS", tls: true},
	{name: "h2", label: "mcplb, HTTP/2", tls: true, http2: true},
}

// parseModes reads names divided by commas.
func parseModes(names string) (found []mode, err error) {
	if names == "all" {
		return allModes, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(allModes, func(m mode) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is unknown; it may be plain, tls, h2 or all", name)
		}
		found = append(found, allModes[i])
	}
	return found, nil
}

// route is how clients reach the servers.
type route struct {
	name    string
	servers int
	direct  bool
	mode    mode
}

// routes returns all routes. The direct one is first: the others are compared with it.
func routes(modes []mode) []route {
	all := []route{{name: "directly", servers: 1, direct: true}}
	for _, m := range modes {
		all = append(all,
			route{name: m.label + ", 1 server", servers: 1, mode: m},
			route{name: m.label + ", 4 servers", servers: 4, mode: m})
	}
	return all
}

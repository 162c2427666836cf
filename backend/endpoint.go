package backend

import (
	"fmt"
	"net/netip"

	"mcplb/conf"
)

// endpoints is a set of endpoints, one bit each.
type endpoints uint8

const anyEndpoint endpoints = 0xff

// Addresses holds a server's address for each endpoint, invalid where it has
// none.
type Addresses [4]netip.AddrPort

// Of returns the address for e; invalid = none.
func (a *Addresses) Of(e conf.Endpoint) netip.AddrPort {
	if i := endpointIndex(e); i >= 0 {
		return a[i]
	}
	return netip.AddrPort{}
}

// Set makes to the address for e; an unknown endpoint is ignored.
func (a *Addresses) Set(e conf.Endpoint, to netip.AddrPort) {
	if i := endpointIndex(e); i >= 0 {
		a[i] = to
	}
}

// endpointIndex returns the place of e in Addresses, or -1.
func endpointIndex(e conf.Endpoint) int {
	switch e {
	case conf.EndpointTCP:
		return 0
	case conf.EndpointHTTP:
		return 1
	case conf.EndpointWS:
		return 2
	case conf.EndpointSSE:
		return 3
	}
	return -1
}

// endpointSet returns the servers' endpoints that serve a request for e: ""
// is served by every server, an unknown endpoint by none.
func endpointSet(e conf.Endpoint) endpoints {
	if e == "" {
		return anyEndpoint
	}
	if i := endpointIndex(e); i >= 0 {
		return 1 << i
	}
	return 0
}

// resolveAll resolves every address of every server.
func resolveAll(c conf.Backend, resolve func(string) (netip.AddrPort, error)) ([]Addresses, error) {
	all := make([]Addresses, len(c.Servers))
	for i, sc := range c.Servers {
		var err error
		if all[i], err = resolveAddresses(sc, resolve); err != nil {
			return nil, fmt.Errorf("backend %s: %w", c.Name, err)
		}
	}
	return all, nil
}

// resolveAddresses resolves every address that c has.
func resolveAddresses(c conf.Server, resolve func(string) (netip.AddrPort, error)) (Addresses, error) {
	var a Addresses
	for i, hostport := range [...]string{c.TCP, c.HTTP, c.WS, c.SSE} {
		if hostport == "" {
			continue
		}
		addr, err := resolve(hostport)
		if err != nil {
			return Addresses{}, fmt.Errorf("server %s: resolving %s: %w", c.Name, hostport, err)
		}
		a[i] = addr
	}
	return a, nil
}

// endpoints returns the set of endpoints that a holds addresses for.
func (a *Addresses) endpoints() endpoints {
	var set endpoints
	for i, addr := range a {
		if addr.IsValid() {
			set |= 1 << i
		}
	}
	return set
}

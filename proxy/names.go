package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/backend"
	"mcplb/backend/discovery"
	"mcplb/conf"
)

// resolveTimeout limits how long a start or a reload waits for all names together.
// What is not known by then is looked up in the background.
const resolveTimeout = 2 * time.Second

// addresses are the addresses of each backend's servers, in the servers' order. Where
// a host does not resolve, the address is invalid: the server is down until it does.
type addresses map[string][]backend.Addresses

// addressesOf returns the addresses of all servers of c, by what names stand for.
func addressesOf(c *conf.Config, names *discovery.Names) addresses {
	all := addresses{}
	for i := range c.Backends {
		b := &c.Backends[i]
		list := make([]backend.Addresses, len(b.Servers))
		for j := range b.Servers {
			for _, e := range allEndpoints {
				list[j].Set(e, addressOf(b.Name, &b.Servers[j], e, names))
			}
		}
		all[b.Name] = list
	}
	return all
}

// addressOf returns the address of one endpoint of a server; invalid = none.
func addressOf(backendName string, s *conf.Server, e conf.Endpoint, names *discovery.Names) netip.AddrPort {
	host, port, ok := splitAddress(s.Address(e))
	if !ok {
		return netip.AddrPort{}
	}
	if literal, isLiteral := plainAddress(host); isLiteral {
		return netip.AddrPortFrom(literal, port)
	}
	if known := names.Address(useOf(backendName, s, host)); known.IsValid() {
		return netip.AddrPortFrom(known, port)
	}
	return netip.AddrPort{}
}

// splitAddress returns the parts of a server's address; "" has none.
func splitAddress(address string) (host string, port uint16, ok bool) {
	host, digits, err := net.SplitHostPort(address)
	number, wrong := strconv.ParseUint(digits, 10, 16)
	return host, uint16(number), err == nil && wrong == nil
}

// plainAddress returns a host that need not be looked up. One that names an interface
// must be: the kernel takes its number, and the interface may come and go.
func plainAddress(host string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(host)
	return address.Unmap(), err == nil && address.Zone() == ""
}

// useOf is a server's use of a host name.
func useOf(backendName string, s *conf.Server, host string) discovery.Use {
	family := s.Family
	if family == "" {
		family = conf.FamilyAny
	}
	return discovery.Use{Server: backendName + "/" + s.Name, Host: host, Family: family}
}

// usesOf returns all names that servers have, each once for each server.
func usesOf(c *conf.Config) (all []discovery.Use) {
	for i := range c.Backends {
		b := &c.Backends[i]
		for j := range b.Servers {
			all = append(all, usesOfServer(b.Name, &b.Servers[j])...)
		}
	}
	return all
}

// usesOfServer returns the names that one server has, each once.
func usesOfServer(backendName string, s *conf.Server) (all []discovery.Use) {
	for _, e := range allEndpoints {
		host, _, ok := splitAddress(s.Address(e))
		if _, literal := plainAddress(host); !ok || literal {
			continue
		}
		if use := useOf(backendName, s, host); !slices.Contains(all, use) {
			all = append(all, use)
		}
	}
	return all
}

// unresolved returns the names of a server that stand for nothing.
func unresolved(backendName string, server *backend.Server, c *conf.Server) (all []discovery.Use) {
	for _, use := range usesOfServer(backendName, c) {
		missing := func(e conf.Endpoint) bool {
			host, _, ok := splitAddress(c.Address(e))
			return ok && host == use.Host && !server.Addr(e).IsValid()
		}
		if slices.ContainsFunc(allEndpoints, missing) {
			all = append(all, use)
		}
	}
	return all
}

// settle takes the servers of a backend out that are not resolved, and checks the
// others. While the old process's addresses and verdicts are yet to be restored, it does
// nothing: what does not resolve here may be known there.
func (p *Proxy) settle(b *pool) {
	if p.suspended {
		return
	}
	c, servers := b.InForce(), b.Servers()
	var known []*backend.Server
	for i, server := range servers {
		missing := unresolved(c.Name, server, &c.Servers[i])
		if len(missing) == 0 {
			known = append(known, server)
			continue
		}
		p.takeOut(b, server, missing)
	}
	b.checker.Apply(c.Check, known)
}

// takeOut makes a server down that is not resolved. One that is down already, by the
// name before a reload or by its checks, is down for that reason from now on.
func (p *Proxy) takeOut(b *pool, server *backend.Server, missing []discovery.Use) {
	reason := reasonOf(missing, p.names)
	if server.State().Health == backend.Down {
		server.SetReason(reason)
		return
	}
	server.SetHealth(backend.Down, reason, time.Now())
	p.options.Log.Warn(fmt.Sprintf("server %s/%s is DOWN, reason: %s. Its name is looked up again", b.Name(), server.Name(), reason), "servers_left", b.Usable())
}

// reasonOf is why a server is down whose names stand for nothing.
func reasonOf(missing []discovery.Use, names *discovery.Names) string {
	var why []string
	for _, use := range missing {
		why = append(why, use.Host+": "+names.Reason(use))
	}
	return "unresolved: " + strings.Join(why, "; ")
}

// explainUnresolved gives the servers that are not resolved the present reason.
func (p *Proxy) explainUnresolved() {
	for _, b := range p.backends {
		c := b.InForce()
		for i, server := range b.Servers() {
			if missing := unresolved(c.Name, server, &c.Servers[i]); len(missing) > 0 && server.State().Health == backend.Down {
				server.SetReason(reasonOf(missing, p.names))
			}
		}
	}
}

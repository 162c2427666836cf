package discovery

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mcplb/conf"
)

// slice is an EndpointSlice (discovery.k8s.io/v1), as far as it is used.
type slice struct {
	Metadata    struct{ Name, ResourceVersion string }
	AddressType string // IPv4, IPv6, FQDN
	Endpoints   []podEndpoint
	Ports       []struct {
		Name *string
		Port *int
	}
}

// podEndpoint is an endpoint of a slice: usually a pod.
type podEndpoint struct {
	Addresses  []string // they mean the same; the first is used
	Conditions struct {
		Ready, Serving, Terminating *bool
	}
	TargetRef *struct{ Kind, Name, UID string }
}

// ready reports whether the endpoint takes new clients: absent means yes.
func (e *podEndpoint) ready() bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }

// terminating reports whether the endpoint is about to go: absent means no.
func (e *podEndpoint) terminating() bool {
	return e.Conditions.Terminating != nil && *e.Conditions.Terminating
}

// name is what the endpoint's server is called: as its pod, or else as its address.
func (e *podEndpoint) name() string {
	if e.TargetRef != nil && e.TargetRef.Name != "" {
		return e.TargetRef.Name
	}
	return e.Addresses[0]
}

// pod is what all slices say of one pod.
type pod struct {
	uid         string
	hosts       map[string]conf.Ports // by address: a slice may have some of the ports
	ready       bool                  // a slice says so
	terminating bool                  // a slice says so
}

// pods returns a server for each pod that has an address and the ports, by name.
func (k *byKubernetes) pods() map[string]conf.Server {
	found := map[string]*pod{}
	for _, name := range slices.Sorted(maps.Keys(k.slices)) {
		s := k.slices[name]
		ports := k.ports(s)
		for i := range s.Endpoints {
			if e := &s.Endpoints[i]; len(e.Addresses) > 0 && s.canHave(e.Addresses[0]) {
				join(found, e, ports)
			}
		}
	}
	servers := make(map[string]conf.Server, len(found))
	for name, p := range found {
		host := p.host()
		server := k.settings.At(name, host, p.hosts[host])
		server.NoNewClients = !p.ready || p.terminating
		if server.TCP != "" || server.HTTP != "" {
			servers[name] = server
		}
	}
	return servers
}

// canHave reports whether a server can be at an address of the slice. Clients of the
// API can write slices, too, and the API does not look at all that they write.
func (s *slice) canHave(host string) bool {
	if s.AddressType == "FQDN" {
		return host != "" && !strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(":/[]%", c) })
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == "" && !address.IsUnspecified() && !address.IsMulticast()
}

// join adds what an endpoint of a slice with ports says of its pod. Of two pods of one
// name, as a StatefulSet has them one after the other, the one that stays counts.
func join(found map[string]*pod, e *podEndpoint, ports conf.Ports) {
	uid := ""
	if e.TargetRef != nil {
		uid = e.TargetRef.UID
	}
	p := found[e.name()]
	switch {
	case p != nil && p.uid != uid && e.terminating():
		return
	case p == nil || p.uid != uid:
		p = &pod{uid: uid, hosts: map[string]conf.Ports{}}
		found[e.name()] = p
	}
	host := e.Addresses[0]
	known := p.hosts[host]
	p.hosts[host] = conf.Ports{
		TCP: cmp.Or(known.TCP, ports.TCP), HTTP: cmp.Or(known.HTTP, ports.HTTP),
		WS: cmp.Or(known.WS, ports.WS), SSE: cmp.Or(known.SSE, ports.SSE),
	}
	p.ready = p.ready || e.ready()
	p.terminating = p.terminating || e.terminating()
}

// host returns the address that is used of those of a pod: IPv4 first, then the
// lowest, so that it does not depend on the order of slices.
func (p *pod) host() string {
	return slices.MinFunc(slices.Collect(maps.Keys(p.hosts)), func(a, b string) int {
		x, err1 := netip.ParseAddr(a)
		y, err2 := netip.ParseAddr(b)
		if err1 != nil || err2 != nil {
			return cmp.Compare(a, b)
		}
		return x.Compare(y) // IPv4 is before IPv6
	})
}

// ports returns the ports of a slice that the settings name.
func (k *byKubernetes) ports(s *slice) conf.Ports {
	named := k.settings.Kubernetes.Ports
	return conf.Ports{TCP: s.port(named.TCP), HTTP: s.port(named.HTTP), WS: s.port(named.WS), SSE: s.port(named.SSE)}
}

// port returns the number of a port of the slice by its name, or the number that wanted
// is. A service with one port need not name it. 0 = there is none.
func (s *slice) port(wanted string) int {
	if port := s.written(wanted); port > 0 && port <= 65535 {
		return port
	}
	return 0
}

// written is port as the slice has it, which may be no port.
func (s *slice) written(wanted string) int {
	if wanted == "" {
		return 0
	}
	for _, p := range s.Ports {
		if p.Port != nil && p.Name != nil && *p.Name == wanted {
			return *p.Port
		}
	}
	if number, err := strconv.Atoi(wanted); err == nil {
		return number
	}
	if len(s.Ports) == 1 && s.Ports[0].Port != nil && (s.Ports[0].Name == nil || *s.Ports[0].Name == "") {
		return *s.Ports[0].Port
	}
	return 0
}

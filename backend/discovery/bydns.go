package discovery

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/conf"
)

// Lookup answers questions about names.
type Lookup interface {
	// Addresses returns the addresses of a host, and how long they are valid; at least
	// one unless there is an error.
	Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error)
	// Services returns the SRV records of a name likewise.
	Services(ctx context.Context, name string) ([]Record, time.Duration, error)
	// Hold is for how long what was found is kept when answers fail or are empty; 0 = for
	// ever.
	Hold() time.Duration
}

// Record is an SRV record (RFC 2782).
type Record struct {
	Target   string // a host name, with or without the dot at its end
	Port     uint16
	Priority uint16 // the lowest comes first
	Weight   uint16 // 0 = the configured one
}

// byDNS finds servers by DNS.
type byDNS struct {
	settings *conf.Discover
	lookup   Lookup

	confirmed time.Time // when there was last an answer; zero = never, or what was found has gone
}

// lookupTime is the longest that one look-up may take.
const lookupTime = 10 * time.Second

// Run implements Source. What was found goes when nothing confirms it for the time
// of Lookup.Hold.
func (n *byDNS) Run(ctx context.Context, report func([]conf.Server, error)) {
	failing := retry{first: time.Second, most: 30 * time.Second}
	for {
		servers, pause, err := n.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failing.reset()
			n.confirmed = time.Now()
			pause = max(pause, shortestTTL)
			report(servers, nil)
		default:
			pause = failing.pause()
			if hold := n.lookup.Hold(); hold > 0 && !n.confirmed.IsZero() && time.Since(n.confirmed) >= hold {
				n.confirmed = time.Time{}
				report(nil, nil)
			}
			report(nil, err)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// ask asks once.
func (n *byDNS) ask(ctx context.Context) (servers []conf.Server, ttl time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	if n.settings.SRV() {
		records, ttl, err := n.lookup.Services(ctx, n.settings.DNS)
		if err == nil && len(records) == 0 {
			err = errNothing
		}
		return n.services(records), ttl, err
	}
	addresses, ttl, err := n.lookup.Addresses(ctx, n.settings.DNS)
	if err == nil && len(addresses) == 0 {
		err = errNothing
	}
	for _, a := range addresses {
		host := a.Unmap().String()
		servers = append(servers, n.settings.At(host, host, n.settings.Ports))
	}
	return servers, ttl, err
}

// services returns a server for each SRV record.
func (n *byDNS) services(records []Record) (servers []conf.Server) {
	lowest := ^uint16(0)
	records = slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return strings.Trim(r.Target, ".") == "" }) // "." = not offered
	for _, r := range records {
		lowest = min(lowest, r.Priority)
	}
	for _, r := range records {
		target := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		s := n.settings.At(net.JoinHostPort(target, strconv.Itoa(int(r.Port))), target, n.ports(int(r.Port)))
		if r.Weight > 0 {
			s.Weight = min(int(r.Weight), mostWeight)
		}
		s.Backup = r.Priority > lowest
		servers = append(servers, s)
	}
	return servers
}

// ports returns the ports of a server whose record has port: the endpoints that
// clients use have that, unless the settings have another.
func (n *byDNS) ports(port int) conf.Ports {
	p := n.settings.Ports
	for _, e := range n.settings.Endpoints {
		switch {
		case e == conf.EndpointTCP && p.TCP == 0:
			p.TCP = port
		case e == conf.EndpointHTTP && p.HTTP == 0:
			p.HTTP = port
		}
	}
	return p
}

// mostWeight is the highest weight that the configuration allows.
const mostWeight = 1000

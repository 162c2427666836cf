package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"mcplb/conf"
)

// resolveTimeout limits the resolution of all names of a configuration together.
const resolveTimeout = 10 * time.Second

// addresses are what the names of a configuration resolve to. They are looked up
// once, before anything is changed, so that afterwards no name can fail.
type addresses map[string]netip.AddrPort

// resolveAll looks up every address of every server. It prefers IPv4 addresses.
func resolveAll(c *conf.Config) (addresses, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	found := addresses{}
	for _, b := range c.Backends {
		for _, s := range b.Servers {
			for _, address := range []string{s.TCP, s.HTTP, s.WS, s.SSE} {
				if err := found.add(ctx, address); err != nil {
					return nil, fmt.Errorf("backend %s, server %s: %w", b.Name, s.Name, err)
				}
			}
		}
	}
	return found, nil
}

// add looks an address up, unless it is empty or known.
func (a addresses) add(ctx context.Context, address string) error {
	if _, known := a[address]; known || address == "" {
		return nil
	}
	if literal, err := netip.ParseAddrPort(address); err == nil {
		a[address] = literal
		return nil
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("resolving %s: %w", host, err)
	}
	a[address] = netip.AddrPortFrom(preferred(ips), uint16(port))
	return nil
}

// preferred returns the first IPv4 address, or the first address if there is none.
func preferred(ips []netip.Addr) netip.Addr {
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			return ip.Unmap()
		}
	}
	return ips[0]
}

// resolve is a resolver: it returns what was looked up.
func (a addresses) resolve(address string) (netip.AddrPort, error) {
	found, ok := a[address]
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%s was not resolved", address)
	}
	return found, nil
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mcplb/backend"
	"mcplb/conf"
)

const (
	// resolveTimeout limits how long a start or a reload waits for all names together.
	// What is not known by then is looked up in the background.
	resolveTimeout = 2 * time.Second
	// mostLookups is how many names are looked up at once: each takes two descriptors.
	mostLookups = 8
)

// lookup returns the addresses of a host name; at least one if there is no error.
type lookup = func(ctx context.Context, host string) ([]netip.Addr, error)

// systemLookup asks the system's resolver: the hosts file and name servers.
func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// addresses are what the addresses of a configuration stand for. One whose host is
// not resolved is invalid: its server is down until it is.
type addresses map[string]netip.AddrPort

// resolve is a resolver: it returns what was looked up.
func (a addresses) resolve(address string) (netip.AddrPort, error) { return a[address], nil }

// answers are the outcomes of look-ups, by host.
type answers map[string]answer

type answer struct {
	addresses []netip.Addr
	err       error
}

// lookUp looks up every host of hosts, some at once, until ctx ends.
func lookUp(ctx context.Context, ask lookup, hosts []string) answers {
	var mu sync.Mutex
	var asking sync.WaitGroup
	found := answers{}
	places := make(chan struct{}, mostLookups)
	for _, host := range hosts {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			a := lookUpOne(ctx, ask, host)
			mu.Lock()
			defer mu.Unlock()
			found[host] = a
		})
	}
	asking.Wait()
	return found
}

var errNotAsked = errors.New("not looked up yet")

var errNoAddress = errors.New("it has no address")

// lookUpOne looks up one host: a name, or an address that names an interface.
func lookUpOne(ctx context.Context, ask lookup, host string) (a answer) {
	if literal, err := netip.ParseAddr(host); err == nil {
		a.addresses = []netip.Addr{literal}
	} else if err = ctx.Err(); err != nil {
		return answer{err: err}
	} else if a.addresses, err = ask(ctx, host); err != nil {
		return answer{err: err}
	}
	if len(a.addresses) == 0 {
		return answer{err: errNoAddress}
	}
	for i, address := range a.addresses {
		if a.addresses[i], a.err = numbered(address.Unmap()); a.err != nil {
			return answer{err: a.err}
		}
	}
	return a
}

// numbered returns an address with the number of its interface in place of the name,
// as the kernel takes it.
func numbered(address netip.Addr) (netip.Addr, error) {
	zone := address.Zone()
	if _, err := strconv.Atoi(zone); zone == "" || err == nil {
		return address, nil
	}
	known, err := net.InterfaceByName(zone)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("there is no interface %s", zone)
	}
	return address.WithZone(strconv.Itoa(known.Index)), nil
}

// explainLookup returns the reason of a failed look-up in a few words.
func explainLookup(err error) string {
	var failed *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer yet"
	case !errors.As(err, &failed):
		return err.Error()
	case failed.IsTimeout:
		return "the name server does not answer"
	}
	return failed.Err
}

// hostsOf returns the hosts of all servers' addresses, each once.
func hostsOf(c *conf.Config) (hosts []string) {
	known := map[string]bool{}
	eachAddress(c, func(_, host string, _ uint16) {
		if !known[host] {
			known[host] = true
			hosts = append(hosts, host)
		}
	})
	return hosts
}

// eachAddress calls visit for every address of every server.
func eachAddress(c *conf.Config, visit func(address, host string, port uint16)) {
	for i := range c.Backends {
		for j := range c.Backends[i].Servers {
			for _, e := range allEndpoints {
				address := c.Backends[i].Servers[j].Address(e)
				host, digits, err := net.SplitHostPort(address)
				port, wrong := strconv.ParseUint(digits, 10, 16)
				if err == nil && wrong == nil { // "" is none
					visit(address, host, uint16(port))
				}
			}
		}
	}
}

// addresses returns what the addresses of c stand for. An address that is known
// keeps what it stands for unless the answer is another: a name server that is
// away, or that changes the order of its answers, moves no server.
func (a answers) addresses(c *conf.Config, known addresses) addresses {
	all := addresses{}
	eachAddress(c, func(address, host string, port uint16) {
		found := a[host].addresses
		switch before := known[address]; {
		case before.IsValid() && (len(found) == 0 || slices.Contains(found, before.Addr())):
			all[address] = before
		case len(found) > 0:
			all[address] = netip.AddrPortFrom(preferred(found), port)
		default:
			all[address] = netip.AddrPort{}
		}
	})
	return all
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

// unresolved returns the hosts of a server that are not resolved, each once.
func unresolved(server *backend.Server, c *conf.Server) (hosts []string) {
	for _, e := range allEndpoints {
		host, _, err := net.SplitHostPort(c.Address(e))
		if err == nil && !server.Addr(e).IsValid() && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// settle takes the servers of a backend out that are not resolved, and checks the
// others, unless the old process's verdicts are yet to be restored.
func (p *Proxy) settle(b *pool) {
	c, servers := b.InForce(), b.Servers()
	var known []*backend.Server
	for i, server := range servers {
		hosts := unresolved(server, &c.Servers[i])
		if len(hosts) == 0 {
			known = append(known, server)
			continue
		}
		p.takeOut(b, server, hosts)
	}
	if !p.suspended {
		b.checker.Apply(c.Check, known)
	}
}

// takeOut makes a server down that is not resolved. One that is down already, by the
// name before a reload or by its checks, is down for that reason from now on.
func (p *Proxy) takeOut(b *pool, server *backend.Server, hosts []string) {
	var why []string
	for _, host := range hosts {
		why = append(why, host+": "+p.names.reason(host))
	}
	reason := "unresolved: " + strings.Join(why, "; ")
	if server.State().Health == backend.Down {
		server.SetReason(reason)
		return
	}
	server.SetHealth(backend.Down, reason, time.Now())
	p.options.Log.Warn(fmt.Sprintf("server %s/%s is DOWN, reason: %s. Its name is looked up again", b.Name(), server.Name(), reason), "servers_left", b.Usable())
}

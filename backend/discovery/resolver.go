package discovery

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"mcplb/conf"
)

// graceForIPv6 is how long a found A record waits for the AAAA records, which some
// name servers and firewalls drop (RFC 8305 section 3).
const graceForIPv6 = 200 * time.Millisecond

// System names the files that the system's resolver reads.
type System struct {
	Hosts      string // "" = /etc/hosts
	ResolvConf string // "" = /etc/resolv.conf
}

// Resolver looks names up. Any goroutine may use it.
type Resolver struct {
	hosts      watched[hostsFile]
	resolvConf watched[resolvConf]
	settings   atomic.Pointer[conf.Resolver]
	turn       atomic.Uint32 // options rotate: the name server to begin with
}

// New returns a resolver with the settings of a configuration.
func New(settings conf.Resolver, system System) *Resolver {
	r := &Resolver{}
	r.hosts = watched[hostsFile]{path: orDefault(system.Hosts, "/etc/hosts"), parse: parseHosts}
	r.resolvConf = watched[resolvConf]{path: orDefault(system.ResolvConf, "/etc/resolv.conf"), parse: parseResolvConf}
	r.Apply(settings)
	return r
}

// Apply puts other settings in force, for look-ups that begin from now on.
func (r *Resolver) Apply(settings conf.Resolver) { r.settings.Store(&settings) }

// Changed reports whether the hosts file or resolv.conf has changed since its last
// call: what is known of any name may be out of date. It costs two system calls.
func (r *Resolver) Changed() bool {
	hosts, system := r.hosts.refresh(), r.resolvConf.refresh()
	return hosts || system
}

// Answer is what a host name stands for.
type Answer struct {
	// Addresses is never empty, and has no address twice; IPv4 goes first. Those of
	// name servers are in ascending order, so that rotation does not show; those of the
	// hosts file in its order.
	Addresses []netip.Addr
	// TTL is how long the answer counts: the shortest in the chain of names that led to
	// it, within min_ttl and max_ttl.
	TTL time.Duration
	// Missing is the family of which no name server has said anything in time: there
	// may be more addresses. "" = none.
	Missing conf.Family
	// Name is the name that was found, which the search list may have completed.
	Name string
}

// Addresses looks a host name up. An IP address stands for itself, with the number of
// its interface in place of the name, as the kernel takes it. The error is an *Error.
func (r *Resolver) Addresses(ctx context.Context, host string, family conf.Family) (Answer, error) {
	l := r.begin()
	if literal, err := netip.ParseAddr(host); err == nil {
		address, err := numbered(literal.Unmap())
		if err != nil {
			return Answer{}, named(host, err)
		}
		return Answer{Addresses: []netip.Addr{address}, TTL: l.bound(hostsTTL), Name: host}, nil
	}
	if a := l.fromHosts(host, family); len(a.Addresses) > 0 {
		return a, nil
	}
	a, err := search(l, ctx, host, func(name string) (Answer, *Error) { return l.addresses(ctx, name, family) })
	if err != nil {
		return Answer{}, named(host, err)
	}
	return a, nil
}

// numbered returns an address with the number of its interface in place of the name.
func numbered(address netip.Addr) (netip.Addr, *Error) {
	zone := address.Zone()
	if _, err := strconv.Atoi(zone); zone == "" || err == nil {
		return address, nil
	}
	known, err := net.InterfaceByName(zone)
	if err != nil {
		return netip.Addr{}, failure(NoAddress, "there is no interface %s", zone)
	}
	return address.WithZone(strconv.Itoa(known.Index)), nil
}

// named returns err as that of a name; nil if it is nil.
func named(name string, err *Error) error {
	err.Name = name
	return err
}

// lookup is one look-up, with the settings and files as they were when it began.
type lookup struct {
	conf.Resolver
	hosts   hostsFile
	system  resolvConf
	timeout time.Duration
	servers []string // IP:PORT, in the order to ask them
}

// begin reads the files again if they have changed.
func (r *Resolver) begin() *lookup {
	l := &lookup{Resolver: *r.settings.Load(), hosts: r.hosts.get(), system: r.resolvConf.get()}
	l.timeout = l.Timeout
	for _, s := range l.NameServers {
		l.servers = append(l.servers, s.String())
	}
	if len(l.servers) == 0 {
		l.servers = l.system.servers
	}
	if n := len(l.servers); l.system.rotate && n > 1 {
		first := int(r.turn.Add(1)-1) % n
		l.servers = append(append([]string{}, l.servers[first:]...), l.servers[:first]...)
	}
	return l
}

// hostsTTL is how long an answer of the hosts file counts. Changed notices edits
// before.
const hostsTTL = time.Minute

// fromHosts answers by the hosts file, and for localhost. If there is no address of the
// family, the name servers are to be asked.
func (l *lookup) fromHosts(host string, family conf.Family) Answer {
	name := dns.CanonicalName(host)
	all := l.hosts.addresses[name]
	if len(all) == 0 && (name == "localhost." || strings.HasSuffix(name, ".localhost.")) {
		all = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return Answer{Addresses: sortFamilies(all, family), TTL: l.bound(hostsTTL), Name: name}
}

// sortFamilies returns the addresses of a family, IPv4 first.
func sortFamilies(all []netip.Addr, family conf.Family) (sorted []netip.Addr) {
	for _, v4 := range []bool{true, false} {
		for _, a := range all {
			if a.Is4() == v4 && family.Has(a) {
				sorted = append(sorted, a)
			}
		}
	}
	return sorted
}

// bound returns a TTL within min_ttl and max_ttl.
func (l *lookup) bound(ttl time.Duration) time.Duration {
	if l.MaxTTL > 0 {
		ttl = min(ttl, l.MaxTTL)
	}
	return max(ttl, l.MinTTL)
}

// search tries the names that a name may stand for, as the search list says, until
// one is found. A name server that does not answer ends the search: the next name may
// be another machine.
func search[A any](l *lookup, ctx context.Context, name string, try func(name string) (A, *Error)) (a A, err *Error) {
	var worst *Error
	for _, candidate := range l.system.candidates(name) {
		if a, err = try(candidate); err == nil {
			return a, nil
		}
		if worst == nil || graver(err.Kind, worst.Kind) {
			worst = err
		}
		if !err.Kind.certain() && err.Kind != ServerFailure {
			break
		}
	}
	return a, worst
}

// graver reports whether a is what matters of two failures in one search.
func graver(a, b Kind) bool {
	rank := func(k Kind) int {
		switch k {
		case NoSuchName:
			return 0
		case NoAddress:
			return 1
		case ServerFailure:
			return 2
		}
		return 3
	}
	return rank(a) > rank(b)
}

// addresses asks the name servers for the addresses of an absolute name: for both
// families at once.
func (l *lookup) addresses(ctx context.Context, name string, family conf.Family) (Answer, *Error) {
	switch family {
	case conf.FamilyIPv4:
		return l.finish(l.records(ctx, name, dns.TypeA))
	case conf.FamilyIPv6:
		return l.finish(l.records(ctx, name, dns.TypeAAAA))
	}
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	v6 := make(chan found, 1)
	askV6 := func() { v6 <- l.records(ctx, name, dns.TypeAAAA) }
	if !l.system.singleRequest {
		asking.Go(askV6)
	}
	v4 := l.records(ctx, name, dns.TypeA)
	if l.system.singleRequest {
		asking.Go(askV6)
	}
	return l.join(v4, l.await(v4, v6))
}

// await returns what is known of IPv6 once A has been answered. If A found something,
// or says that there is no such name, it does not wait for long.
func (l *lookup) await(v4 found, v6 <-chan found) found {
	if v4.err != nil && v4.err.Kind != NoSuchName {
		return <-v6
	}
	select {
	case f := <-v6:
		return f
	case <-time.After(graceForIPv6):
		return found{err: failure(Timeout, "no name server answers for IPv6 addresses")}
	}
}

// join puts both families together.
func (l *lookup) join(v4, v6 found) (Answer, *Error) {
	switch {
	case v4.err != nil && v6.err != nil:
		if v4.err.Kind == NoAddress && v6.err.Kind == NoAddress {
			return Answer{}, failure(NoAddress, "the name exists, but has no address")
		}
		if v4.err.Kind != NoSuchName && graver(v6.err.Kind, v4.err.Kind) {
			return Answer{}, v6.err
		}
		return Answer{}, v4.err
	case v6.err != nil:
		return l.partial(v4, v6.err, conf.FamilyIPv6)
	case v4.err != nil:
		return l.partial(v6, v4.err, conf.FamilyIPv4)
	}
	both := found{name: v4.name, ttl: min(v4.ttl, v6.ttl), addresses: append(v4.addresses, v6.addresses...)}
	return l.finish(both)
}

// partial is the answer of one family, while the other has none.
func (l *lookup) partial(f found, err *Error, other conf.Family) (Answer, *Error) {
	a, _ := l.finish(f)
	if !err.Kind.certain() {
		a.Missing = other
	}
	return a, nil
}

// finish makes an answer of what was found.
func (l *lookup) finish(f found) (Answer, *Error) {
	if f.err != nil {
		return Answer{}, f.err
	}
	return Answer{Addresses: f.addresses, TTL: l.bound(f.ttl), Name: f.name}, nil
}

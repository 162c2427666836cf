package discovery

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mcplb/conf"
)

// mostTargets is how many targets of SRV records are looked up at once: each takes
// two descriptors.
const mostTargets = 8

// Service is one SRV record.
type Service struct {
	Target   string // a host name, in lower case, without the dot at its end
	Port     uint16
	Priority uint16 // lower is better
	Weight   uint16
	// Addresses are those of Target, as in Answer; none if it does not resolve, and then
	// Err is an *Error.
	Addresses []netip.Addr
	Missing   conf.Family // as in Answer
	Err       error
}

// Services is what the name of a service stands for.
type Services struct {
	// List has at least one element, by priority, target and port; none twice.
	List []Service
	// TTL is how long the answer counts, the addresses included.
	TTL time.Duration
}

// Services looks up the SRV records of a name, such as _mcp._tcp.example.com, and the
// addresses of their targets. A target that does not resolve is no error of the
// others. The error is an *Error.
func (r *Resolver) Services(ctx context.Context, name string) (Services, error) {
	l := r.begin()
	answer, err := search(l, ctx, name, func(name string) (Services, *Error) { return l.services(ctx, name) })
	if err != nil {
		return Services{}, named(name, err)
	}
	var asking sync.WaitGroup
	var mu sync.Mutex // guards answer.TTL
	places := make(chan struct{}, mostTargets)
	for target, same := range byTarget(answer.List) {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			a, err := r.Addresses(ctx, target+".", conf.FamilyAny)
			for _, s := range same {
				s.Addresses, s.Missing, s.Err = a.Addresses, a.Missing, err
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				answer.TTL = min(answer.TTL, a.TTL)
			}
		})
	}
	asking.Wait()
	return answer, nil
}

// byTarget returns the services of each target.
func byTarget(list []Service) map[string][]*Service {
	targets := map[string][]*Service{}
	for i := range list {
		targets[list[i].Target] = append(targets[list[i].Target], &list[i])
	}
	return targets
}

// services asks for the SRV records of an absolute name.
func (l *lookup) services(ctx context.Context, name string) (Services, *Error) {
	records, ttl, err := l.resolve(ctx, name, dns.TypeSRV)
	if err != nil {
		return Services{}, err
	}
	s := Services{TTL: l.bound(ttl)}
	for _, r := range records {
		srv := r.(*dns.SRV)
		if target := dns.CanonicalName(srv.Target); target != "." && srv.Port != 0 { // "." = not offered (RFC 2782)
			s.List = append(s.List, Service{Target: target[:len(target)-1], Port: srv.Port, Priority: srv.Priority, Weight: srv.Weight})
		}
	}
	slices.SortFunc(s.List, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	s.List = slices.CompactFunc(s.List, func(a, b Service) bool { return a.Target == b.Target && a.Port == b.Port })
	if len(s.List) == 0 {
		return Services{}, failure(NoAddress, "the service is not offered: its SRV records have no target")
	}
	return s, nil
}

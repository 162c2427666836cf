package discovery

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Service is one SRV record.
type Service struct {
	Target   string // a host name, in lower case, without the dot at its end
	Port     uint16
	Priority uint16 // lower is better
	Weight   uint16
}

// Services is what the name of a service stands for.
type Services struct {
	// List has at least one element, by priority, target and port; none twice.
	List []Service
	// TTL is how long the answer counts.
	TTL time.Duration
}

// Services looks up the SRV records of a name, such as _mcp._tcp.example.com. Their
// targets are not looked up: one that is not answered for would hold up the others. The
// error is an *Error.
func (r *Resolver) Services(ctx context.Context, name string) (Services, error) {
	l := r.begin()
	answer, err := search(l, ctx, name, func(name string) (Services, *Error) { return l.services(ctx, name) })
	if err != nil {
		return Services{}, named(name, err)
	}
	return answer, nil
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

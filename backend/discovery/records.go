package discovery

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// mostAliases bounds a chain of CNAMEs.
const mostAliases = 16

// found is the outcome of asking for the addresses of one family.
type found struct {
	name      string // that was asked for
	addresses []netip.Addr
	ttl       time.Duration
	err       *Error // nil = there are addresses
}

// records asks for the addresses of an absolute name, of the type A or AAAA.
func (l *lookup) records(ctx context.Context, name string, kind uint16) found {
	f := found{name: name}
	all, ttl, err := l.resolve(ctx, name, kind)
	if f.err = err; err != nil {
		return f
	}
	f.ttl = ttl
	for _, r := range all {
		if a, ok := addressOf(r); ok {
			f.addresses = append(f.addresses, a)
		}
	}
	slices.SortFunc(f.addresses, netip.Addr.Compare)
	f.addresses = slices.Compact(f.addresses)
	if len(f.addresses) == 0 {
		f.err = failure(NoAddress, "the name exists, but has no %s address", familyOf(kind))
	}
	return f
}

func familyOf(kind uint16) string {
	if kind == dns.TypeA {
		return "IPv4"
	}
	return "IPv6"
}

// addressOf returns the address in a record, if it has one that a server can have.
func addressOf(record dns.RR) (a netip.Addr, ok bool) {
	switch r := record.(type) {
	case *dns.A:
		a, ok = netip.AddrFromSlice(r.A)
	case *dns.AAAA:
		a, ok = netip.AddrFromSlice(r.AAAA)
	}
	a = a.Unmap()
	return a, ok && !a.IsUnspecified() && !a.IsMulticast()
}

// resolve asks for the records of a type of an absolute name, and follows CNAMEs
// that the name server has not followed itself. ttl is the shortest of all that led
// to the records. There is at least one, unless err is set.
func (l *lookup) resolve(ctx context.Context, name string, kind uint16) (all []dns.RR, ttl time.Duration, err *Error) {
	ttl = time.Duration(1<<63 - 1)
	aliases := 0
	for asked := name; ; {
		answer, err := l.askAll(ctx, asked, kind)
		if err != nil {
			return nil, 0, err
		}
		c := chain{name: dns.CanonicalName(asked), ttl: ttl}
		all = c.follow(answer.Answer, kind)
		ttl = c.ttl
		switch {
		case len(all) > 0:
			return all, ttl, nil
		case answer.Rcode == dns.RcodeNameError:
			return nil, 0, failure(NoSuchName, "no such host")
		case c.broken:
			return nil, 0, failure(ServerFailure, "the aliases (CNAME) of the name lead nowhere")
		case c.name == dns.CanonicalName(asked):
			return nil, 0, failure(NoAddress, "the name exists, but has no %s record", dns.TypeToString[kind])
		}
		if aliases++; aliases > mostAliases {
			return nil, 0, failure(ServerFailure, "the aliases (CNAME) of the name lead nowhere")
		}
		asked = c.name
	}
}

// chain follows the CNAMEs of an answer.
type chain struct {
	name   string // where it has led to
	ttl    time.Duration
	broken bool // it leads in a circle
}

// follow returns the records of a type at the end of the chain. Records of other
// names are ignored.
func (c *chain) follow(records []dns.RR, kind uint16) (all []dns.RR) {
	for range mostAliases {
		alias := ""
		for _, r := range records {
			h := r.Header()
			if h.Class != dns.ClassINET || dns.CanonicalName(h.Name) != c.name {
				continue
			}
			switch cname, isAlias := r.(*dns.CNAME); {
			case h.Rrtype == kind:
				all = append(all, r)
				c.shorten(h.Ttl)
			case isAlias && alias == "":
				alias = dns.CanonicalName(cname.Target)
				c.shorten(h.Ttl)
			}
		}
		if len(all) > 0 || alias == "" {
			return all
		}
		c.name = alias
	}
	c.broken = true
	return nil
}

// shorten takes a TTL into account. One with its first bit set is 0 (RFC 2181
// section 8).
func (c *chain) shorten(ttl uint32) {
	if ttl > 1<<31-1 {
		ttl = 0
	}
	c.ttl = min(c.ttl, time.Duration(ttl)*time.Second)
}

// askAll asks the name servers one after the other, several times, until one answers:
// the first time with EDNS, which some firewalls drop. The error is that of the last
// server that said anything.
func (l *lookup) askAll(ctx context.Context, name string, kind uint16) (*dns.Msg, *Error) {
	var last *Error
	for attempt := range l.system.attempts {
		for _, server := range l.servers {
			answer, err := l.ask(ctx, server, name, kind, attempt == 0)
			if err == nil {
				return answer, nil
			}
			if last == nil || last.Kind != ServerFailure || err.Kind == ServerFailure {
				last = err
			}
			if ctx.Err() != nil { // the other servers have not been asked
				return nil, &Error{Kind: NotAsked, Detail: last.Detail}
			}
		}
	}
	return nil, last
}

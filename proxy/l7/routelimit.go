package l7

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/rules"
	"mcplb/ratelimit"
)

// routeLimit is one limit of a route.
type routeLimit struct {
	ratelimit.Limit
	id       [sha256.Size]byte // of the limit: the same as long as a reload changes neither it nor the conditions of its route
	key      conf.LimitKey
	header   string // whose value is the key; "" = another key
	route    string // its route's name
	counters *LimitCounters
}

// newRouteLimits compiles the limits of a frontend's route.
func newRouteLimits(f *conf.Frontend, r *conf.Route, name string) []*routeLimit {
	limits := make([]*routeLimit, len(r.Limits))
	for i, l := range r.Limits {
		header, ok := l.Key.Header()
		if !ok {
			header = "" // another key
		}
		conditions := conf.Route{
			Priority: r.Priority, Host: r.Host, Path: r.Path, PathExact: r.PathExact, Slash: r.Slash, Methods: r.Methods, Headers: r.Headers,
			Source: r.Source, MCPMethod: r.MCPMethod, MCPName: r.MCPName, Not: r.Not,
		}
		limits[i] = &routeLimit{
			Limit: ratelimit.NewLimit(l.Rate, l.Burst, l.Concurrency, l.Over == conf.Reject),
			id:    sha256.Sum256(fmt.Appendf(nil, "%q %+v %d %+v", f.Name, conditions, twins(r.Limits[:i], l), l)),
			key:   l.Key, header: header, route: name,
		}
	}
	return limits
}

// twins is how many of limits are the same as l: each has accounts of its own, and keeps
// them where others come and go beside it.
func twins(limits []conf.Limit, l conf.Limit) (n int) {
	for _, other := range limits {
		if other == l {
			n++
		}
	}
	return n
}

// admitted asks the limits of the routes that the request, which is the input, takes,
// and reports whether it may go on now. If not, it is refused, or waits for its turn.
func (x router) admitted(settings *Settings) bool {
	if x.call != nil && x.call.pass.Begun() {
		return x.askLimits() // in another process, or before a hand-over failed
	}
	w := x.client.worker
	w.claims = w.claims[:0]
	for _, t := range w.taken {
		if t.Route == rules.NoRoute {
			continue
		}
		for _, l := range settings.routes[t.Route].limits {
			w.claims = append(w.claims, ratelimit.Claim{Limit: &l.Limit, Key: x.accountKey(l), Cost: t.Count})
			call := x.needCall()
			call.limits = append(call.limits, l)
		}
	}
	if len(w.claims) == 0 {
		return true
	}
	x.call.pass.Begin(x.client.frontend.Accounts, w.claims, x, x.loop().Now())
	if x.call.place != nil {
		x.call.pass.Rejoin(x.call.place)
		x.call.place, x.state = nil, delaying // it was counted
	}
	if !x.askLimits() {
		return false
	}
	x.state = idle
	return true
}

// askLimits asks the limits of the request that is the input.
func (x router) askLimits() bool {
	c, now := x.client, x.loop().Now()
	answer := x.call.pass.Ask(now)
	switch {
	case answer.Refused:
		l := x.call.limits[answer.Claim]
		l.counters.note(&l.counters.Refused, now)
		x.call.pass.Leave()
		if x.log != nil {
			x.log.Detail = l.route + " " + string(l.key)
		}
		x.refuse(generated{why: LimitRefused, retryAfter: max(answer.Wait, time.Millisecond)})
	case answer.Waits:
		if x.state != delaying {
			c.counters().Taken.Delayed.Add(1)
			l := x.call.limits[answer.Claim].counters
			l.note(&l.Delayed, now)
		}
		c.keepInput()
		x.state, x.call.askAt = delaying, now+int64(answer.Wait)
		c.arm()
		x.checkGone()
	default:
		return true
	}
	return false
}

// Wake implements ratelimit.Waker.
func (x router) Wake() {
	x.client.worker.loop.Post(func() {
		if x.state == delaying {
			x.delayOver()
		}
	})
}

// delayOver asks the limits again for a request that waits for them.
func (x router) delayOver() {
	if !x.reparse() {
		return
	}
	x.beginBody()
	if x.askLimits() {
		x.state = idle
		x.proceed(x.client.settings())
	}
}

// The kinds of account keys.
const (
	bySource    = 's'
	byRoute     = 'r'
	bySession   = 'i'
	byHeader    = 'h'
	byPrincipal = 'p'
)

// accountKey is whose account a limit charges for the request that is parsed. What
// the limit's key is missing in, or twice, counts by its source, so that no one gets
// another account by leaving it out, or by adding to it.
func (x router) accountKey(l *routeLimit) ratelimit.AccountKey {
	w := x.client.worker
	head := &w.request
	dst := append(w.keyed[:0], l.id[:]...)
	before := len(dst)
	switch {
	case l.key == conf.LimitRoute:
		dst = append(dst, byRoute)
	case l.header != "":
		dst = appendHeaderKey(dst, head, l.header)
	case l.key == conf.LimitSession && !x.has(modern) && !head.Repeated(http1.HeaderMcpSessionID):
		if id, _, _, _ := sessionOf(head); len(id) > 0 {
			dst = append(append(dst, bySession), sessionID(head, id)...)
		}
	case l.key == conf.LimitPrincipal:
		dst = x.appendPrincipal(dst)
	}
	if len(dst) == before {
		dst = appendSourceKey(dst, requester{x.client}.from().Addr())
	}
	w.keyed = dst[:0]
	sum := sha256.Sum256(dst)
	return ratelimit.AccountKey(sum[:len(ratelimit.AccountKey{})])
}

// sessionID is the id of the session that a request bears, as its server knows it.
func sessionID(head *http1.RequestHead, id []byte) []byte {
	if inner, _, tagged := mcp.SplitTagged(id); tagged {
		return inner
	}
	if head.Query() != nil && bytes.Equal(id, head.Target()) {
		return mcp.SplitQuery(id).ID.Of(id)
	}
	return id
}

// appendPrincipal appends the kind and the subject of the client's certificate; nothing
// where it has none.
func (x router) appendPrincipal(dst []byte) []byte {
	if id := x.client.Identity; id != nil && id.Subject != "" {
		dst = append(append(dst, byPrincipal), id.Subject...)
	}
	return dst
}

// appendHeaderKey appends the value of the field called name, if it stands there once.
// Of Authorization, the scheme is compared without regard to case, and spaces do not
// count, as with its servers.
func appendHeaderKey(dst []byte, head *http1.RequestHead, name string) []byte {
	at := fieldNamed(head, name, 0)
	if at < 0 || len(head.Value(at)) == 0 || fieldNamed(head, name, at+1) >= 0 {
		return dst
	}
	value := head.Value(at)
	dst = append(dst, byHeader)
	if !http1.EqualFold([]byte(name), "authorization") {
		return append(dst, value...)
	}
	scheme, credentials, _ := bytes.Cut(value, []byte(" "))
	dst = append(dst, bytes.ToLower(scheme)...)
	return append(append(dst, ' '), bytes.TrimLeft(credentials, " \t")...)
}

// fieldNamed returns the index of the first field called name from an index on; -1 if
// there is none.
func fieldNamed(head *http1.RequestHead, name string, from int) int {
	for i := from; i < head.NumFields(); i++ {
		if http1.EqualFold(head.Name(i), name) {
			return i
		}
	}
	return -1
}

// appendSourceKey appends what identifies a source: an IPv4 address, or the network of
// an IPv6 address.
func appendSourceKey(dst []byte, address netip.Addr) []byte {
	dst = append(dst, bySource)
	if address = address.Unmap(); address.Is4() {
		four := address.As4()
		return append(dst, four[:]...)
	}
	sixteen := address.As16()
	return append(dst, sixteen[:8]...)
}

package conf

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"
)

// Warnings returns what is valid but probably not intended: certificates that
// are refused at the time now, or will be soon, keys that every user may read, servers
// that are not verified, and limits that cannot tell clients apart. Each is one line for the log, without file
// and line.
func (c *Config) Warnings(now time.Time) []string {
	var found []string
	for _, f := range c.Frontends {
		found = append(found, f.sourceWarnings(&c.RateLimit)...)
		found = append(found, f.needlessWarnings()...)
		found = append(found, c.sniWarnings(&f)...)
	}
	for i := range c.Backends {
		found = append(found, c.policyWarnings(&c.Backends[i])...)
	}
	return append(found, c.TLSWarnings(now)...)
}

// The defaults of the keys of policy source.
const (
	defaultFactor     = 1.02
	defaultStickyTime = 30 * time.Minute
)

// policyWarnings warns of keys of policy source where no frontend balances by it.
func (c *Config) policyWarnings(b *Backend) (found []string) {
	for i := range c.Frontends {
		if f := &c.Frontends[i]; f.uses(b.Name) && (f.Balance == BalanceSource || f.Balance == "" && b.Balance == BalanceSource) {
			return nil
		}
	}
	for _, k := range []struct {
		name  string
		given bool
	}{
		{"balance_factor", b.BalanceFactor != defaultFactor},
		{"sticky_time", b.StickyTime != defaultStickyTime},
		{"failback", !b.Failback},
	} {
		if k.given {
			found = append(found, fmt.Sprintf("%s.%s: does nothing, since no frontend balances this backend by source: write balance = \"source\", or leave it out", join("backend", b.Name), k.name))
		}
	}
	return found
}

// tlsWarnings warns of what is wrong with a frontend's TLS. known are authorities that
// the configuration names.
func (f *Frontend) tlsWarnings(path string, known []*x509.Certificate, now time.Time) (found []string) {
	for i := range f.TLS.Certificates {
		c := &f.TLS.Certificates[i]
		about := slices.Concat(c.warnings(now, "clients"), nameWarnings(c.Cert, c.Pair.Leaf), chainWarnings(c.Cert, chainOf(c.Pair), known, now))
		for _, warning := range about {
			found = append(found, element(path+".tls.certificates", i)+": "+warning)
		}
	}
	return slices.Concat(found, f.reachWarnings(path), f.TLS.cipherWarnings(path+".tls"), f.TLS.clientWarnings(path+".tls", now), f.TLS.ticketWarnings(path+".tls"))
}

// soon is how long before a certificate's end its warning begins.
const soon = 7 * 24 * time.Hour

// warnings says what peers, who are clients or servers, will refuse, and what is unsafe.
func (c *Certificate) warnings(now time.Time, peers string) (found []string) {
	leaf := c.Pair.Leaf
	from, until := leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(leaf.NotAfter):
		found = append(found, fmt.Sprintf("%s was valid until %s: %s refuse it; renew it and reload", quoted(c.Cert), until, peers))
	case now.Before(leaf.NotBefore):
		found = append(found, fmt.Sprintf("%s is not valid before %s: %s refuse it; is the clock right?", quoted(c.Cert), from, peers))
	case now.After(leaf.NotAfter.Add(-soon)):
		found = append(found, fmt.Sprintf("%s is valid until %s: renew it and reload", quoted(c.Cert), until))
	}
	if info, err := os.Stat(c.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		found = append(found, fmt.Sprintf("%s can be read or written by every user of this machine (mode %04o): chmod o= it", quoted(c.Key), info.Mode().Perm()))
	}
	return found
}

// sourceWarnings warns where a frontend cannot know who its clients are: where those
// of a trusted proxy count as one, and where anybody may claim any address.
func (f *Frontend) sourceWarnings(limits *RateLimit) (found []string) {
	at := join("frontend", f.Name)
	if f.Mode == ModeHTTP && len(f.TrustedProxies) > 0 && !f.ForwardedFor && !f.AcceptProxy && limits.ofSources() && !limits.exempts(f.TrustedProxies) {
		found = append(found, at+".forwarded_for: is false, so that all clients behind one of trusted_proxies are one source: "+
			"ratelimit.message_rate holds for them together, connection_rate and max_connections for none of them; "+
			"set forwarded_for = true, or exempt the proxies in ratelimit.exempt")
	}
	for i, p := range f.TrustedProxies {
		if p.Bits() == 0 {
			found = append(found, fmt.Sprintf("%s: %s is everybody, so that every client may claim any address and evade limits and bans: write the CIDRs of the proxies alone",
				element(at+".trusted_proxies", i), p))
		}
	}
	return found
}

// ofSources reports whether a limit holds that tells sources apart.
func (r *RateLimit) ofSources() bool {
	return r.MessageRate > 0 || r.ConnectionRate > 0 || r.MaxConnections > 0
}

// exempts reports whether all of the prefixes are exempt.
func (r *RateLimit) exempts(prefixes []netip.Prefix) bool {
	return !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(r.Exempt, func(e netip.Prefix) bool { return e.Bits() <= p.Bits() && e.Contains(p.Addr()) })
	})
}

// mostNeedless bounds the warnings about needless keys of a frontend's routes.
const mostNeedless = 20

// needlessWarnings warns of keys of routes that do nothing, since no request of the
// route is forwarded.
func (f *Frontend) needlessWarnings() (found []string) {
	for i := range f.Routes {
		if why := f.Routes[i].generates(); why != "" {
			for _, k := range f.Routes[i].needless() {
				found = append(found, fmt.Sprintf("%s.%s: does nothing, since requests of this route are %s: leave it out", element(join("frontend", f.Name)+".route", i), k, why))
			}
		}
	}
	if more := len(found) - mostNeedless; more > 0 {
		found = append(found[:mostNeedless], fmt.Sprintf("frontend.%s: %d more keys of its routes do nothing", f.Name, more))
	}
	return found
}

// generates says how requests of the route are answered without a server; "" if they
// are forwarded.
func (r *Route) generates() string {
	switch {
	case r.Deny:
		return "denied"
	case r.Respond != nil:
		return "answered here"
	case r.Redirect != nil:
		return "redirected"
	}
	return ""
}

// needless returns the keys that do something only to requests that are forwarded.
func (r *Route) needless() (keys []string) {
	for _, k := range []struct {
		name  string
		given bool
	}{
		{"strip_prefix", r.StripPrefix != ""},
		{"add_prefix", r.AddPrefix != ""},
		{"set_request_headers", len(r.SetRequestHeaders) > 0},
		{"add_request_headers", len(r.AddRequestHeaders) > 0},
		{"remove_request_headers", len(r.RemoveRequestHeaders) > 0},
		{"timeout_server", r.TimeoutServer != nil},
		{"timeout_stream", r.TimeoutStream != nil},
		{"compress", r.Compress != nil},
		{"cookie", r.Cookie != ""},
		{"max_body", r.Deny && r.MaxBody != nil},
		{"limit", r.Deny && len(r.Limits) > 0},
	} {
		if k.given {
			keys = append(keys, k.name)
		}
	}
	return keys
}

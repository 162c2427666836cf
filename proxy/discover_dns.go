package proxy

import (
	"context"
	"net/netip"
	"time"

	"mcplb/backend/discovery"
	"mcplb/conf"
)

// discoveryNames answers the questions of sources of servers about names, as those of
// servers' addresses are answered. It implements discovery.Lookup.
type discoveryNames struct{ proxy *Proxy }

// Addresses implements discovery.Lookup.
func (n discoveryNames) Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	answer, err := n.proxy.resolver.Addresses(ctx, host, conf.FamilyAny)
	return answer.Addresses, answer.TTL, err
}

// Services implements discovery.Lookup. The targets are looked up with all other names
// of servers.
func (n discoveryNames) Services(ctx context.Context, name string) (found []discovery.Record, ttl time.Duration, err error) {
	answer, err := n.proxy.resolver.Services(ctx, name)
	for _, s := range answer.List {
		found = append(found, discovery.Record(s))
	}
	return found, answer.TTL, err
}

// Hold implements discovery.Lookup.
func (n discoveryNames) Hold() time.Duration { return n.proxy.resolverSettings().Hold }

package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"

	"mcplb/backend/discovery"
)

// discoveryNames answers the questions of sources of servers about names. It
// implements discovery.Lookup.
type discoveryNames struct{ lookup lookup }

// assumedTTL is how long an answer of the system's resolver counts, which does not
// tell the record's.
const assumedTTL = 5 * time.Second

// Addresses implements discovery.Lookup.
func (n discoveryNames) Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	found, err := n.lookup(ctx, host)
	return found, assumedTTL, err
}

// Services implements discovery.Lookup.
func (n discoveryNames) Services(ctx context.Context, name string) (found []discovery.Record, ttl time.Duration, err error) {
	_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
	for _, r := range records {
		found = append(found, discovery.Record{Target: r.Target, Port: r.Port, Priority: r.Priority, Weight: r.Weight})
	}
	return found, assumedTTL, err
}

// Hold implements discovery.Lookup.
func (n discoveryNames) Hold() time.Duration { return 5 * time.Minute }

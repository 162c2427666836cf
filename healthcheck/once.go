package healthcheck

import (
	"context"
	"net/netip"

	"mcplb/conf"
)

// Once checks a server once, as check says, by the addresses that it has for tcp and
// http; an invalid address means that it has none. It returns soon after ctx ends.
func Once(ctx context.Context, check conf.Check, tcp, http netip.AddrPort) Result {
	return probe(probeServer).timed(ctx, check, target{tcp: tcp, http: http})
}

// Passed reports whether the result speaks for the server.
func (r Result) Passed() bool { return r.finding() == passed }

package healthcheck

import (
	"context"
	"net/netip"
)

// probeTCP connects and closes. Success proves only that there is a listener at addr
// whose backlog has room: a hung process passes until its backlog is full. Checks
// of type mcp and http detect that.
//
// It closes with a reset (SO_LINGER 0, socket(7)), which leaves no TIME_WAIT on
// either side: with one check per second of 1,000 servers there would be 60,000.
func probeTCP(ctx context.Context, addr netip.AddrPort) Result {
	conn, failure := dial(ctx, addr)
	if conn == nil {
		return failure
	}
	conn.SetLinger(0)
	conn.Close()
	return Result{Code: L4OK}
}

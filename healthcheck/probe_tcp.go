package healthcheck

import (
	"context"
	"net/netip"
)

// probeTCP connects and closes. It proves that the kernel of addr has a
// listener there whose backlog has room, and no more: a process that hangs
// still passes until its backlog is full. Checks of type mcp and http see that.
//
// It closes with a reset (SO_LINGER 0, socket(7)), which leaves no TIME_WAIT
// behind on either side: at one check a second of 1,000 servers there would be
// 60,000 of them.
func probeTCP(ctx context.Context, addr netip.AddrPort) Result {
	conn, failure := dial(ctx, addr)
	if conn == nil {
		return failure
	}
	conn.SetLinger(0)
	conn.Close()
	return Result{Code: L4OK}
}

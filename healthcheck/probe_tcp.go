package healthcheck

import (
	"context"
	"net"

	"mcplb/conf"
)

// probeTCP connects and closes. Success proves only that there is a listener at the address
// whose backlog has room: a hung process passes until its backlog is full. Checks
// of type mcp and http detect that.
//
// It closes with a reset (SO_LINGER 0, socket(7)), which leaves no TIME_WAIT on
// either side: with one check per second of 1,000 servers there would be 60,000. After
// a PROXY header it closes with a FIN: a reset could overtake the header, and the server
// would log a connection without one. Over TLS, the handshake must succeed, too.
func probeTCP(ctx context.Context, check conf.Check, to Address) Result {
	conn, failure := dial(ctx, check, to)
	if conn == nil {
		return failure
	}
	if secured, ok := conn.(*checkedTLS); ok {
		return secured.finish(ctx)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && check.ProxyHeader == conf.SendProxyOff {
		tcp.SetLinger(0)
	}
	conn.Close()
	return Result{Code: L4OK}
}

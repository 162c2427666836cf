package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"mcplb/backend/servertls"
	"mcplb/conf"
)

// lateRefusal is how long a check without a request waits, in TLS 1.3, to see whether
// the server refuses the balancer's certificate: the server says so only after the
// handshake (RFC 8446 section 4.4.2.4).
const lateRefusal = 200 * time.Millisecond

// checkedTLS is a connection whose TLS handshake is complete.
type checkedTLS struct {
	*tls.Conn
	settings *conf.ServerTLS
	asked    bool // the server has asked for a certificate
}

// refused is an alert of the server after the handshake, in words.
type refused struct {
	error
	words string
}

// Read implements net.Conn. A refusal that comes late is a refused error.
func (c *checkedTLS) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	var alert *net.OpError
	if errors.As(err, &alert) && alert.Op == "remote error" {
		err = refused{err, servertls.Explain(c.settings, err)}
	}
	return n, err
}

// isRefusal reports whether err is an alert of the server after the handshake.
func isRefusal(err error) bool { return refusalOf(err) != "" }

// refusalOf returns what an alert of the server after the handshake means; "" = err is
// none.
func refusalOf(err error) string {
	var late refused
	if errors.As(err, &late) {
		return late.words
	}
	return ""
}

// shake begins TLS on a connection to an address, which it closes if that fails. Checks
// resume no session: a certificate that was replaced must be seen.
func shake(ctx context.Context, settings *conf.ServerTLS, conn net.Conn, to Address) (net.Conn, Result) {
	written := to.Written
	if written == "" {
		written = to.Addr.String()
	}
	c := &checkedTLS{settings: settings}
	config := servertls.Config(settings, written)
	certificate := config.GetClientCertificate
	config.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c.asked = true
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate(request)
	}
	c.Conn = tls.Client(conn, config)
	err := c.HandshakeContext(ctx)
	switch {
	case err == nil:
		return c, Result{}
	case isTimeout(err) || ctx.Err() != nil:
		conn.Close()
		return nil, Result{Code: L6TOUT}
	}
	conn.Close()
	return nil, Result{Code: L6RSP, Detail: servertls.Explain(settings, err)}
}

// finish ends a check that has no request, and returns its result.
func (c *checkedTLS) finish(ctx context.Context) Result {
	defer c.Close()
	if !c.asked || c.ConnectionState().Version != tls.VersionTLS13 {
		return Result{Code: L6OK}
	}
	defer endWith(ctx, c)()
	_ = c.SetReadDeadline(time.Now().Add(lateRefusal)) // or else it ends with ctx
	if _, err := c.Read(make([]byte, 1)); isRefusal(err) {
		return Result{Code: L6RSP, Detail: refusalOf(err)}
	}
	return Result{Code: L6OK}
}

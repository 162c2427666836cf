package session

import (
	"crypto/x509"

	"mcplb/proxy/clientcert"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// TLS puts TLS upon the connections of a frontend's clients.
type TLS interface {
	// Secure makes the client's connection speak TLS from now on: its transport is
	// a Handshake, and once that is done the connection is read and written as if
	// it were plain. It is called on the connection's loop, before anything but a
	// PROXY header was read.
	Secure(c *reactor.Conn)
	// Verification identifies how certificates of clients are verified in handshakes
	// that begin now; 0 = clients are not asked for any.
	Verification() uint64
}

// Handshake is a transport that lets nothing pass until it is done.
type Handshake interface {
	reactor.Transport
	// Step continues the handshake; call it at every Ready of the connection until
	// done. An error then says that the peer broke off (ECONNRESET), or that the
	// handshake failed, of which the peer is informed if the connection is closed
	// by Close.
	Step() (done bool, errno unix.Errno)
	// Version is the protocol's version, such as "1.3", once it is done.
	Version() string
	// TakeCertificate is the client's, verified, once it is done; nil = none was shown,
	// or it was taken.
	TakeCertificate() *x509.Certificate
	// Err is why it failed; nil = it has not.
	Err() error
}

// TLSVersion is the version of TLS that a connection speaks; "" = none.
func TLSVersion(c *reactor.Conn) string {
	if tls, ok := c.Transport().(Handshake); ok {
		return tls.Version()
	}
	return ""
}

// Protocol is the application protocol that a connection's TLS has agreed on (ALPN);
// "" = none.
func Protocol(c *reactor.Conn) string {
	if tls, ok := c.Transport().(interface{ Protocol() string }); ok {
		return tls.Protocol()
	}
	return ""
}

// shake is Step of a connection that speaks TLS. A refusal other than 0 is how the
// handshake failed: TLSHandshake, one of the client's certificate, or ClientGone.
func shake(c *reactor.Conn) (done bool, refusal Reason) {
	handshake := c.Transport().(Handshake)
	done, errno := handshake.Step()
	switch {
	case !done || errno == 0:
		return done, 0
	case errno == unix.ECONNRESET:
		return true, ClientGone
	}
	if fault := clientcert.ErrorOf(handshake.Err()); fault != nil {
		return true, certificateReasons[fault.Fault]
	}
	return true, TLSHandshake
}

// certificateReasons are the reasons that stand for faults of certificates.
var certificateReasons = [...]Reason{
	clientcert.Missing: TLSClientCertMissing, clientcert.UnknownAuthority: TLSClientCertUnknownCA, clientcert.Expired: TLSClientCertExpired,
	clientcert.Revoked: TLSClientCertRevoked, clientcert.Bad: TLSClientCertBad,
}

// CertificateDetail says which certificate was refused and why, for the access log; ""
// if the reason is no such refusal.
func CertificateDetail(c *reactor.Conn, reason Reason) string {
	if c == nil || !reason.ofCertificate() {
		return ""
	}
	if handshake, ok := c.Transport().(Handshake); ok {
		if fault := clientcert.ErrorOf(handshake.Err()); fault != nil {
			return fault.Detail
		}
	}
	return ""
}

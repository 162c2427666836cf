package tlsio

import (
	"crypto/tls"
	"crypto/x509"
)

// Verification is how a Server verifies certificates of its clients. It must not be
// changed once a Server has it.
type Verification struct {
	// ID identifies the settings, and is not 0.
	ID uint64
	// Auth says whether a certificate must be shown; Authorities are those whose
	// certificates are accepted.
	Auth        tls.ClientAuthType
	Authorities *x509.CertPool
	// Check is asked in every handshake, resumed ones included, once crypto/tls has
	// accepted the client's certificate, if it has shown one.
	Check func(tls.ConnectionState) error
	// Refused reports whether an error of a handshake is about the client's
	// certificate.
	Refused func(error) bool
}

// settings are those of a Server that hold for handshakes to come.
type settings struct {
	config       *tls.Config
	verification *Verification // nil = clients are not asked for certificates

	// base is what crypto/tls starts a handshake with. It has the ticket keys, unless
	// config has others, so it lasts as long as tickets are to be accepted.
	base *tls.Config
}

// newBase returns what handshakes start with until tickets of before must not be accepted
// any more.
func (s *Server) newBase() *tls.Config {
	base := &tls.Config{}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return hello.Conn.(*wire).secrets.reportTo(s.protocolsFor(hello, s.configFor(base))), nil
	}
	return base
}

// configFor returns the configuration of a handshake that has started with base. Where
// that has been replaced since, its ticket keys must not count.
func (s *Server) configFor(base *tls.Config) *tls.Config {
	now := s.current.Load()
	if now.base == base {
		return now.config
	}
	c := now.config.Clone()
	c.SessionTicketsDisabled = true
	return c
}

// verify puts a verification into the configuration of handshakes to come.
func (v *Verification) verify(c *tls.Config) {
	if v != nil {
		c.ClientAuth, c.ClientCAs, c.VerifyConnection = v.Auth, v.Authorities, v.Check
	}
}

// same reports whether tickets that were issued under v may be accepted under other. What
// a certificate in a ticket is worth is checked again; but a ticket without one says
// that the client had none only if it was asked.
func (v *Verification) same(other *Verification) bool { return (v == nil) == (other == nil) }

// Verification identifies how clients are verified whose handshake begins now; 0 = they
// are not asked for certificates.
func (s *Server) Verification() uint64 {
	if v := s.current.Load().verification; v != nil {
		return v.ID
	}
	return 0
}

// refused reports whether a handshake failed because of the client's certificate.
func (s *Server) refused(err error) bool {
	v := s.current.Load().verification
	return v != nil && v.Refused(err)
}

// TakeCertificate returns the client's certificate, which was verified, and forgets it,
// since it takes some kilobytes; nil = the client has shown none, or the handshake is not
// complete.
func (t *Transport) TakeCertificate() *x509.Certificate {
	leaf := t.leaf
	t.leaf = nil
	return leaf
}

// leafOf returns the certificate that a client has shown.
func leafOf(state *tls.ConnectionState) *x509.Certificate {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

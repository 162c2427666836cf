package proxy

import (
	"crypto/tls"
	"slices"

	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
)

// frontendTLS is a frontend's TLS. It lives as long as the frontend, so that sessions
// can be resumed across reloads.
type frontendTLS struct {
	workers *tlsio.Workers
	server  *tlsio.Server // nil = the frontend never had TLS
}

// apply gives the frontend the TLS that c says, and returns it; nil = none.
func (s *frontendTLS) apply(c *conf.Frontend) session.TLS {
	if c.TLS == nil {
		return nil
	}
	presented := tlsio.Config{
		MinVersion: versions[c.TLS.MinVersion], CipherSuites: c.TLS.CipherSuites(),
		TicketKeys: ticketKeys(c.TLS), Verification: verification(c.TLS),
	}
	for _, certificate := range c.TLS.Certificates {
		presented.Certificates = append(presented.Certificates, *certificate.Pair)
	}
	if c.Mode == conf.ModeHTTP {
		presented.Protocols = c.Protocols()
	}
	if s.server == nil {
		s.server = tlsio.NewServer(presented, s.workers)
	} else {
		s.server.Apply(presented)
	}
	return s.server
}

// versions are the values of the key min_version.
var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// show fills in the counters of the frontend's TLS, and its certificates.
func (s *frontendTLS) show(shown *admin.Frontend, c *conf.Frontend) {
	if c.TLS == nil || s.server == nil {
		return
	}
	totals := s.server.Totals()
	shown.TLS = &admin.TLS{
		Handshakes: map[string]uint64{"full": totals.Full, "resumed": totals.Resumed},
		Versions:   totals.Versions, Failed: totals.Failed,
	}
	for _, certificate := range c.TLS.Certificates {
		leaf := certificate.Pair.Leaf
		names := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		shown.TLS.Certificates = append(shown.TLS.Certificates, admin.Certificate{
			File: certificate.Cert, Subject: leaf.Subject.String(), Names: names,
			Algorithm: leaf.PublicKeyAlgorithm.String(), NotAfter: leaf.NotAfter,
		})
	}
	if !c.TLS.Verifies() {
		return
	}
	for _, r := range c.TLS.Clients.Revocations {
		shown.TLS.RevocationLists = append(shown.TLS.RevocationLists, admin.RevocationList{
			File: c.TLS.ClientCRL, Issuer: r.Issuer.Subject.String(),
			Revoked: len(r.List.RevokedCertificateEntries), NextUpdate: r.List.NextUpdate,
		})
	}
}

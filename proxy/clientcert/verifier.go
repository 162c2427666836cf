package clientcert

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"time"

	"mcplb/conf"
)

// Verifier says which certificates of clients are accepted. It is immutable: all
// goroutines may use it.
type Verifier struct {
	id      uint64
	auth    tls.ClientAuthType
	pool    *x509.CertPool
	revoked []revocation
}

// revocation is what a list revokes.
type revocation struct {
	issuer  *x509.Certificate
	serials map[string]time.Time // when each was revoked, by the bytes of the serial number
}

// New returns what a frontend's TLS says of its clients; nil = they are not asked for
// certificates.
func New(t *conf.TLS) *Verifier {
	if !t.Verifies() || t.Clients == nil {
		return nil
	}
	v := &Verifier{id: IDOf(t), auth: tls.VerifyClientCertIfGiven, pool: x509.NewCertPool()}
	if t.ClientVerify == conf.ClientVerifyRequire {
		v.auth = tls.RequireAndVerifyClientCert
	}
	for _, c := range t.Clients.Certificates {
		v.pool.AddCert(c)
	}
	for _, r := range t.Clients.Revocations {
		serials := make(map[string]time.Time, len(r.List.RevokedCertificateEntries))
		for i := range r.List.RevokedCertificateEntries {
			entry := &r.List.RevokedCertificateEntries[i]
			serials[string(entry.SerialNumber.Bytes())] = entry.RevocationTime
		}
		v.revoked = append(v.revoked, revocation{r.Issuer, serials})
	}
	return v
}

// IDOf identifies how a frontend verifies its clients' certificates: by the settings and
// the contents of the files, alike in every process. 0 = it does not ask for any.
func IDOf(t *conf.TLS) uint64 {
	if !t.Verifies() || t.Clients == nil {
		return 0
	}
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(t.ClientVerify), t.Clients.CA, t.Clients.CRL} {
		sum := sha256.Sum256(part)
		hash.Write(sum[:]) // never fails
	}
	return binary.BigEndian.Uint64(hash.Sum(nil)) | 1
}

// ID identifies what the Verifier was made of; see IDOf.
func (v *Verifier) ID() uint64 { return v.id }

// Auth says whether a certificate must be shown. One that is shown must be good.
func (v *Verifier) Auth() tls.ClientAuthType { return v.auth }

// Authorities are those whose certificates are accepted, and that are named to clients.
func (v *Verifier) Authorities() *x509.CertPool { return v.pool }

// Verify checks the client's certificate, if it has shown one: crypto/tls has done so
// unless the session is resumed. Its error is an *Error.
func (v *Verifier) Verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil // crypto/tls refuses that where one is required
	}
	chains := state.VerifiedChains
	if state.DidResume {
		var err error
		if chains, err = v.chains(state.PeerCertificates); err != nil {
			return refusal(state.PeerCertificates, err)
		}
	}
	return v.check(state.PeerCertificates[0], chains)
}

// chains are those from a client's certificate to authorities that are accepted now.
func (v *Verifier) chains(shown []*x509.Certificate) ([][]*x509.Certificate, error) {
	intermediates := x509.NewCertPool()
	for _, c := range shown[1:] {
		intermediates.AddCert(c)
	}
	return shown[0].Verify(x509.VerifyOptions{
		Roots: v.pool, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// check accepts a certificate that has a chain in which nothing is weak or revoked.
func (v *Verifier) check(leaf *x509.Certificate, chains [][]*x509.Certificate) error {
	err := error(&Error{Bad, "no chain leads to an authority of client_ca"})
	for _, chain := range chains {
		if err = v.checkChain(leaf, chain); err == nil {
			return nil
		}
	}
	return err
}

func (v *Verifier) checkChain(leaf *x509.Certificate, chain []*x509.Certificate) error {
	for _, c := range chain {
		if weak := conf.WeakKey(c); weak != "" {
			return &Error{Bad, describe(c, leaf) + " has " + weak}
		}
		if when, revoked := v.revocationOf(c); revoked {
			return &Error{Revoked, fmt.Sprintf("%s (serial number %s) was revoked on %s", describe(c, leaf), hexSerial(c), when.UTC().Format(time.RFC3339))}
		}
	}
	return nil
}

// revocationOf finds a certificate in the lists of its issuer. That an authority of
// client_ca is itself signed by another one of them makes no difference.
func (v *Verifier) revocationOf(c *x509.Certificate) (when time.Time, revoked bool) {
	for i := range v.revoked {
		r := &v.revoked[i]
		if !bytes.Equal(c.RawIssuer, r.issuer.RawSubject) {
			continue
		}
		when, listed := r.serials[string(c.SerialNumber.Bytes())]
		if listed && r.issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return when, true
		}
	}
	return time.Time{}, false
}

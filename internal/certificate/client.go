package certificate

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// Options are what Sign makes of a certificate. The zero value is one for clients, valid
// today.
type Options struct {
	Subject pkix.Name
	Valid   Validity           // zero: Today
	Usage   []x509.ExtKeyUsage // nil: for clients
	CA      bool               // it may sign others, and lists
	Hash    x509.SignatureAlgorithm
}

// Sign returns a certificate that issuer signs; nil = it signs itself. Its Leaf is set;
// Certificate has no intermediate certificates.
func Sign(t testing.TB, issuer *tls.Certificate, key crypto.Signer, o Options) tls.Certificate {
	t.Helper()
	if o.Valid == (Validity{}) {
		o.Valid = Today()
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: o.Subject, NotBefore: o.Valid.From, NotAfter: o.Valid.Until, SignatureAlgorithm: o.Hash,
		BasicConstraintsValid: true, IsCA: o.CA, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: o.Usage,
	}
	switch {
	case o.CA:
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	case o.Usage == nil:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	parent, signer := template, crypto.PrivateKey(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Revoke returns a revocation list in PEM form, which issuer signs, and whose next update
// is due then.
func Revoke(t testing.TB, issuer tls.Certificate, next time.Time, revoked ...tls.Certificate) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: next.AddDate(0, 0, -1), NextUpdate: next}
	for _, c := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: template.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, issuer.Leaf, issuer.PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Text returns certificates in PEM form, one behind the other.
func Text(certificates ...tls.Certificate) (text []byte) {
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw})...)
	}
	return text
}

package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ECDSA returns a new key on the curve P-256.
func ECDSA(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// RSA returns a new key of 2,048 bits.
func RSA(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Validity is the time in which a certificate is valid.
type Validity struct{ From, Until time.Time }

// Today returns the time from one hour ago to twelve hours from now.
func Today() Validity {
	now := time.Now()
	return Validity{From: now.Add(-time.Hour), Until: now.Add(12 * time.Hour)}
}

// UntilThen returns the year that ends then.
func UntilThen(then time.Time) Validity { return Validity{From: then.AddDate(-1, 0, 0), Until: then} }

// New returns a certificate with a key for names, which are hosts or addresses;
// the first is its common name. issuer signs it; nil = it is self-signed, and
// may sign others. Its Leaf is set.
func New(t testing.TB, issuer *tls.Certificate, key crypto.Signer, valid Validity, names ...string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: valid.From, NotAfter: valid.Until,
		BasicConstraintsValid: true, IsCA: issuer == nil,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
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

// Pool returns a pool that trusts these certificates.
func Pool(trusted ...tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range trusted {
		pool.AddCert(c.Leaf)
	}
	return pool
}

// Write writes NAME.pem, the certificate, and NAME.key, its key in PKCS #8
// form. It overwrites existing files; only the user may read them (mode 0600).
func Write(t testing.TB, directory, name string, c tls.Certificate) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		name + ".key": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(directory, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

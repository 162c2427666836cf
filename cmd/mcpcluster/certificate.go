package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// certificateLasts is how long the demonstration's certificate is valid. Every start
// makes a new one.
const certificateLasts = 30 * 24 * time.Hour

// selfSigned makes a certificate for this machine under its usual names, and its
// key, both as PEM. Clients have to be configured to trust it.
func selfSigned(now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "mcpcluster demonstration"},
		DNSNames: []string{"localhost"}, IPAddresses: loopbacks(),
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(certificateLasts),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return cert, key, nil
}

// loopbacks are the addresses of the demonstration's balancers.
func loopbacks() []net.IP {
	list := []net.IP{net.IPv6loopback}
	for k := 1; k <= mostBalancers; k++ {
		list = append(list, net.ParseIP(balancerAddress(k)))
	}
	return list
}

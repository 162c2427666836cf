package conf

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TLSWarnings returns those of Warnings that are about TLS.
func (c *Config) TLSWarnings(now time.Time) []string {
	var found []string
	known := c.knownAuthorities()
	for i := range c.Frontends {
		if f := &c.Frontends[i]; f.TLS != nil {
			found = append(found, f.tlsWarnings(join("frontend", f.Name), known, now)...)
		}
	}
	for i := range c.Backends {
		if t := c.Backends[i].TLS; t != nil {
			found = append(found, t.warnings(now)...)
		}
	}
	return found
}

// CertificateFiles are files outside of a configuration that belong together.
type CertificateFiles struct {
	Path      string // a chain of certificates, authorities, or revocation lists; it may hold the key, too
	Key       string // the file of the key; "" = it is not known, or stands in Path
	Authority string // a file of private authorities; "" = the system's roots alone are known
}

// Check says what peers would refuse at the time now, or what is doubtful; summary is
// what the file has, in a few words. It fails if a file cannot be used.
func (c CertificateFiles) Check(now time.Time) (summary string, warnings []string, err error) {
	content, err := ReadFile(c.Path, mostRevocations)
	if err != nil {
		return "", nil, err
	}
	if bytes.Contains(content, []byte("BEGIN X509 CRL")) {
		return checkLists(c.Path, content, now)
	}
	if _, err := loadAuthorities(c.Path); err != nil {
		return "", nil, err
	}
	chain := parseAuthorities(content)
	leaf := chain[0]
	summary = fmt.Sprintf("%s, valid until %s, %s", namesOf(leaf), leaf.NotAfter.UTC().Format(time.DateOnly), leaf.PublicKeyAlgorithm)
	if err := c.checkKey(content); err != nil {
		return "", nil, err
	}
	if leaf.IsCA && selfSigned(leaf) && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		for _, authority := range chain {
			for _, w := range authorityWarnings(authority, now) {
				warnings = append(warnings, quoted(authority.Subject.String())+", "+w)
			}
		}
		return summary, warnings, nil
	}
	var known []*x509.Certificate
	if c.Authority != "" {
		text, err := loadAuthorities(c.Authority)
		if err != nil {
			return "", nil, err
		}
		known = parseAuthorities(text)
	}
	named := Certificate{Cert: c.Path, Key: c.Key, Pair: &tls.Certificate{Leaf: leaf}}
	warnings = named.warnings(now, "peers")
	if !forClients(leaf) {
		warnings = append(warnings, nameWarnings(c.Path, leaf)...)
	}
	return summary, append(warnings, chainWarnings(c.Path, chain, known, now)...), nil
}

// forClients reports whether a certificate is for clients alone.
func forClients(c *x509.Certificate) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
}

// namesOf shows for whom a certificate is.
func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return c.Subject.String()
	}
	return strings.Join(names, " ")
}

// checkKey refuses a key that does not belong to the certificate.
func (c CertificateFiles) checkKey(content []byte) error {
	key := content
	if c.Key != "" {
		var err error
		if key, err = ReadFile(c.Key, MostSmall); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	} else if !bytes.Contains(content, []byte("PRIVATE KEY")) {
		return nil
	}
	if _, err := tls.X509KeyPair(content, key); err != nil {
		return fmt.Errorf("the key does not belong to the certificate: %w", err)
	}
	return nil
}

// checkLists looks at a file of revocation lists, whose authorities are not known.
func checkLists(path string, content []byte, now time.Time) (summary string, warnings []string, err error) {
	lists := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		list, err := x509.ParseRevocationList(block.Bytes)
		if err == nil {
			err = plainList(list)
		}
		if err != nil {
			return "", nil, fmt.Errorf("list %d: %w", lists+1, err)
		}
		lists++
		r := Revocation{List: list}
		if w := r.warning(now); w != "" {
			warnings = append(warnings, fmt.Sprintf("%s: has the list of %s, %s", quoted(path), quoted(list.Issuer.String()), w))
		}
		summary = fmt.Sprintf("%s revokes %d, next update %s", list.Issuer, len(list.RevokedCertificateEntries), list.NextUpdate.UTC().Format(time.DateOnly))
	}
	if lists == 0 {
		return "", nil, errors.New("the revocation list is not PEM")
	}
	return summary, warnings, nil
}

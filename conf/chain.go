package conf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// leastRSA and leastCurve are the smallest keys, in bits, that are not weak: NIST SP
// 800-57 allows no smaller ones since 2014, and OpenSSL refuses them by default.
const (
	leastRSA   = 2048
	leastCurve = 256
)

// WeakKey says why the key of a certificate is weak, such as "an RSA key of 1024 bits";
// "" if it is not.
func WeakKey(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < leastRSA {
			return fmt.Sprintf("an RSA key of %d bits", bits)
		}
	case *ecdsa.PublicKey:
		if bits := key.Params().BitSize; bits < leastCurve {
			return fmt.Sprintf("a key on a curve of %d bits", bits)
		}
	}
	if c.PublicKeyAlgorithm == x509.DSA {
		return "a DSA key"
	}
	return ""
}

// WeakSignature says why the signature below a certificate is weak, such as "SHA-1"; ""
// if it is not. That of a root counts for nothing, and is never weak.
func WeakSignature(c *x509.Certificate) string {
	if selfSigned(c) {
		return ""
	}
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return "SHA-1"
	case x509.MD5WithRSA, x509.MD2WithRSA:
		return "MD5"
	}
	return ""
}

// selfSigned reports whether a certificate is its own issuer, as roots are.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && (len(c.AuthorityKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId))
}

// chain are the certificates that are presented: the pair's, the leaf first.
func chainOf(pair *tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	return chain
}

// chainWarnings says what is weak or missing in a chain of certificates, its leaf first.
// file is where it stands; known are authorities that the configuration names.
func chainWarnings(file string, chain, known []*x509.Certificate, now time.Time) (found []string) {
	for i, c := range chain {
		what := "its certificate"
		if i > 0 {
			what = fmt.Sprintf("its certificate %d, %s,", i+1, quoted(c.Subject.String()))
		}
		if weak := WeakKey(c); weak != "" {
			found = append(found, fmt.Sprintf("%s: %s has %s, which peers refuse as weak: issue one with ECDSA P-256, or RSA of %d bits", quoted(file), what, weak, leastRSA))
		}
		if weak := WeakSignature(c); weak != "" {
			found = append(found, fmt.Sprintf("%s: %s is signed with %s, which peers refuse as weak: have it issued with SHA-256", quoted(file), what, weak))
		}
		if i > 0 && now.After(c.NotAfter) {
			found = append(found, fmt.Sprintf("%s: %s was valid until %s: replace it by the new one of its authority, and reload", quoted(file), what, c.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	if w := orderWarning(file, chain); w != "" {
		return append(found, w)
	}
	if w := missingWarning(file, chain, known, now); w != "" {
		found = append(found, w)
	}
	return found
}

// orderWarning warns of a chain in which a certificate is not that of the issuer of the
// one before it, although the issuer is there.
func orderWarning(file string, chain []*x509.Certificate) string {
	for i, c := range chain[:len(chain)-1] {
		if issuedBy(c, chain[i+1]) || selfSigned(c) {
			continue
		}
		if slices.ContainsFunc(chain, func(other *x509.Certificate) bool { return other != c && issuedBy(c, other) }) {
			return fmt.Sprintf("%s: its certificate %d does not belong to the issuer of the one before it, which stands elsewhere in the file: old clients refuse that; put each issuer behind what it issued", quoted(file), i+2)
		}
	}
	return ""
}

// missingWarning warns of a chain that does not lead to a root: intermediate
// certificates are missing.
func missingWarning(file string, chain, known []*x509.Certificate, now time.Time) string {
	last := lastOf(chain)
	if selfSigned(last) || now.After(last.NotAfter) || knowsRoot(last, known, now) {
		return ""
	}
	return fmt.Sprintf("%s: has no certificate of its issuer %s, which is no root of this system either: clients refuse it unless they know that issuer; "+
		"append the intermediate certificates of the authority, or the root of a private one", quoted(file), quoted(last.Issuer.String()))
}

// lastOf follows a chain from its leaf to the last certificate whose issuer it has not.
func lastOf(chain []*x509.Certificate) *x509.Certificate {
	last := chain[0]
	for range chain {
		i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return c != last && issuedBy(last, c) })
		if i < 0 || selfSigned(last) {
			break
		}
		last = chain[i]
	}
	return last
}

// issuedBy reports whether issuer has signed c.
func issuedBy(c, issuer *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, issuer.RawSubject) && issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// systemRoots are the authorities that the system trusts; nil = it does not say.
var systemRoots = sync.OnceValue(func() *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil
	}
	return roots
})

// knowsRoot reports whether a root of the system, or one of known, has issued c.
func knowsRoot(c *x509.Certificate, known []*x509.Certificate, now time.Time) bool {
	if slices.ContainsFunc(known, func(root *x509.Certificate) bool { return selfSigned(root) && issuedBy(c, root) }) {
		return true
	}
	roots := systemRoots()
	if roots == nil {
		return true
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// nameWarnings says why clients refuse a server's certificate, whatever they ask for.
func nameWarnings(file string, leaf *x509.Certificate) (found []string) {
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		found = append(found, fmt.Sprintf("%s: is valid for no name (its common name %s does not count): clients refuse it; issue it with subjectAltName", quoted(file), quoted(leaf.Subject.CommonName)))
	}
	if usages := leaf.ExtKeyUsage; len(usages)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		found = append(found, fmt.Sprintf("%s: is not for servers: clients refuse it; issue it with extendedKeyUsage = serverAuth", quoted(file)))
	}
	return found
}

// knownAuthorities are the certificates in the files of authorities that a configuration
// names.
func (c *Config) knownAuthorities() (known []*x509.Certificate) {
	for i := range c.Frontends {
		if t := c.Frontends[i].TLS; t != nil && t.Clients != nil {
			known = append(known, t.Clients.Certificates...)
		}
	}
	for i := range c.Backends {
		if t := c.Backends[i].TLS; t != nil {
			known = append(known, parseAuthorities(t.CAText)...)
		}
	}
	return known
}

// reachWarnings warns of names that are of no use: those of certificates that are never
// presented, and hosts of routes that no certificate has. path is that of the
// frontend.
func (f *Frontend) reachWarnings(path string) (found []string) {
	for i := range f.TLS.Certificates {
		if i > 0 {
			if why := f.TLS.unreachable(i); why != "" {
				found = append(found, fmt.Sprintf("%s: %s %s", element(path+".tls.certificates", i), quoted(f.TLS.Certificates[i].Cert), why))
			}
		}
	}
	for i := range f.Routes {
		for _, host := range f.Routes[i].Host {
			if !f.TLS.covers(host) {
				found = append(found, fmt.Sprintf("%s.host: no certificate of this frontend has the name %s: clients refuse the connection before they can ask for it; add a certificate for it",
					element(path+".route", i), quoted(host)))
			}
		}
	}
	if more := len(found) - mostNeedless; more > 0 {
		found = append(found[:mostNeedless], fmt.Sprintf("%s: %d more names cannot be reached", path, more))
	}
	return found
}

// unreachable says which names of the certificate with an index that is not 0 no client
// is shown; "" if there are none. The first that has the name, and a key that the
// client supports, is presented: all support RSA.
func (t *TLS) unreachable(index int) string {
	leaf := t.Certificates[index].Pair.Leaf
	if len(leaf.DNSNames) == 0 {
		return "is never presented: it has no host name by which clients could ask for it (SNI has no addresses), and it is not the first, which is the default; put it first, or leave it out"
	}
	var hidden []string
	by := 0
	for _, name := range leaf.DNSNames {
		for i := range t.Certificates[:index] {
			earlier := t.Certificates[i].Pair.Leaf
			if (earlier.PublicKeyAlgorithm == x509.RSA || earlier.PublicKeyAlgorithm == leaf.PublicKeyAlgorithm) && has(earlier, name) {
				hidden, by = append(hidden, quoted(name)), i
				break
			}
		}
	}
	switch {
	case len(hidden) == 0:
		return ""
	case len(hidden) < len(leaf.DNSNames):
		return fmt.Sprintf("is never presented for %s: certificate [%d] has that name, too, and stands before it", strings.Join(hidden, ", "), by)
	}
	return fmt.Sprintf("is never presented: certificate [%d] has its names, too, and stands before it; put ECDSA before RSA, and leave out what is not needed", by)
}

// has reports whether a certificate is valid for a name, which may begin with "*.".
func has(c *x509.Certificate, name string) bool {
	return slices.ContainsFunc(c.DNSNames, func(own string) bool { return strings.EqualFold(own, name) }) ||
		!strings.HasPrefix(name, "*.") && c.VerifyHostname(name) == nil
}

// covers reports whether a certificate is valid for a host of a route, or, if that begins
// with "*.", for a name that it covers.
func (t *TLS) covers(host string) bool {
	suffix, wildcard := strings.CutPrefix(host, "*")
	return slices.ContainsFunc(t.Certificates, func(c Certificate) bool {
		if !wildcard {
			return c.Pair.Leaf.VerifyHostname(host) == nil
		}
		return slices.ContainsFunc(c.Pair.Leaf.DNSNames, func(name string) bool {
			return strings.HasSuffix(strings.ToLower(name), strings.ToLower(suffix))
		})
	})
}

package conf

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ClientVerify says what a frontend with TLS wants of its clients' certificates.
type ClientVerify string

// The values of the key client_verify.
const (
	ClientVerifyOff      ClientVerify = "off"      // clients are not asked
	ClientVerifyOptional ClientVerify = "optional" // a certificate that is shown must be good
	ClientVerifyRequire  ClientVerify = "require"  // a good certificate must be shown
)

// Verifies reports whether certificates of clients are asked for.
func (t *TLS) Verifies() bool { return t != nil && t.ClientVerify != ClientVerifyOff }

// ClientAuthorities are the contents of the files client_ca and client_crl of a
// frontend as of when the configuration was read. They must not be changed.
type ClientAuthorities struct {
	Certificates []*x509.Certificate // of the authorities, at least one
	Revocations  []Revocation        // may be empty
	CA, CRL      []byte              // the files' contents; CRL: nil = none is named
}

// Revocation is a revocation list and the authority that signed it, which is one of
// client_ca.
type Revocation struct {
	Issuer *x509.Certificate
	List   *x509.RevocationList
}

// mostRevocations is the size of the largest file of revocation lists: a million
// entries.
const mostRevocations = 64 * megabyte

// loadClientAuthorities reads the files that say which certificates of clients a
// frontend accepts. path is that of its table tls.
func loadClientAuthorities(t *TLS, path string, d *decoder) {
	if !d.sound(path+".client_ca", path+".client_crl", path+".client_verify") {
		return
	}
	switch {
	case t.ClientCA == "" && t.Verifies():
		d.fail(path+".client_verify", `needs client_ca: a PEM file of the authorities whose certificates clients may show, such as client_ca = "/etc/mcplb/clients-ca.pem"`)
		return
	case t.ClientCA == "" && t.ClientCRL != "":
		d.fail(path+".client_crl", "needs client_ca, with the certificates of the authorities that signed the lists")
		return
	case t.ClientCA == "":
		return
	}
	text, err := loadAuthorities(t.ClientCA)
	if err != nil {
		d.fail(path+".client_ca", "%v", err)
		return
	}
	loaded := &ClientAuthorities{CA: text, Certificates: parseAuthorities(text)}
	if t.ClientCRL != "" {
		if err := loaded.loadRevocations(t.ClientCRL); err != nil {
			d.fail(path+".client_crl", "%v", err)
			return
		}
	}
	t.Clients = loaded
}

// parseAuthorities returns the certificates of a text that loadAuthorities accepted.
func parseAuthorities(text []byte) (found []*x509.Certificate) {
	for {
		block, rest := nextCertificate(text)
		if block == nil {
			return found
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			found = append(found, c)
		}
		text = rest
	}
}

// loadRevocations reads a file of revocation lists. Each must be of one of the
// authorities; these need none.
func (a *ClientAuthorities) loadRevocations(path string) error {
	content, err := ReadFile(path, mostRevocations)
	if err != nil {
		return err
	}
	lists, err := revocationLists(content)
	if err != nil {
		return fmt.Errorf("%s %w", quoted(path), err)
	}
	for i, der := range lists {
		r, err := a.revocation(der)
		if err != nil {
			return fmt.Errorf("%s: list %d %w", quoted(path), i+1, err)
		}
		a.Revocations = append(a.Revocations, r)
	}
	a.CRL = content
	return nil
}

// revocationLists returns the lists in a file, which is PEM, or DER of one list.
func revocationLists(content []byte) (lists [][]byte, err error) {
	if len(content) > 0 && content[0] == derSequence {
		return [][]byte{content}, nil
	}
	if err := checkPEM(content); err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	if len(lists) == 0 {
		return nil, errors.New("has no revocation list: it must hold those of the authorities in PEM form, -----BEGIN X509 CRL-----, or one in DER form")
	}
	return lists, nil
}

// derSequence is the first byte of everything that X.509 has in DER form.
const derSequence = 0x30

// revocation parses a list, and finds the authority that signed it.
func (a *ClientAuthorities) revocation(der []byte) (Revocation, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return Revocation{}, fmt.Errorf("cannot be read: %w", err)
	}
	if err := plainList(list); err != nil {
		return Revocation{}, err
	}
	signature := error(nil)
	for _, issuer := range a.Certificates {
		if !bytes.Equal(issuer.RawSubject, list.RawIssuer) {
			continue
		}
		if signature = list.CheckSignatureFrom(issuer); signature == nil {
			return Revocation{issuer, list}, nil
		}
	}
	if signature != nil {
		return Revocation{}, fmt.Errorf("is not signed by the authority %s of client_ca: %w", quoted(list.Issuer.String()), signature)
	}
	return Revocation{}, fmt.Errorf("is of %s, which is not among the authorities of client_ca: add its certificate there, or leave the list out", quoted(list.Issuer.String()))
}

// The extensions of lists that do not stand for themselves (RFC 5280, section 5).
var (
	deltaIndicator    = []int{2, 5, 29, 27}
	certificateIssuer = []int{2, 5, 29, 29}
)

// plainList refuses lists whose entries do not mean certificates of the list's issuer,
// or only some changes.
func plainList(list *x509.RevocationList) error {
	for _, extension := range list.Extensions {
		if extension.Id.Equal(deltaIndicator) {
			return errors.New("is a delta list, which is not supported: use the complete one")
		}
	}
	for i := range list.RevokedCertificateEntries {
		for _, extension := range list.RevokedCertificateEntries[i].Extensions {
			if extension.Id.Equal(certificateIssuer) {
				return errors.New("is an indirect list, with certificates of other authorities, which is not supported: use each authority's own")
			}
		}
	}
	return nil
}

// clientWarnings says what is doubtful about how a frontend verifies its clients. path is
// that of its table tls.
func (t *TLS) clientWarnings(path string, now time.Time) (found []string) {
	if t.Clients == nil {
		return nil
	}
	if !t.Verifies() {
		return []string{path + `.client_ca: does nothing, since client_verify is "off": clients are not asked for certificates; set client_verify = "require" or "optional"`}
	}
	for _, c := range t.Clients.Certificates {
		for _, warning := range authorityWarnings(c, now) {
			found = append(found, fmt.Sprintf("%s.client_ca: %s has %s, %s", path, quoted(t.ClientCA), quoted(c.Subject.String()), warning))
		}
	}
	for _, r := range t.Clients.Revocations {
		if warning := r.warning(now); warning != "" {
			found = append(found, fmt.Sprintf("%s.client_crl: %s has the list of %s, %s", path, quoted(t.ClientCRL), quoted(r.Issuer.Subject.String()), warning))
		}
	}
	return found
}

// authorityWarnings says why certificates of an authority will be refused.
func authorityWarnings(c *x509.Certificate, now time.Time) (found []string) {
	until := c.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(c.NotAfter):
		found = append(found, "which was valid until "+until+": clients with its certificates are refused; renew it and reload")
	case now.After(c.NotAfter.Add(-soon)):
		found = append(found, "which is valid until "+until+": renew it and reload")
	case now.Before(c.NotBefore):
		found = append(found, "which is not valid before "+c.NotBefore.UTC().Format(time.RFC3339)+": clients with its certificates are refused; is the clock right?")
	}
	if c.Version == 3 && !c.IsCA {
		found = append(found, "which is no authority (CA:TRUE is missing): only that very certificate is accepted, none that it signs")
	}
	if weak := WeakKey(c); weak != "" {
		found = append(found, "which has "+weak+": replace it")
	}
	return found
}

// warning says why a list is doubtful, which counts all the same; "" if it is not.
func (r *Revocation) warning(now time.Time) string {
	next := r.List.NextUpdate
	switch {
	case !next.IsZero() && now.After(next):
		return fmt.Sprintf("whose next update was due on %s: it still counts, but what was revoked since is accepted; fetch the new one and reload", next.UTC().Format(time.RFC3339))
	case now.Before(r.List.ThisUpdate):
		return fmt.Sprintf("which is of %s, later than now: is the clock right?", r.List.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return ""
}

// diffClientFiles returns the files of a frontend's TLS, certificates aside, whose names
// are as before and whose contents are not.
func diffClientFiles(path string, before, after *TLS) (changes []KeyChange) {
	if before == nil || after == nil {
		return nil
	}
	if before.ClientCA == after.ClientCA && before.Clients != nil && after.Clients != nil {
		changes = change(path+".client_ca", digest(before.Clients.CA), digest(after.Clients.CA))
		if before.ClientCRL == after.ClientCRL {
			changes = append(changes, change(path+".client_crl", digest(before.Clients.CRL), digest(after.Clients.CRL))...)
		}
	}
	if before.TicketKeys == after.TicketKeys {
		changes = append(changes, change(path+".ticket_keys", digest(slices.Concat(before.Keys...)), digest(slices.Concat(after.Keys...)))...)
	}
	return changes
}

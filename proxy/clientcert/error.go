package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"mcplb/conf"
)

// Fault is why a certificate of a client is refused.
type Fault uint8

// The faults.
const (
	Missing          Fault = iota // none was shown, and one is required
	UnknownAuthority              // no authority of client_ca has signed it
	Expired                       // it, or its issuer's, was valid once
	Revoked                       // a list of client_crl has it, or its issuer's
	Bad                           // anything else: not valid yet, not for clients, weak, malformed
)

// Error is why a certificate of a client is refused.
type Error struct {
	Fault  Fault
	Detail string // which certificate, and what is wrong with it; fit for a line of a log, and short
}

// Error is the detail.
func (e *Error) Error() string { return "the client's certificate is refused: " + e.Detail }

// ErrorOf returns why a handshake failed if it was the client's certificate, else nil.
func ErrorOf(err error) *Error {
	if found, ok := errors.AsType[*Error](err); ok {
		return found
	}
	if found, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return refusal(found.UnverifiedCertificates, found.Err)
	}
	if err == nil {
		return nil
	}
	// crypto/tls has no types for the others.
	text := err.Error()
	switch {
	case strings.Contains(text, "client didn't provide a certificate"):
		return &Error{Missing, "the client showed none"}
	case strings.Contains(text, "client certificate"), strings.Contains(text, "client sent certificate"),
		strings.Contains(text, "invalid signature by the client"):
		return &Error{Bad, short(strings.TrimPrefix(text, "tls: "))}
	}
	return nil
}

// refusal says why the certificates that a client has shown, at least one, have no chain.
func refusal(shown []*x509.Certificate, err error) *Error {
	leaf := shown[0]
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return invalidity(leaf, &invalid)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		for _, c := range shown {
			if weak := conf.WeakSignature(c); weak != "" {
				return &Error{Bad, describe(c, leaf) + " is signed with " + weak}
			}
		}
		return &Error{UnknownAuthority, describe(leaf, leaf) + " is of " + nameOf(leaf.RawIssuer) + ", which is not in client_ca, or intermediate certificates are missing"}
	}
	return &Error{Bad, short(describe(leaf, leaf) + ": " + err.Error())}
}

// invalidity says what is wrong with a certificate, the leaf's or one of its issuers.
func invalidity(leaf *x509.Certificate, invalid *x509.CertificateInvalidError) *Error {
	c := invalid.Cert
	if c == nil {
		c = leaf
	}
	switch invalid.Reason {
	case x509.Expired:
		if now := time.Now(); now.Before(c.NotBefore) {
			return &Error{Bad, describe(c, leaf) + " is not valid before " + c.NotBefore.UTC().Format(time.RFC3339)}
		}
		return &Error{Expired, describe(c, leaf) + " expired on " + c.NotAfter.UTC().Format(time.RFC3339)}
	case x509.IncompatibleUsage:
		return &Error{Bad, describe(c, leaf) + " is not for clients: issue it with extendedKeyUsage = clientAuth"}
	case x509.NotAuthorizedToSign:
		return &Error{Bad, describe(c, leaf) + " is not allowed to sign certificates"}
	}
	return &Error{Bad, short(describe(c, leaf) + ": " + invalid.Error())}
}

// describe names a certificate: the client's, or one of its issuers.
func describe(c, leaf *x509.Certificate) string {
	if c != leaf && !c.Equal(leaf) {
		return "its issuer's certificate " + nameOf(c.RawSubject)
	}
	return "the certificate " + nameOf(c.RawSubject)
}

// nameOf shows a name in a message.
func nameOf(raw []byte) string { return short(`"` + Name(raw) + `"`) }

// mostDetail is how long one part of a Detail may be, in bytes: a client writes its
// certificate itself.
const mostDetail = 160

func short(s string) string {
	if len(s) > mostDetail {
		return strings.ToValidUTF8(s[:mostDetail], "") + "..."
	}
	return s
}

// hexSerial shows a serial number as openssl does.
func hexSerial(c *x509.Certificate) string {
	return short(strings.ToUpper(fmt.Sprintf("%x", c.SerialNumber.Bytes())))
}

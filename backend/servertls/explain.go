package servertls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"mcplb/conf"
)

// Explain returns why a handshake under the settings failed, in words for an operator,
// with what to do about it.
func Explain(t *conf.ServerTLS, err error) string {
	var record tls.RecordHeaderError
	var alert *net.OpError
	var errno syscall.Errno
	switch text := certificate(t, err); {
	case text != "":
		return text
	case errors.As(err, &record):
		return "the server does not speak TLS (leave [" + t.Path + "] out, or use its TLS port)"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return refusal(t, alert.Err.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection during the TLS handshake"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "the TLS handshake timed out"
	case errors.As(err, &errno):
		return errno.Error() + " during the TLS handshake"
	case strings.Contains(err.Error(), "unsupported protocol version"):
		return fmt.Sprintf("the server does not speak TLS %s or later (%s.min_version)", t.MinVersion, t.Path)
	}
	return strings.TrimPrefix(err.Error(), "tls: ")
}

// certificate returns what is wrong with the server's certificate; "" = nothing.
func certificate(t *conf.ServerTLS, err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		if t.CA != "" {
			return fmt.Sprintf("certificate signed by unknown authority (none of those in %s.ca)", t.Path)
		}
		return fmt.Sprintf("certificate signed by unknown authority (add its CA to %s.ca)", t.Path)
	case errors.As(err, &name):
		return fmt.Sprintf("certificate is valid for %s, not %s", names(name.Certificate), name.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return validity(invalid.Cert)
	case errors.As(err, &invalid):
		return "certificate cannot be accepted: " + strings.TrimPrefix(invalid.Error(), "x509: ")
	}
	return ""
}

// names lists what a certificate is valid for.
func names(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	const most = 5
	switch {
	case len(all) == 0 && c.Subject.CommonName != "":
		return "no name (its common name does not count, it needs subjectAltName)"
	case len(all) == 0:
		return "no name (it needs subjectAltName)"
	case len(all) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}

// validity says how a certificate is out of its time.
func validity(c *x509.Certificate) string {
	if now := time.Now(); now.Before(c.NotBefore) {
		return "certificate is not valid before " + c.NotBefore.UTC().Format(time.RFC3339) + " (is the clock right?)"
	}
	which := "certificate"
	if c.IsCA {
		which = "certificate of the authority " + fmt.Sprintf("%q", c.Subject.CommonName)
	}
	return which + " expired on " + c.NotAfter.UTC().Format(time.RFC3339)
}

// refusal says what an alert of the server means, in the words of crypto/tls.
func refusal(t *conf.ServerTLS, alert string) string {
	alert = strings.TrimPrefix(alert, "tls: ")
	certificate := aboutCertificate(alert)
	switch {
	case certificate && t.Cert == "":
		return fmt.Sprintf("the server wants a certificate of the balancer: %s (set %s.cert and key)", alert, t.Path)
	case t.Cert != "" && (certificate || alert == "handshake failure"):
		return fmt.Sprintf("the server refused the handshake or the certificate in %s.cert: %s", t.Path, alert)
	case alert == "handshake failure": // in TLS 1.2 OpenSSL says no more than that of a missing certificate
		return fmt.Sprintf("the server refused the handshake: %s (it may want a certificate of the balancer: set %s.cert and key)", alert, t.Path)
	case alert == "protocol version not supported":
		return fmt.Sprintf("the server does not speak TLS %s or later (%s.min_version)", t.MinVersion, t.Path)
	case alert == "unrecognized name":
		return fmt.Sprintf("the server does not know the name that it was asked for (set %s.server_name)", t.Path)
	}
	return "the server refused the handshake: " + alert
}

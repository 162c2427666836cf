package servertls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// Failure is the kind of a handshake's failure, for counters. Explain says more.
type Failure uint8

const (
	OtherFailure      Failure = iota // no version or algorithm in common, or a malformed message
	NotTLS                           // the server does not speak TLS
	ServerGone                       // the server closed the connection
	ServerAlert                      // the server refused the handshake with an alert
	ClientCertificate                // the server wants a certificate of the balancer, or another one
	UnknownCA                        // the server's certificate is of an authority that is not accepted
	Expired                          // ... is out of its time
	WrongName                        // ... is for other names
	BadCertificate                   // ... cannot be accepted for another reason
	NumFailures
)

var failureNames = [NumFailures]string{
	OtherFailure:      "protocol",
	NotTLS:            "not_tls",
	ServerGone:        "server_gone",
	ServerAlert:       "server_alert",
	ClientCertificate: "client_certificate",
	UnknownCA:         "unknown_ca",
	Expired:           "expired",
	WrongName:         "wrong_name",
	BadCertificate:    "bad_certificate",
}

// String returns the kind as metrics have it.
func (f Failure) String() string { return failureNames[f] }

// FailureOf returns the kind of a handshake's error, which is not nil.
func FailureOf(err error) Failure {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert *net.OpError
	var errno syscall.Errno
	switch {
	case errors.As(err, &unknown):
		return UnknownCA
	case errors.As(err, &name):
		return WrongName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired
	case errors.As(err, &invalid), errors.As(err, &verification):
		return BadCertificate
	case errors.As(err, &record):
		return NotTLS
	case errors.As(err, &alert) && alert.Op == "remote error":
		if aboutCertificate(alert.Err.Error()) {
			return ClientCertificate
		}
		return ServerAlert
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &errno):
		return ServerGone
	}
	return OtherFailure
}

// aboutCertificate reports whether an alert of a server, in the words of crypto/tls,
// is about the balancer's certificate.
func aboutCertificate(alert string) bool {
	switch strings.TrimPrefix(alert, "tls: ") {
	case "certificate required", "bad certificate", "unknown certificate authority", "unknown certificate", "expired certificate", "revoked certificate",
		"unsupported certificate", "access denied":
		return true
	}
	return false
}

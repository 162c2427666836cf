package conf

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"unicode"
)

// validateFiles checks the files that the configuration names.
func validateFiles(c *Config, d *decoder) {
	if c.Admin.TokenFile != "" {
		if _, err := ReadToken(c.Admin.TokenFile); err != nil {
			d.fail("admin.token_file", "%v", err)
		}
	}
	if c.Admin.Protect && c.Admin.TokenFile == "" && d.sound("admin.protect", "admin.token_file") {
		d.fail("admin.protect", "needs a token: set admin.token_file, too")
	}
	if path := c.Global.AccessLog; path != "" && path != Stdout && path != Stderr && !strings.HasPrefix(strings.ToLower(path), syslogPrefix) {
		if err := checkLog(path); err != nil {
			d.fail("global.access_log", "%v", err)
		}
	}
	loaded := map[[2]string]loadedPair{} // frontends often share one
	for _, f := range c.Frontends {
		if path := join("frontend", f.Name) + ".tls.certificates"; f.TLS != nil && d.sound(path) {
			loadCertificates(f.TLS, loaded, path, d)
		}
		if f.TLS != nil {
			validateCiphers(f.TLS, join("frontend", f.Name)+".tls", d)
			loadClientAuthorities(f.TLS, join("frontend", f.Name)+".tls", d)
			loadTicketKeys(f.TLS, join("frontend", f.Name)+".tls", d)
		}
		if path := join("frontend", f.Name) + ".error_pages"; d.sound(path) {
			loadPages(f.ErrorPages, path, d)
		}
	}
	for i := range c.Backends {
		loadServerTLS(&c.Backends[i], d)
	}
}

// loadedPair is the result of reading the files of a certificate.
type loadedPair struct {
	pair *tls.Certificate
	err  error
}

// loadCertificates reads a frontend's certificates, except those in loaded, which
// holds the ones read before by their paths.
func loadCertificates(t *TLS, loaded map[[2]string]loadedPair, path string, d *decoder) {
	if len(t.Certificates) == 0 {
		d.fail(path, `is missing: write at least one certificate with its key, such as [{ cert = "lb.pem", key = "lb.key" }]`)
	}
	for i := range t.Certificates {
		named := &t.Certificates[i]
		at := element(path, i)
		if !d.sound(at+".cert", at+".key") {
			continue
		}
		paths := [2]string{named.Cert, named.Key}
		l, known := loaded[paths]
		if !known {
			l.pair, l.err = loadCertificate(named)
			loaded[paths] = l
		}
		if l.err != nil {
			d.fail(at, "%v", l.err)
		}
		named.Pair = l.pair
	}
}

// longestToken is the most bytes of a token.
const longestToken = 4096

// ReadToken returns the only word in a file: the token of the admin address, without a
// byte order mark in front of it.
func ReadToken(path string) (string, error) {
	text, err := ReadFile(path, MostSmall)
	if err != nil {
		return "", err
	}
	words := bytes.Fields(bytes.TrimPrefix(text, []byte(byteOrderMark)))
	switch {
	case wrongEncoding(string(text)) != "":
		return "", fmt.Errorf("%s is %s: save it as UTF-8", quoted(path), wrongEncoding(string(text)))
	case len(words) == 0:
		return "", fmt.Errorf("%s is empty: it must hold the token", quoted(path))
	case len(words) != 1 || bytes.ContainsFunc(words[0], unicode.IsControl):
		return "", fmt.Errorf("%s must hold the token and nothing else: one word without spaces", quoted(path))
	case len(words[0]) > longestToken:
		return "", fmt.Errorf("%s holds a word of %d bytes: a token has %d at most, or clients' headers could not carry it", quoted(path), len(words[0]), longestToken)
	}
	return string(words[0]), nil
}

// loadCertificate reads a PEM chain and the key of its first certificate.
func loadCertificate(named *Certificate) (*tls.Certificate, error) {
	cert, key, err := named.read()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, named.mismatch(err)
	}
	return &pair, nil
}

// read reads both files.
func (c *Certificate) read() (cert, key []byte, err error) {
	if cert, err = readPEM(c.Cert); err != nil {
		return nil, nil, fmt.Errorf("cert: %w", err)
	}
	if key, err = readPEM(c.Key); err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	if bytes.Contains(key, []byte("ENCRYPTED")) {
		return nil, nil, fmt.Errorf("key: %s is encrypted, and a reload cannot ask for its password: decrypt it, with openssl pkey", quoted(c.Key))
	}
	return cert, key, nil
}

// mismatch says that the files are no certificate and its key.
func (c *Certificate) mismatch(err error) error {
	return fmt.Errorf("%s and %s are not a PEM certificate chain and its key: %w", quoted(c.Cert), quoted(c.Key), err)
}

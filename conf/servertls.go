package conf

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// ServerTLS is a section [backend.NAME.tls]: TLS to the servers. It keeps the
// contents of its files as of when the configuration was read, so that it can be
// handed over to a new process. It must not be copied.
type ServerTLS struct {
	CA         string // the file of the authorities that are trusted; "" = the system's
	Verify     bool   // servers' certificates are verified
	ServerName string // for SNI and verification; "" = the host as written in the server's address
	Cert, Key  string // files of the balancer's own certificate and its key; "" = none
	MinVersion string // "1.2" or "1.3"
	Checks     bool   // checks speak TLS, too

	Path                      string // of the section, for messages: backend.NAME.tls
	CAText, CertText, KeyText []byte // contents of the files; nil = none is named

	parsing sync.Once
	parsed  parsedTLS
}

// parsedTLS are the contents of the files of a ServerTLS.
type parsedTLS struct {
	roots *x509.CertPool   // nil = the system's
	pair  *tls.Certificate // with its Leaf; nil = none
	err   error
}

func (t *ServerTLS) parse() *parsedTLS {
	t.parsing.Do(func() {
		if t.CAText != nil {
			t.parsed.roots = x509.NewCertPool()
			t.parsed.roots.AppendCertsFromPEM(t.CAText)
		}
		if t.CertText != nil {
			pair, err := tls.X509KeyPair(t.CertText, t.KeyText)
			t.parsed.pair, t.parsed.err = &pair, err
		}
	})
	return &t.parsed
}

// Roots are the authorities that are trusted; nil = the system's.
func (t *ServerTLS) Roots() *x509.CertPool { return t.parse().roots }

// Pair is the balancer's own certificate; nil = it has none.
func (t *ServerTLS) Pair() *tls.Certificate {
	if parsed := t.parse(); parsed.err == nil {
		return parsed.pair
	}
	return nil
}

// Same reports whether connections under t and other are alike: the same keys, but for
// checks, and the same contents of the files. Either may be nil.
func (t *ServerTLS) Same(other *ServerTLS) bool {
	if t == nil || other == nil {
		return t == other
	}
	return t.Verify == other.Verify && t.ServerName == other.ServerName && t.MinVersion == other.MinVersion &&
		bytes.Equal(t.CAText, other.CAText) && bytes.Equal(t.CertText, other.CertText) && bytes.Equal(t.KeyText, other.KeyText)
}

var serverTLSSection = section[ServerTLS]{"[backend.NAME.tls]", []field[ServerTLS]{
	key("ca", text, "", func(t *ServerTLS) *string { return &t.CA }),
	key("verify", boolean, true, func(t *ServerTLS) *bool { return &t.Verify }),
	key("server_name", serverTLSName, "", func(t *ServerTLS) *string { return &t.ServerName }),
	key("cert", text, "", func(t *ServerTLS) *string { return &t.Cert }),
	key("key", text, "", func(t *ServerTLS) *string { return &t.Key }),
	key("min_version", oneOf("1.2", "1.3"), "1.2", func(t *ServerTLS) *string { return &t.MinVersion }),
	key("checks", boolean, true, func(t *ServerTLS) *bool { return &t.Checks }),
}}

// serverTLSName is a host name or an address, without a port; or "".
var serverTLSName = word(`a host name, such as "mcp.internal"`, func(s string) (string, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case s == "", err == nil && addr.Zone() == "":
		return s, nil
	case !isASCII(s):
		return "", notPunycode(s)
	case err == nil || !isHostName(s):
		return "", fmt.Errorf(`must be a host name or an address without a port, such as "mcp.internal", not %s`, quoted(s))
	}
	return strings.ToLower(strings.TrimSuffix(s, ".")), nil
})

// loadServerTLS reads the files of a backend's TLS.
func loadServerTLS(b *Backend, d *decoder) {
	t, path := b.TLS, join("backend", b.Name)+".tls"
	if t == nil || !d.sound(path) {
		return
	}
	t.Path = path
	if t.CA != "" && d.sound(path+".ca") {
		var err error
		if t.CAText, err = loadAuthorities(t.CA); err != nil {
			d.fail(path+".ca", "%v", err)
		}
	}
	if !d.sound(path+".cert", path+".key") {
		return
	}
	switch {
	case t.Cert == "" && t.Key == "":
	case t.Cert == "":
		d.fail(path+".cert", "is missing, and there is a key: write the file of its certificate, or leave key out")
	case t.Key == "":
		d.fail(path+".key", "is missing, and there is a cert: write the file of its key, or leave cert out")
	default:
		if err := t.loadPair(); err != nil {
			d.fail(path+".cert", "%v", err)
		}
	}
}

func (t *ServerTLS) loadPair() error {
	named := Certificate{Cert: t.Cert, Key: t.Key}
	cert, key, err := named.read()
	if err != nil {
		return err
	}
	t.CertText, t.KeyText = cert, key
	if err := t.parse().err; err != nil {
		return named.mismatch(err)
	}
	return nil
}

// loadAuthorities reads a file that holds one or more PEM certificates.
func loadAuthorities(path string) ([]byte, error) {
	content, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	found := 0
	for rest := content; ; found++ {
		var block *pem.Block
		if block, rest = nextCertificate(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: certificate %d cannot be read: %w", quoted(path), found+1, err)
		}
	}
	if found == 0 {
		return nil, errors.New(quoted(path) + " has no certificate: it must hold those of the authorities in PEM form, -----BEGIN CERTIFICATE-----")
	}
	return content, nil
}

// nextCertificate returns the first certificate of a PEM text, and what follows it; nil
// = there is none.
func nextCertificate(text []byte) (block *pem.Block, rest []byte) {
	for {
		if block, text = pem.Decode(text); block == nil || block.Type == "CERTIFICATE" {
			return block, text
		}
	}
}

// warnings says what is unsafe, and what servers will refuse.
func (t *ServerTLS) warnings(now time.Time) (found []string) {
	if !t.Verify {
		found = append(found, t.Path+".verify: is false: the servers' certificates are not verified, so anybody between the balancer and a server can read and change everything; "+
			"set ca to the file of their authority instead")
	}
	if pair := t.Pair(); pair != nil {
		named := Certificate{Cert: t.Cert, Key: t.Key, Pair: pair}
		for _, warning := range named.warnings(now, "servers") {
			found = append(found, t.Path+".cert: "+warning)
		}
	}
	return found
}

// diffServerTLS returns the files of a backend's TLS whose names are as before and
// whose contents are not.
func diffServerTLS(path string, before, after *ServerTLS) []KeyChange {
	if before == nil || after == nil {
		return nil
	}
	var changes []KeyChange
	if before.CA == after.CA {
		changes = change(path+".ca", digest(before.CAText), digest(after.CAText))
	}
	if before.Cert == after.Cert && before.Key == after.Key {
		was, is := Certificate{Pair: before.Pair()}, Certificate{Pair: after.Pair()}
		changes = append(changes, change(path+".cert", was.summary(), is.summary())...)
	}
	return changes
}

// digest identifies the content of a file in a log line.
func digest(content []byte) string {
	return fmt.Sprintf("(%.4x)", sha256.Sum256(content))
}

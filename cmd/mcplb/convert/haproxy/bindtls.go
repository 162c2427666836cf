package haproxy

import (
	"encoding/base64"
	"strings"
)

// clientsTLS is what a bind line says of the certificates of clients.
type clientsTLS struct{ verify, ca, crl, lenient string }

// alpn translates the protocols that TLS offers: where they are HTTP/1.1 alone, nothing
// has to be said.
func (b *bindLine) alpn(protocols string) {
	switch {
	case b.mode != "http":
		b.differs("no protocol is offered by ALPN in mode " + b.mode)
	case protocols == "h2,http/1.1":
		b.http2()
	case protocols == "http/1.1" || protocols == "http/1.1,http/1.0":
		b.l.Translated()
	default:
		list := strings.Split(protocols, ",")
		b.front.Set("alpn", list, b.l.Directive)
		if strings.Contains(protocols, "h2") {
			b.http2()
		}
	}
}

// http2 takes HTTP/2, with HAProxy's number of streams.
func (b *bindLine) http2() {
	b.front.Set("http2", true, b.l.Directive)
	b.front.Set("http2_streams", b.c.streams)
	b.h2 = true
}

// proto translates proto h2: HTTP/2 alone.
func (b *bindLine) proto(p string) {
	switch {
	case p != "h2":
	case b.mode != "http":
		b.l.Impossible("HTTP/2 is of mode http")
	default:
		b.http2()
		b.differs("HTTP/1.1 is taken beside HTTP/2")
	}
}

// clientCertificates writes what is asked of clients.
func (b *bindLine) clientCertificates() {
	c := b.clients
	switch c.verify {
	case "", "none":
		if c.ca+c.crl != "" {
			b.differs("clients are asked for no certificates without verify: ca-file and crl-file do nothing")
		}
		return
	case "required":
		b.tls.Set("client_verify", "require", b.l.Directive)
	case "optional":
		b.tls.Set("client_verify", "optional", b.l.Directive)
	default:
		b.l.Impossible("certificates of clients are required, optional or not asked for, not %q", c.verify)
		return
	}
	if c.ca == "@system-ca" {
		c.ca = "/etc/ssl/certs/ca-certificates.crt"
		b.differs("client_ca is Debian's file of the system's authorities")
	}
	if c.ca == "" || strings.HasPrefix(c.ca, "@") {
		b.l.Impossible("the authorities of clients are in a file: client_ca")
		b.tls.Delete("client_verify")
		return
	}
	b.tls.Set("client_ca", absolute(b.c.caBase, c.ca), b.l.Directive)
	if c.crl != "" {
		b.tls.Set("client_crl", absolute(b.c.caBase, c.crl), b.l.Directive)
	}
	if c.lenient != "" {
		b.tls.Differ(b.l.Directive, "client_verify", "a bad certificate is refused: %s has no counterpart", c.lenient)
	}
}

// ticketKeys translates a file of keys of session tickets.
func (b *bindLine) ticketKeys(file string) {
	text, err := b.c.env.ReadFile(file)
	for _, line := range strings.Fields(string(text)) {
		key, wrong := base64.StdEncoding.DecodeString(line)
		if err == nil && (wrong != nil || len(key) != 48) {
			b.l.Impossible("keys of tickets have 32 or 48 bytes: openssl rand -base64 48 makes one, a line of the file ticket_keys")
			return
		}
	}
	b.tls.Set("ticket_keys", file, b.l.Directive)
	b.tls.Differ(b.l.Directive, "ticket_keys", "of base64 with 48 bytes a line; the first key encrypts, not the last but one; balancers of HAProxy do not resume sessions of mcplb")
}

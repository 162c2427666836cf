package nginx

import (
	"fmt"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// certificates writes the TLS of the frontend: SNI picks among the certificates of its
// servers.
func (g *group) certificates() {
	if !g.tls {
		return
	}
	t := &lb.Table{}
	g.frontend.TLS = t
	var list []lb.Inline
	seen := map[string]bool{}
	for _, s := range g.servers {
		certs, keys := s.all("ssl_certificate"), s.all("ssl_certificate_key")
		for i, cert := range certs {
			if i >= len(keys) || seen[cert.arg(0)] {
				cert.Translated()
				continue
			}
			seen[cert.arg(0)] = true
			cert.Translated()
			keys[i].Translated()
			list = append(list, lb.Inline{{Key: "cert", Value: g.c.path(cert.arg(0))}, {Key: "key", Value: g.c.path(keys[i].arg(0))}})
		}
		for _, n := range s.all("ssl_certificate_key") {
			n.Translated()
		}
		g.tlsDirectives(s, t)
	}
	if len(list) == 0 {
		for _, n := range g.from {
			n.Impossible("there is no ssl_certificate that can be read: write the files into tls.certificates")
		}
		list = append(list, lb.Inline{{Key: "cert", Value: "/etc/mcplb/cert.pem"}, {Key: "key", Value: "/etc/mcplb/key.pem"}})
	}
	t.Set("certificates", list)
	t.Default("min_version", "1.2")
}

// tlsDirectives translates the ssl_ directives of the default server: a frontend has
// one set of them, and its other servers are held to be alike.
func (g *group) tlsDirectives(s *scope, t *lb.Table) {
	if n := s.last("ssl_protocols"); n != nil {
		oldest := "1.2"
		if n.has("TLSv1.3") && !n.has("TLSv1.2") {
			oldest = "1.3"
		}
		g.tlsKey(s, t, "min_version", oldest, n)
		if n.has("TLSv1") || n.has("TLSv1.1") || n.has("SSLv3") {
			t.Differ(n.Directive, "min_version", "TLS 1.2 is the oldest that mcplb speaks")
		}
	}
	if n := s.last("ssl_ciphers"); n != nil {
		one := &lb.Table{}
		if one.SetCiphers(n.Directive, n.arg(0)); s == g.servers[0] || fmt.Sprint(one.Get("ciphers")) == fmt.Sprint(t.Get("ciphers")) {
			t.Merge(one)
		} else {
			t.Differ(n.Directive, "", "the default server's ciphers count for all of the address")
		}
	}
	if n := s.last("ssl"); n != nil {
		n.Translated()
	}
	g.clientCertificates(s, t)
	g.ticketKeys(s, t)
}

// tlsKey sets a key, of which the default server has the say.
func (g *group) tlsKey(s *scope, t *lb.Table, key string, value any, n *node) {
	if s != g.servers[0] && t.Get(key) != value {
		t.Differ(n.Directive, key, "%s: the default server's value counts for all of the address", key)
		return
	}
	t.Set(key, value, n.Directive)
}

// clientCertificates translates what is asked of clients. Where the servers of an address
// do not ask for the same, the strictest counts, so that no client gets in unasked.
func (g *group) clientCertificates(s *scope, t *lb.Table) {
	verify, ca, trusted := s.last("ssl_verify_client"), s.last("ssl_client_certificate"), s.last("ssl_trusted_certificate")
	if verify == nil || verify.arg(0) == "off" {
		for _, name := range []string{"ssl_client_certificate", "ssl_crl", "ssl_verify_depth"} {
			if n := s.last(name); n != nil {
				n.Unneeded("clients are asked for no certificates")
			}
		}
		if s != g.servers[0] && t.Has("client_verify") {
			s.node.Impossible("another server of the address asks clients for certificates, and mcplb asks all clients of an address: give this one its own")
		}
		return
	}
	how := map[string]string{"on": "require", "optional": "optional"}[verify.arg(0)]
	if how == "" {
		verify.Impossible("certificates of clients are verified, or not asked for, not %s", verify.arg(0))
		return
	}
	if before := t.Get("client_verify"); s != g.servers[0] && before != how {
		verify.Impossible("another server of the address asks clients otherwise, and mcplb asks all clients of an address alike: give this one its own")
		if before == "require" {
			how = "require"
		}
	}
	t.Set("client_verify", how, verify.Directive)
	t.Differ(verify.Directive, "client_verify", "who is not let in sees an alert of TLS, not an answer with 400")
	switch {
	case ca == nil && trusted == nil:
		verify.Impossible("it names no authorities: ssl_client_certificate")
		t.Delete("client_verify")
		return
	case ca == nil:
		ca = trusted
	case trusted != nil:
		t.Differ(trusted.Directive, "client_verify", "the authorities of ssl_client_certificate alone count: add those of %s to its file", trusted.arg(0))
	}
	g.tlsFile(t, "client_ca", ca)
	if n := s.last("ssl_crl"); n != nil {
		g.tlsFile(t, "client_crl", n)
	}
	if n := s.last("ssl_verify_depth"); n != nil {
		t.Differ(n.Directive, "client_verify", "the length of a chain is not limited")
	}
}

// tlsFile sets a key to a file, which all servers of an address must have.
func (g *group) tlsFile(t *lb.Table, key string, n *node) {
	file := g.c.path(n.arg(0))
	if before := t.Get(key); before != nil && before != file {
		n.Impossible("%s is of an address, and another server has %s: put both into one file", key, before)
		return
	}
	t.Set(key, file, n.Directive)
}

// ticketKeys translates the keys of session tickets, whose file has another form.
func (g *group) ticketKeys(s *scope, t *lb.Table) {
	var files []string
	for _, n := range s.all("ssl_session_ticket_key") {
		files = append(files, g.c.path(n.arg(0)))
	}
	for _, n := range s.all("ssl_session_ticket_key") {
		g.tlsKey(s, t, "ticket_keys", files[0]+".hex", n)
		t.Differ(n.Directive, "ticket_keys", "another form of file: make it with for f in %s; do head -c 48 $f | xxd -p -c 48; done", strings.Join(files, " "))
	}
}

// http2 takes HTTP/2 where a server of the address does, with nginx's number of streams.
func (g *group) http2Keys() {
	on := g.http2
	for _, s := range g.servers {
		if n := s.last("http2"); n != nil {
			n.Translated()
			on = on || n.arg(0) == "on"
		}
	}
	if !on {
		return
	}
	f := g.frontend
	f.Set("http2", true)
	streams, n := 128, g.servers[0].last("http2_max_concurrent_streams")
	if n != nil {
		if v, err := number(n.arg(0)); err == nil {
			streams = v
		}
	}
	f.Set("http2_streams", streams, from(n))
	if !g.tls {
		f.Comment("http2", "by prior knowledge, beside HTTP/1.1")
	}
}

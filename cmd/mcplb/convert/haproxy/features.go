package haproxy

// What mcplb has no keys for yet, in one place: HTTP/2, client certificates, ticket
// keys.

func (b *bindLine) alpn(protocols string) {
	if protocols != "http/1.1" {
		b.differs("HTTP/1.1 alone")
	}
}

func (b *bindLine) verify(how string) {
	if how != "none" {
		b.l.Impossible("mcplb asks for no client certificates")
	}
}

func (b *bindLine) clientCA(string) { b.l.Impossible("mcplb asks for no client certificates") }

func (b *bindLine) crl(string) { b.l.Impossible("mcplb asks for no client certificates") }

func (b *bindLine) ticketKeys(string) { b.differs("keys of tickets are made here, and change daily") }

// sniRoutes translates a choice of the backend by the name in the ClientHello.
func (g *group) sniRoutes(l *line, _ condition, _ *proxy) {
	l.Impossible("frontends of mode tcp have one backend: give each its own port")
}

package proxy

import (
	"crypto/sha256"
	"slices"

	"mcplb/conf"
	"mcplb/proxy/clientcert"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
)

// verification is how a frontend verifies its clients' certificates; nil = it does not
// ask for them.
func verification(t *conf.TLS) *tlsio.Verification {
	v := clientcert.New(t)
	if v == nil {
		return nil
	}
	return &tlsio.Verification{
		ID: v.ID(), Auth: v.Auth(), Authorities: v.Authorities(), Check: v.Verify,
		Refused: func(err error) bool { return clientcert.ErrorOf(err) != nil },
	}
}

// ticketKeys are the keys of a frontend's tickets, made of those in its file. Frontends
// that verify certificates have others than those that do not, which may share the file:
// a ticket of one opens nothing at the other.
func ticketKeys(t *conf.TLS) (keys [][32]byte) {
	label := "mcplb tickets: clients are not asked\n"
	if t.Verifies() {
		label = "mcplb tickets: clients are asked for certificates\n"
	}
	for _, key := range t.Keys {
		keys = append(keys, sha256.Sum256(append([]byte(label), key...)))
	}
	return keys
}

// verificationChanges reports whether a frontend verifies its clients' certificates
// otherwise than before.
func (c *change) verificationChanges() bool {
	return c.proxy.config != nil && slices.ContainsFunc(c.to.Frontends, func(f conf.Frontend) bool {
		before := c.proxy.config.Frontend(f.Name)
		return before != nil && clientcert.IDOf(before.TLS) != clientcert.IDOf(f.TLS)
	})
}

// endOutdated ends the kept-alive connections of clients whose certificates were verified
// under settings that hold no more, or were not asked for. Requests under way are
// answered first, and streams go on.
func (p *Proxy) endOutdated() {
	eachSession(p.engine, func(s session.Session) {
		if http, ok := s.(interface{ Outdated() bool }); ok && http.Outdated() {
			s.Drain()
		}
	}, func() {})
}

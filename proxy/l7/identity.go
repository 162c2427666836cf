package l7

import (
	"slices"

	"mcplb/conf"
	"mcplb/proxy/session"
)

// hideIdentities takes from requests of every route, and of none, the fields in which
// some route says who the client is by its certificate: servers believe them, and a
// client without a certificate, or whose route does not write them, could forge them.
func (s *Settings) hideIdentities(routes []conf.Route) {
	var names []string
	for i := range routes {
		for _, h := range slices.Concat(routes[i].SetRequestHeaders, routes[i].AddRequestHeaders) {
			used := templateNames(h.Value)
			if slices.Contains(used, "tls_subject") || slices.Contains(used, "tls_fingerprint") {
				names = append(names, foldedName(h.Name))
			}
		}
	}
	if len(names) == 0 {
		return
	}
	s.fallback.request.hide(names)
	for i := range s.routes {
		s.routes[i].request.hide(names)
	}
}

// hide removes fields of these folded names, too.
func (e *fieldEdits) hide(names []string) {
	for _, name := range names {
		if !e.removes(name) {
			e.removed = append(e.removed, name)
		}
	}
}

// outdated reports whether the client's certificate was verified, or not asked for, under
// settings that hold no more: its connection ends with its present request.
func (c *client) outdated(settings *Settings) bool {
	return c.Identity.Verification() != settings.verification()
}

// ending reports whether the connection ends with the present answer, whatever the client
// and the server want.
func (c *client) ending(settings *Settings) bool {
	f := c.frontend
	return f.draining.Load() || c.outdated(settings) || f.replaced.Load() && c.Conn != nil && session.Stays(c.Conn)
}

// verification is how clients' certificates are verified; 0 = they are not asked for any.
func (s *Settings) verification() uint64 {
	if s.TLS == nil {
		return 0
	}
	return s.TLS.Verification()
}

// Outdated reports whether the client's connection must end once it waits for nothing:
// see outdated. Only the loop's goroutine may call it.
func (c *client) Outdated() bool { return c.outdated(c.settings()) }

// Outdated is client.Outdated, for all streams of the connection.
func (m *multiplexer) Outdated() bool {
	return m.Identity.Verification() != m.settings().verification()
}

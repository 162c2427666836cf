package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// sniPattern is a name of a route of mode tcp: a host name, or "*." and one.
var sniPattern = word(`a name, such as "mcp.example.com" or "*.example.com"`, func(s string) (string, error) {
	if s == "*" {
		return "", errors.New(`must be a name, not "*": what no route matches goes to the frontend's backend`)
	}
	name, err := checkHostPattern(s)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", fmt.Errorf("is an address (%s), and clients ask for none: they send no SNI then, and go to the frontend's backend", quoted(s))
	}
	return name, nil
})

// validateSNIRoutes reports routes of a frontend of mode tcp that cannot be taken, or
// that have keys of mode http.
func validateSNIRoutes(c *Config, f *Frontend, path string, d *decoder) {
	if len(f.Routes) > 0 && f.TLS != nil && d.given(path+".tls") {
		d.report(path+".route", "is for TLS that is passed through, and this frontend ends it (%s): leave one out, or write mode = \"http\", whose routes have host", d.where(path+".tls"))
	}
	first := map[string]string{}
	for i := range f.Routes {
		r := routeCheck{&f.Routes[i], element(path+".route", i), d}
		if r.Backend != "" {
			validateReference(c, d, r.path+".backend", r.Backend)
		}
		for _, k := range routeSection.keys() {
			if k != "sni" && k != "backend" && d.given(join(r.path, k)) {
				d.report(join(r.path, k), "is only for mode \"http\", and a route of mode \"tcp\" has sni and backend alone: leave it out")
			}
		}
		sni := join(r.path, "sni")
		if len(r.SNI) == 0 && d.sound(sni) {
			d.fail(sni, "is missing: add it, such as sni = [\"mcp.example.com\"]; what no route matches goes to the frontend's backend")
		}
		for j, name := range r.SNI {
			at := element(sni, j)
			if !d.given(at) {
				at = sni
			}
			if before, taken := first[name]; taken && d.sound(at) {
				d.report(at, "%q has a route already (%s): leave one out", name, d.where(before))
				continue
			}
			first[name] = at
		}
	}
}

// sniWarnings warns of names of a frontend's routes that change nothing, and of TLS
// that would be put into TLS.
func (c *Config) sniWarnings(f *Frontend) (found []string) {
	if f.Mode != ModeTCP {
		return nil
	}
	to := map[string]string{}
	for _, r := range f.Routes {
		for _, name := range r.SNI {
			to[name] = f.BackendOf(&r)
		}
	}
	for i, r := range f.Routes {
		at := element(join("frontend", f.Name)+".route", i)
		for j, name := range r.SNI {
			if by, backend := f.otherwise(name, to); backend == f.BackendOf(&r) {
				found = append(found, fmt.Sprintf("%s: %q changes nothing, since %s sends it to backend %q, too: leave it out", element(at+".sni", j), name, by, backend))
			}
		}
		if b := c.Backend(r.Backend); b != nil && b.TLS != nil {
			found = append(found, fmt.Sprintf("%s.backend: the clients' TLS is passed through, and backend %q puts it into TLS once more: "+
				"servers that do not expect TLS within TLS refuse it; leave [backend.%s.tls] out, or write another backend", at, b.Name, b.Name))
		}
	}
	if more := len(found) - mostNeedless; more > 0 {
		found = append(found[:mostNeedless], fmt.Sprintf("frontend.%s: %d more such warnings about its routes", f.Name, more))
	}
	return found
}

// otherwise returns the backend of a name whose own route is left out, and what leads
// there. to has the backends of all names.
func (f *Frontend) otherwise(name string, to map[string]string) (by, backend string) {
	for rest := strings.TrimPrefix(name, "*."); ; {
		wildcard := "*." + rest
		if name != wildcard && rest != name && to[wildcard] != "" {
			return fmt.Sprintf("%q", wildcard), to[wildcard]
		}
		_, above, more := strings.Cut(rest, ".")
		if !more {
			return "the frontend", f.Backend
		}
		rest = above
	}
}

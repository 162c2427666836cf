package nginx

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cookies takes over the cookies of "sticky cookie": for the frontend that of its backend, on
// routes to other backends theirs, or none.
func (g *group) cookies() {
	usual := g.cookieOf(g.frontend.Get("backend"))
	if usual != nil {
		g.frontend.Sticky.Set("cookie", usual.arg(1), usual.Directive)
		g.cookieAttributes(usual)
	}
	for _, r := range g.frontend.Routes {
		if r.Has("deny") || r.Has("respond") || r.Has("redirect") {
			continue
		}
		n := usual
		if name := r.Get("backend"); name != nil {
			n = g.cookieOf(name)
		}
		switch {
		case n == nil && usual != nil:
			r.Set("cookie", "off")
		case n != nil && (usual == nil || n.arg(1) != usual.arg(1)):
			r.Set("cookie", n.arg(1), n.Directive)
			g.cookieAttributes(n)
		}
	}
}

// cookieOf returns the "sticky cookie" of a backend, or nil.
func (g *group) cookieOf(backend any) *node {
	for _, key := range slices.Sorted(maps.Keys(g.c.backends)) {
		if g.c.backends[key].Name != backend || !strings.HasPrefix(key, "http ") {
			continue
		}
		up := g.c.upstreams[strings.Fields(key)[1]]
		if up == nil {
			return nil
		}
		for _, n := range up.node.inner {
			if n.name == "sticky" && n.arg(0) == "cookie" && n.arg(1) != "" {
				return n
			}
		}
		return nil
	}
	return nil
}

// cookieAttributes writes the attributes of a cookie, which a frontend has for all of its cookies.
func (g *group) cookieAttributes(n *node) {
	var attributes []string
	for _, a := range n.args[2:] {
		key, value, _ := strings.Cut(a, "=")
		switch strings.ToLower(key) {
		case "path":
			attributes = append(attributes, "Path="+value)
		case "domain":
			attributes = append(attributes, "Domain="+value)
		case "httponly":
			attributes = append(attributes, "HttpOnly")
		case "secure":
			attributes = append(attributes, "Secure")
		case "samesite":
			attributes = append(attributes, "SameSite="+value)
		case "expires":
			if age, ok := cookieAge(value); ok {
				attributes = append(attributes, "Max-Age="+age)
			}
		default:
			n.Impossible("mcplb has no counterpart for %q", a)
		}
	}
	sticky, text := &g.frontend.Sticky, strings.Join(attributes, "; ")
	if before := sticky.Get("cookie_attributes"); before != nil && before != text {
		sticky.Differ(n.Directive, "cookie_attributes", "of the cookie %s, too, which had %q", n.arg(1), text)
		return
	}
	sticky.Set("cookie_attributes", text, n.Directive)
	if g.tls && !slices.Contains(attributes, "Secure") {
		sticky.Differ(n.Directive, "cookie_attributes", "with Secure, as the connection has TLS")
	}
}

// cookieAge returns how long a cookie lasts, in seconds.
func cookieAge(expires string) (string, bool) {
	if expires == "max" {
		return "315360000", true
	}
	d, err := duration(expires)
	return fmt.Sprint(int(d.Seconds())), err == nil
}

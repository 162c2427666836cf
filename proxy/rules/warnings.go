package rules

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// mostWarnings bounds the warnings about the routes of a frontend: a mistake in a
// file that a program has written is in every route.
const mostWarnings = 20

// Warnings returns what is valid in a configuration's routes but probably not
// intended: routes that no request takes, routes of which the file's order alone
// decides which a request takes, and denials that clients of other frontends do not
// meet. Each is one line for the log.
func Warnings(c *conf.Config) (found []string) {
	for i := range c.Frontends {
		f := &c.Frontends[i]
		if len(f.Routes) == 0 {
			continue
		}
		review := newReview(f)
		for j := range f.Routes {
			review.route(j)
		}
		if more := len(review.found) - mostWarnings; more > 0 {
			review.found = append(review.found[:mostWarnings], fmt.Sprintf("frontend.%s: %d more warnings about its routes", f.Name, more))
		}
		found = append(found, review.found...)
		found = append(found, outside(c, f)...)
	}
	return found
}

// review looks for mistakes in the routes of a frontend.
type review struct {
	frontend *conf.Frontend
	entries  [][]ranked // by route
	found    []string
}

// ranked is a route with one of its hosts, and what decides its place.
type ranked struct {
	*conf.Route
	index int
	host  string
	specificity
}

func newReview(f *conf.Frontend) *review {
	v := &review{frontend: f, entries: make([][]ranked, len(f.Routes))}
	for i := range f.Routes {
		r := &f.Routes[i]
		hosts := r.Host
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			v.entries[i] = append(v.entries[i], ranked{r, i, host, specificityOf(r, host)})
		}
	}
	return v
}

func (v *review) warn(route int, format string, args ...any) {
	v.found = append(v.found, fmt.Sprintf("frontend.%s.route[%d]: %s", v.frontend.Name, route, fmt.Sprintf(format, args...)))
}

// route looks at one route, beside those before it in the file and elsewhere.
func (v *review) route(i int) {
	r := &v.frontend.Routes[i]
	if why := contradiction(r); why != "" {
		v.warn(i, "no request takes it: %s", why)
		return
	}
	if r.StripPrefix != "" && !mayHavePrefix(r) {
		v.warn(i, "strip_prefix = %q takes nothing off: no path of this route begins so", r.StripPrefix)
	}
	v.unknownMethods(i)
	v.unseenHeaders(i)
	if by := v.hidden(i); by >= 0 {
		v.warn(i, "no request takes it: route[%d] goes before it and matches all of them%s", by, v.remedy(i, by))
		return
	}
	for j := range i {
		if v.ambiguous(j, i) {
			v.warn(i, "is as specific as route[%d], and requests may match both: the file's order alone decides; set priority, or add a condition to one", j)
		}
	}
}

// remedy says what to do about a route that another one hides.
func (v *review) remedy(i, by int) string {
	switch {
	case !v.frontend.Routes[by].Deny:
		return ""
	case v.frontend.Routes[i].Allow:
		return "; as an exception from that denial it must be more specific: set priority"
	}
	return "; if it is an exception from that denial, add allow = true"
}

// hidden returns a route that takes every request of route i; -1 = none is known.
func (v *review) hidden(i int) int {
	for j := range v.frontend.Routes {
		if j != i && v.hides(j, i) {
			return j
		}
	}
	return -1
}

// hides reports whether route j goes before route i for all of its requests.
func (v *review) hides(j, i int) bool {
	r, other := &v.frontend.Routes[i], &v.frontend.Routes[j]
	denied := other.Deny && !r.Deny
	if r.Deny && !other.Allow && !other.Deny || r.Deny && other.Deny {
		return false // denials go before other routes, and of two denials each is as good
	}
	for _, e := range v.entries[i] {
		if !slices.ContainsFunc(v.entries[j], func(o ranked) bool {
			return (denied && !r.Allow || o.goesBefore(e)) && coversHost(o.host, e.host) && covers(other, r)
		}) {
			return false
		}
	}
	return !denied || !v.excepted(i)
}

// excepted reports whether a route with allow may lift a denial for requests of
// route i.
func (v *review) excepted(i int) bool {
	r := &v.frontend.Routes[i]
	return slices.ContainsFunc(v.frontend.Routes, func(o conf.Route) bool { return o.Allow && !r.Allow && !apart(&o, r) })
}

// goesBefore reports whether o goes before e in the order of routes.
func (o ranked) goesBefore(e ranked) bool {
	if c := o.compare(e.specificity); c != 0 {
		return c < 0
	}
	return o.index < e.index
}

// ambiguous reports whether the file's order decides between the two routes.
func (v *review) ambiguous(first, second int) bool {
	a, b := &v.frontend.Routes[first], &v.frontend.Routes[second]
	if a.Deny && b.Deny || a.Deny && !b.Allow || b.Deny && !a.Allow {
		return false
	}
	for _, e := range v.entries[first] {
		for _, o := range v.entries[second] {
			if e.compare(o.specificity) == 0 && e.host == o.host {
				return !alike(a, b) && !apart(a, b)
			}
		}
	}
	return false
}

// alike reports whether the two routes do the same to their requests.
func alike(a, b *conf.Route) bool {
	effect := func(r conf.Route) conf.Route {
		r.Slash, r.Host, r.Path, r.PathExact, r.Methods, r.Headers, r.Source, r.MCPMethod, r.MCPName, r.Not = "", nil, "", "", nil, nil, nil, nil, nil, conf.RouteNot{}
		return r
	}
	return reflect.DeepEqual(effect(*a), effect(*b))
}

// unknownMethods warns of methods that MCP does not have.
func (v *review) unknownMethods(i int) {
	r := &v.frontend.Routes[i]
	for _, method := range slices.Concat(r.MCPMethod, r.Not.MCPMethod) {
		if guess := conf.DidYouMean(method, knownMethods); !strings.HasSuffix(method, "*") && !slices.Contains(knownMethods, method) && guess != "" {
			v.warn(i, "MCP has no method %q%s", method, guess)
		}
	}
}

// contradiction returns why no request meets the conditions of a route, or "".
func contradiction(r *conf.Route) string {
	n := &r.Not
	path := canonical(r.Path + r.PathExact)
	switch {
	case path != "" && slices.ContainsFunc(n.Path, func(not string) bool { return isBelow(path, canonical(not)) }):
		return "not_path excludes its path"
	case r.PathExact != "" && slices.ContainsFunc(n.PathExact, func(not string) bool { return path == canonical(not) }):
		return "not_path_exact excludes its path"
	case len(r.Host) > 0 && !slices.ContainsFunc(r.Host, func(host string) bool {
		return !slices.ContainsFunc(n.Host, func(not string) bool { return coversHost(not, host) })
	}):
		return "not_host excludes all of its hosts"
	case !r.Deny && excludesHeaders(n.Headers, r.Headers): // a denial counts more spellings of the one than of the other
		return "not_headers excludes its headers"
	case len(r.Methods) > 0 && isSubset(r.Methods, n.Methods):
		return "not_methods excludes all of its methods"
	case len(r.Source) > 0 && sourcesCover(n.Source, r.Source):
		return "not_source excludes all of its sources"
	case len(r.MCPMethod) > 0 && patternsCover(n.MCPMethod, r.MCPMethod):
		return "not_mcp_method excludes all of its methods"
	case len(r.MCPName) > 0 && patternsCover(n.MCPName, r.MCPName):
		return "not_mcp_name excludes all of its names"
	}
	return ""
}

// canonical is a path in its canonical form; "" for none.
func canonical(path string) string {
	if path == "" {
		return ""
	}
	if p := []byte(path); !http1.IsCanonicalPath(p) {
		return string(http1.AppendCanonicalPath(nil, p))
	}
	return path
}

// isBelow reports whether path is prefix or below it; both are canonical.
func isBelow(path, prefix string) bool {
	return prefix == "/" || strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// mayHavePrefix reports whether a path that takes the route may begin with what is
// stripped of it.
func mayHavePrefix(r *conf.Route) bool {
	strip, path := canonical(r.StripPrefix), canonical(r.Path+r.PathExact)
	return path == "" || isBelow(path, strip) || r.PathExact == "" && isBelow(strip, path)
}

// covers reports whether every request that meets the conditions of r, but for its
// host, surely meets those of other.
func covers(other, r *conf.Route) bool {
	n, o := &r.Not, &other.Not
	return coversPath(other, r) && (other.Slash == "" || other.Deny || other.Slash == r.Slash) &&
		(len(other.Methods) == 0 || len(r.Methods) > 0 && isSubset(r.Methods, other.Methods)) &&
		(len(other.Source) == 0 || len(r.Source) > 0 && sourcesCover(other.Source, r.Source)) &&
		(len(other.MCPMethod) == 0 || len(r.MCPMethod) > 0 && patternsCover(other.MCPMethod, r.MCPMethod)) &&
		(len(other.MCPName) == 0 || len(r.MCPName) > 0 && patternsCover(other.MCPName, r.MCPName)) &&
		headersCover(other.Headers, r.Headers) &&
		isSubset(o.Host, n.Host) && isSubset(o.Path, n.Path) && isSubset(o.PathExact, n.PathExact) && isSubset(o.Methods, n.Methods) &&
		isSubset(o.MCPMethod, n.MCPMethod) && isSubset(o.MCPName, n.MCPName) && isSubset(o.Source, n.Source) && headersCover(n.Headers, o.Headers) && headersCover(o.Headers, n.Headers)
}

func coversPath(other, r *conf.Route) bool {
	if other.Path+other.PathExact == "" {
		return true
	}
	path := canonical(r.Path + r.PathExact)
	if other.PathExact != "" {
		return r.PathExact != "" && path == canonical(other.PathExact)
	}
	return path != "" && isBelow(path, canonical(other.Path))
}

// coversHost reports whether a host of a route, or "" for any, has all of another.
func coversHost(other, host string) bool {
	return other == "" || other == host || isWildcard(other) && strings.HasSuffix(host, other[1:])
}

func isSubset[T comparable](list, of []T) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !slices.Contains(of, v) })
}

func sourcesCover(other, list []netip.Prefix) bool {
	return !slices.ContainsFunc(list, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(other, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
	})
}

// patternsCover reports whether each of list is one of other, or begins as one does.
func patternsCover(other, list []string) bool {
	return !slices.ContainsFunc(list, func(text string) bool {
		return !slices.ContainsFunc(other, func(o string) bool {
			prefix, star := strings.CutSuffix(o, "*")
			return o == text || star && strings.HasPrefix(text, prefix)
		})
	})
}

// headersCover reports whether each of other's conditions follows from one of list.
func headersCover(other, list []conf.HeaderMatch) bool {
	return !slices.ContainsFunc(other, func(o conf.HeaderMatch) bool {
		return !slices.ContainsFunc(list, func(h conf.HeaderMatch) bool {
			return strings.EqualFold(h.Name, o.Name) && (len(o.Values) == 0 || len(h.Values) > 0 && patternsCover(o.Values, h.Values))
		})
	})
}

// apart reports whether surely no request meets the conditions of both routes, but
// for their hosts.
func apart(a, b *conf.Route) bool {
	return pathsApart(a, b) || a.Slash != "" && b.Slash != "" && a.Slash != b.Slash && !a.Deny && !b.Deny ||
		len(a.Methods) > 0 && len(b.Methods) > 0 && !slices.ContainsFunc(a.Methods, func(m string) bool { return slices.Contains(b.Methods, m) }) ||
		len(a.Source) > 0 && len(b.Source) > 0 && !slices.ContainsFunc(a.Source, func(p netip.Prefix) bool { return slices.ContainsFunc(b.Source, p.Overlaps) }) ||
		patternsApart(a.MCPMethod, b.MCPMethod) || patternsApart(a.MCPName, b.MCPName) ||
		headersApart(a.Headers, b.Headers) || excluded(a, b) || excluded(b, a)
}

func pathsApart(a, b *conf.Route) bool {
	p, q := canonical(a.Path+a.PathExact), canonical(b.Path+b.PathExact)
	if p == "" || q == "" {
		return false
	}
	return !(isBelow(p, q) && b.PathExact == "" || isBelow(q, p) && a.PathExact == "" || p == q)
}

// headersApart reports whether the two want different values of one header. A
// request may have both, in two fields, but none is meant to.
func headersApart(a, b []conf.HeaderMatch) bool {
	return slices.ContainsFunc(a, func(h conf.HeaderMatch) bool {
		return slices.ContainsFunc(b, func(o conf.HeaderMatch) bool {
			return strings.EqualFold(h.Name, o.Name) && patternsApart(h.Values, o.Values)
		})
	})
}

// patternsApart reports whether no text is one of both lists; an empty one is of all.
func patternsApart(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(text string) bool {
		return slices.ContainsFunc(b, func(o string) bool {
			return patternsCover([]string{o}, []string{text}) || patternsCover([]string{text}, []string{o})
		})
	})
}

// excluded reports whether what a route excludes is all that another one matches.
func excluded(a, b *conf.Route) bool {
	n := &a.Not
	path := canonical(b.Path + b.PathExact)
	return len(b.Methods) > 0 && isSubset(b.Methods, n.Methods) ||
		len(b.Source) > 0 && sourcesCover(n.Source, b.Source) ||
		len(b.MCPMethod) > 0 && patternsCover(n.MCPMethod, b.MCPMethod) ||
		len(b.MCPName) > 0 && patternsCover(n.MCPName, b.MCPName) ||
		path != "" && slices.ContainsFunc(n.Path, func(not string) bool { return isBelow(path, canonical(not)) }) ||
		excludesHeaders(n.Headers, b.Headers)
}

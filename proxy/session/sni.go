package session

import (
	"fmt"
	"strings"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/metrics"
)

// NameRoute is where clients go that speak TLS and ask for certain names (SNI).
type NameRoute struct {
	Name  string           // for counters
	Pool  *backend.Pool    // of the route's backend
	Taken *metrics.Counter // clients that took the route; set by the frontend before it is used
}

// NameRoutes are the routes of a frontend of mode tcp. They are immutable but for the
// counters, and any goroutine may use them. A nil NameRoutes is that of a frontend
// without routes.
type NameRoutes struct {
	All       []*NameRoute // in the order of the file; the last stands for what no route matches
	exact     map[string]*NameRoute
	wildcards map[string]*NameRoute // by what follows the "*"
}

// NoNameRoute is the Name of what no route matches.
const NoNameRoute = "default"

// NewNameRoutes compiles the routes of f; nil if it has none. poolOf returns the pool of a
// backend.
func NewNameRoutes(f *conf.Frontend, poolOf func(name string) *backend.Pool) *NameRoutes {
	if f.Mode != conf.ModeTCP || len(f.Routes) == 0 {
		return nil
	}
	n := &NameRoutes{exact: map[string]*NameRoute{}, wildcards: map[string]*NameRoute{}}
	for i := range f.Routes {
		r := &f.Routes[i]
		route := &NameRoute{Name: titleOf(r.SNI), Pool: poolOf(f.BackendOf(r))}
		n.All = append(n.All, route)
		for _, name := range r.SNI {
			if domain, wild := strings.CutPrefix(name, "*"); wild {
				n.wildcards[domain] = route
			} else {
				n.exact[name] = route
			}
		}
	}
	n.All = append(n.All, &NameRoute{Name: NoNameRoute, Pool: poolOf(f.Backend)})
	n.tellApart()
	return n
}

// longTitle is how long a route's Name may be, in bytes.
const longTitle = 80

func titleOf(names []string) string {
	title := strings.Join(names, ",")
	if len(title) > longTitle {
		title = title[:longTitle] + "..." // host names are ASCII
	}
	return title
}

// tellApart gives routes of one Name their places in the file.
func (n *NameRoutes) tellApart() {
	count := map[string]int{}
	for _, r := range n.All {
		count[r.Name]++
	}
	for i, r := range n.All[:len(n.All)-1] {
		if count[r.Name] > 1 {
			r.Name = fmt.Sprintf("%s #%d", r.Name, i+1)
		}
	}
}

// longestName is the length of the longest host name, with its last dot.
const longestName = 254

// Default is the route of what no other matches, and of what names no host.
func (n *NameRoutes) Default() *NameRoute { return n.All[len(n.All)-1] }

// Find returns the route of a name, as the client has written it: an exact name before
// a wildcard, and the longest wildcard before others.
func (n *NameRoutes) Find(name string) *NameRoute {
	if len(name) > longestName {
		return n.Default()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if r := n.exact[name]; r != nil {
		return r
	}
	for i := strings.IndexByte(name, '.'); i >= 0; {
		if r := n.wildcards[name[i:]]; r != nil && i > 0 {
			return r
		}
		next := strings.IndexByte(name[i+1:], '.')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return n.Default()
}

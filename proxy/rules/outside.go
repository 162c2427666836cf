package rules

import (
	"fmt"
	"slices"
	"strings"

	"mcplb/conf"
	"mcplb/proxy/mcp"
)

// knownMethods are the methods of MCP.
var knownMethods = func() (names []string) {
	for m := mcp.MethodOther + 1; m < mcp.NumMethods; m++ {
		names = append(names, m.String())
	}
	return names
}()

// outside warns of denials by what messages ask for, where the same servers can be
// asked by ways on which no message is read: raw TCP and WebSocket.
func outside(c *conf.Config, f *conf.Frontend) (found []string) {
	for i := range f.Routes {
		r := &f.Routes[i]
		if !r.Deny || !r.HasMCP() {
			continue
		}
		for _, name := range deniedBackends(f, r) {
			if ways := waysTo(c, name); len(ways) > 0 {
				found = append(found, fmt.Sprintf("frontend.%s.route[%d]: denies by what messages ask for, and the servers of backend %q can be asked by %s, where no message is read: "+
					"give that its own backend, or limit who may use it", f.Name, i, name, strings.Join(ways, " and by ")))
			}
		}
	}
	return found
}

// deniedBackends are the backends that requests which a route denies would go to,
// as far as paths and hosts tell.
func deniedBackends(f *conf.Frontend, deny *conf.Route) []string {
	names := []string{f.Backend}
	for i := range f.Routes {
		if r := &f.Routes[i]; r.Forwards() && r.Backend != "" && !pathsApart(r, deny) && !slices.Contains(names, r.Backend) {
			names = append(names, r.Backend)
		}
	}
	return names
}

// waysTo are the ways to a backend on which nothing reads messages.
func waysTo(c *conf.Config, backend string) (found []string) {
	for i := range c.Frontends {
		other := &c.Frontends[i]
		leadsTo := func(r conf.Route) bool { return other.BackendOf(&r) == backend }
		if other.Mode != conf.ModeHTTP && (other.Backend == backend || slices.ContainsFunc(other.Routes, leadsTo)) {
			found = append(found, fmt.Sprintf("frontend %q (mode %s)", other.Name, other.Mode))
		}
		for j := range other.Routes {
			r := &other.Routes[j]
			leads := r.Backend == backend || r.Backend == "" && other.Backend == backend
			if other.Mode == conf.ModeHTTP && r.Forwards() && r.Endpoint == conf.EndpointWS && leads {
				found = append(found, fmt.Sprintf("WebSocket (frontend %q, route[%d])", other.Name, j))
			}
		}
	}
	return found
}

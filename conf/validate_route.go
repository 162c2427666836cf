package conf

import (
	"fmt"
)

// title names the route for messages: by its path where it has one, or else by its
// place in the file, which is i.
func (r *Route) title(i int) string {
	switch {
	case r.Path != "":
		return fmt.Sprintf("%q", r.Path)
	case r.PathExact != "":
		return fmt.Sprintf("%q", r.PathExact)
	}
	return fmt.Sprintf("[%d]", i)
}

// validateRoutes reports contradictions between the keys of a route, and routes
// that match the same requests.
func validateRoutes(c *Config, f *Frontend, path string, d *decoder) {
	for i := range f.Routes {
		r := &f.Routes[i]
		route := element(path+".route", i)
		if r.Backend != "" {
			validateReference(c, d, route+".backend", r.Backend)
		}
	}
}

// Package rules decides which route of a frontend of mode http a request takes, and
// writes what the {names} in a route's headers and redirects stand for.
//
// A frontend's routes are compiled once, to a Matcher, which is immutable: all loops
// use it at once. Each keeps a Scratch of its own.
//
//	m := rules.Compile(&frontend) // nil where the frontend has no routes
//	d := m.Match(&request, &scratch)
//	switch {
//	case d.Refused != rules.Readable: // 400, d.Refused.Text()
//	case d.Denied:                    // 403, by the route with the index d.Route
//	case d.NeedsMessage:              // read the body, set request.Message, match again
//	case d.Route < 0:                 // the frontend's backend
//	}
//
// The order is that of DESIGN.md, section 7: first the denials, then the most
// specific route. Paths are compared in their canonical reading; a denial holds
// under every reading that a server may have of a path. See docs/routes.md.
//
// The package guarantees that no request makes it panic, that matching allocates
// nothing once the Scratch has grown, and that the result depends on nothing but
// the routes and the request. It does no I/O, reads no body, and does not say what
// a route does to a request: that is the work of package l7.
package rules

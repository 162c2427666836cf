// Package endpoint provides the other ends of a test's connections: clients,
// servers that run a script or that the test plays itself, and addresses that
// refuse or do not respond. To play a client and a server in turn:
//
//	a := endpoint.Accept(t)
//	c := endpoint.Dial(t, balancer) // which relays to a.Address
//	s := a.Next()
//	c.Say("ping\n")
//	s.Hear("ping\n")
//
// Everything opened is closed when its test ends. If an expected event does not
// come within Patience, the test fails; otherwise no result depends on timing.
// The package handles TCP and lines, and no higher protocol.
package endpoint

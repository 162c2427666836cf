// Package endpoint is the other ends of a test's connections: clients that say and
// hear, servers that follow a script or that the test plays itself, and addresses
// that refuse or do not answer. A client and a server it plays, by turns:
//
//	a := peer.Accept(t)
//	c := peer.Dial(t, addressOfWhatIsTested) // which relays to a.Address
//	s := a.Next()
//	c.Say("ping\n")
//	s.Hear("ping\n")
//
// What is opened here is closed when its test ends. Whatever does not come about
// within Patience ends the test; nothing here depends on how long anything takes
// before that. It speaks TCP and lines, and no protocol beyond.
package endpoint

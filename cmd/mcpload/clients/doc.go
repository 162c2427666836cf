// Package clients is a fleet of MCP clients: very many of them (100,000 in well under
// 1 GB), as state machines on the balancer's own event engine, without a goroutine
// each.
//
//	fleet, err := clients.Start(&options)
//	fleet.Add(1000)              // clients, which open their sessions
//	fleet.Ask(time.Second, true) // each sends a message every interval
//	held := fleet.Count().Held()
//	fleet.Close()
//
// Each client has an MCP session of its own: initialize, then messages. It checks
// every answer: that it is one, that it belongs to the message, that its content is
// right and that it comes from the session's node. A client whose session is lost,
// for whatever reason, counts the reason and opens another session after a pause.
//
// The layers, from the top: Fleet runs a worker per event loop; a worker has
// clients; a client has a transport for its kind, which carries messages over
// wires; a wire is one connection. Everything below Fleet runs on its loop.
package clients

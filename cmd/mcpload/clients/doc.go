// Package clients is a fleet of very many MCP clients (100,000 in well under 1 GB).
// They are state machines on the balancer's event engine, without a goroutine each.
//
//	fleet, err := clients.Start(&options)
//	fleet.Add(1000)              // clients, which open their sessions
//	fleet.Ask(time.Second, true) // each sends a message every interval
//	held := fleet.Count().Held()
//	fleet.Close()
//
// Each client has its own MCP session: initialize, then messages. It checks that
// every answer is JSON-RPC, belongs to the message, has the right content and comes
// from the session's node. When a client loses its session, it counts the reason and
// opens another session after a pause.
//
// The layers, from the top: Fleet runs a worker per event loop; a worker has
// clients; a client has a transport for its kind, which carries messages over
// wires; a wire is one connection. Everything below Fleet runs on its loop.
package clients

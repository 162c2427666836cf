// Package l4 relays streams of bytes between clients and servers: modes tcp and
// mcp.
//
// A Frontend turns what a reactor.Listener accepts into Sessions. Each brings its
// client to a server (package session) and then relays. A Relay moves bytes
// between two connections on one loop, in two halves; package l7 uses it for what
// follows a 101. In mode mcp the session sees the lines that pass: it counts
// messages, and holds the client's to its source's rate.
//
// It guarantees that not a byte is lost, added or reordered, however slow either
// side is; that reading stops while the other side does not take more, so that
// what waits is bounded; that the end of one side is passed on as FIN and its
// breaking off as RST, each behind the bytes before it; that a cut stream cannot
// be taken for a complete one; and that a slot is released exactly once. It
// allocates nothing per message.
//
//	frontend.go   where clients connect
//	session.go    one client connection, from accept to its end
//	relay.go      two connections, two halves
//	messages.go   mode mcp: counting, rates, errors to the client
//	state.go      what goes to a new process
package l4

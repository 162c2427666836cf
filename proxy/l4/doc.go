// Package l4 is the layer-4 side: a client's session from accept to its end,
// and the relay that carries its bytes.
//
// A Frontend turns what a reactor.Listener accepts into sessions: the limits
// are asked, a PROXY header is read, a server is picked and connected to (and
// another when that fails), and then a Relay moves bytes both ways until one
// side ends. In mode mcp the client's bytes pass through a meter that counts
// messages, holds the source to its rate and bounds a message's length.
//
// It guarantees that no byte is lost, doubled or reordered; that a finished
// side is shown to the other as finished and a broken one as broken; that
// reading stops while the other side does not take more, so that a session
// holds at most what one read brings; that a slot is released exactly once;
// and that nothing is allocated for a message. Everything of a session runs on
// the goroutine of its loop.
package l4

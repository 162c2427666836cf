// Package l7 is the layer-7 side: HTTP/1.1 streams on the event engine.
//
// A Frontend turns what a reactor.Listener accepts into clients. A client's
// requests are read one after the other, checked strictly (package http1), held
// to the limits, routed, bound to a server where a session or a cookie says so,
// and forwarded over kept-alive upstream connections; bodies are relayed as
// they come, both ways, and never held back: an event stream is only a response
// that does not end. After a 101 the two connections go to an l4.Relay.
//
// It guarantees that a request is forwarded in exactly one way or refused; that
// a request that is not idempotent is never sent twice; that a response is
// either whole or visibly cut; that reading stops while the other side does
// not take more; and that a slot is released exactly once. Everything of a
// client runs on its loop's goroutine; a request on kept-alive connections
// allocates nothing.
//
//	frontend.go   settings, routes, the taking in of clients
//	client.go     a client's connection: its states, from one request to the next
//	exchange.go   one request and its response
//	affinity.go   which server a request is for
//	forward.go    the way to a server: slot, connection, other attempts
//	send.go       the request on its way up
//	receive.go    the response on its way down
//	recode.go     responses that cannot pass as they came: gzip among them
//	head.go       what heads become on their way
//	refuse.go     answers of the balancer's own
//	tunnel.go     what follows a 101
//	deadline.go   how long each state may last
//	worker.go     what a loop's clients share: kept connections, memory
//	counters.go   what is counted, and how long servers took
package l7

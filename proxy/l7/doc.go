// Package l7 is mode http: HTTP exchanges on the event engine, over HTTP/1.1 or HTTP/2 to
// clients, HTTP/1.1 to servers.
//
// A Frontend turns what a reactor.Listener accepts into clients. A client's
// requests are read one after the other, checked strictly (package http1), held
// to the limits, routed, bound to a server where a session or a cookie names one,
// and forwarded over kept-alive upstream connections; bodies are relayed as they
// come, both ways, and never held back: an event stream is only a response that
// does not end. After a 101 the two connections go to an l4.Relay.
//
// It guarantees that a request is forwarded in exactly one way or refused; that
// a request that is not idempotent, and does more than read, is never sent twice;
// that a response is either complete or visibly cut; that reading stops while the
// other side is blocked; and that a slot is released exactly once. Everything of a client runs on its
// loop's goroutine; a request on kept-alive connections allocates nothing.
//
//	frontend.go      settings, routes, accepted clients
//	client.go        a client connection: its states, from one request to the next
//	exchange.go      one request and its response
//	source.go        who sent a request
//	sessioncount.go  what is known of a server's sessions
//	affinity.go      which server a request is for
//	dispatch.go      the way to a server (package session)
//	limits.go        what a request must keep to
//	send.go          the request on its way to the server
//	replay.go        which requests may be sent once more
//	receive.go       the response on its way to the client
//	head.go          how heads are rewritten
//	encoder.go       bodies that cannot pass as they come; inflater.go: compressed ones
//	keepalive.go     comments in event streams that are idle
//	compress.go      which responses are compressed; breach.go: which are not, over TLS
//	cacheable.go     which responses shared caches may keep
//	refuse.go        generated responses: when, and what follows
//	generated.go     generated responses: their text
//	cors.go          generated responses: who may read them
//	tunnel.go        what follows a 101
//	multiplexer.go   a client connection of HTTP/2; multiplexer_timeouts.go: its limits in time
//	stream.go        one stream of it, as the downstream of an exchange; stream_send.go: its
//	                 answer; stream_tunnel.go: what follows an extended CONNECT
//	downstream.go    what an exchange needs of either
//	timeouts.go      how long each state may last
//	upstream.go      a connection to a server; upstreampool.go: those that are idle
//	worker.go        what the clients of one loop share
//	state.go         what goes to a new process
//	counters.go      what is counted; log.go: what is logged
package l7

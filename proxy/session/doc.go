// Package session is what every client connection goes through, once for both
// layers: PROXY header, admission, TLS, a server's slot, connecting with retries
// and redispatch, the reasons why it ends, and what an operator sees of it.
//
//	accept -> PROXY header -> admission -> TLS        Client
//	       -> slot -> connect, next server on failure Dispatch
//	       -> relay (proxy/l4), exchanges (proxy/l7)
//
// A Client is the client's side: there is one for each accepted connection. A
// Dispatch gets one Stream a server. In modes tcp and mcp the stream is the session
// itself, in mode http each exchange is one, so that a client connection may have
// several, one after the other or at once. Frontend is what the frontends of both
// layers have in common, and Session is how the rest of the balancer sees a
// connection.
//
// It guarantees that a slot that was acquired is released exactly once, that a
// stream is given up after the backend's retries and not before, and that every
// end has one Reason. Everything of a client runs on its loop's goroutine; only
// Granted may be called by others.
package session

// Package clienthello finds the server name in what a TLS client sends first, for a
// balancer that passes TLS on without ending it.
//
//	name, status := clienthello.Parse(p)
//	switch status {
//	case clienthello.Incomplete: // read more, and parse everything again
//	case clienthello.Complete:   // name is what the client asks for; empty = none
//	case clienthello.None:       // it is no TLS, or its ClientHello is too long
//	}
//
// The message may be split over any number of records, and records at any byte. What
// follows it is not looked at. The first byte alone decides whether it is TLS.
//
// Of a client that encrypts its ClientHello (ECH), the name is that of the outer one: it
// names the server's provider, and cannot be distinguished from that of a client that only
// pretends to encrypt (GREASE), as browsers do.
//
// The package guarantees that no input makes it panic, that it allocates nothing, and
// that every name is found that crypto/tls finds, except in a message that is longer
// than MostLength. It does not verify what the name does not depend on: whether the
// handshake succeeds is for the server to say. It does no I/O.
package clienthello

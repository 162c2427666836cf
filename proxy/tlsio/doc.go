// Package tlsio ends TLS 1.2 and 1.3 on the connections of an event engine.
//
// A Server holds what one frontend presents: certificates, versions,
// application protocols. Its Secure puts a Layer upon a client's connection
// (reactor.Layer); whoever handles the connection calls Layer.Step when it is
// Ready, until the handshake is over, and from then on reads and writes the
// connection as if it were plain.
//
// Records, handshake and keys are those of crypto/tls, over memory. A handshake
// runs on a goroutine of its own, from the client's first bytes on, so that its
// public-key work never holds up a loop; few of them compute at once (Workers),
// the others wait. Afterwards crypto/tls is driven on the loop: with what one
// read of the socket brought, and a temporary error where that ends.
//
// It guarantees that a stream that was cut within a record is an error and not
// an end; that the goroutine of a handshake ends when its connection is closed;
// that settings change between one handshake and the next, and tickets issued
// before still resume; and that a connection at rest holds no buffer but
// crypto/tls's own. A FIN between two records, without the close_notify that
// should stand before it (RFC 8446 section 6.1), is taken as an end: many
// clients end so.
//
// It does not ask clients for certificates, and offers neither early data nor
// renegotiation.
package tlsio

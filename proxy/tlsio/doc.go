// Package tlsio speaks TLS 1.2 and 1.3 on the connections of an event engine, as the
// server of clients and as the client of servers.
//
// A Server holds the settings of one frontend: certificates, versions,
// application protocols. Secure puts a Transport (reactor.Transport) on a
// client's connection. The connection's handler calls Step at every Ready until
// the handshake is done, and from then on reads and writes the connection as if
// it were plain:
//
//	workers := tlsio.NewWorkers(engine.Loops(), handshakes)
//	server := tlsio.NewServer(config, workers)
//
//	server.Secure(conn) // when the client is accepted
//
//	func (s *session) Ready(c *reactor.Conn) {
//		if done, errno := c.Transport().(*tlsio.Transport).Step(); !done || errno != 0 {
//			...
//		}
//		n, errno := c.Read(p) // decrypted
//	}
//
// A Client does the same on a connection to a server: Secure begins the handshake.
//
// The handshake is that of crypto/tls, working on memory. From
// the client's first bytes, the handshake runs on a separate goroutine, so that
// its public-key operations never hold up a loop; Workers limit how many
// compute at once. Afterwards records of TLS 1.3 are those of a layer of this package,
// which works on the loop and can go on in another process: an open Transport can be
// detached (reactor.Conn.Detach), and its State sent, decoded and restored
// (Workers.Restore). Records of TLS 1.2 are those of crypto/tls: on the loop it gets the
// bytes of one read of the socket, and a temporary error at their end.
//
// The package guarantees that
//   - a stream that is cut within a record ends with an error, not normally;
//   - the goroutine of a handshake ends when its connection is closed;
//   - settings can change between handshakes, and tickets issued before still
//     resume;
//   - an idle connection of TLS 1.3 holds no buffer and nothing of crypto/tls, and with a
//     server that has sent nothing yet, crypto/tls, which awaits its tickets;
//   - no secret is written or logged; State.Wipe forgets those that have moved.
//
// A FIN between two records, without the close_notify required before it (RFC
// 8446 section 6.1), counts as a normal end of a client: many end this way. Of a server
// it is an error, so that an answer that somebody has cut does not look complete.
//
// A Verification says which certificates of clients are accepted; without one they are
// not asked. The package supports neither early data nor renegotiation.
package tlsio

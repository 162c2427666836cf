// Package servertls says how a backend's servers are spoken to over TLS: it turns
// the settings of [backend.NAME.tls] into those of crypto/tls, and the errors of
// handshakes into an operator's words. Connections of clients and health checks use
// the same, so that both accept and refuse the same servers for the same reasons.
//
//	config := servertls.Config(settings, "node1.internal:9001")
//	err := tls.Client(conn, config).HandshakeContext(ctx)
//	reason := servertls.Explain(settings, err)
//
// It guarantees that a certificate is verified unless verify = false: by the name in
// server_name, or else by the host in the server's address. Names count if they are
// among the alternative names (SAN); the common name counts for nothing. An address is
// verified by the addresses among them, and no SNI is sent for it.
package servertls

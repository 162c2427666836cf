// Package clientcert decides which certificates of clients a frontend accepts, and says
// who a client is.
//
// A Verifier is made of a frontend's keys client_verify, client_ca and client_crl. Its
// methods are what a server of crypto/tls needs: which authorities are named to clients,
// and what is checked beyond their signatures, on every handshake, resumed ones
// included: a certificate that was revoked meanwhile, or whose authority has gone, is
// refused although its session could be resumed.
//
//	v := clientcert.New(frontend.TLS) // nil = clients are not asked
//	config.ClientAuth, config.ClientCAs, config.VerifyConnection = v.Auth(), v.Authorities(), v.Verify
//
// ErrorOf finds in the error of a failed handshake why a certificate was refused, and
// IdentityOf makes the names of a certificate that was accepted, as servers, limits and
// logs get them.
//
// The package guarantees that
//   - a certificate is refused if a list of client_crl has it or one of its intermediates,
//     however old the list is;
//   - an authority without a list revokes nothing;
//   - a subject has no byte that could end a header's line or a log's.
//
// It asks no OCSP responder, and fetches no lists.
package clientcert

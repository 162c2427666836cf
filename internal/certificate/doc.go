// Package certificate makes keys and certificates for tests: self-signed ones,
// or signed by another certificate that the test made and its clients trust.
//
//	c := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "a.test")
//	certificate.Write(t, directory, "lb", c) // lb.pem and lb.key
//	client := &tls.Config{RootCAs: certificate.Pool(c), ServerName: "a.test"}
//
// They are for tests only: key usage is not restricted, and a self-signed
// certificate may sign others.
package certificate

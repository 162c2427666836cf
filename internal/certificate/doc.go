// Package certificate makes keys and certificates for tests: signed by themselves,
// or by another that the test has made and its clients trust.
//
//	c := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "a.test")
//	certificate.Write(t, directory, "lb", c) // lb.pem and lb.key
//	client := &tls.Config{RootCAs: certificate.Pool(c), ServerName: "a.test"}
//
// They are for tests alone: no usage of a key is restricted, and whatever is signed
// by itself may sign others.
package certificate

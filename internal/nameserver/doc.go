// Package nameserver is a name server for tests: it answers over UDP and TCP what the
// test says, and misbehaves as real ones do.
//
//	s := nameserver.Serve(t)
//	s.Set("a.test", "A 127.0.0.1", "AAAA ::1")       // TTL 60 s
//	s.Set("b.test", "5 CNAME a.test.")               // TTL 5 s
//	s.Set("_mcp._tcp.test", "SRV 10 5 9001 a.test.")
//	s.Set("gone.test")                               // it exists, without records
//	s.Remove("a.test")                               // NXDOMAIN, as any other name
//	s.Behave("a.test", nameserver.Behaviour{Drop: []string{"AAAA"}})
//	... conf.Resolver{NameServers: []netip.AddrPort{s.Address}}
//
// It follows CNAMEs, rotates the records of an answer, and truncates what is larger
// than the client takes over UDP.
package nameserver

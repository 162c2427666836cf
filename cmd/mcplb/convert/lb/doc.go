// Package lb is what the readers of other balancers' configurations have in common:
// the account of every directive that they read, and the lb.toml that comes of it,
// with its comments.
//
//	config := lb.NewConfig()
//	d := config.Read(lb.Place{File: "haproxy.cfg", Line: 3}, "defaults", "timeout client 1h")
//	config.Global.Set("maxconn", 4000, d)  // a key: the directive is translated
//	config.Global.Differ(d, "maxconn", "...") // and differs: a comment beside the key
//	d.Unneeded("why")
//	d.Impossible("why")
//	text := config.Text()
//
// A directive about which nothing is said is "not possible": none is forgotten. Whether
// mcplb accepts the text is the business of package convert, which knows the contract.
package lb

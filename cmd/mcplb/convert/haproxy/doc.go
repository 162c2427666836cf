// Package haproxy reads configurations of HAProxy (2.6 and near it) and translates
// them into lb.toml.
//
//	config := lb.NewConfig("HAProxy")
//	err := haproxy.Convert(config, haproxy.System(), "haproxy.cfg")
//
// Every directive is accounted for: what no table of this package knows is named as
// not possible. The grammar is HAProxy's (words, three kinds of quoting, escapes,
// variables of the environment): lists of words, a line each. That is little to read, so
// that the parser is this package's, not client-native's: it keeps the number of every
// line, and the directives that it does not know. Conditional blocks (.if) are named, not evaluated.
//
// HAProxy takes the first rule that matches, mcplb the route with the highest
// priority: chains become routes of falling priority (routes.go).
package haproxy

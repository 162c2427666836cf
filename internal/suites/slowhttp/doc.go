// Slowhttp attacks mcplb with slowhttptest, by slow heads, slow bodies and slow
// reading, and checks that other clients are served throughout.
//
//	make build && go run ./internal/suites/slowhttp -mcplb bin/mcplb
//
// It needs slowhttptest (a package of Debian). During each attack, other
// clients send requests one after the other, over persistent and over new
// connections. If any gets no response within -patience, the exit status is 1.
// It does not measure throughput.
package main

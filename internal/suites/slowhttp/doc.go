// Slowhttp attacks mcplb with slowhttptest, by slow heads, slow bodies and slow
// reading, and shows that other clients are served throughout.
//
//	make build && go run ./internal/suites/slowhttp -mcplb bin/mcplb
//
// It needs slowhttptest (Debian has it). While each attack lasts, clients ask
// one after the other, over connections that are kept and over fresh ones; any
// that is not answered within -patience fails it, and the exit status is 1.
package main

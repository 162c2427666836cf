// Http2 attacks mcplb over HTTP/2 and measures what that costs: its CPU time and memory,
// and the response times of other clients.
//
//	make build && go run ./internal/suites/http2 -mcplb bin/mcplb
//
// Each attack lasts -seconds, on several connections, which are opened again when they
// are cut; the limits on new connections, which would stop attackers from doing that, are
// off. Other clients send requests meanwhile, by HTTP/1.1 and by HTTP/2. Beside their response
// times the table has those without an attack, for -before before each, and those of a client
// that asks the server itself during the attack: attackers, server and balancer share a
// machine, and what the balancer adds is the difference. The exit status is 1
// if one of them gets no response within -patience, if a connection that should be cut is
// not, or if the balancer uses more memory than -memory.
package main

// Handshakes measures what TLS handshakes cost other clients: the latency of a
// plain TCP echo through a balancer, first without handshakes, and then while
// clients complete full handshakes at a given rate on one of its TLS frontends.
//
//	go run ./internal/suites/handshakes -server 127.0.0.1:9001 -echo 127.0.0.1:8000 -tls 127.0.0.1:8443 -rate 200
//
// The balancer must relay -echo (mode tcp) to -server, where this program
// echoes; -tls is a TLS frontend of any mode, whose certificate is not checked.
// The TLS clients run in a separate process with low priority, so that the
// balancer's work is measured and not theirs. To measure the effect of a busy
// machine alone, point -tls at another process. Rounds alternate because the
// load of a shared machine varies. It measures one balancer and compares
// nothing by itself.
package main

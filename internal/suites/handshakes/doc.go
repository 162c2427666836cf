// Handshakes shows what TLS handshakes cost those who make none: the latency of
// a plain TCP echo through a balancer, quiet and while so many clients a second
// complete a full handshake on one of its TLS frontends.
//
//	handshakes -server 127.0.0.1:9001 -echo 127.0.0.1:8000 -tls 127.0.0.1:8443 -rate 200
//
// The balancer passes -echo (mode tcp) on to -server, where this program itself
// answers; -tls is a TLS frontend of any mode, whose certificate is not checked.
// The TLS clients are a process of their own with a low priority, so that what
// is seen is the balancer's work and not theirs. To see what of it is merely
// the machine's being busy, let -tls lead to another process for comparison.
// Rounds alternate, since a shared machine is not equally busy all the time.
package main

// Tlscost measures what TLS 1.3 costs a balancer in memory and processor time: per idle
// connection, per message on kept connections, per full and per resumed handshake.
//
//	go run ./internal/suites/tlscost -to 127.0.0.1:8443 -echo 127.0.0.1:9001 -pid $(pgrep -x mcplb)
//
// The balancer must relay -to (mode tcp, with TLS, whose certificate is not checked) to
// -echo, where this program echoes. Processor time is what the kernel says that the
// process has used, so it depends less on the other load of a machine than rates do; several
// process IDs, divided by commas, are added up. To compare balancers, run it for each in turn.
package main

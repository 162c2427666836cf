// Tlscost measures what TLS 1.3 costs a balancer in memory and processor time: per full and
// per resumed handshake, per message on kept connections, per idle connection.
//
//	go run ./internal/suites/tlscost                   mcplb beside HAProxy and nginx, one after the other: six minutes
//	go run ./internal/suites/tlscost -only mcplb       one of them
//	go run ./internal/suites/tlscost -to 127.0.0.1:8443 -echo 127.0.0.1:9001 -pid $(pgrep -x mcplb)
//
// The last form measures a balancer that runs already: it must relay -to (mode tcp, with
// TLS, whose certificate is not checked) to -echo, where this program echoes; several
// process IDs, divided by commas, are added up. The others start each balancer with one
// loop, thread or worker, the same certificate (ECDSA P-256) and TLS 1.3 alone, and leave
// out what is not installed.
//
// Processor time is what the scheduler has counted for the balancer (schedstat), so it
// depends less on the other load of a machine than rates do; rates are those of this
// program and the balancer together. Memory is resident memory, before and after, each at
// rest: an idle connection costs what it costs after -pause.
package main

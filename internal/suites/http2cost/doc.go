// Http2cost measures what HTTP/2 costs a balancer, beside HTTP/1.1 and beside HAProxy and
// nginx: processor time per request over TLS, by h2load, and memory per idle connection, over
// TLS and without.
//
//	make build && go run ./internal/suites/http2cost -mcplb bin/mcplb
//
// All balancers have one thread, and relay to one server that answers with a word, which this
// program runs. Rounds alternate between them, because the load of a shared machine varies;
// the table has medians. Processor time is what the kernel says that the processes have used,
// and memory what is resident, more than before the connections; both are of all processes of
// a balancer. mcplb is measured twice: with requests_per_connection as it is by default, where
// h2load ends early, since it does not connect again after GOAWAY, and without that limit.
//
// It needs h2load; HAProxy and nginx are left out if they are missing.
package main

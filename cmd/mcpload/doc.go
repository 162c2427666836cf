// Mcpload puts load on an MCP cluster and reports the results.
//
//	mcpload run -n 9000 -mix tcp=70,http=10,ws=10,sse=10 -expect-p99 100ms -html report.html
//
// Its clients (package clients) hold very many MCP sessions and check every answer.
// A run (package run) opens the sessions, sends messages, and writes a report
// (package report). The other commands start what they measure: bench and stress a
// cluster, peers mcplb beside HAProxy and nginx.
//
// It exits with 0 if everything was as expected, with 1 if it was not or if nothing
// could be run, with 2 if the command line is wrong, and with 130 if a signal ended
// it early (it then reports what happened until the signal).
package main

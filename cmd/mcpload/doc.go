// Mcpload puts load on an MCP cluster and tells what came of it.
//
//	mcpload run -n 9000 -mix tcp=70,http=10,ws=10,sse=10 -expect-p99 100ms -html report.html
//
// It holds very many MCP sessions (100,000 in well under 1 GB): its clients are
// state machines on the balancer's own event engine, with no goroutine each.
// They speak MCP as it is, each in a session of its own: initialize, then tool
// calls. Every answer is checked: that it is one, for this message, with the
// right content, by the node that the session is on. What is not as it should
// be is counted by reason, and the client comes back after a pause.
//
// A run has four phases: ramp (sessions are opened at a set rate), load (each
// sends a message every interval), monitor (all are held silent, and then asked
// once more), report. Latencies are kept in HDR histograms, from the sending of
// a message to the reading of its answer, overall, by kind of client and by
// node; a message that could not be sent in time, since the answer before was
// late, counts with the time it had to wait.
//
// It exits with 0 when everything was as expected, with 1 when it was not or
// nothing could be run, with 2 when the command line is wrong, and with 130
// when a signal ended it early (what was seen until then is reported).
package main

// Chaos runs one balancer among clients, servers and an operator who do
// everything at random, and checks that no client is served wrongly.
//
//	make chaos                     ten minutes, with the race detector
//	go run ./internal/suites/chaos -mcplb bin/mcplb -for 1m -seed 7
//
// Clients of every kind (lines, requests, uploads, event streams, WebSockets,
// TLS, PROXY headers, garbage) abort at random points. Servers are killed,
// stopped and started. The operator reloads good and broken files, drains, bans,
// kills connections, changes weights and limits, and upgrades the binary.
//
// A finding, and exit status 1, is:
//
//   - a response that belongs to someone else, is altered, or looks complete
//     but is not;
//   - any failure of a steady client: one whose server is left alone;
//   - a data race, a panic, or the end of the serving process;
//   - what is left at the end: connections, slots, waiting clients, descriptors,
//     goroutines, old processes;
//   - a client that is not served after the servers are back.
//
// Failures of other clients are expected and only counted. The program does not
// measure speed. The seed makes decisions repeatable, but not their timing.
package main

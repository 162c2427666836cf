// Conformance shows that MCP clients get through mcplb what they get without
// it: it runs the official conformance suite, the inspector and the TypeScript
// SDK's example clients against the official servers, directly and behind
// mcplb, and prints the results side by side.
//
//	make build && go run ./internal/suites/conformance -mcplb bin/mcplb
//
// Each suite runs up to three times, each time on fresh servers: against one
// server directly; against one server behind mcplb, where nothing may differ;
// and against four servers behind mcplb with balance = "roundrobin", where only
// those checks may differ that need servers which share their state (the
// official ones keep theirs in memory).
//
// It needs Go and npm, and takes what it needs from the npm registry and the Go
// module proxy, once, into the directory given by -cache. It exits with 0 when
// nothing is worse behind mcplb, with 1 when something is or could not be run,
// and with 2 when its command line is wrong.
package main

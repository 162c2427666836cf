// Conformance checks that MCP clients get the same results through mcplb as
// without it: it runs the official conformance suite, the inspector and the
// TypeScript SDK's example clients against the official servers, directly and
// through mcplb, and prints the results side by side.
//
//	make build && go run ./internal/suites/conformance -mcplb bin/mcplb
//
// Each suite runs three times, each time on fresh servers: directly against one
// server; through mcplb with one server, where the results must be the same;
// and through mcplb with four servers and balance = "roundrobin", where only
// checks that need servers with shared state may differ (the official servers
// keep their state in memory).
//
// With -mode tls, clients speak TLS with mcplb, and mcplb with the servers, and each
// verifies the other's certificate; with -mode h2, clients speak HTTP/2 with mcplb besides,
// which Node's fetch does from version 26 on; with -mode all, all of it is compared.
//
// It needs Go and npm. The first run downloads the suites from the npm registry
// and the Go module proxy into the directory given by -cache. The exit status
// is 0 if no result is worse through mcplb, 1 if one is or could not be
// obtained, and 2 if the command line is wrong. It does not test mcplb's own
// features, only that they do not interfere.
package main

// Http2peers lets programs that others have written speak HTTP/2 with mcplb, over TLS and by
// prior knowledge: h2spec; undici in versions of note and the fetch of a new Node; Go's
// client. Each has 20 event streams open beside its requests. It prints what each has found.
//
//	make build && go run ./internal/suites/http2peers -mcplb bin/mcplb
//
// It needs Go, npm and the network: npm installs Node and undici into the directory given by
// -cache. The exit status is 1 if a peer finds other than expected. What is expected is not
// always success: h2spec's 3.5/2 wants no HTTP/1.1 on the port; undici 8.7.0 hangs when a
// request follows an open event stream, with any server. (curl, nghttp, h2load, Node's module
// http2 and Chromium: cmd/mcplb/http2_clients_test.go.)
package main

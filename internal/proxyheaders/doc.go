// Package proxyheaders provides PROXY protocol headers of both versions for tests,
// well formed and malformed ones
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
package proxyheaders

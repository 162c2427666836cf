// Package proxyheaders has PROXY protocol headers for tests, well formed and
// malformed ones, of both versions
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
package proxyheaders

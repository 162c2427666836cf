package http1

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// The parts of generated messages: valid ones, and ones that some parser has
// got wrong.
var (
	requestLines = []string{
		"GET / HTTP/1.1", "POST /mcp HTTP/1.1", "POST /mcp?a=b HTTP/1.0", "GET http://a/b HTTP/1.1", "GET http://A:80?b HTTP/1.1",
		"OPTIONS * HTTP/1.1", "OPTIONS http://a HTTP/1.1", "HEAD /x HTTP/1.1", "DELETE /mcp HTTP/1.1", "PUT //b/c HTTP/1.1", "X-Y /%zz HTTP/1.1",
		"TRACE / HTTP/1.1", "CONNECT a:1 HTTP/1.1", "GET / HTTP/1.2", "GET /#a HTTP/1.1", "GET /", "get / HTTP/1.1", "GET  / HTTP/1.1", "PATCH /a HTTP/1.0",
	}
	statusLines = []string{
		"HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 100 Continue", "HTTP/1.1 404 ",
		"HTTP/1.1 101 Switching Protocols", "HTTP/1.1 200", "HTTP/1.1 999 X", "HTTP/1.1 099 X", "HTTP/2.0 200 OK", "HTTP/1.1 500 a\tb",
		"HTTP/1.1 600 X", "HTTP/1.1 199 X", "HTTP/1.1 1000 X", "HTTP/1.0 204 X", "HTTP/1.1 205 X",
	}
	fieldLines = []string{
		"Host: a", "Host: A", "Host: b", "Host: a:80", "Host:", "Content-Length: 5", "Content-Length: 0", "content-length:5", "Content-Length: 05",
		"Content-Length: +5", "Content-Length: 5, 5", "Content-Length:", "Content-Length : 5", "Content_Length: 3", "Transfer-Encoding: chunked",
		"transfer-encoding:\tChunked ", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Transfer-Encoding:", "Transfer-Encoding: xchunked",
		"Connection: close", "Connection: keep-alive", "Connection: Keep-Alive, X-Other", "Connection: upgrade", "Connection: content-length, host",
		"Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", "Expect: x", "X-Other: y", "X_Forwarded_For: 1", "X-Forwarded-For: 1.2.3.4",
		"Cookie: SERVERID=node1; a=\"b;c\"", "Accept: application/json, text/event-stream", "Mcp-Session-Id: 6b1d6a2e9c5f4b0f", "X: \xc3\xa9", "X: a\x7fb",
		" folded", "\tfolded", ": x", "Trailer: X-Sum", "Sec-WebSocket-Extensions: permessage-deflate", "X:", "X: \t ", "Content-Type: text/plain",
		"Content-Length: 0005", "Content-Length: 00000000000000000000000000000005, 5", "Content-Length: 5, 6", "Content-Length: 5,", "Content-Length: 000",
		"Connection: close;", "Connection: keep alive", "Connection: Keep-Alive; timeout=5", "Connection: \"x, close", "Connection: X-Other;", "Connection: ,;",
		"Expect:", "Expect: 100-continue, 100-continue", "Expect: ,", "Host: a:", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: x",
	}
	lineEnds = []string{"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"}
	bodies   = []string{
		"", "hello", "hello world", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\nGET", "5;a=b\r\nhello\r\n00\r\n\r\nGET / HTTP/1.1\r\n",
		"5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "0005\r\nhello\r\n0\r\nHost: b\r\n\r\n", "a\r\n0123456789\r\n0;x=\"y\\\"z\"\r\nA: b\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n",
	}
)

// generate returns a message that begins with one of lines: mostly well
// formed, sometimes with a byte changed.
func generate(r *rand.Rand, lines []string) []byte {
	var p []byte
	end := func() { p = append(p, lineEnds[r.IntN(len(lineEnds))]...) }
	if r.IntN(4) > 0 {
		end = func() { p = append(p, "\r\n"...) }
	}
	add := func(s string) { p = append(p, s...); end() }
	add(lines[r.IntN(len(lines))])
	if r.IntN(8) > 0 {
		add("Host: a")
	}
	switch r.IntN(4) {
	case 0:
		add("Content-Length: 5")
	case 1:
		add("Transfer-Encoding: chunked")
	}
	for range r.IntN(5) {
		add(fieldLines[r.IntN(len(fieldLines))])
	}
	end()
	p = append(p, bodies[r.IntN(len(bodies))]...)
	return mutate(r, p)
}

// mutate changes a byte or two of p, in one of three cases.
func mutate(r *rand.Rand, p []byte) []byte {
	const odd = "\x00\t\n\v\f\r \"#,-:;=@\\_\x7f\x80\xa0\xff059aAzZ"
	if r.IntN(3) > 0 || len(p) == 0 {
		return p
	}
	for range 1 + r.IntN(2) {
		i := r.IntN(len(p))
		c := odd[r.IntN(len(odd))]
		switch r.IntN(3) {
		case 0:
			p[i] = c
		case 1:
			p = append(p[:i], append([]byte{c}, p[i:]...)...)
		case 2:
			p = append(p[:i], p[min(i+1+r.IntN(3), len(p)):]...)
		}
		if len(p) == 0 {
			break
		}
	}
	return p
}

// pieces splits p at random; the same seed splits the same way.
func pieces(p []byte, seed uint64) [][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	largest := 1 + r.IntN(64)
	var pieces [][]byte
	for len(p) > 0 {
		n := min(1+r.IntN(largest), len(p))
		pieces = append(pieces, p[:n])
		p = p[n:]
	}
	return pieces
}

// encode returns data in the chunked coding, with random chunk sizes.
func encode(data []byte, seed uint64) []byte {
	var p []byte
	for i, piece := range pieces(data, seed) {
		if i%2 == 0 || i > 100 { // extensions may not outweigh the data by much
			p = AppendChunk(p, piece)
		} else {
			p = fmt.Appendf(p, "%04X;a=\"%d\";b\r\n%s\r\n", len(piece), i, piece)
		}
	}
	return append(p, LastChunk...)
}

// clipped returns p without capacity beyond its length, so that a read past
// the end panics.
func clipped(p []byte) []byte { return bytes.Clone(p)[:len(p):len(p)] }

package healthcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"unicode"
)

// Limits on an HTTP response.
const (
	maxInterim = 5        // 1xx heads before the final one
	maxHead    = 32 << 10 // bytes of all heads together
	maxBody    = 64 << 10 // bytes of the body that are read; the rest is ignored
)

// errTooLong ends the reading of a response at a limit.
var errTooLong = errors.New("too long")

// probeHTTP sends GET path over HTTP/1.1 to addr and requires the status expect. It
// does not follow redirections. The body must be complete, up to maxBody. The
// connection is not kept alive.
func probeHTTP(ctx context.Context, addr netip.AddrPort, path string, expect int) Result {
	conn, failure := dial(ctx, addr)
	if conn == nil {
		return failure
	}
	defer conn.Close()
	defer endWith(ctx, conn)()

	const request = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: mcplb\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := fmt.Fprintf(conn, request, path, addr); err != nil {
		return answerResult(err, "the request was sent")
	}
	return readHTTP(conn, expect)
}

// readHTTP reads the response to a GET and returns the result.
func readHTTP(conn io.Reader, expect int) Result {
	input := &boundedReader{reader: conn, left: maxHead}
	response, err := readFinal(bufio.NewReader(input))
	if err != nil {
		return headResult(err, input.err)
	}
	// Closing the body would read all of it; the caller closes the connection.
	if response.StatusCode != expect {
		return Result{Code: L7STS, Detail: fmt.Sprintf("HTTP status %d, expected %d", response.StatusCode, expect)}
	}
	input.left = maxBody + maxHead // the chunked coding needs some bytes
	if _, err := io.CopyN(io.Discard, response.Body, maxBody); err != nil && err != io.EOF && err != errTooLong {
		return answerResult(err, "the end of the body")
	}
	return Result{Code: L7OK, Detail: fmt.Sprintf("HTTP status %d", expect)}
}

// readFinal reads response heads up to the first final one (RFC 9110 section 15.2).
// 101 counts as final, since no upgrade was requested.
func readFinal(reader *bufio.Reader) (*http.Response, error) {
	for range maxInterim {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return nil, err
		}
		if response.StatusCode/100 != 1 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
	return nil, fmt.Errorf("more than %d interim responses", maxInterim)
}

// headResult returns the result if the head cannot be read. The parser reports an
// incomplete head as malformed, so an error of the connection takes precedence.
func headResult(parse, read error) Result {
	if read != nil && read != errTooLong {
		return answerResult(read, "an HTTP response")
	}
	return Result{Code: L7RSP, Detail: "not an HTTP response: " + shorten(parse.Error())}
}

// boundedReader reads at most left bytes and then fails. err is the last error.
type boundedReader struct {
	reader io.Reader
	left   int
	err    error
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.err = errTooLong
		return 0, b.err
	}
	n, err := b.reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	b.err = err
	return n, err
}

// maxDetail limits the part of a response that a log line quotes, in bytes.
const maxDetail = 100

// shorten makes text of a server safe for a log line.
func shorten(text string) string {
	text = strings.Map(printable, text)
	if len(text) <= maxDetail {
		return text
	}
	return strings.ToValidUTF8(text[:maxDetail], "") + "..."
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

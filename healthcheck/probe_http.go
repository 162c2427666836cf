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

// The most that is read of an HTTP answer.
const (
	maxInterim = 5        // 1xx heads before the answer's own
	maxHead    = 32 << 10 // bytes of all heads together
	maxBody    = 64 << 10 // bytes of body; what is longer is not waited for
)

// errTooLong ends the reading of an answer that is longer than wanted.
var errTooLong = errors.New("too long")

// probeHTTP sends GET path over HTTP/1.1 to addr and expects the status
// expect: no other will do, and a redirection is not followed. A body must
// arrive as announced, up to maxBody. The connection is not kept alive.
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

// readHTTP judges the answer to a GET.
func readHTTP(conn io.Reader, expect int) Result {
	input := &boundedReader{reader: conn, left: maxHead}
	response, err := readFinal(bufio.NewReader(input))
	if err != nil {
		return headResult(err, input.err)
	}
	// The body is not closed: that would wait for all of it. The connection is.
	if response.StatusCode != expect {
		return Result{Code: L7STS, Detail: fmt.Sprintf("HTTP status %d, expected %d", response.StatusCode, expect)}
	}
	input.left = maxBody + maxHead // room for the coding of chunks
	if _, err := io.CopyN(io.Discard, response.Body, maxBody); err != nil && err != io.EOF && err != errTooLong {
		return answerResult(err, "the end of the body")
	}
	return Result{Code: L7OK, Detail: fmt.Sprintf("HTTP status %d", expect)}
}

// readFinal reads response heads up to the first that is not an interim one
// (RFC 9110 section 15.2). 101 is no interim head: nothing was asked for.
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

// headResult says what a head proves that could not be read. The parser takes
// a head that stops short for a malformed one: so what stopped it, if anything
// did, comes first.
func headResult(parse, read error) Result {
	if read != nil && read != errTooLong {
		return answerResult(read, "an HTTP answer")
	}
	return Result{Code: L7RSP, Detail: "not an HTTP answer: " + shorten(parse.Error())}
}

// boundedReader reads at most left bytes, and then fails. It remembers why
// reading ended.
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

// maxDetail bounds the words of an answer that a log line repeats.
const maxDetail = 100

// shorten keeps a server's rubbish out of the log.
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

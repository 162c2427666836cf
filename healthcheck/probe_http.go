package healthcheck

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"mcplb/conf"
)

// Limits on an HTTP response.
const (
	maxInterim = 5        // 1xx heads before the final one
	maxHead    = 32 << 10 // bytes of all heads together
	maxBody    = 64 << 10 // bytes of the body that are searched; the rest is ignored
	maxCoded   = 1 << 20  // bytes of a body as sent: small chunks multiply them
)

// errTooLong ends the reading of a response at a limit.
var errTooLong = errors.New("too long")

// probeHTTP makes one request over HTTP/1.1 and requires an expected status. The head of
// the response decides; the body is read only for expect_body. It does not follow
// redirections. The connection is not kept alive.
func probeHTTP(ctx context.Context, check conf.Check, to Address) Result {
	conn, failure := dial(ctx, check, to)
	if conn == nil {
		return failure
	}
	defer conn.Close()
	defer endWith(ctx, conn)()

	r := request{method: check.Method, path: check.Path, host: cmp.Or(check.Host, to.host(&check)), last: true}
	if _, err := conn.Write(r.bytes(check.Headers)); err != nil {
		return answerResult(err, "the request was sent")
	}
	return readHTTP(conn, &check, r.host)
}

// request is a request of a check.
type request struct {
	method, path, host string
	headers            []conf.Header // which the check's may not replace
	body               string
	last               bool // the connection ends after the response
}

// bytes returns the request as it is sent, with the headers of the check.
func (r *request) bytes(headers []conf.Header) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", cmp.Or(r.method, http.MethodGet), r.path, r.host)
	all := slices.Concat(r.headers, headers)
	for _, preset := range []conf.Header{{Name: "User-Agent", Value: "mcplb"}, {Name: "Accept", Value: "*/*"}} {
		if !slices.ContainsFunc(all, func(h conf.Header) bool { return strings.EqualFold(h.Name, preset.Name) }) {
			all = append(all, preset)
		}
	}
	for _, h := range all {
		b = fmt.Appendf(b, "%s: %s\r\n", h.Name, h.Value)
	}
	if r.body != "" || !slices.Contains([]string{"", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete}, r.method) {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(r.body))
	}
	if r.last {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(append(b, "\r\n"...), r.body...)
}

// readHTTP reads the response to a check and returns the result. host is the Host that
// was sent.
func readHTTP(conn io.Reader, check *conf.Check, host string) Result {
	input := &boundedReader{reader: conn, left: maxHead}
	response, err := readFinal(bufio.NewReader(input), check.Method)
	if err != nil {
		return headResult(err, input.err)
	}
	// Closing the body would read all of it; the caller closes the connection.
	status := response.StatusCode
	switch {
	case check.DrainOn.Has(status):
		return Result{Code: L7OKC, Detail: fmt.Sprintf("HTTP status %d asks to be drained", status)}
	case !check.Expect.Has(status):
		return Result{Code: L7STS, Detail: fmt.Sprintf("HTTP status %d, expected %s%s", status, check.Expect, refusedHost(status, check.Host, host))}
	case check.ExpectBody == "":
		return Result{Code: L7OK, Detail: fmt.Sprintf("HTTP status %d", status)}
	}
	input.left = maxCoded
	return searchBody(response.Body, check.ExpectBody, status)
}

// refusedHost says what to try if a server may have refused the Host that a check sent
// without being configured to.
func refusedHost(status int, configured, sent string) string {
	if configured != "" || status != http.StatusForbidden && status != http.StatusMisdirectedRequest {
		return ""
	}
	return fmt.Sprintf(" (Host was %s; check.host sets another)", sent)
}

// searchBody reads the first maxBody bytes of a body until they have want.
func searchBody(body io.Reader, want string, status int) Result {
	var read []byte
	input := io.LimitReader(body, maxBody)
	for {
		read = slices.Grow(read, 4<<10)
		n, err := input.Read(read[len(read):cap(read)])
		from := max(len(read)-len(want)+1, 0) // what stands before it was searched
		read = read[:len(read)+n]
		switch {
		case bytes.Contains(read[from:], []byte(want)):
			return Result{Code: L7OK, Detail: fmt.Sprintf("HTTP status %d and the expected body", status)}
		case err == io.EOF, err == errTooLong:
			return Result{Code: L7RSP, Detail: fmt.Sprintf("HTTP status %d, but the body lacks %s", status, quote([]byte(want)))}
		case err != nil:
			return answerResult(err, "the expected body")
		}
	}
}

// readFinal reads response heads up to the first final one (RFC 9110 section 15.2).
// 101 counts as final, since no upgrade was requested.
func readFinal(reader *bufio.Reader, method string) (*http.Response, error) {
	for range maxInterim {
		response, err := http.ReadResponse(reader, &http.Request{Method: cmp.Or(method, http.MethodGet)})
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

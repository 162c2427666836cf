package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// net/http answers a request that it cannot read by itself, in plain text, before any
// handler sees it. A program that uses the API expects JSON there, too.

// plainError is what stands between the status and the reason, which is the status
// again, in such an answer.
const plainError = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// expectationFailed begins net/http's answer to an Expect that it does not know, which has no
// body and further headers.
const expectationFailed = "HTTP/1.1 417 Expectation Failed"

// asksAPI reports whether the first line of p is, or ends, the request line of a request
// to the API. Its method may have been read before.
func asksAPI(p []byte) bool {
	line, _, _ := bytes.Cut(p, []byte("\n"))
	_, target, _ := bytes.Cut(line, []byte(" "))
	target, _, _ = bytes.Cut(target, []byte(" "))
	path, _, _ := bytes.Cut(bytes.TrimSpace(target), []byte("?"))
	return isAPI(string(path))
}

// inFormat returns text, or if that is an answer of net/http's own to a request to the API,
// the same in JSON.
func inFormat(text []byte, api bool) []byte {
	if !api {
		return text
	}
	if bytes.HasPrefix(text, []byte(expectationFailed)) && bytes.HasSuffix(text, []byte("\r\n\r\n")) {
		text = []byte(expectationFailed + plainError + "417 Expectation Failed: of Expect only 100-continue is known")
	}
	head, reason, ok := bytes.Cut(text, []byte(plainError))
	status, isAnswer := bytes.CutPrefix(head, []byte("HTTP/1.1 "))
	if !ok || !isAnswer || bytes.IndexByte(head, '\r') >= 0 {
		return text
	}
	code, _, _ := strings.Cut(string(status), ":")
	body, err := json.Marshal(Failure{"the request cannot be read: " + string(reason)})
	if err != nil {
		return text
	}
	body = append(body, '\n')
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", code, len(body), body)
}

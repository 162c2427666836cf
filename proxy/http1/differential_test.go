package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// A message that both this package and net/http accept must mean the same to
// both. One that either refuses proves nothing: net/http is mostly laxer, and
// sometimes stricter (URIs that do not parse).

func TestRequestsLikeNetHTTP(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, c := range readCases(t) {
		if c.asked == nil && compareRequest(t, c.in) {
			compared++
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		if compareRequest(t, generate(r, requestLines)) {
			compared++
		}
	}
	if compared < 5_000 {
		t.Errorf("only %d requests were accepted by both", compared)
	}
}

func TestResponsesLikeNetHTTP(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, c := range readCases(t) {
		if c.asked != nil && compareResponse(t, c.in, c.reader().asked) {
			compared++
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		request := RequestContext{Method: []Method{MethodGet, MethodPost, MethodHead}[r.IntN(3)], WebSocket: r.IntN(2) == 0}
		if compareResponse(t, generate(r, statusLines), request) {
			compared++
		}
	}
	if compared < 5_000 {
		t.Errorf("only %d responses were accepted by both", compared)
	}
}

// compareRequest compares the readings of p, and reports whether both accepted
// it.
func compareRequest(t *testing.T, p []byte) bool {
	ours := &reader{}
	ours.feed(clipped(p))
	in := bytes.NewReader(p)
	buffered := bufio.NewReader(in)
	theirs, err := http.ReadRequest(buffered)
	if ours.headSize == 0 || err != nil {
		return false
	}
	h := &ours.request
	differs := func(what string, our, their any) {
		t.Errorf("%q:\n%s: %v, net/http: %v", p, what, our, their)
	}
	if theirs.Method != string(h.MethodName()) {
		differs("method", string(h.MethodName()), theirs.Method)
	}
	if theirs.RequestURI != string(h.Target()) {
		differs("target", string(h.Target()), theirs.RequestURI)
	}
	if !h.sameHost([]byte(theirs.Host), h.Host()) {
		differs("host", string(h.Host()), theirs.Host)
	}
	if theirs.Close == h.KeepAlive && !hasParameters(&h.Fields) {
		differs("keep-alive", h.KeepAlive, !theirs.Close)
	}
	compareFraming(ours.framing, h.Length, theirs.ContentLength, theirs.TransferEncoding, differs)
	compareFields(&h.Fields, p, differs)
	compareBody(ours, theirs.Body, in, buffered, differs)
	return true
}

func compareFraming(framing Framing, length, theirLength int64, codings []string, differs func(string, any, any)) {
	chunked := len(codings) > 0
	if (framing == FramingChunked) != chunked {
		differs("framing", framing, codings)
	}
	if (framing == FramingNone || framing == FramingLength) && length != theirLength {
		differs("length", length, theirLength)
	}
}

// compareFields compares the fields with those that net/textproto reads.
func compareFields(f *Fields, p []byte, differs func(string, any, any)) {
	theirs, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(p[f.start:]))).ReadMIMEHeader()
	if err != nil {
		return
	}
	ours := textproto.MIMEHeader{}
	for i := range f.NumFields() {
		ours.Add(string(f.Name(i)), string(f.Value(i)))
	}
	if !maps.EqualFunc(ours, theirs, func(a, b []string) bool { return slices.Equal(a, b) }) {
		differs("fields", ours, theirs)
	}
}

// compareBody reads the body with net/http, and compares it and the bytes after
// it.
func compareBody(ours *reader, body io.Reader, in *bytes.Reader, buffered *bufio.Reader, differs func(string, any, any)) {
	read, err := io.ReadAll(body)
	if ours.reason != ReasonNone || !ours.done {
		return
	}
	switch {
	case err != nil && isLimit(err):
	case err != nil:
		differs("body", "complete", err)
	case !bytes.Equal(read, ours.body):
		differs("body", string(ours.body), string(read))
	case buffered.Buffered()+in.Len() != len(ours.rest):
		differs("rest", string(ours.rest), buffered.Buffered()+in.Len())
	}
}

// isLimit reports whether net/http gave up because of one of its limits, or of
// a trailer section longer than its buffer.
func isLimit(err error) bool {
	return strings.Contains(err.Error(), "too long") || strings.Contains(err.Error(), "too much overhead") ||
		strings.Contains(err.Error(), "suspiciously long trailer") || errors.Is(err, bufio.ErrBufferFull)
}

// compareResponse compares the readings of p, and reports whether both accepted
// it.
func compareResponse(t *testing.T, p []byte, request RequestContext) bool {
	ours := &reader{response: true, asked: request}
	ours.feed(clipped(p))
	in := bytes.NewReader(p)
	buffered := bufio.NewReader(in)
	method := map[Method]string{MethodHead: "HEAD", MethodPost: "POST"}[request.Method]
	theirs, err := http.ReadResponse(buffered, &http.Request{Method: method})
	if ours.headSize == 0 || err != nil {
		return false
	}
	h := &ours.answer
	differs := func(what string, our, their any) {
		t.Errorf("%q to %s:\n%s: %v, net/http: %v", p, method, what, our, their)
	}
	if theirs.StatusCode != h.Status {
		differs("status", h.Status, theirs.StatusCode)
	}
	compareFields(&h.Fields, p, differs)
	ours.end()
	if h.hasNoBody(request.Method) { // net/http believes fields that announce one, even of a 204
		compareNoBody(h, method, differs)
		return true
	}
	if theirs.Close == h.KeepAlive && !hasParameters(&h.Fields) {
		differs("keep-alive", h.KeepAlive, !theirs.Close)
	}
	compareFraming(ours.framing, h.Length, theirs.ContentLength, theirs.TransferEncoding, differs)
	compareBody(ours, theirs.Body, in, buffered, differs)
	return true
}

// compareNoBody checks that net/http finds the end of a response without a body behind
// the head that is passed on, whatever stood in the one that came.
func compareNoBody(h *ResponseHead, method string, differs func(string, any, any)) {
	const next = "HTTP/1.1 200 OK\r\n\r\n"
	head := h.AppendFields(h.AppendStatusLine(nil), 0)
	buffered := bufio.NewReader(strings.NewReader(string(head) + "\r\n" + next))
	theirs, err := http.ReadResponse(buffered, &http.Request{Method: method})
	if err != nil {
		return // a name or value that it refuses
	}
	body, err := io.ReadAll(theirs.Body)
	if rest, _ := io.ReadAll(buffered); len(body) > 0 || err != nil || string(rest) != next {
		differs("passed on", string(head), fmt.Sprintf("body %q, %v, then %q", body, err, rest))
	}
}

// hasParameters reports whether an option of Connection may have parameters, with
// which net/http does not know it.
func hasParameters(f *Fields) bool {
	for i := f.Find(HeaderConnection, 0); i >= 0; i = f.Find(HeaderConnection, i+1) {
		if bytes.IndexByte(f.Value(i), ';') >= 0 {
			return true
		}
	}
	return false
}

// chunksByNetHTTP decodes a chunked body, and returns the bytes after it.
func chunksByNetHTTP(p []byte) (data, rest []byte, err error) {
	in := bytes.NewReader(p)
	buffered := bufio.NewReader(in)
	data, err = io.ReadAll(httputil.NewChunkedReader(buffered))
	rest, _ = io.ReadAll(buffered)
	return data, rest, err
}

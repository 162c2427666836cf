package http2

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mcplb/proxy/http1"

	"golang.org/x/net/http2/hpack"
)

// requestCase is a line of testdata/requests.txt.
type requestCase struct {
	line    string
	verdict string
	how     string
	fields  []string
}

// readCases reads testdata/requests.txt.
func readCases(t testing.TB) (cases []requestCase) {
	t.Helper()
	f, err := os.Open("testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); line != "" && line[0] != '#' {
			cases = append(cases, parseCase(t, line))
		}
	}
	return cases
}

func parseCase(t testing.TB, line string) requestCase {
	t.Helper()
	c := requestCase{line: line}
	var rest string
	c.verdict, rest, _ = strings.Cut(line, " ")
	c.how, rest, _ = strings.Cut(rest, " ")
	for _, base := range []struct {
		name   string
		fields []string
	}{{"GET", get}, {"POST", post}} {
		if after, found := strings.CutPrefix(rest, base.name+" "); found {
			c.fields, rest = slices.Clone(base.fields), after
		}
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		value, _ := strconv.Unquote(quoted)
		c.fields, rest = append(c.fields, value), rest[len(quoted):]
	}
	return c
}

// The ways to encode a field. A check that knows only some of them lets the others smuggle.
const (
	asPlain   = iota // literal strings
	asHuffman        // Huffman strings
	asNames          // names by index of the dynamic table, values as literals
	asIndexed        // names and values by one index
	encodings
)

// appendLiteral appends a string.
func appendLiteral(p []byte, s string, huffman bool) []byte {
	if !huffman {
		return append(appendInt(p, 0, 7, len(s)), s...)
	}
	return hpack.AppendHuffmanString(appendInt(p, 0x80, 7, int(hpack.HuffmanEncodeLength(s))), s)
}

// appendInt appends an integer behind the bits of a first byte.
func appendInt(p []byte, first byte, prefix uint8, n int) []byte {
	limit := 1<<prefix - 1
	if n < limit {
		return append(p, first|byte(n))
	}
	p = append(p, first|byte(limit))
	for n -= limit; n >= 128; n >>= 7 {
		p = append(p, byte(n)|0x80)
	}
	return append(p, byte(n))
}

// encodeAs encodes fields in one of the ways, and, for those that use the dynamic table, a
// block that fills it: an earlier request, which may be refused.
func encodeAs(fields []string, way int) (before, block []byte) {
	count := len(fields) / 2
	for i := 0; i < len(fields); i += 2 {
		index := staticEntries + count - i/2 // the first was added first: it has the highest
		switch way {
		case asPlain, asHuffman:
			block = appendLiteral(appendLiteral(append(block, 0), fields[i], way == asHuffman), fields[i+1], way == asHuffman)
		case asNames:
			before = appendLiteral(appendLiteral(append(before, 0x40), fields[i], false), "", false)
			block = appendLiteral(appendInt(block, 0, 4, index), fields[i+1], true)
		case asIndexed:
			before = appendLiteral(appendLiteral(append(before, 0x40), fields[i], true), fields[i+1], false)
			block = appendInt(block, 0x80, 7, index)
		}
	}
	return before, block
}

// Whatever would mean something else to a server of HTTP/1.1, or be a second request to it,
// is refused, however its fields are encoded.
func TestRequestCases(t *testing.T) {
	t.Parallel()
	cases := readCases(t)
	if len(cases) < 300 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		for way := range encodings {
			if got, head := c.run(t, way); got != c.verdict {
				t.Errorf("%s\nencoded in way %d: %s, want %s\n%q", c.line, way, got, c.verdict, head)
			}
		}
	}
}

// run sends the case and returns the verdict, and the text of the head.
func (c *requestCase) run(t *testing.T, way int) (verdict, text string) {
	t.Helper()
	p := newPeer(t)
	before, block := encodeAs(c.fields, way)
	id := uint32(1)
	send := func(block []byte, end bool) Event {
		flags := uint8(FlagEndHeaders)
		if end {
			flags |= FlagEndStream
		}
		p.in.Write(append(AppendFrameHeader(nil, len(block), FrameHeaders, flags, id), block...))
		return p.next()
	}
	if before != nil {
		send(before, true)
		id += 2
	}
	if strings.HasPrefix(c.how, "trailers") {
		_, head := encodeAs(post, asPlain)
		if e := send(head, false); e.Kind != EventRequest {
			t.Fatalf("%s: event %d, %v", c.line, e.Kind, e.Reason)
		}
	}
	e := send(block, c.how == "end" || c.how == "trailers")
	switch {
	case e.Reason != ReasonNone:
		if e.Kind != EventRefused && e.Kind != EventReset || e.Code != ProtocolError {
			t.Errorf("%s: event %d with %v", c.line, e.Kind, e.Code)
		}
		return e.Reason.String(), ""
	case e.Kind == EventTrailers:
		return "ok", checkLines(t, c, string(e.Head))
	case e.Kind != EventRequest:
		t.Fatalf("%s: event %d", c.line, e.Kind)
	}
	return parseText(t, c, e)
}

// parseText parses the text of a head as the balancer does, and checks what goes to a server.
func parseText(t *testing.T, c *requestCase, e Event) (verdict, text string) {
	t.Helper()
	var head http1.RequestHead
	n, why := head.Parse(e.Head, new(http1.Scan), 64<<10)
	if why != http1.ReasonNone {
		return "http1:" + why.String(), string(e.Head)
	}
	if n != len(e.Head) {
		t.Errorf("%s: http1 reads %d of %d bytes", c.line, n, len(e.Head))
	}
	if !head.KeepAlive || head.WebSocket != e.WebSocket || (head.Framing == http1.FramingNone) != (e.End || head.Length == 0 && head.Framing != http1.FramingChunked) {
		t.Errorf("%s: keep-alive %v, WebSocket %v, framing %v", c.line, head.KeepAlive, head.WebSocket, head.Framing)
	}
	return "ok", checkLines(t, c, string(head.AppendFields(nil, 0)))
}

// checkLines checks that a server gets as many lines as fields came, and none that frames the
// message but what the balancer itself has written.
func checkLines(t *testing.T, c *requestCase, lines string) string {
	t.Helper()
	if n := strings.Count(lines, "\n"); n != strings.Count(lines, "\r\n") || n > len(c.fields)/2+2 || strings.Count(lines, "\r") != n {
		t.Errorf("%s: %d lines of %d fields: %q", c.line, n, len(c.fields)/2, lines)
	}
	for line := range strings.SplitSeq(strings.ToLower(lines), "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch strings.ReplaceAll(name, "_", "-") {
		case "transfer-encoding", "connection", "upgrade", "te", "keep-alive", "http2-settings", "x-forwarded-for":
			t.Errorf("%s: a server gets %q", c.line, line)
		case "content-length":
			if name != "content-length" {
				t.Errorf("%s: a server gets %q", c.line, line)
			}
		}
	}
	return lines
}

// FuzzRequest sends fields that are parts of the input: whatever is accepted by both readers
// must be one request, with the lines that came.
func FuzzRequest(f *testing.F) {
	for i, c := range readCases(f) {
		if i%8 == 0 {
			f.Add(strings.Join(c.fields, "\x1f"), c.how == "end")
		}
	}
	f.Fuzz(func(t *testing.T, input string, end bool) {
		fields := strings.Split(input, "\x1f")
		if len(fields)%2 != 0 || len(input) > 8<<10 {
			t.Skip()
		}
		how := "open"
		if end {
			how = "end"
		}
		c := &requestCase{line: strconv.Quote(input), how: how, fields: fields}
		first := ""
		for way := range encodings {
			verdict, _ := c.run(t, way)
			if way == 0 {
				first = verdict
			}
			if verdict != first && !(way == asIndexed && len(input) > 2000) && len(fields) < 60 {
				t.Errorf("way %d: %s, but plain: %s", way, verdict, first)
			}
		}
	})
}

// A head over its limit is not the end of its connection: the stream is answered with 431, and
// the table stays in step, so that the next request is read as it was meant.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	large := strings.Repeat("x", 1500)
	var fields []string
	for range 20 {
		fields = append(fields, "x-large", large)
	}
	p.headers(1, true, append(slices.Clone(get), append(fields, "x-last", "kept")...)...)
	e := p.next()
	if e.Kind != EventTooLarge || e.Stream == nil || !e.End {
		t.Fatalf("event %d, %v", e.Kind, e.Reason)
	}
	p.out = p.conn.AppendResponse(p.out, e.Stream, []byte("HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n"), true)
	if e = p.open(3, true, append(slices.Clone(get), "x-last", "kept")...); !bytes.Contains(e.Head, []byte("\r\nx-last: kept\r\n")) {
		t.Errorf("head %q", e.Head)
	}
}

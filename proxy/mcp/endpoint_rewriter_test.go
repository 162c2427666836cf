package mcp

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const endpointEvent = "event: endpoint\ndata: /m?sessionId=1\n\n"

// comment returns a comment of n bytes.
func comment(n int) string { return ":" + strings.Repeat("x", n-2) + "\n" }

// tail returns the end of a long text.
func tail(text string) string { return text[max(0, len(text)-200):] }

// eventStreams are beginnings of event streams with the expected output for the
// tag of node1; an out of "" means unchanged.
var eventStreams = []struct{ name, in, out string }{
	{"nothing", "", ""},
	{"Go SDK", "event: endpoint\ndata: /sse?sessionid=ABC\n\n", "event: endpoint\ndata: /sse?sessionid=ABC&mcplb_tag=" + tag1 + "\n\n"},
	{"TypeScript SDK", "event: endpoint\ndata: /messages?sessionId=1-2-3\n\n", "event: endpoint\ndata: /messages?sessionId=1-2-3&mcplb_tag=" + tag1 + "\n\n"},
	{"Python SDK", "event: endpoint\r\ndata: /messages/?session_id=123\r\n\r\n", "event: endpoint\r\ndata: /messages/?session_id=123&mcplb_tag=" + tag1 + "\r\n\r\n"},
	{"carriage returns", "event: endpoint\rdata: /m?sessionId=1\r\rdata: x\r\r", "event: endpoint\rdata: /m?sessionId=1&mcplb_tag=" + tag1 + "\r\rdata: x\r\r"},
	{"all line ends", "event:endpoint\r\ndata:/m?sessionId=1\r\rdata: x\n\n", "event:endpoint\r\ndata:/m?sessionId=1&mcplb_tag=" + tag1 + "\r\rdata: x\n\n"},
	{"LF after the last CR", "event: endpoint\ndata: /m?sessionId=1\n\r\ndata: x\n\n", "event: endpoint\ndata: /m?sessionId=1&mcplb_tag=" + tag1 + "\n\r\ndata: x\n\n"},
	{"data first", "data: /m?sessionId=1\nevent: endpoint\n\n", "data: /m?sessionId=1&mcplb_tag=" + tag1 + "\nevent: endpoint\n\n"},
	{"absolute URI, fragment, more parameters", "event: endpoint\ndata: http://h:1/m?a=b&sessionId=1&c=d#f\nid: 7\n\n",
		"event: endpoint\ndata: http://h:1/m?a=b&sessionId=1&c=d&mcplb_tag=" + tag1 + "#f\nid: 7\n\n"},
	{"percent-encoded", "event: endpoint\ndata: /m?sessionId=a%2Fb\n\n", "event: endpoint\ndata: /m?sessionId=a%2Fb&mcplb_tag=" + tag1 + "\n\n"},
	{"white space", "event:   endpoint \ndata:  /m?sessionId=1 \t\n\n", "event:   endpoint \ndata:  /m?sessionId=1&mcplb_tag=" + tag1 + " \t\n\n"},
	{"tagged by another balancer", "event: endpoint\ndata: /m?sessionId=1." + tag2 + "\n\n", "event: endpoint\ndata: /m?sessionId=1." + tag2 + "&mcplb_tag=" + tag1 + "\n\n"},
	{"byte order mark", "\ufeffevent: endpoint\ndata: /m?sessionId=1\n\n", "\ufeffevent: endpoint\ndata: /m?sessionId=1&mcplb_tag=" + tag1 + "\n\n"},
	{"byte order mark in the midst", "\n\ufeffevent: endpoint\ndata: /m?sessionId=1\n\n", ""},
	{"comments", ": hello\n:\r\n:x\r\revent: endpoint\n: in between\ndata: /m?sessionId=1\n:\n\n",
		": hello\n:\r\n:x\r\revent: endpoint\n: in between\ndata: /m?sessionId=1&mcplb_tag=" + tag1 + "\n:\n\n"},
	{"other events before", "retry: 100\n\nevent: message\ndata: {}\n\nevent: endpoint\ndata: /m?sessionId=1\n\n",
		"retry: 100\n\nevent: message\ndata: {}\n\nevent: endpoint\ndata: /m?sessionId=1&mcplb_tag=" + tag1 + "\n\n"},
	{"each of several", "event: endpoint\ndata: /m?sessionId=1\n\nevent: endpoint\ndata: /m?sessionId=2\n\ndata: /m\nevent: endpoint\n\n",
		"event: endpoint\ndata: /m?sessionId=1&mcplb_tag=" + tag1 + "\n\nevent: endpoint\ndata: /m?sessionId=2&mcplb_tag=" + tag1 + "\n\ndata: /m?mcplb_tag=" + tag1 + "\nevent: endpoint\n\n"},
	{"the last name counts", "event: message\nevent: endpoint\ndata: /m?sessionId=1\n\n", "event: message\nevent: endpoint\ndata: /m?sessionId=1&mcplb_tag=" + tag1 + "\n\n"},
	{"another name", "event: endpoint\nevent: message\ndata: /m?sessionId=1\n\n", ""},
	{"no name", "data: /m?sessionId=1\n\n", ""},
	{"no data", "event: endpoint\n\n", ""},
	{"no colon", "event\ndata\n\n", ""},
	{"other case", "Event: endpoint\ndata: /m?sessionId=1\n\n", ""},
	{"no query", "event: endpoint\ndata: /messages/abc\n\n", "event: endpoint\ndata: /messages/abc?mcplb_tag=" + tag1 + "\n\n"},
	{"no value", "event: endpoint\ndata: /m?sessionId=\n\n", "event: endpoint\ndata: /m?sessionId=&mcplb_tag=" + tag1 + "\n\n"},
	{"empty query", "event: endpoint\ndata: /m?\n\n", "event: endpoint\ndata: /m?&mcplb_tag=" + tag1 + "\n\n"},
	{"ends with an ampersand", "event: endpoint\ndata: /m?a=b&\n\n", "event: endpoint\ndata: /m?a=b&&mcplb_tag=" + tag1 + "\n\n"},
	{"other name of the session", "event: endpoint\ndata: /m?sid=1\n\n", "event: endpoint\ndata: /m?sid=1&mcplb_tag=" + tag1 + "\n\n"},
	{"name in another case", "event: endpoint\ndata: /m?SessionID=1\n\n", "event: endpoint\ndata: /m?SessionID=1&mcplb_tag=" + tag1 + "\n\n"},
	{"session in the path", "event: endpoint\ndata: /sessions/1/messages/\n\n", "event: endpoint\ndata: /sessions/1/messages/?mcplb_tag=" + tag1 + "\n\n"},
	{"path parameter", "event: endpoint\ndata: /m;jsessionid=1\n\n", "event: endpoint\ndata: /m;jsessionid=1?mcplb_tag=" + tag1 + "\n\n"},
	{"relative path", "event: endpoint\ndata: messages?x=1\n\n", "event: endpoint\ndata: messages?x=1&mcplb_tag=" + tag1 + "\n\n"},
	{"relative path with dots", "event: endpoint\ndata: ../messages\n\n", "event: endpoint\ndata: ../messages?mcplb_tag=" + tag1 + "\n\n"},
	{"only a query", "event: endpoint\ndata: ?sessionId=1\n\n", "event: endpoint\ndata: ?sessionId=1&mcplb_tag=" + tag1 + "\n\n"},
	{"root", "event: endpoint\ndata: /\n\n", "event: endpoint\ndata: /?mcplb_tag=" + tag1 + "\n\n"},
	{"network path", "event: endpoint\ndata: //h:1/m\n\n", "event: endpoint\ndata: //h:1/m?mcplb_tag=" + tag1 + "\n\n"},
	{"absolute", "event: endpoint\ndata: https://h:1/m?sessionId=1\n\n", "event: endpoint\ndata: https://h:1/m?sessionId=1&mcplb_tag=" + tag1 + "\n\n"},
	{"absolute without a path", "event: endpoint\ndata: http://h:1\n\n", "event: endpoint\ndata: http://h:1?mcplb_tag=" + tag1 + "\n\n"},
	{"fragment", "event: endpoint\ndata: /m#f\n\n", "event: endpoint\ndata: /m?mcplb_tag=" + tag1 + "#f\n\n"},
	{"query and fragment", "event: endpoint\ndata: /m?a=b#f?g\n\n", "event: endpoint\ndata: /m?a=b&mcplb_tag=" + tag1 + "#f?g\n\n"},
	{"question mark in the fragment", "event: endpoint\ndata: /m#?a=b\n\n", "event: endpoint\ndata: /m?mcplb_tag=" + tag1 + "#?a=b\n\n"},
	{"empty fragment", "event: endpoint\ndata: /m#\n\n", "event: endpoint\ndata: /m?mcplb_tag=" + tag1 + "#\n\n"},
	{"escapes", "event: endpoint\ndata: /m%3Fx%23y?a=%26\n\n", "event: endpoint\ndata: /m%3Fx%23y?a=%26&mcplb_tag=" + tag1 + "\n\n"},
	{"UTF-8", "event: endpoint\ndata: /mü?a=世\n\n", "event: endpoint\ndata: /mü?a=世&mcplb_tag=" + tag1 + "\n\n"},
	{"our name with something else", "event: endpoint\ndata: /m?mcplb_tag=abc\n\n", "event: endpoint\ndata: /m?mcplb_tag=abc&mcplb_tag=" + tag1 + "\n\n"},
	{"two balancers", "event: endpoint\ndata: /m?mcplb_tag=" + tag2 + "\n\n", "event: endpoint\ndata: /m?mcplb_tag=" + tag2 + "&mcplb_tag=" + tag1 + "\n\n"},
	{"the same document", "event: endpoint\ndata: #f\n\n", ""},
	// Clients escape these characters, or leave the tab out: without the tag their POST
	// requests would reach any server.
	{"spaces", "event: endpoint\ndata: /my server/m?name=a b\n\n", "event: endpoint\ndata: /my server/m?name=a b&mcplb_tag=" + tag1 + "\n\n"},
	{"quotes and brackets", "event: endpoint\ndata: http://h/m?q=\"a\"#<f>\n\n", "event: endpoint\ndata: http://h/m?q=\"a\"&mcplb_tag=" + tag1 + "#<f>\n\n"},
	{"tab", "event: endpoint\ndata: m\t?a=b\n\n", "event: endpoint\ndata: m\t?a=b&mcplb_tag=" + tag1 + "\n\n"},
	{"JSON with spaces", "event: endpoint\ndata: {\"uri\":\"/m?a=b c&d=\\\"e\\\"\"}\n\n", "event: endpoint\ndata: {\"uri\":\"/m?a=b c&d=\\\"e\\\"&mcplb_tag=" + tag1 + "\"}\n\n"},
	{"JSON with prose", "event: endpoint\ndata: {\"path\":\"two words\"}\n\n", ""},
	{"no URI: control byte", "event: endpoint\ndata: /m\x01\n\n", ""},
	{"no URI: space", "event: endpoint\ndata: two words\n\n", ""},
	{"no URI: quotes", "event: endpoint\ndata: a\"b\n\n", ""},
	{"no URI: markup", "event: endpoint\ndata: <a>\n\n", ""},
	{"JSON", "event: endpoint\ndata: {\"uri\":\"/r/post?sessionId=11-47868\"}\n\n", "event: endpoint\ndata: {\"uri\":\"/r/post?sessionId=11-47868&mcplb_tag=" + tag1 + "\"}\n\n"},
	{"JSON with white space", "event: endpoint\ndata:  { \"uri\" : \"/m\" } \n\n", "event: endpoint\ndata:  { \"uri\" : \"/m?mcplb_tag=" + tag1 + "\" } \n\n"},
	{"JSON string", "event: endpoint\ndata: \"/m?a=b\"\n\n", "event: endpoint\ndata: \"/m?a=b&mcplb_tag=" + tag1 + "\"\n\n"},
	{"JSON array", "event: endpoint\ndata: [\"/m\",7,\"n/m\"]\n\n", "event: endpoint\ndata: [\"/m?mcplb_tag=" + tag1 + "\",7,\"n/m?mcplb_tag=" + tag1 + "\"]\n\n"},
	{"JSON with escapes", "event: endpoint\ndata: {\"url\":\"\\/m?a=1\\u0026b=2\"}\n\n", "event: endpoint\ndata: {\"url\":\"\\/m?a=1\\u0026b=2&mcplb_tag=" + tag1 + "\"}\n\n"},
	{"JSON with an escaped query and fragment", "event: endpoint\ndata: {\"url\":\"m\\u003Fa=1\\u0023f\"}\n\n", "event: endpoint\ndata: {\"url\":\"m\\u003Fa=1&mcplb_tag=" + tag1 + "\\u0023f\"}\n\n"},
	{"JSON with an escaped name", "event: endpoint\ndata: {\"\\u0075rl\":\"m\"}\n\n", "event: endpoint\ndata: {\"\\u0075rl\":\"m?mcplb_tag=" + tag1 + "\"}\n\n"},
	{"JSON, other names", "event: endpoint\ndata: {\"messageEndpoint\":\"m\",\"sessionId\":\"a1\",\"x\":\"/m\",\"protocol\":\"sse\"}\n\n", "event: endpoint\ndata: {\"messageEndpoint\":\"m?mcplb_tag=" + tag1 + "\",\"sessionId\":\"a1\",\"x\":\"/m?mcplb_tag=" + tag1 + "\",\"protocol\":\"sse\"}\n\n"},
	{"JSON, nested", "event: endpoint\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"endpoint\",\"params\":{\"a\":[{}],\"uri\":\"http://h/m\"}}\n\n", "event: endpoint\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"endpoint\",\"params\":{\"a\":[{}],\"uri\":\"http://h/m?mcplb_tag=" + tag1 + "\"}}\n\n"},
	{"JSON, a query under another name", "event: endpoint\ndata: {\"post\":\"messages?sessionId=1\",\"x\":\"why?\"}\n\n", "event: endpoint\ndata: {\"post\":\"messages?sessionId=1&mcplb_tag=" + tag1 + "\",\"x\":\"why?\"}\n\n"},
	{"JSON without a URI", "event: endpoint\ndata: {\"a\":1,\"b\":\"c\",\"uri\":\"\",\"url\":null}\n\n", ""},
	{"broken JSON", "event: endpoint\ndata: {\"uri\":\"/m\"\n\n", ""},
	{"empty data", "event: endpoint\ndata\n\n", ""},
	{"two lines of data", "event: endpoint\ndata: /m?\ndata: sessionId=1\n\n", "event: endpoint\ndata: /m?\ndata: sessionId=1&mcplb_tag=" + tag1 + "\n\n"},
	{"an empty second line", "event: endpoint\ndata: /m\ndata:\n\n", "event: endpoint\ndata: /m?mcplb_tag=" + tag1 + "\ndata:\n\n"},
	{"an empty first line", "data\nevent: endpoint\ndata: /m\n\n", "data\nevent: endpoint\ndata: /m?mcplb_tag=" + tag1 + "\n\n"},
	{"fragment in the second line", "event: endpoint\ndata: /m\ndata: #f\n\n", "event: endpoint\ndata: /m\ndata: ?mcplb_tag=" + tag1 + "#f\n\n"},
	{"JSON in several lines", "event: endpoint\r\ndata: {\r\ndata:   \"uri\": \"/m?a=b\"\r\nid: 1\r\ndata: }\r\n\r\n",
		"event: endpoint\r\ndata: {\r\ndata:   \"uri\": \"/m?a=b&mcplb_tag=" + tag1 + "\"\r\nid: 1\r\ndata: }\r\n\r\n"},
	{"no space", "event:endpoint\ndata:/m\n\n", "event:endpoint\ndata:/m?mcplb_tag=" + tag1 + "\n\n"},
	{"byte order mark and a comment", "\ufeff: hi\nevent: endpoint\ndata: /m\n\n", "\ufeff: hi\nevent: endpoint\ndata: /m?mcplb_tag=" + tag1 + "\n\n"},
	{"not ended", "event: endpoint\ndata: /m?sessionId=1\n", ""},
	{"not ended, CR", "event: endpoint\ndata: /m?sessionId=1\r\n", ""},
	{"messages", "event: message\ndata: {}\n\n: ping\n\nevent: message\ndata: {}\n\n", ""},
	{"late", comment(maxWatch) + endpointEvent + "data: /m\nevent: endpoint\n\nid: 1\n" + endpointEvent,
		comment(maxWatch) + endpointEvent[:36] + "&mcplb_tag=" + tag1 + "\n\ndata: /m\nevent: endpoint\n\nid: 1\n" + endpointEvent[:36] + "&mcplb_tag=" + tag1 + "\n\n"},
	{"after a long event", "data: " + strings.Repeat("x", 3*maxEvent) + "\n\n" + endpointEvent, "data: " + strings.Repeat("x", 3*maxEvent) + "\n\n" + endpointEvent[:36] + "&mcplb_tag=" + tag1 + "\n\n"},
	{"data first, just in time", comment(maxWatch-1) + "data: /m\nevent: endpoint\n\n", comment(maxWatch-1) + "data: /m?mcplb_tag=" + tag1 + "\nevent: endpoint\n\n"},
	{"too long", "event: endpoint\ndata: /m?x=" + strings.Repeat("x", maxEvent) + "&sessionId=1\n\n", ""},
	{"not an event stream", "\x00\xff{}", ""},
}

// rewrite passes the pieces of a stream through r, and returns the output
// before the flush at its end, and all of it.
func rewrite(r *EndpointRewriter, pieces [][]byte) (before, all string) {
	r.Reset(TagOf("node1"))
	var out []byte
	for _, piece := range pieces {
		if r.Done() {
			out = append(out, piece...)
		} else {
			out = r.Append(out, piece)
		}
	}
	before = string(out)
	return before, string(r.Flush(out))
}

func TestEndpointRewriter(t *testing.T) {
	t.Parallel()
	for _, stream := range eventStreams {
		t.Run(stream.name, func(t *testing.T) {
			t.Parallel()
			in, want := []byte(stream.in), stream.out
			if want == "" {
				want = stream.in
			}
			for _, pieces := range [][][]byte{{in}, oneByOne(in), chunks(in, 1)} {
				var r EndpointRewriter
				_, got := rewrite(&r, pieces)
				if got != want || r.Tagged() != (stream.out != "") || !r.Done() {
					t.Errorf("in %d pieces: %q\nwant %q; tagged %v, done %v", len(pieces), tail(got), tail(want), r.Tagged(), r.Done())
				}
			}
		})
	}
}

// TestEndpointRewriterHoldsLittle checks that nothing is held back that a
// reader could act on.
func TestEndpointRewriterHoldsLittle(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, now string }{
		{": ping\n", ": ping\n"},
		{": pi", ": pi"},
		{"\n\n:\r\n:", "\n\n:\r\n:"},
		{"data: x\n\n", "data: x\n\n"},
		{"data: x\r\r", "data: x\r\r"},
		{"data: x\n\ndata: y\n", "data: x\n\n"},
		{"event: endpoint\ndata: /m?sessionId=1\n\nda", "event: endpoint\ndata: /m?sessionId=1&mcplb_tag=" + tag1 + "\n\n"},
		{strings.Repeat("x", maxEvent), ""},
		{strings.Repeat("x", maxEvent+1), strings.Repeat("x", maxEvent+1)},
		{comment(maxWatch) + "data: {", comment(maxWatch) + "data: {"},
		{comment(maxWatch-1) + "data: {", comment(maxWatch - 1)},
	}
	for _, test := range tests {
		var r EndpointRewriter
		if now, _ := rewrite(&r, [][]byte{[]byte(test.in)}); now != test.now {
			t.Errorf("of %.50q, %.50q passes at once; want %.50q", test.in, now, test.now)
		}
	}
}

func TestEndpointRewriterZero(t *testing.T) {
	t.Parallel()
	var r EndpointRewriter
	if got := r.Append(nil, []byte(eventStreams[1].in)); !r.Done() || string(got) != eventStreams[1].in {
		t.Errorf("done %v, %q; want all of it", r.Done(), got)
	}
}

// readEvents is a naive reader of an event stream, which must have no event over
// maxEvent: it returns the data of every complete endpoint event.
func readEvents(stream string) (data []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	name, lines := "", []string(nil)
	for {
		line, rest, ended := strings.Cut(stream, "\n")
		if !ended {
			return data
		}
		stream = rest
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimPrefix(value, " "); {
		case line == "":
			if name == "endpoint" && len(lines) > 0 {
				data = append(data, strings.Join(lines, "\n"))
			}
			name, lines = "", nil
		case key == "event":
			name = strings.Trim(value, " \t")
		case key == "data":
			lines = append(lines, value)
		}
	}
}

// FuzzEndpointRewriter checks that nothing depends on how a stream is split, that
// nothing but the tag is added, that SplitQuery takes it off again, and that
// every URI of an endpoint event has it.
func FuzzEndpointRewriter(f *testing.F) {
	for i, stream := range eventStreams {
		if len(stream.in) < 1000 {
			f.Add([]byte(stream.in), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		var r EndpointRewriter
		_, want := rewrite(&r, [][]byte{data})
		tagged := r.Tagged()
		for _, pieces := range [][][]byte{oneByOne(data), chunks(data, seed)} {
			if _, got := rewrite(&r, pieces); got != want || r.Tagged() != tagged {
				t.Fatalf("%q in %d pieces: %q, tagged %v; want %q, %v", data, len(pieces), got, r.Tagged(), want, tagged)
			}
		}
		if cap(r.held) > 2*maxEvent {
			t.Fatalf("the buffer has %d bytes", cap(r.held))
		}
		if bytes.Contains(data, []byte(tag1)) || len(data) > maxEvent {
			return
		}
		if back := added.ReplaceAllString(want, ""); back != string(data) {
			t.Fatalf("%q became %q: something else than the tag was added", data, want)
		}
		before, after := readEvents(string(data)), readEvents(want)
		if len(before) != len(after) {
			t.Fatalf("%q became %q, with another number of endpoint events", data, want)
		}
		for i := range before {
			checkEndpoint(t, before[i], after[i])
		}
	})
}

// added is what the rewriter adds.
var added = regexp.MustCompile("[?&]mcplb_tag=" + tag1)

// checkEndpoint checks the data of an endpoint event, before and after.
func checkEndpoint(t *testing.T, before, after string) {
	t.Helper()
	uri := strings.Trim(before, white)
	if uri == "" || strings.ContainsAny(uri[:1], `{["#`) || strings.ContainsAny(uri, " \t\n\"<>") || strings.ContainsFunc(uri, unicode.IsControl) {
		return
	}
	tagged := []byte(strings.Trim(after, white))
	q := SplitQuery(tagged)
	if !q.Tagged || q.Tag.String() != tag1 || string(AppendUntagged(nil, tagged, q)) != uri {
		t.Fatalf("of %q became %q, of which SplitQuery makes %+v", uri, tagged, q)
	}
	checkQueries(t, []byte(uri), tagged, q.Tag)
}

// An event stream of whatever length is tagged at every place where its endpoint
// event may be split, also if another process continues it: a client whose POST
// goes to another server loses its session.
func TestEndpointRewriterSplit(t *testing.T) {
	t.Parallel()
	for _, stream := range eventStreams {
		if len(stream.in) > 1000 {
			continue
		}
		want := stream.out
		if want == "" {
			want = stream.in
		}
		for split := range len(stream.in) + 1 {
			var first, second EndpointRewriter
			first.Reset(TagOf("node1"))
			got := first.Append(nil, []byte(stream.in[:split]))
			transfer(t, &first, &second)
			got = second.Append(got, []byte(stream.in[split:]))
			if got = second.Flush(got); string(got) != want {
				t.Fatalf("%s, split at %d: %q, want %q", stream.name, split, got, want)
			}
		}
	}
}

func TestEndpointRewriterAllocates(t *testing.T) {
	stream := []byte(eventStreams[1].in)
	dst := make([]byte, 0, 256)
	var r EndpointRewriter
	n := testing.AllocsPerRun(100, func() {
		r.Reset(TagOf("node1"))
		dst = r.Append(dst[:0], stream[:20])
		dst = r.Append(dst, stream[20:])
		if !r.Tagged() {
			t.Error("not tagged")
		}
	})
	if n != 0 {
		t.Errorf("rewriting allocates %v times, want 0", n)
	}
}

func BenchmarkEndpointRewriter(b *testing.B) {
	stream := []byte(eventStreams[1].in)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	dst := make([]byte, 0, 256)
	var r EndpointRewriter
	for b.Loop() {
		r.Reset(TagOf("node1"))
		dst = r.Append(dst[:0], stream)
		if !bytes.Contains(dst, r.tag[:]) {
			b.Fatal("not tagged")
		}
	}
}

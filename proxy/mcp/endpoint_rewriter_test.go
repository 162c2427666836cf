package mcp

import (
	"bytes"
	"strings"
	"testing"
)

const endpointEvent = "event: endpoint\ndata: /m?sessionId=1\n\n"

// comment returns a comment of n bytes.
func comment(n int) string { return ":" + strings.Repeat("x", n-2) + "\n" }

// tail returns the end of a long text.
func tail(text string) string { return text[max(0, len(text)-200):] }

// eventStreams are beginnings of event streams with the expected output for the
// tag of node1; an out of "" means unchanged. done is expected after the last
// byte.
var eventStreams = []struct {
	name, in, out string
	done          bool
}{
	{"nothing", "", "", false},
	{"Go SDK", "event: endpoint\ndata: /sse?sessionid=ABC\n\n", "event: endpoint\ndata: /sse?sessionid=ABC." + tag1 + "\n\n", true},
	{"TypeScript SDK", "event: endpoint\ndata: /messages?sessionId=1-2-3\n\n", "event: endpoint\ndata: /messages?sessionId=1-2-3." + tag1 + "\n\n", true},
	{"Python SDK", "event: endpoint\r\ndata: /messages/?session_id=123\r\n\r\n", "event: endpoint\r\ndata: /messages/?session_id=123." + tag1 + "\r\n\r\n", true},
	{"carriage returns", "event: endpoint\rdata: /m?sessionId=1\r\rdata: x\r\r", "event: endpoint\rdata: /m?sessionId=1." + tag1 + "\r\rdata: x\r\r", true},
	{"all line ends", "event:endpoint\r\ndata:/m?sessionId=1\r\rdata: x\n\n", "event:endpoint\r\ndata:/m?sessionId=1." + tag1 + "\r\rdata: x\n\n", true},
	{"LF after the last CR", "event: endpoint\ndata: /m?sessionId=1\n\r\ndata: x\n\n", "event: endpoint\ndata: /m?sessionId=1." + tag1 + "\n\r\ndata: x\n\n", true},
	{"data first", "data: /m?sessionId=1\nevent: endpoint\n\n", "data: /m?sessionId=1." + tag1 + "\nevent: endpoint\n\n", true},
	{"absolute URI, fragment, more parameters", "event: endpoint\ndata: http://h:1/m?a=b&sessionId=1&c=d#f\nid: 7\n\n",
		"event: endpoint\ndata: http://h:1/m?a=b&sessionId=1." + tag1 + "&c=d#f\nid: 7\n\n", true},
	{"percent-encoded", "event: endpoint\ndata: /m?sessionId=a%2Fb\n\n", "event: endpoint\ndata: /m?sessionId=a%2Fb." + tag1 + "\n\n", true},
	{"white space", "event:   endpoint \ndata:  /m?sessionId=1 \t\n\n", "event:   endpoint \ndata:  /m?sessionId=1." + tag1 + " \t\n\n", true},
	{"tagged by another balancer", "event: endpoint\ndata: /m?sessionId=1." + tag2 + "\n\n", "event: endpoint\ndata: /m?sessionId=1." + tag2 + "." + tag1 + "\n\n", true},
	{"byte order mark", "\ufeffevent: endpoint\ndata: /m?sessionId=1\n\n", "\ufeffevent: endpoint\ndata: /m?sessionId=1." + tag1 + "\n\n", true},
	{"byte order mark in the midst", "\n\ufeffevent: endpoint\ndata: /m?sessionId=1\n\n", "", false},
	{"comments", ": hello\n:\r\n:x\r\revent: endpoint\n: in between\ndata: /m?sessionId=1\n:\n\n",
		": hello\n:\r\n:x\r\revent: endpoint\n: in between\ndata: /m?sessionId=1." + tag1 + "\n:\n\n", true},
	{"other events before", "retry: 100\n\nevent: message\ndata: {}\n\nevent: endpoint\ndata: /m?sessionId=1\n\n",
		"retry: 100\n\nevent: message\ndata: {}\n\nevent: endpoint\ndata: /m?sessionId=1." + tag1 + "\n\n", true},
	{"only the first", "event: endpoint\ndata: /m?sessionId=1\n\nevent: endpoint\ndata: /m?sessionId=2\n\n",
		"event: endpoint\ndata: /m?sessionId=1." + tag1 + "\n\nevent: endpoint\ndata: /m?sessionId=2\n\n", true},
	{"the last name counts", "event: message\nevent: endpoint\ndata: /m?sessionId=1\n\n", "event: message\nevent: endpoint\ndata: /m?sessionId=1." + tag1 + "\n\n", true},
	{"another name", "event: endpoint\nevent: message\ndata: /m?sessionId=1\n\n", "", false},
	{"no name", "data: /m?sessionId=1\n\n", "", false},
	{"no data", "event: endpoint\n\n", "", false},
	{"no colon", "event\ndata\n\n", "", false},
	{"other case", "Event: endpoint\ndata: /m?sessionId=1\n\n", "", false},
	{"no session", "event: endpoint\ndata: /messages/abc\n\n", "", true},
	{"empty session", "event: endpoint\ndata: /m?sessionId=\n\n", "", true},
	{"empty data", "event: endpoint\ndata\n\n", "", true},
	{"two lines of data", "event: endpoint\ndata: /m?sessionId=1\ndata: x\n\n", "", true},
	{"two lines of data, the last a URI", "event: endpoint\ndata: x\ndata: /m?sessionId=1\n\n", "", true},
	{"not ended", "event: endpoint\ndata: /m?sessionId=1\n", "", false},
	{"not ended, CR", "event: endpoint\ndata: /m?sessionId=1\r\n", "", false},
	{"messages", "event: message\ndata: {}\n\n: ping\n\nevent: message\ndata: {}\n\n", "", false},
	{"too late", comment(maxWatch) + endpointEvent, "", true},
	{"ends too late", comment(maxWatch-len(endpointEvent)+1) + endpointEvent, "", true},
	{"just in time", comment(maxWatch-len(endpointEvent)) + endpointEvent,
		comment(maxWatch-len(endpointEvent)) + "event: endpoint\ndata: /m?sessionId=1." + tag1 + "\n\n", true},
	{"too long", "event: endpoint\ndata: /m?x=" + strings.Repeat("x", maxWatch) + "&sessionId=1\n\n", "", true},
	{"not an event stream", "\x00\xff{}", "", false},
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
				r.Reset(Tag{})
				for _, piece := range pieces {
					r.Append(nil, piece)
				}
				if r.Done() != stream.done {
					t.Errorf("in %d pieces: done %v", len(pieces), r.Done())
				}
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
		{"event: endpoint\ndata: /m?sessionId=1\n\nda", "event: endpoint\ndata: /m?sessionId=1." + tag1 + "\n\nda"},
		{strings.Repeat("x", maxWatch-1), ""},
		{strings.Repeat("x", maxWatch), strings.Repeat("x", maxWatch)},
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

// rewriteSlowly is a naive EndpointRewriter that splits the stream.
func rewriteSlowly(data, tag string) (out string, tagged bool) {
	window := data[:min(len(data), maxWatch)]
	text := strings.TrimPrefix(window, "\ufeff")
	offset := len(window) - len(text)
	name, lines, uriEnd := "", 0, 0
	uri := ""
	for len(text) > 0 {
		n := strings.IndexAny(text, "\r\n")
		if n < 0 {
			return data, false
		}
		line, size := text[:n], n+1
		if strings.HasPrefix(text[n:], "\r\n") {
			size++
		}
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.Trim(value, " \t"); {
		case line == "" && lines > 0 && name == "endpoint":
			return insertTag(data, uri, uriEnd, lines, tag)
		case line == "":
			name, lines = "", 0
		case key == "event":
			name = value
		case key == "data":
			lines++
			uri, uriEnd = value, offset+len(strings.TrimRight(line, " \t"))
		}
		text, offset = text[size:], offset+size
	}
	return data, false
}

// insertTag tags the session in uri, which ends at end in data.
func insertTag(data, uri string, end, lines int, tag string) (string, bool) {
	session := endpointSession([]byte(uri))
	if lines > 1 || session.Len() == 0 {
		return data, false
	}
	at := end - len(uri) + session.End
	return data[:at] + "." + tag + data[at:], true
}

func FuzzEndpointRewriter(f *testing.F) {
	for i, stream := range eventStreams {
		if len(stream.in) < 1000 {
			f.Add([]byte(stream.in), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		want, tagged := rewriteSlowly(string(data), tag1)
		var r EndpointRewriter
		for _, pieces := range [][][]byte{{data}, oneByOne(data), chunks(data, seed)} {
			_, got := rewrite(&r, pieces)
			if got != want || r.Tagged() != tagged {
				t.Fatalf("%q in %d pieces: %q, tagged %v; want %q, %v", data, len(pieces), got, r.Tagged(), want, tagged)
			}
			if cap(r.held) > 2*maxWatch {
				t.Fatalf("the buffer has %d bytes", cap(r.held))
			}
		}
	})
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

package l7

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/session"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rpcOpen opens a stream with a POST of a JSON-RPC request.
func (p *peer) rpcOpen(stream uint32, id string, fields ...string) {
	p.Helper()
	p.open(stream, false, "POST", "/mcp", append([]string{"content-type", "application/json"}, fields...)...)
	p.check(p.WriteData(stream, true, []byte(rpcBody(id))))
}

// hear reads frames until a stream has exactly this body, and not its end.
func (p *peer) hear(stream uint32, body string) {
	p.Helper()
	for p.streams[stream] == nil || len(p.streams[stream].body) < len(body) {
		if failed := p.note(p.frame()); failed != "" {
			p.Fatal(failed)
		}
	}
	if s := p.streams[stream]; s.body != body || s.end != "" {
		p.Fatalf("stream %d: %q %s, want %q", stream, s.body, s.end, body)
	}
}

// An event passes when it comes, not with the next one, however the server frames it and
// whatever else is under way on the connection.
func TestHTTP2Events(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		framing string
		chunked bool
	}{"chunked": {"Transfer-Encoding: chunked\r\n", true}, "open": {"", false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, overHTTP2, oneLoop)
			p := b.peer()
			p.open(1, true, "GET", "/events", "accept", "text/event-stream", "accept-encoding", "gzip")
			server := s.next()
			server.request()
			server.Say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + c.framing + "\r\n")
			all := ""
			for i := range 20 {
				event := fmt.Sprintf("id: %d\ndata: {\"n\":%d}\n\n", i, i)
				all += event
				if c.chunked {
					event = chunk(event)
				}
				server.Say(event)
				p.hear(1, all) // before the next is sent
			}
			p.rpcOpen(3, "1")
			other := s.next()
			other.request()
			other.answer("beside it")
			p.want(3, "200 9 END_STREAM")
			p.check(p.WriteRSTStream(1, http2.ErrCodeCancel))
			server.HearReset()
			p.Finish()
		})
	}
}

// A client that cancels frees the server at once, whatever state its exchange is in, and other
// streams go on.
func TestHTTP2CancelAtAnyTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, answer string }{
		"within the request":      {"part", ""},
		"before the answer":       {"complete", ""},
		"within the answer":       {"complete", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"},
		"within an event stream":  {"complete", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"},
		"within both":             {"part", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
		"after an interim answer": {"complete", "HTTP/1.1 103 Early Hints\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, overHTTP2)
			p := b.peer()
			p.open(1, true, "GET", "/stays")
			stays := s.next()
			stays.request()
			p.open(3, false, "POST", "/", "content-length", "8")
			p.check(p.WriteData(3, len(c.body) == 8, []byte(c.body)))
			server := s.next()
			server.head()
			server.Hear(c.body)
			if c.answer != "" {
				server.Say(c.answer)
				for p.streams[3] == nil || p.streams[3].status == "" {
					p.note(p.frame())
				}
			}
			p.check(p.WriteRSTStream(3, http2.ErrCodeCancel))
			server.HearReset()
			stays.answer("fine")
			p.want(1, "200 4 END_STREAM")
			p.Finish()
		})
	}
}

// A server that answers before the request is complete is heard: the answer is complete, the rest
// of the request is not wanted, and that server's connection serves no other request.
func TestHTTP2EarlyAnswer(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, overHTTP2, withStoppedTime)
	p := b.peer()
	p.open(1, false, "POST", "/", "content-length", "8")
	p.check(p.WriteData(1, false, []byte("part")))
	server := s.next()
	server.head()
	server.Say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch")
	p.want(1, "413 4 END_STREAM")
	b.Advance(streamLinger + time.Second)
	for {
		if f, ok := p.frame().(*http2.RSTStreamFrame); ok {
			if f.StreamID != 1 || f.ErrCode != http2.ErrCodeNo {
				t.Errorf("%v", f)
			}
			break
		}
	}
	p.open(3, true, "GET", "/")
	other := s.next()
	other.request()
	other.answer("fine")
	p.want(3, "200 4 END_STREAM")
	p.Finish()
}

// Responses that the balancer generates are for the request that they answer: with a JSON-RPC
// error that has its id, where that was JSON-RPC.
func TestHTTP2GeneratedResponses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*setup)
		fields []string
		cause  func(b *fixture, s *server)
		status string
	}{
		"a body that is too large": {withFrontend(func(f *conf.Frontend) { f.MaxBody = 10 }), []string{"content-length", fmt.Sprint(len(rpcBody(`"seven"`)))}, nil, "413"},
		"a foreign origin":         {withFrontend(func(f *conf.Frontend) { f.AllowedOrigins = []string{"http://good.example"} }), []string{"origin", "http://evil.example"}, nil, "403"},
		"a rate": {func(s *setup) {
			s.StopTime()
			s.Limits.MessageRate, s.Limits.MessageBurst, s.Limits.OverMessage, s.Limits.BanAfter = 1, 1, conf.Reject, 0
		}, nil, nil, "429"},
		"a server that ends":      {withRetries(0), nil, func(_ *fixture, s *server) { server := s.next(); server.request(); server.Finish() }, "502"},
		"a server that is silent": {times, nil, func(b *fixture, s *server) { server := s.next(); server.request(); b.Advance(81 * time.Second) }, "504"},
		"a full server":           {func(s *setup) { times(s); withMaxConn(1)(s) }, nil, func(b *fixture, _ *server) { b.awaitState("queued", 1); b.Advance(7 * time.Second) }, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, overHTTP2, c.change)
			p := b.peer()
			switch name {
			case "a rate":
				p.open(1, true, "GET", "/")
				server := s.next()
				server.request()
				server.answer("fine")
				p.want(1, "200 4 END_STREAM")
			case "a full server":
				p.open(1, true, "GET", "/")
				server := s.next()
				server.request()
			}
			p.rpcOpen(3, `"seven"`, c.fields...)
			if c.cause != nil {
				c.cause(b, s)
			}
			got := p.outcome(3)
			known := func(id string) bool { // a body that is too large is not waited for
				return id == `"seven"` || id == "null" && c.status == "413"
			}
			if s := p.streams[3]; s.status != c.status || s.end != "END_STREAM" || s.fields.Get("Content-Type") != "application/json" || !known(string(parseRPC(t, s.body).ID)) {
				t.Errorf("%s %q %v, want %s", got, s.body, s.fields, c.status)
			}
			p.Finish()
		})
	}
}

// Times that are for a request hold for a stream, and end that stream alone.
func TestHTTP2StreamTimeouts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body    bool // of the request is incomplete
		answer  string
		after   time.Duration
		outcome string
	}{
		"timeout_client, a body that stalls":       {true, "", 51 * time.Second, "408 "},
		"timeout_server, no answer":                {false, "", 81 * time.Second, "504 "},
		"timeout_server, within an answer":         {false, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 81 * time.Second, "200 3 INTERNAL_ERROR"},
		"timeout_stream, an event stream is quiet": {false, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nabc", 121 * time.Second, "200 3 INTERNAL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, withRouteFile(t, route(`timeout_stream = "120s"`)), overHTTP2, times)
			p := b.peer()
			p.open(1, !c.body, "POST", "/", "content-type", "text/plain")
			server := s.next()
			server.head()
			if c.answer != "" {
				server.Say(c.answer)
				p.hear(1, "abc")
			}
			b.Advance(c.after)
			if got := p.outcome(1); !strings.HasPrefix(got, c.outcome) {
				t.Errorf("%s, want %s", got, c.outcome)
			}
			p.open(3, true, "GET", "/")
			other := s.next()
			other.request()
			other.answer("fine")
			p.want(3, "200 4 END_STREAM")
			p.Finish()
		})
	}
}

// Every stream has a line in the log, cancelled ones included.
func TestHTTP2Log(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, overHTTP2)
	p := b.peer()
	p.open(1, true, "GET", "/first")
	server := s.next()
	server.request()
	server.answer("fine")
	p.want(1, "200 4 END_STREAM")
	p.open(3, true, "GET", "/second")
	server.request()
	p.check(p.WriteRSTStream(3, http2.ErrCodeCancel))
	server.HearReset()
	p.open(5, true, "GET", "/third", "bad field", "x")
	p.want(5, " 0 PROTOCOL_ERROR")
	p.Finish()
	b.Eventually("the client has ended", func() bool { return b.Engine.Load() == 0 })
	lines := b.Lines()
	if len(lines) != 3 {
		t.Fatalf("%d lines: %+v", len(lines), lines)
	}
	for i, want := range []string{"h2 /first 200 completed", "h2 /second 0 " + session.ClientReset.String(), "h2  0 bad_request"} {
		l := lines[i]
		if got := fmt.Sprint(l.Protocol, " ", l.Path, " ", l.Status, " ", l.Reason); got != want {
			t.Errorf("line %d: %s, want %s", i, got, want)
		}
	}
}

// The bytes of each stream are its own. Otherwise an operator cannot say which request of a
// connection has filled the line.
func TestHTTP2LogBytes(t *testing.T) {
	t.Parallel()
	b := start(t, []string{netServer(t, echo)}, overHTTP2)
	p := b.peer()
	p.open(1, false, "POST", "/a")
	p.open(3, false, "POST", "/b")
	p.check(p.WriteData(1, false, make([]byte, 1000)))
	p.check(p.WriteData(3, true, make([]byte, 10)))
	p.check(p.WriteData(1, true, make([]byte, 500)))
	p.want(1, "200 1500 END_STREAM")
	p.want(3, "200 10 END_STREAM")
	p.Finish()
	b.Eventually("the client has ended", func() bool { return b.Engine.Load() == 0 })
	in, out := map[string]uint64{}, map[string]uint64{}
	for _, l := range b.Lines() {
		in[l.Path], out[l.Path] = l.BytesIn, l.BytesOut
	}
	const framing = 32 // of a body without Content-Length
	if more := in["/a"] - in["/b"]; in["/b"] <= 10 || more < 1490 || more > 1490+framing {
		t.Errorf("bytes from the client: %v", in)
	}
	digits := uint64(len("1500") - len("10")) // of Content-Length
	if out["/b"] <= 10 || out["/a"] != out["/b"]+1490+digits {
		t.Errorf("bytes to the client: %v", out)
	}
}

// Trailers pass both ways, but for those that could change what was routed or framed.
func TestHTTP2Trailers(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, overHTTP2)
	p := b.peer()
	p.open(1, false, "POST", "/", "content-type", "text/plain", "trailer", "x-sum")
	p.check(p.WriteData(1, false, []byte("body")))
	server := s.next()
	server.head()
	p.block.Reset()
	for _, field := range [][2]string{{"x-sum", "4"}, {"host", "evil"}, {"content-length", "9"}, {"authorization", "me"}} {
		p.check(p.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	p.check(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block.Bytes(), EndStream: true, EndHeaders: true}))
	server.Hear("4\r\nbody\r\n0\r\nx-sum: 4\r\n\r\n")
	server.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 5\r\nContent-Encoding: br\r\nSet-Cookie: a=b\r\n\r\n")
	p.want(1, "200 2 END_STREAM")
	if got := p.streams[1].fields; got.Get("X-Sum") != "5" || got.Get("Content-Encoding") != "" || strings.Contains(strings.Join(got["Set-Cookie"], ""), "a=b") {
		t.Errorf("the client got %v", got)
	}
	p.Finish()
}

// A stream that is reset for its client's fault is counted, and logged with what is wrong: an
// operator could not tell it from a client that leaves.
func TestHTTP2FaultsShow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field  string // of the trailers; "" = none, and a body longer than Content-Length
		detail string
	}{
		"connection":           {"connection", "connection"},
		"pseudo-header":        {":path", "pseudo_late"},
		"capital":              {"X-Sum", "upper_case"},
		"more than the length": {"", "length_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, overHTTP2)
			p := b.peer()
			p.open(1, false, "POST", "/x", "content-length", "1")
			server := s.next()
			server.head()
			if c.field == "" {
				p.check(p.WriteData(1, true, []byte("ab")))
			} else {
				p.check(p.WriteData(1, false, []byte("a")))
				p.block.Reset()
				p.check(p.encoder.WriteField(hpack.HeaderField{Name: c.field, Value: "1"}))
				p.check(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block.Bytes(), EndStream: true, EndHeaders: true}))
			}
			p.want(1, " 0 PROTOCOL_ERROR")
			p.Finish()
			if line := b.only(); line.Reason != "bad_request" || line.Detail != c.detail || line.Path != "/x" {
				t.Errorf("the log has the line %+v", line)
			}
			if got := b.frontend.Totals().StreamsRefused; got[c.detail] != 1 {
				t.Errorf("counted: %v", got)
			}
		})
	}
}

// Behind a trusted proxy each stream has the client that X-Forwarded-For names.
func TestHTTP2TrustedProxy(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 2)
	b := start(t, []string{netServer(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })}, overHTTP2, trusting)
	p := b.peer()
	for i, address := range []string{"192.0.2.1", "192.0.2.2"} {
		id := uint32(1 + 2*i)
		p.open(id, true, "GET", "/", "x-forwarded-for", address)
		p.want(id, "200 0 END_STREAM")
		if got := (<-seen).Get("X-Forwarded-For"); got != address+", 127.0.0.1" {
			t.Errorf("the server got X-Forwarded-For: %s", got)
		}
	}
	p.Finish()
	b.Eventually("the client has ended", func() bool { return b.Engine.Load() == 0 })
	clients := map[string]bool{}
	for _, l := range b.Lines() {
		clients[l.Client] = true
	}
	if !clients["192.0.2.1"] || !clients["192.0.2.2"] || len(clients) != 2 {
		t.Errorf("the log has clients %v", clients)
	}
}

// A body that is collected before its request is forwarded goes on to come, although its first
// window came with its head: otherwise every call of more than that hangs, and is answered 408.
func TestHTTP2CollectedBody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*setup)
		method string // of MCP
	}{
		"for a rule":             {withFrontend(denials), "tools/call"},
		"for a task":             {func(*setup) {}, "tasks/get"},
		"while slots are scarce": {func(s *setup) { bodyRate(64 << 10)(s); withMaxConn(1)(s) }, "tools/call"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, overHTTP2, c.change)
			body := `{"jsonrpc":"2.0","id":1,"method":"` + c.method + `","params":{"x":"` + strings.Repeat("x", 40<<10) + `"}}`
			p := b.peer()
			window := int(b.frontend.Settings().Frontend.HTTP2Buffer / 4)
			var first bytes.Buffer // goes out at once
			direct := p.Framer
			p.Framer = http2.NewFramer(&first, nil)
			p.open(1, false, "POST", "/mcp", "content-type", "application/json", "mcp-protocol-version", "2026-07-28", "mcp-method", c.method)
			p.check(p.WriteData(1, false, []byte(body[:window])))
			p.Framer = direct
			p.Say(first.String())
			sent, credit := window, 0
			for sent < len(body) {
				if f, ok := p.frame().(*http2.WindowUpdateFrame); ok && f.StreamID == 1 {
					credit += int(f.Increment)
				}
				n := min(credit, len(body)-sent)
				for piece := body[sent : sent+n]; len(piece) > 0; {
					k := min(len(piece), 16<<10)
					p.check(p.WriteData(1, sent+k == len(body), []byte(piece[:k])))
					sent, credit, piece = sent+k, credit-k, piece[k:]
				}
			}
			server := s.next()
			if _, got := server.request(); got != body {
				t.Errorf("the server got %d bytes of %d", len(got), len(body))
			}
			server.answer("fine")
			p.want(1, "200 4 END_STREAM")
			p.Finish()
		})
	}
}

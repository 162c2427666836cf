package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"testing"

	"mcplb/internal/endpoint"
)

// HTTP clients continue in the middle of what they do: between requests, in a head,
// in a stream, in a frame.
func TestHandOverHTTP(t *testing.T) {
	t.Parallel()
	overTransports(t, handOverHTTP)
}

func handOverHTTP(t *testing.T, on *transports) {
	more := map[string]chan string{"/stream": make(chan string), "/endpoint": make(chan string)}
	s := endpoint.Serve(t, func(c *net.TCPConn) { handOverNode(t.Context(), c, more) })
	text := frontendText("f", anyPort, "http", "b", "compress = ['text/plain']", on.frontend()) +
		"[backend.b]\n" + on.backend() + "\n[[backend.b.server]]\nname = 's1'\nhttp = '" + on.back(s.Address) + "'\n"
	r := startOld(t, text)
	at := on.front(r.address("f"))
	kept, head, stream, endpoint, socket := dial(t, at), dial(t, at), dial(t, at), dial(t, at), dial(t, at)
	kept.get("/", "ok")
	head.Say("GET / HTTP/1.1\r\nHo")
	// One stream passes through as it is. The first event of the other is inspected:
	// it may be the endpoint of the deprecated transport.
	stream.Say("GET /stream HTTP/1.1\r\nHost: h\r\nMcp-Session-Id: x\r\n\r\n")
	stream.skipHead()
	more["/stream"] <- "6\r\nda" // in the middle of a chunk
	hear(t, stream.Reader, "6\r\nda")
	endpoint.Say("GET /endpoint HTTP/1.1\r\nHost: h\r\n\r\n")
	endpoint.skipHead()
	more["/endpoint"] <- "1a\r\nevent: endpoint\ndata: /m?s" // in the middle of the event
	socket.Say("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	socket.skipHead()
	frame := "\x81\x85\x00\x00\x00\x00hello" // text, masked by zeros
	socket.Say(frame[:7])
	hear(t, socket.Reader, frame[:7])

	h := r.upgrade(text).upgrade(text)
	t.Cleanup(func() { _ = h.stop() })
	kept.get("/", "ok")
	head.Say("st: h\r\n\r\n")
	head.expect("ok")
	more["/stream"] <- "taxy\r\n2\r\nz"
	hear(t, stream.Reader, "taxy\r\n2\r\nz")
	more["/stream"] <- "z\r\n0\r\n\r\n"
	hear(t, stream.Reader, "z\r\n0\r\n\r\n")
	stream.get("/", "ok")
	more["/endpoint"] <- "\r\n8\r\nessionId\r\n4\r\n=1\n\n\r\n0\r\n\r\n"
	body, err := io.ReadAll(httputil.NewChunkedReader(endpoint.Reader))
	if event := regexp.MustCompile(`^event: endpoint\ndata: /m\?sessionId=1&mcplb_tag=\w{8}\n\n$`); err != nil || !event.Match(body) {
		t.Errorf("the endpoint event is %q, %v", body, err)
	}
	socket.Say(frame[7:] + "\x81\x80\x00\x00\x00\x00")
	hear(t, socket.Reader, frame[7:]+"\x81\x80\x00\x00\x00\x00")
	h.eventually("requests and frames are counted", func() bool { return h.frontend("f").Traffic.MessagesIn == 7+2 })
	for _, c := range []*client{kept, head, stream, endpoint, socket} {
		c.Close()
	}
	h.empty()
}

// handOverNode answers "ok", streams what it receives from more, and echoes
// WebSocket bytes.
func handOverNode(over context.Context, c *net.TCPConn, more map[string]chan string) {
	reader := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		switch path := request.URL.Path; path {
		case "/stream", "/endpoint":
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
			for text := ""; !strings.HasSuffix(text, "0\r\n\r\n"); {
				select {
				case text = <-more[path]:
				case <-over.Done():
					return
				}
				fmt.Fprint(c, text)
			}
		case "/ws":
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
			_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{reader})
			return
		default:
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
}

// skipHead reads the head of a response.
func (c *client) skipHead() {
	c.Helper()
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = c.Reader.ReadString('\n'); err != nil {
			c.Fatal(err)
		}
	}
}

// get requests a page and checks the response.
func (c *client) get(path, want string) {
	c.Helper()
	c.Say("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
	c.expect(want)
}

// expect reads a response and checks it.
func (c *client) expect(want string) {
	c.Helper()
	response, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		c.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != want {
		c.Fatalf("the answer is %q, %v; want %q", body, err, want)
	}
}

// hear checks that these bytes come next.
func hear(t *testing.T, from io.Reader, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if n, err := io.ReadFull(from, p); err != nil || string(p) != want {
		t.Fatalf("received %q, %v; want %q", p[:n], err, want)
	}
}

// Connections with TLS 1.2 stay, and continue: streams to their end, clients at rest
// until their next answer, which says so: closed at rest, they would lose a request
// that is on its way. They take no slot of the new process before they ask.
func TestHandOverLeavesTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	lines := endpoint.Serve(t, endpoint.Echo)
	answer := make(chan struct{}, 3)
	web := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { <-answer; fmt.Fprint(w, "ok") })
	text := frontendText("f", anyPort, "http", "b", a.usual()) + httpBackend(web) + "maxconn = 1\n" +
		frontendText("s", "127.0.0.2:0", "tcp", "l", a.usual()) + backendText("l", []string{lines.Address})
	r := startOld(t, text)
	plainly := dial(t, r.address("f")) // no TLS at all
	plainly.Say("GET / HTTP/1.1\r\n\r\n")
	_, _ = io.ReadAll(plainly)
	older := a.client()
	older.MaxVersion = tls.VersionTLS12
	stream, soon := dialTLS(t, r.address("s"), older), dialTLS(t, r.address("f"), older)
	asks, idle := dialTLS(t, r.address("f"), older), dialTLS(t, r.address("f"), older)
	checkLine(t, stream)
	for _, c := range []*tls.Conn{soon, asks, idle} {
		answer <- struct{}{}
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		wantAnswer(t, c, "ok")
	}
	h := r.newProcess(text)
	if moved := r.handOverTo(h); moved != 0 || r.Connections() != 4 {
		t.Errorf("%d have moved, %d are left; want all four", moved, r.Connections())
	}
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("the new process has %d slots taken for clients at rest, want none", n)
	}
	h.eventually("handshakes are counted", func() bool {
		counted := h.frontend("f").TLS
		return counted.Handshakes["full"] == 3 && counted.Versions["1.2"] == 3 && counted.Failed["not_tls"] == 1 && h.frontend("s").TLS.Handshakes["full"] == 1
	})
	request := "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
	fmt.Fprint(soon, request)
	r.eventually("the request has its slot", func() bool { r.handOverTo(h); return r.server("s1").Connections.Current == 1 })
	answer <- struct{}{}
	if response := wantAnswer(t, soon, "ok"); response.Close {
		t.Error("the connection ends before the new process serves")
	}
	checkLine(t, stream)
	r.old.Leave()
	r.handOverTo(h)
	fmt.Fprint(asks, request)
	r.eventually("the request has its slot", func() bool { r.handOverTo(h); return r.server("s1").Connections.Current == 1 })
	answer <- struct{}{}
	if response := wantAnswer(t, asks, "ok"); !response.Close {
		t.Error("the client is not told that its connection ends")
	}
	if _, err := asks.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a client that has its answer: %v, want the end", err)
	}
	for _, c := range []*tls.Conn{soon, asks, idle} {
		c.Close()
	}
	r.eventually("clients have gone, and no slot is reserved for them", func() bool {
		r.handOverTo(h)
		return r.Connections() == 1 && h.server("s1").Connections.Current == 0
	})
	checkLine(t, stream)
	stream.Close()
	r.eventually("the stream has ended", func() bool { return r.report(h) == 0 })
	h.new.Alone()
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}

package main

//lint:file-ignore SA1019 the client of net/http has no extended CONNECT

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/certificate"
	"mcplb/proxy/websocket"

	"golang.org/x/net/http2"
)

// A connection of HTTP/2 is the same one after upgrades: its event streams have no gap, its
// requests are answered, a response that waits for the client comes in full, and a WebSocket
// echoes. If this fails, browsers and SDKs lose all that they share one connection for.
func TestUpgradeMovesHTTP2(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS 1.3"}[secure], func(t *testing.T) {
			t.Parallel()
			upgradeHTTP2(t, secure)
		})
	}
}

// eventStreams is how many event streams share the connection.
const eventStreams = 20

func upgradeHTTP2(t *testing.T, secure bool) {
	s := newSetup(t, startHTTP2Node(t))
	s.mode, s.endpoint, s.frontendLines = "http", "http", "http2 = true\n"
	var config *tls.Config
	if secure {
		config = secureHTTP2(t, s)
	}
	l := startLineage(t, s)
	c := dialHTTP2(t, s.frontend, config)
	var events []*eventStream
	for i := range eventStreams {
		events = append(events, c.events(t, fmt.Sprint("/events/", i)))
	}
	large := c.open(t, "GET", "/large", nil)
	socket := c.webSocket(t)
	socket.echo(t, "one")
	c.post(t, "before")

	var during sync.WaitGroup
	over, posted := make(chan struct{}), atomic.Int64{}
	during.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			default:
				c.post(t, fmt.Sprint("during ", n))
				posted.Add(1)
			}
		}
	})
	for round := range 2 {
		before, _ := l.upgrade(t)
		l.awaitGone(t, before) // with nothing left: the connection has moved
		at := posted.Load()
		eventually(t, func() error {
			if posted.Load() < at+2 {
				return errors.New("no request is answered")
			}
			return nil
		})
		socket.echo(t, fmt.Sprint("after ", round))
		for _, e := range events {
			e.await(t)
		}
	}
	close(over)
	during.Wait()
	if open := l.metrics(t)[`mcplb_frontend_http2_open_streams{frontend="main"}`]; open != eventStreams+2 {
		t.Errorf("%v streams are open, want %d", open, eventStreams+2)
	}
	if body, err := io.ReadAll(large.Body); err != nil || !bytes.Equal(body, largeBody) {
		t.Errorf("%d bytes of a response that waited, %v", len(body), err)
	}
	socket.end(t)
	c.end(t, events)
	values := l.metrics(t)
	if total := values[`mcplb_frontend_http2_streams_total{frontend="main"}`]; total != float64(eventStreams+2+c.requests.Load()) {
		t.Errorf("%v streams are counted, want %d", total, eventStreams+2+c.requests.Load())
	}
	if connections := values[`mcplb_frontend_http2_connections_total{frontend="main"}`]; connections != 1 {
		t.Errorf("%v connections are counted", connections)
	}
	l.awaitIdleBut(t, 0)
	last := l.serving(t)
	l.send(t, last, syscall.SIGTERM)
	l.awaitGone(t, last)
}

// secureHTTP2 adds TLS to the frontend, and returns the client's configuration.
func secureHTTP2(t *testing.T, s *setup) *tls.Config {
	directory := t.TempDir()
	issued := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "lb.test")
	certificate.Write(t, directory, "lb", issued)
	s.frontendLines += fmt.Sprintf("tls = { certificates = [{ cert = %q, key = %q }] }\n", filepath.Join(directory, "lb.pem"), filepath.Join(directory, "lb.key"))
	return &tls.Config{RootCAs: certificate.Pool(issued), ServerName: "lb.test", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}
}

// http2Conn is one connection of HTTP/2: what does not go over it fails.
type http2Conn struct {
	*http2.ClientConn
	url      string
	requests atomic.Int64 // posted
}

// dialHTTP2 connects, over TLS if there is a config.
func dialHTTP2(t *testing.T, address string, config *tls.Config) *http2Conn {
	t.Helper()
	var c net.Conn
	var err error
	if config != nil {
		c, err = tls.Dial("tcp", address, config)
	} else {
		c, err = net.Dial("tcp", address)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	transport := &http2.Transport{AllowHTTP: true, DisableCompression: true}
	one, err := transport.NewClientConn(c)
	if err != nil {
		t.Fatal(err)
	}
	return &http2Conn{ClientConn: one, url: map[bool]string{false: "http", true: "https"}[config != nil] + "://" + address}
}

// open sends a request, and returns the response once its head has come.
func (c *http2Conn) open(t *testing.T, method, path string, body io.Reader, fields ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header[fields[i]] = []string{fields[i+1]}
	}
	request.Header.Set("X-Common", "this is in the dynamic table")
	response, err := c.RoundTrip(request)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return &http.Response{Body: http.NoBody}
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %s", method, path, response.Status)
	}
	return response
}

// post has a body echoed.
func (c *http2Conn) post(t *testing.T, body string) {
	c.requests.Add(1)
	response := c.open(t, "POST", "/echo", strings.NewReader(body), "X-Body", body)
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err != nil || string(got) != body {
		t.Errorf("%q is answered with %q, %v", body, got, err)
	}
}

// eventStream reads an event stream, whose events are numbered.
type eventStream struct {
	body io.Closer
	seen atomic.Int64
	over chan struct{}
}

// events opens an event stream.
func (c *http2Conn) events(t *testing.T, path string) *eventStream {
	response := c.open(t, "GET", path, nil)
	e := &eventStream{body: response.Body, over: make(chan struct{})}
	go e.read(t, response.Body)
	return e
}

func (e *eventStream) read(t *testing.T, body io.Reader) {
	defer close(e.over)
	for lines := bufio.NewReader(body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			if t.Context().Err() == nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "response body closed") {
				t.Errorf("behind event %d: %v", e.seen.Load(), err)
			}
			return
		}
		number, isEvent := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: ")
		if isEvent && number != fmt.Sprint(e.seen.Add(1)) {
			t.Errorf("event %s came as number %d", number, e.seen.Load())
		}
	}
}

// await waits for the event after the next.
func (e *eventStream) await(t *testing.T) {
	t.Helper()
	at := e.seen.Load()
	eventually(t, func() error {
		if e.seen.Load() < at+2 {
			return fmt.Errorf("no event came behind number %d", at)
		}
		return nil
	})
}

// end cancels the event streams.
func (c *http2Conn) end(t *testing.T, events []*eventStream) {
	for _, e := range events {
		e.body.Close()
		<-e.over
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// http2Socket is a WebSocket by extended CONNECT whose frames are one text each.
type http2Socket struct {
	up   *io.PipeWriter
	down io.ReadCloser
}

func (c *http2Conn) webSocket(t *testing.T) *http2Socket {
	reader, writer := io.Pipe()
	response := c.open(t, "CONNECT", "/ws", reader, ":protocol", "websocket", "Sec-WebSocket-Version", "13")
	return &http2Socket{writer, response.Body}
}

// echo sends a text, and receives it.
func (s *http2Socket) echo(t *testing.T, text string) {
	t.Helper()
	frame := "\x81" + string([]byte{0x80 | byte(len(text)), 0, 0, 0, 0}) + text
	if _, err := io.WriteString(s.up, frame); err != nil {
		t.Error(err)
	}
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(s.down, got); err != nil || string(got) != frame {
		t.Errorf("%q is echoed as %q, %v", frame, got, err)
	}
}

// end finishes the WebSocket.
func (s *http2Socket) end(t *testing.T) {
	t.Helper()
	s.up.Close()
	if rest, err := io.ReadAll(s.down); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// largeBody is more than a client takes that does not read.
var largeBody = bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)

// startHTTP2Node starts a server of event streams, echoes, a WebSocket and a large body.
func startHTTP2Node(t *testing.T) (address string) {
	s := httptest.NewServer(http.HandlerFunc(serveHTTP2Node))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

func serveHTTP2Node(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Common") != "this is in the dynamic table" && r.URL.Path != "/" {
		http.Error(w, "the table is another one", http.StatusBadRequest)
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/events/"):
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 1; r.Context().Err() == nil; n++ {
			fmt.Fprintf(w, "data: %d\n\n", n)
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	case r.URL.Path == "/large":
		w.Header().Set("Content-Length", fmt.Sprint(len(largeBody)))
		_, _ = w.Write(largeBody)
	case r.URL.Path == "/ws":
		echoSocket(w, r)
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != r.Header.Get("X-Body") {
			http.Error(w, "the body is another one", http.StatusBadRequest)
			return
		}
		_, _ = w.Write(body)
	}
}

// echoSocket accepts a WebSocket, and sends back what comes.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	accept, _ := websocket.AcceptOf([]byte(r.Header.Get("Sec-WebSocket-Key")))
	c, both, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept[:])
	_, _ = io.Copy(c, both)
}

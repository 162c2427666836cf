package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	browsers "mcplb/internal/browser"
	"mcplb/internal/certificate"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
)

// eventServer serves a page, event streams, WebSockets and POSTs.
type eventServer struct {
	mu      sync.Mutex
	streams []chan string // guarded by mu: those that are open
}

// open returns the number of open event streams.
func (s *eventServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// send sends an event on every stream.
func (s *eventServer) send(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range s.streams {
		stream <- event
	}
}

func (s *eventServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/events":
		s.serveEvents(w, r)
	case r.URL.Path == "/ws":
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		kind, message, err := conn.Read(r.Context())
		if err == nil {
			_ = conn.Write(r.Context(), kind, message)
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
	case r.Method == http.MethodPost && r.URL.Path == "/send":
		s.send("second")
	case r.Method == http.MethodPost:
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d", r.URL.Path, n)
	default:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><link rel=icon href='data:,'><title>page</title>")
	}
}

// serveEvents sends one event at once, and others when they come.
func (s *eventServer) serveEvents(w http.ResponseWriter, r *http.Request) {
	stream := make(chan string, 10)
	s.mu.Lock()
	s.streams = append(s.streams, stream)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.streams {
			if s.streams[i] == stream {
				s.streams = append(s.streams[:i], s.streams[i+1:]...)
				break
			}
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	for event := "first"; ; {
		fmt.Fprintf(w, "data: %s\n\n", event)
		w.(http.Flusher).Flush()
		select {
		case event = <-stream:
		case <-r.Context().Done():
			return
		}
	}
}

// startHTTP2 starts a balancer that offers HTTP/2 over TLS, and takes it without at the
// address plain.
func startHTTP2(t *testing.T) (b *balancer, plain string, events *eventServer) {
	t.Helper()
	events = &eventServer{}
	server := httptest.NewServer(events)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s := newSetup(t, strings.TrimPrefix(server.URL, "http://"))
	directory := filepath.Dir(s.path)
	host, _, _ := strings.Cut(s.frontend, ":")
	certificate.Write(t, directory, "lb", certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), host))
	s.mode, s.endpoint, s.ratelimit = "http", "http", "connection_rate = 0\nmessage_rate = 0"
	s.frontendLines = fmt.Sprintf("http2 = true\ntls = { certificates = [{ cert = %q, key = %q }] }", filepath.Join(directory, "lb.pem"), filepath.Join(directory, "lb.key"))
	plain = freeAddress(t)
	s.tables = fmt.Sprintf("[frontend.plain]\nlisten = %q\nmode = \"http\"\nbackend = \"nodes\"\nhttp2 = true\n", plain)
	return startBalancer(t, s), plain, events
}

// inPage opens 20 event streams, waits for an event of each, sends 20 requests beside them
// and a message through a WebSocket, waits for another event of each, and closes them.
const inPage = `(async () => {
	const streams = [...Array(20).keys()].map(() => {
		const source = new EventSource("/events");
		const wait = (event) => new Promise((done) => source.addEventListener("message", (e) => e.data === event && done()));
		return {source, first: wait("first"), second: wait("second")};
	});
	await Promise.all(streams.map((s) => s.first));
	const answers = await Promise.all([...Array(20).keys()].map(async (i) => {
		const answer = await fetch("/post" + i, {method: "POST", body: "x".repeat(i)});
		return await answer.text() === "/post" + i + " " + i;
	}));
	const socket = new WebSocket("wss://" + location.host + "/ws");
	const echo = await new Promise((done) => {
		socket.onopen = () => socket.send("hello");
		socket.onmessage = (e) => done(e.data);
		socket.onclose = (e) => done("closed " + e.code);
	});
	await fetch("/send", {method: "POST"});
	await Promise.all(streams.map((s) => s.second));
	streams.forEach((s) => s.source.close());
	const protocols = performance.getEntriesByType("resource").map((e) => e.nextHopProtocol).filter((p) => p !== "");
	return {Right: answers.filter((a) => a).length, Echo: echo, Protocols: [...new Set(protocols)].join(" ")};
})()`

// A page in a real browser has more than the six event streams that HTTP/1.1 allows to a
// host, with requests and a WebSocket beside them, over one connection.
func TestEventStreamsInBrowser(t *testing.T) {
	b, _, events := startHTTP2(t)
	ctx := quietBrowser(t)
	do(t, ctx, "accepting the certificate", security.SetIgnoreCertificateErrors(true))
	do(t, ctx, "opening the page", chromedp.Navigate("https://"+b.frontend+"/"))
	got := browsers.Evaluate[struct {
		Right           int
		Echo, Protocols string
	}](t, ctx, inPage)
	if got.Right != 20 || got.Echo != "hello" || got.Protocols != "h2" {
		t.Errorf("the page sees %+v", got)
	}
	if h := b.status(t).Frontends[0].HTTP; h.HTTP2Connections != 1 || h.HTTP2Streams < 42 {
		t.Errorf("%d connections and %d streams of HTTP/2", h.HTTP2Connections, h.HTTP2Streams)
	}
	eventually(t, func() error {
		if n := events.open(); n != 0 {
			return fmt.Errorf("%d event streams are open at the server after the page has closed them", n)
		}
		return nil
	})
}

// Programs that speak HTTP/2 are served over TLS and by prior knowledge, with event streams
// that stay open beside their requests; streams that they cancel end at the server, too.
func TestHTTP2Programs(t *testing.T) {
	notInShort(t)
	t.Parallel()
	b, plain, events := startHTTP2(t)
	t.Run("tls", func(t *testing.T) {
		checkHTTP2Programs(t, "https://"+b.frontend, events)
		if got := runClient(t, make([]byte, 1<<20), "curl", "-sS", "-k", "--http2", "--data-binary", "@-", "-w", " %{num_connects} %{http_version}\n", "https://"+b.frontend+"/a"); got != "/a 1048576 1 2\n" {
			t.Errorf("curl got %q", got)
		}
	})
	t.Run("prior knowledge", func(t *testing.T) {
		checkHTTP2Programs(t, "http://"+plain, events)
		// One request: curl 7.88 fails when it uses such a connection again, with any server.
		if got := runClient(t, make([]byte, 1<<20), "curl", "-sS", "--http2-prior-knowledge", "--data-binary", "@-", "-w", " %{http_version}\n", "http://"+plain+"/a"); got != "/a 1048576 2\n" {
			t.Errorf("curl got %q", got)
		}
	})
	if h := b.status(t).Frontends[0].HTTP; h.Requests != h.HTTP2Streams {
		t.Errorf("%d requests, of which %d over HTTP/2", h.Requests, h.HTTP2Streams)
	}
}

// checkHTTP2Programs runs Node, nghttp and h2load.
func checkHTTP2Programs(t *testing.T, url string, events *eventServer) {
	t.Helper()
	if got := runClient(t, nil, "node", "testdata/http2client.mjs", url); got != "100 right, 200 /upload 4194304\n" {
		t.Errorf("node found: %s", got)
	}
	eventually(t, func() error {
		if n := events.open(); n != 0 {
			return fmt.Errorf("%d event streams are open at the server after the client has cancelled them", n)
		}
		return nil
	})
	if got := runClient(t, nil, "nghttp", "--no-verify-peer", "-s", url+"/a", url+"/b"); strings.Count(got, " 200 ") != 2 {
		t.Errorf("nghttp got %s", got)
	}
	const requests = 2000
	got := runClient(t, nil, "h2load", "-n", strconv.Itoa(requests), "-c", "4", "-m", "50", url+"/page")
	if number(t, got, `status codes: (\d+) 2xx`) != requests || !strings.Contains(got, "Application protocol: h2") {
		t.Errorf("h2load: %s", got)
	}
}

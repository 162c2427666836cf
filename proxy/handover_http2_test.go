package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"mcplb/internal/endpoint"
)

// A connection of HTTP/2 moves whatever its servers speak, and none of its streams is noticed by
// anybody as another one: 300 event streams on one connection, more than one message carries.
func TestHandOverHTTP2(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]*transports{"plain": {}, "servers over TLS": {servers: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on.authority = newAuthority(t)
			handOverHTTP2(t, on)
		})
	}
}

func handOverHTTP2(t *testing.T, on *transports) {
	n := 300
	if on.servers {
		n = 10
	}
	next := make([]chan string, n)
	for i := range next {
		next[i] = make(chan string, 1)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &i); err != nil {
			return // the check
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for text := range next[i] {
			fmt.Fprintf(w, "data: %s of %s\n\n", text, r.Header.Get("X-Name"))
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	text := frontendText("f", anyPort, "http", "b", "http2 = true", "http2_streams = 0") +
		"[backend.b]\n" + on.backend() + "\n[[backend.b.server]]\nname = 's1'\nhttp = '" + on.back(server.Listener.Addr().String()) + "'\n"
	r := startOld(t, text)
	c := dialHTTP2(t, r.address("f"))
	var bodies []*bufio.Reader
	for i := range n {
		request, _ := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://h/%d", i), nil)
		request.Header.Set("X-Name", fmt.Sprint("stream ", i))
		next[i] <- "one"
		response, err := c.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, bufio.NewReader(response.Body))
		hear(t, bodies[i], fmt.Sprintf("data: one of stream %d\n\n", i))
	}
	h := r.upgrade(text).upgrade(text)
	t.Cleanup(func() { _ = h.stop() })
	if http := h.frontend("f").HTTP; http.HTTP2Current != int64(n) || http.HTTP2Streams != uint64(n) || http.HTTP2Connections != 1 || h.Connections() != 1 {
		t.Errorf("%d of %d streams on %d connections, %d clients", http.HTTP2Current, http.HTTP2Streams, http.HTTP2Connections, h.Connections())
	}
	for i := range n {
		next[i] <- "two"
		hear(t, bodies[i], fmt.Sprintf("data: two of stream %d\n\n", i))
		close(next[i])
	}
	h.eventually("the streams are over", func() bool { return h.frontend("f").HTTP.HTTP2Current == 0 })
	c.Close()
	h.empty()
}

// dialHTTP2 connects a client of HTTP/2 by prior knowledge.
func dialHTTP2(t *testing.T, address string) *http.ClientConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endpoint.Patience)
	defer cancel()
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	c, err := transport.NewClientConn(ctx, "http", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

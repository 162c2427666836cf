package proxy

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"mcplb/internal/endpoint"
)

// A reload that takes a frontend away, or gives it another mode, says GOAWAY to its
// connections of HTTP/2, so that clients send their next requests where they are served. What is
// open goes on. If this fails, clients keep on sending to a frontend that is gone, or
// lose their event streams.
func TestApplyRemovesHTTP2(t *testing.T) {
	t.Parallel()
	events := map[string]chan string{"/removed": make(chan string, 1), "/mode": make(chan string, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next, known := events[r.URL.Path]
		if !known {
			return // the check
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for text := range next {
			fmt.Fprintf(w, "data: %s\n\n", text)
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	stays := frontendText("f", anyPort, "http", "b") + httpBackend(server.Listener.Addr().String())
	for path, after := range map[string]string{"/removed": "", "/mode": frontendText("g", anyPort, "tcp", "c") + backendText("c", []string{endpoint.Serve(t, endpoint.Echo).Address})} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			next := events[path]
			r := start(t, stays+frontendText("g", anyPort, "http", "b", "http2 = true"))
			c := dialHTTP2(t, r.address("g"))
			next <- "one"
			request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://h"+path, nil)
			response, err := c.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			body := bufio.NewReader(response.Body)
			hear(t, body, "data: one\n\n")
			r.apply(stays + after)
			r.eventually("the client has got GOAWAY", func() bool { return c.Available() == 0 })
			next <- "two"
			hear(t, body, "data: two\n\n")
			if n := r.Connections(); n != 1 {
				t.Errorf("%d connections while the stream is open", n)
			}
			close(next)
			if rest, err := body.ReadByte(); err == nil {
				t.Errorf("%q behind the last event", rest)
			}
			response.Body.Close()
			r.eventually("the connection has ended", func() bool { return r.Connections() == 0 })
		})
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcplb/proxy/admin"

	"github.com/coder/websocket"
)

// Status and top show which sources the limits delay or refuse, and which are banned: a few,
// and where the others are.
func TestStatusShowsSources(t *testing.T) {
	t.Parallel()
	var s admin.Snapshot
	for i := range 7 {
		s.RateLimit.Throttled = append(s.RateLimit.Throttled, admin.Throttled{Source: fmt.Sprintf("192.0.2.%d", i), ForSeconds: 61, Delayed: 9, Rejected: 8, Refused: 7})
		s.RateLimit.Bans = append(s.RateLimit.Bans, admin.Ban{Source: fmt.Sprintf("198.51.100.%d/32", i), Reason: "manual", RemainingSeconds: float64(60 * i)})
	}
	s.RateLimit.Throttled[0] = admin.Throttled{ForSeconds: 5, Delayed: 3} // by a global rate
	s.RateLimit.BansActive = 1207
	var text bytes.Buffer
	writeStatus(&text, &s, asInFile)
	for _, want := range []string{
		"LIMITED SOURCE  FOR    DELAYED  REJECTED  REFUSED\n", "all together    5s     3        0         0\n", "192.0.2.4       1m01s  9        8         7\n",
		"and 2 more: mcplb status -json shows them\n",
		"BANNED SOURCE    REASON  REMAINING\n", "198.51.100.0/32  manual  until it is lifted\n", "198.51.100.4/32  manual  4m0s\n",
		"and 1202 more: mcplb bans shows them\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "192.0.2.5") || strings.Contains(text.String(), "198.51.100.5") {
		t.Errorf("it shows too many:\n%s", &text)
	}
}

// Status shows how many streams of HTTP/2 a frontend has open.
func TestStatusShowsHTTP2(t *testing.T) {
	t.Parallel()
	s := admin.Snapshot{Frontends: []admin.Frontend{
		{Name: "tcp"}, {Name: "off", HTTP: &admin.HTTP{}}, {Name: "on", HTTP: &admin.HTTP{HTTP2Connections: 3, HTTP2Current: 12}},
	}}
	var text bytes.Buffer
	writeStatus(&text, &s, asInFile)
	for _, want := range []string{"  PEAK  H2  CONN/S ", "\ntcp                            0      0     -   0 ", "\noff                            0      0     -   0 ", "\non                             0      0     12  0 "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &text)
		}
	}
}

// Who waits for a server to drain sees what is still open: event streams and WebSockets, of
// each server, also after an upgrade, until they end.
func TestStatusShowsStreams(t *testing.T) {
	t.Parallel()
	s := newSetup(t, serveStreams(t))
	s.mode, s.endpoint = "http", "http"
	l := startLineage(t, s)
	expect := func(streams, tunnels int64) {
		t.Helper()
		eventually(t, func() error {
			code, body, err := tryGet(l.admin, "/api/v1/status")
			if err != nil {
				return err
			}
			if n := parseStatus(t, code, body).Backends[0].Servers[0]; n.Streams != streams || n.Tunnels != tunnels {
				return fmt.Errorf("%d streams and %d tunnels, want %d and %d", n.Streams, n.Tunnels, streams, tunnels)
			}
			return nil
		})
	}
	plain, err := webClient.Get("http://" + l.frontend + "/plain")
	if err != nil {
		t.Fatal(err)
	}
	plain.Body.Close()
	expect(0, 0)
	stream, err := webClient.Get("http://" + l.frontend + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Fatal(line, err)
	}
	expect(1, 0)
	socket, _, err := websocket.Dial(t.Context(), "ws://"+l.frontend+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	expect(1, 1)
	before, _ := l.upgrade(t)
	l.awaitGone(t, before)
	expect(1, 1)
	if _, stdout, _ := mcplb("status", "-admin", l.admin); !strings.Contains(stdout, "QUEUE  STREAMS  WS ") {
		t.Errorf("the status is\n%s", stdout)
	}
	socket.CloseNow()
	expect(1, 0)
	stream.Body.Close()
	expect(0, 0)
}

// serveStreams starts a server with an event stream, a WebSocket and a plain page, and
// returns its address.
func serveStreams(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "plain") })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-ctx.Done():
		}
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		_, _, _ = c.Read(ctx)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}

// A client that has no server yet, as in the queue, shows none.
func TestServerColumn(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]admin.Connection{"-": {State: "queued"}, "n/a": {Backend: "n", Server: "a"}} {
		if got := serverColumn(&c); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

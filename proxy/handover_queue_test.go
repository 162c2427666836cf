package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"
)

// pausing is a connection whose reads wait from the first byte on, until it is released:
// its handshake stops in the middle.
type pausing struct {
	net.Conn
	reached, release chan struct{}
}

func (p *pausing) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	select {
	case <-p.release:
	default:
		close(p.reached)
		<-p.release
	}
	return n, err
}

// A handshake that ends after the hand-over has begun gets its slot at once, in the old
// process, where one was reserved for it: nothing has moved yet, and on a busy machine
// nothing may move for longer than timeout_queue. If this fails, clients who connect
// while a busy machine is upgraded are reset.
func TestHandshakeEndsDuringHandOver(t *testing.T) {
	t.Parallel()
	echo := endpoint.Serve(t, endpoint.Echo)
	web := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	for mode, text := range map[string]string{
		"tcp":  backendText("b", []string{echo.Address}, "timeout_queue = '1s'"),
		"http": httpBackend(web) + "maxconn = 1\n",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			text := frontendText("f", anyPort, mode, "b", a.usual()) + text
			r := startOld(t, text)
			raw := &pausing{dialTCP(t, r.address("f")), make(chan struct{}), make(chan struct{})}
			conn := tls.Client(raw, a.client())
			shaken := make(chan error, 1)
			go func() { shaken <- conn.Handshake() }()
			endpoint.Receive(t, raw.reached)
			h := r.newProcess(text)
			t.Cleanup(h.end)
			close(raw.release)
			if err := endpoint.Receive(t, shaken); err != nil {
				t.Fatal(err)
			}
			ask := func() {
				t.Helper()
				if mode == "tcp" {
					fmt.Fprint(conn, "ping")
					hear(t, conn, "ping")
					return
				}
				fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
				wantAnswer(t, conn, "ok")
			}
			ask()
			r.eventually("it moves", func() bool { return r.handOverTo(h) > 0 })
			ask()
			conn.Close()
			h.empty()
		})
	}
}

// A request that comes while a new process takes over waits for that, not for a server:
// timeout_queue does not end it.
func TestRequestDuringHandOver(t *testing.T) {
	t.Parallel()
	web := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	const limit = 50 * time.Millisecond
	text := frontendText("f", anyPort, "http", "b") + strings.Replace(httpBackend(web), "\n", fmt.Sprintf("\ntimeout_queue = %q\n", limit), 1)
	r := startOld(t, text)
	conn := dialTCP(t, r.address("f"))
	answers := bufio.NewReader(conn)
	ask := func() { fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n") }
	answered := func() {
		t.Helper()
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "ok" {
			t.Fatalf("the answer is %d %q, %v", response.StatusCode, body, err)
		}
	}
	ask()
	answered()
	h := r.newProcess(text)
	t.Cleanup(h.end)
	ask()
	time.Sleep(4 * limit) // nothing may happen meanwhile
	r.handOverTo(h)
	answered()
	conn.Close()
	h.empty()
}

// Requests that wait in the queue while a new process takes over are sent as they came,
// whatever other clients of their loop have sent when timeout_queue passes. If this
// fails, a server gets one client's bytes within another's request.
func TestQueuedRequestsDuringHandOver(t *testing.T) {
	t.Parallel()
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	text := frontendText("f", anyPort, "http", "b") + strings.Replace(httpBackend(web), "\n", "\ntimeout_queue = '50ms'\n", 1)
	r := startOld(t, text)
	type client struct {
		net.Conn
		answers *bufio.Reader
		body    string
	}
	var clients []client
	for i := range 8 {
		conn := dialTCP(t, r.address("f"))
		clients = append(clients, client{conn, bufio.NewReader(conn), strings.Repeat(string(rune('a'+i)), 1000)})
	}
	begin := func(c client) {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body[:500])
	}
	answered := func(c client) {
		t.Helper()
		response, err := http.ReadResponse(c.answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != c.body {
			t.Fatalf("the answer is %d %q, %v; want %q", response.StatusCode, body, err, c.body)
		}
	}
	for _, c := range clients {
		begin(c)
		io.WriteString(c, c.body[500:])
		answered(c)
	}
	h := r.newProcess(text)
	t.Cleanup(h.end)
	for _, c := range clients {
		begin(c)
	}
	time.Sleep(200 * time.Millisecond) // timeout_queue passes
	r.handOverTo(h)
	for _, c := range clients {
		io.WriteString(c, c.body[500:])
		answered(c)
		c.Close()
	}
	h.empty()
}

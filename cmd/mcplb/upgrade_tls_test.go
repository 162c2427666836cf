package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// secure makes the frontend speak TLS, with a certificate beside the configuration.
func (s *setup) secure(t *testing.T) {
	t.Helper()
	directory := filepath.Dir(s.path)
	writePair(t, directory, time.Now().AddDate(0, 6, 0))
	s.frontendLines += fmt.Sprintf("tls = { certificates = [{ cert = %q, key = %q }] }\n", filepath.Join(directory, "lb.pem"), filepath.Join(directory, "lb.key"))
}

// dialTLS makes a handshake. The caller closes the connection.
func dialTLS(address string) (*tls.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{InsecureSkipVerify: true}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return c.(*tls.Conn), c.SetDeadline(time.Now().Add(patience))
}

// askTLS makes a handshake and, after a pause, expects the answer to a question.
func askTLS(address, question, answer string, wait time.Duration) error {
	c, err := dialTLS(address)
	if err != nil {
		return err
	}
	defer c.Close()
	time.Sleep(wait) // the client's, which the balancer cannot know
	if _, err := io.WriteString(c, question); err != nil {
		return fmt.Errorf("question: %w", err)
	}
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("answer after %q: %w", got, err)
	}
	if string(got) != answer {
		return fmt.Errorf("answer %q, want %q", got, answer)
	}
	return nil
}

// mostVisits is how many visits may be under way: on a machine that is too slow for
// their rate, the waiting time of each would grow without end.
const mostVisits = 100

// visits are clients that come at regular times until stop is called, which returns
// how many came, and what went wrong.
func visits(every time.Duration, visit func(n int) error) (stop func() (n int, failures []error)) {
	var mu sync.Mutex
	var failures []error
	var working sync.WaitGroup
	ending := make(chan struct{})
	came := 0
	places := make(chan struct{}, mostVisits)
	working.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ending:
				return
			case <-ticker.C:
			}
			select {
			case places <- struct{}{}:
			default:
				continue
			}
			came++
			n := came
			working.Go(func() {
				defer func() { <-places }()
				if err := visit(n); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failures = append(failures, fmt.Errorf("client %d: %w", n, err))
				}
			})
		}
	})
	return func() (int, []error) {
		close(ending)
		working.Wait()
		return came, failures
	}
}

// Clients with TLS who arrive at the moment of an upgrade are served, in whichever
// process: their connections cannot move, and without a slot in the old process they
// would wait for timeout_queue and be reset.
func TestHandshakesDuringUpgrades(t *testing.T) {
	t.Parallel()
	web := startServer(t, func(c *net.TCPConn) {
		var request [4096]byte
		for {
			if n, err := c.Read(request[:]); err != nil || !strings.HasPrefix(string(request[:n]), "GET / ") {
				return
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
	})
	line := "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n"
	for _, test := range []struct{ mode, question, answer string }{
		{"tcp", line, line}, {"mcp", line, line},
		{"http", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
	} {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			server := web
			if test.mode != "http" {
				server = startEcho(t)
			}
			s := newSetup(t, server)
			s.mode, s.ratelimit = test.mode, "exempt = ['127.0.0.0/8']"
			if test.mode == "http" {
				s.endpoint = "http"
			}
			s.secure(t)
			l := startLineage(t, s)
			stop := visits(3*time.Millisecond, func(n int) error {
				return askTLS(l.frontend, test.question, test.answer, time.Duration(n%4)*5*time.Millisecond)
			})
			for range 4 {
				before, after := l.upgrade(t)
				l.awaitGone(t, before)
				eventually(t, func() error { return l.alone(after) })
			}
			n, failures := stop()
			t.Logf("%d clients", n)
			for _, err := range failures {
				t.Error(err)
			}
		})
	}
}

// A client with TLS that waits in the queue when the upgrade begins gets the slot that
// becomes free, in the old process or in the new one, and a server never has more
// connections than maxconn.
func TestQueuedWithTLSDuringUpgrade(t *testing.T) {
	t.Parallel()
	for name, holdsTLS := range map[string]bool{"freed in the old process": true, "freed in the new process": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, startEcho(t))
			plain := freeAddress(t)
			s.backend = "timeout_queue = '60s'"
			s.tables = "maxconn = 2\n" + frontendSection("plain", plain)
			s.secure(t)
			l := startLineage(t, s)
			var holders []io.Closer
			for range 2 {
				holders = append(holders, holdSlot(t, l.frontend, plain, holdsTLS))
			}
			waiting := make(chan error, 2)
			for range 2 {
				go func() { waiting <- askTLS(l.frontend, "x", "x", 0) }()
			}
			eventually(t, func() error {
				if n := l.status(t).Backends[0].QueueCurrent; n != 2 {
					return fmt.Errorf("%d clients wait", n)
				}
				return nil
			})
			before, after := l.upgrade(t)
			l.await(t, "the new process serves")
			for _, c := range holders {
				c.Close()
			}
			for range 2 {
				if err := <-waiting; err != nil {
					t.Errorf("a client that waited: %v", err)
				}
			}
			l.awaitGone(t, before)
			l.expectServingTLS(t, after)
			if n := l.status(t).Backends[0].Servers[0].Connections.Peak; n > 2 {
				t.Errorf("the server had %d connections at once, want maxconn at most, 2", n)
			}
		})
	}
}

// holdSlot opens a connection that is served, with TLS or to the plain address.
func holdSlot(t *testing.T, secure, plain string, useTLS bool) io.Closer {
	t.Helper()
	if !useTLS {
		c := connect(t, plain)
		c.expectEcho(t)
		return c
	}
	c, err := dialTLS(secure)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}

// expectServingTLS checks that a process serves the frontend, and counts nobody.
func (l *lineage) expectServingTLS(t *testing.T, pid int) {
	t.Helper()
	if err := askTLS(l.frontend, "x", "x", 0); err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		shown := l.status(t)
		if n := shown.Backends[0].Servers[0].Connections.Current; n != 0 || shown.Process.PID != pid {
			return fmt.Errorf("process %d counts %d connections of the server, want %d and none", shown.Process.PID, n, pid)
		}
		return nil
	})
}

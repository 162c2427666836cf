package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// served is a server in memory, on synctest's clock.
type served struct {
	*testing.T
	listener pipes
	server   *HTTPServer
	ended    chan error
}

// serveInMemory serves handler within limit until stop.
func serveInMemory(t *testing.T, handler http.Handler, limit *ConnectionLimit) *served {
	s := &served{t, pipes{make(chan net.Conn)}, NewHTTPServer(handler, limit, quiet()), make(chan error, 1)}
	go func() { s.ended <- s.server.Serve(s.listener) }()
	return s
}

func (s *served) connect() net.Conn {
	client, accepted := net.Pipe()
	s.listener.conns <- accepted
	synctest.Wait()
	return client
}

// get requests a path on a connection and returns the status line, or the error.
func get(conn net.Conn, path string) string {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		return err.Error()
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err.Error()
	}
	return response.Status
}

func (s *served) stop(conns ...net.Conn) {
	for _, conn := range conns {
		conn.Close()
	}
	if err := s.server.Shutdown(context.Background()); err != nil {
		s.Errorf("Shutdown: %v", err)
	}
	<-s.ended
}

// isOpen reports whether the server has left a connection open on which it sends nothing.
func isOpen(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	return err != nil && strings.Contains(err.Error(), "timeout")
}

// A client that holds connections to the admin addresses takes no descriptors from clients, and
// shuts out no health check and no operator: of all connections to both addresses, the
// one that is idle for longest makes room.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limit := NewConnectionLimit(4)
		source := edited(unedited)
		admin := serveInMemory(t, NewAdminHandler(Options{Source: source}), limit)
		health := serveInMemory(t, NewHealthHandler(source), limit)
		silent := []net.Conn{health.connect(), health.connect()}
		used := admin.connect()
		if got := get(used, "/api/v1/openapi.json"); got != "200 OK" {
			t.Fatal(got)
		}
		for range 10 {
			time.Sleep(time.Millisecond)
			check := health.connect()
			if got := get(check, "/health"); got != "200 OK" {
				t.Fatalf("a health check among idle connections: %s", got)
			}
			check.Close()
			silent = append(silent, health.connect())
			if open := limit.Open(); open > 4 {
				t.Fatalf("%d connections, and the limit is 4", open)
			}
		}
		operator := admin.connect()
		if got := get(operator, "/api/v1/status"); got != "200 OK" {
			t.Errorf("an operator's command among idle connections: %s", got)
		}
		if isOpen(silent[0]) || isOpen(used) || !isOpen(silent[len(silent)-1]) {
			t.Error("it was not the longest idle connection that made room")
		}
		limit.Set(1)
		if open := limit.Open(); open != 1 {
			t.Errorf("%d connections after the limit became 1", open)
		}
		limit.Set(0)
		many := []net.Conn{operator, used}
		for range 50 {
			many = append(many, health.connect())
		}
		if open := limit.Open(); open != 51 {
			t.Errorf("%d connections without a limit, want 51", open)
		}
		health.stop(append(silent, many...)...)
		admin.stop()
		if open := limit.Open(); open != 0 {
			t.Errorf("%d connections are counted after the end", open)
		}
	})
}

// A command that is being executed is not ended for the sake of another connection.
func TestExecutionsKeepTheirConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		s := serveInMemory(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-finish }), NewConnectionLimit(2))
		var running []net.Conn
		var done sync.WaitGroup
		for range 2 {
			conn := s.connect()
			running = append(running, conn)
			done.Go(func() {
				if got := get(conn, "/"); got != "200 OK" {
					t.Errorf("a request that was being executed: %s", got)
				}
			})
			synctest.Wait()
		}
		surplus := s.connect()
		if _, err := surplus.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("a third connection is not refused at once: %v", err)
		}
		close(finish)
		done.Wait()
		s.stop(append(running, surplus)...)
	})
}

// Clients that do not read their response hold nothing: they make room, and others
// get the same drawing meanwhile.
func TestStalledReadersMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serveInMemory(t, NewAdminHandler(Options{Source: many(100)}), NewConnectionLimit(3))
		var stalled []net.Conn
		for range 3 {
			conn := s.connect()
			stalled = append(stalled, conn)
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		reader := s.connect()
		if got := get(reader, "/"); got != "200 OK" {
			t.Errorf("a page beside stalled readers: %s", got)
		}
		if _, err := io.Copy(io.Discard, stalled[0]); err != nil && err != io.ErrUnexpectedEOF {
			t.Logf("the first stalled reader: %v", err)
		}
		s.stop(append(stalled, reader)...)
	})
}

// A flood of requests takes a bounded share of the machine: few drawings, whatever the
// number of requests, and a bounded number of requests.
func TestFloodIsBounded(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/stats?plots=no", "/api/v1/status", "/stats;csv", "/metrics", "/health", "/nginx_status"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := edited(unedited)
				s := serveInMemory(t, NewAdminHandler(Options{Source: source}), NewConnectionLimit(64))
				end := time.Now().Add(3 * time.Second)
				var flood sync.WaitGroup
				var mu sync.Mutex
				answered := 0
				for range 50 {
					flood.Go(func() {
						conn := s.connectBusy()
						for time.Now().Before(end) {
							if get(conn, path) != "200 OK" {
								conn.Close()
								conn = s.connectBusy()
								continue
							}
							mu.Lock()
							answered++
							mu.Unlock()
						}
						conn.Close()
					})
				}
				flood.Wait()
				if drawn, most := source.asked.Load(), int64(freshBurst+3*freshPerSecond+3*5+5); drawn > most {
					t.Errorf("%d drawings in 3 s, want at most %d", drawn, most)
				}
				if most := requestBurst + 3*requestRate + 50; answered > most || answered < 300 {
					t.Errorf("%d responses in 3 s, want at most %d", answered, most)
				}
				s.stop()
			})
		})
	}
}

// connectBusy is connect while other goroutines are busy.
func (s *served) connectBusy() net.Conn {
	client, accepted := net.Pipe()
	s.listener.conns <- accepted
	return client
}

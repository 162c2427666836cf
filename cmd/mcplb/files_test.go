package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// startLimited starts mcplb with a limit of open files, and returns the number of
// clients that it promises to serve.
func startLimited(t *testing.T, s *setup, limit int) (b *balancer, maxconn int) {
	t.Helper()
	limited := fmt.Sprintf(`ulimit -n %d && exec "$0" -c "$1"`, limit)
	b = &balancer{startProcess(t, exec.Command("sh", "-c", limited, filepath.Join(binaries, "mcplb"), s.write(t))), s}
	maxconn, err := strconv.Atoi(b.await(t, `msg=serving .*maxconn=(\d+)\b`)[1])
	if err != nil {
		t.Fatal(err)
	}
	return b, maxconn
}

// TestPromisedClients checks that all clients that a limit of open files promises to
// serve do get in, with pages open and through an upgrade. It fails if the reserve is
// too small for the process, or so large that it shuts clients out for nothing.
func TestPromisedClients(t *testing.T) {
	for limit, least := range map[int]int{256: 90, 512: 200, 1024: 440} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			s := newSetup(t, startEcho(t))
			s.ratelimit = "connection_rate = 0\nmessage_rate = 0"
			b, promised := startLimited(t, s, limit)
			if promised < least {
				t.Errorf("%d clients are promised for %d files, want at least %d", promised, limit, least)
			}
			clients := make([]*client, promised)
			for i := range clients {
				clients[i] = connect(t, s.frontend)
				clients[i].expectEcho(t)
			}
			b.signal(t, syscall.SIGHUP)
			b.await(t, `msg=reloaded`)
			b.signal(t, syscall.SIGUSR2)
			b.await(t, `the process before has ended`)
			for _, c := range clients {
				c.expectEcho(t)
			}
			if shown := b.status(t).Process; shown.AcceptFailures != 0 || shown.Connections.Current != int64(promised) || shown.OpenFiles.Used > int64(limit) {
				t.Errorf("%d accepts failed, %d clients, %d files", shown.AcceptFailures, shown.Connections.Current, shown.OpenFiles.Used)
			}
			if log := b.log.String(); strings.Contains(log, "too many open files") {
				t.Error("descriptors ran short")
			}
		})
	}
}

// TestIdleUpstreamsMakeRoom checks that connections that are kept to servers, and that
// no request uses, are closed when descriptors run short. Otherwise they shut clients
// out for as long as they are kept.
func TestIdleUpstreamsMakeRoom(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	web := startServer(t, func(c *net.TCPConn) { keepAlive(c, answer) })
	s := newSetup(t, web)
	s.mode, s.endpoint, s.ratelimit = "http", "http", "connection_rate = 0\nmessage_rate = 0"
	s.global = "threads = 1" // with several, an accept may fail until another loop has made room
	second := freeAddress(t)
	s.tables = fmt.Sprintf("[frontend.second]\nlisten = '%s'\nmode = 'tcp'\nbackend = 'other'\n[[backend.other.server]]\nname = 'echo'\ntcp = '%s'\n", second, startEcho(t))
	b, promised := startLimited(t, s, 256)
	// As many requests at once as can be, and so as many connections to the server.
	var first []*client
	for range promised {
		c := connect(t, s.frontend)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		first = append(first, c)
	}
	close(answer)
	for _, c := range first {
		response, err := http.ReadResponse(c.lines, nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", response, err)
		}
		response.Body.Close()
		c.Close()
	}
	var held []*client
	for range promised {
		c := connect(t, second)
		c.expectEcho(t)
		held = append(held, c)
	}
	b.signal(t, syscall.SIGHUP)
	b.await(t, `msg=reloaded`)
	b.signal(t, syscall.SIGUSR2)
	b.await(t, `the process before has ended`)
	for _, c := range held {
		c.expectEcho(t)
	}
	if failed := b.status(t).Process.AcceptFailures; failed != 0 {
		t.Errorf("%d accepts failed", failed)
	}
}

// keepAlive answers every request on a connection, once answer is closed.
func keepAlive(c *net.TCPConn, answer <-chan struct{}) {
	p := make([]byte, 4096)
	for {
		if _, err := c.Read(p); err != nil {
			return
		}
		<-answer
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return
		}
	}
}

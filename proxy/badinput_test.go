package proxy

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
)

// badServers are misbehaving servers. Some continue until over is closed.
func badServers(over <-chan struct{}) map[string]func(*net.TCPConn) {
	return map[string]func(*net.TCPConn){
		"echoes":             endpoint.Echo,
		"closes":             func(*net.TCPConn) {},
		"resets":             endpoint.Reset,
		"takes all":          func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) },
		"takes some, closes": func(c *net.TCPConn) { _, _ = io.CopyN(io.Discard, c, 1000) },
		"takes some, resets": func(c *net.TCPConn) { _, _ = io.CopyN(io.Discard, c, 1000); endpoint.Reset(c) },
		"never reads":        func(*net.TCPConn) { <-over },
		"drips": func(c *net.TCPConn) {
			for range 30 {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(2 * time.Millisecond) // between two drops
			}
		},
		"talks, never reads": func(c *net.TCPConn) {
			p := make([]byte, 1000)
			for range 1000 {
				if _, err := c.Write(p); err != nil {
					return
				}
			}
			<-over
		},
	}
}

// Clients send 64 KB of random bytes, in every mode, to servers of every kind: each
// connection ends for a reason that is counted, and nothing is left.
func TestRandomBytes(t *testing.T) {
	t.Parallel()
	const (
		none   = "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n"
		delay  = "[ratelimit]\nconnection_rate = 0\nmessage_rate = 10000\nmessage_burst = 5\n"
		reject = "[ratelimit]\nconnection_rate = 0\nmessage_rate = 20\nmessage_burst = 5\nban_after = 0\nover_message = \"reject\"\n"
	)
	tests := []struct{ name, limits, mode, more string }{
		{"tcp", none, "tcp", ""},
		{"mcp", none, "mcp", `max_message = "1k"`},
		{"mcp, any length", none, "mcp", `max_message = 0`},
		{"mcp, delay", delay, "mcp", `max_message = "1k"`},
		{"mcp, delay, any length", delay, "mcp", `max_message = 0`},
		{"mcp, reject", reject, "mcp", `max_message = "1k"`},
		{"mcp, reject, any length", reject, "mcp", `max_message = 0`},
		{"PROXY", none, "tcp", "accept_proxy = true\ntrusted_proxies = [\"127.0.0.1/32\"]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := test.limits
			over := make(chan struct{})
			kinds := badServers(over)
			for i, kind := range slices.Sorted(maps.Keys(kinds)) {
				backend := fmt.Sprintf("b%d", i)
				s := endpoint.Serve(t, kinds[kind])
				text += frontendText(backend, fmt.Sprintf("127.0.0.%d:0", 1+i), test.mode, backend,
					`timeout_client = "500ms"`, `timeout_half_closed = "100ms"`, test.more) +
					backendText(backend, []string{s.Address}, "retries = 0", "check = { observe = false }")
			}
			t.Cleanup(func() { close(over) })
			randomBytes(t, start(t, text))
		})
	}
}

// randomBytes sends random bytes to every frontend from several clients, each of
// which ends in a different way.
func randomBytes(t *testing.T, r *running) {
	var all sync.WaitGroup
	for _, f := range r.Snapshot().Frontends {
		for i := range 4 {
			all.Go(func() {
				p := make([]byte, 64<<10)
				_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", f.Name+f.Mode)))).Read(p)
				dialed, err := net.DialTimeout("tcp", f.Listen[0], endpoint.Patience)
				if err != nil {
					return // the server's reset came first
				}
				c := dialed.(*net.TCPConn)
				defer c.Close()
				_, _ = c.Write(p)
				switch i {
				case 0:
					_ = c.CloseWrite()
				case 1:
					endpoint.Reset(c)
				case 2:
					c.Close()
				}
				// The last is silent: it times out, or the server ends it.
				toEnd(c)
			})
		}
	}
	all.Wait()
	r.eventually("every client was accepted", func() bool { // a client that leaves at once may still wait to be accepted
		return !slices.ContainsFunc(r.Snapshot().Frontends, func(f admin.Frontend) bool { return f.Connections.Total < 4 })
	})
	r.empty()
	for _, f := range r.Snapshot().Frontends {
		if f.Connections.Total != 4 {
			t.Errorf("%d connections were counted, want 4", f.Connections.Total)
		}
	}
}

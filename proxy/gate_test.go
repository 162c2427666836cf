//go:build linux

package proxy

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"mcplb/proxy/admin"
)

// When maxconn is reached, clients wait in the backlog, and are served as soon
// as others have left.
func TestMaxConn(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	text := frontendText("f", anyPort, "tcp", "b") + frontendText("g", "127.0.0.2:0", "mcp", "b") + backendText("b", []string{s.address})
	r := start(t, "[global]\nmaxconn = 2\n"+text)
	first, second := dial(t, r.address("f")), dial(t, r.address("g"))
	first.ask("hello")
	second.ask("hello")
	third := dial(t, r.address("f"))
	third.silent()
	shown := r.Snapshot()
	if p := shown.Process; p.Connections.Current != 2 || p.Connections.Limit != 2 || !p.AcceptPaused || p.AcceptPauseReason != "maxconn" {
		t.Errorf("the status says %+v, want a pause at 2 connections", p)
	}
	for _, f := range shown.Frontends {
		if f.State != admin.FrontendPaused {
			t.Errorf("frontend %s is %s, want paused", f.Name, f.State)
		}
	}
	second.Close()
	third.ask("my turn")

	fourth := dial(t, r.address("g"))
	fourth.silent()
	r.apply("[global]\nmaxconn = 3\n" + text)
	fourth.ask("my turn")
	r.apply("[global]\nmaxconn = 1\n" + text)
	first.ask("still here")
	third.Close()
	fifth := dial(t, r.address("f"))
	fifth.silent()
	fourth.Close()
	fifth.silent()
	first.Close()
	fifth.ask("my turn")
}

// silent wants that nobody answers, for a moment.
func (c *client) silent() {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.reader.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("received %v, want nothing", err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

// Pausing and resuming cross each other, over two listeners: nobody is left
// waiting, and the limit holds.
func TestGateUnderChurn(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	r := start(t, "[global]\nmaxconn = 3\nthreads = 2\n"+
		frontendText("f", anyPort, "tcp", "b")+frontendText("g", "127.0.0.2:0", "tcp", "b")+backendText("b", []string{s.address}))
	addresses := []string{r.address("f"), r.address("g")}
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for n := range 40 {
				c := dial(t, addresses[(i+n)%2])
				c.ask("hello")
				if n%3 == 0 {
					reset(c.TCPConn)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	r.empty()
	if peak := r.Snapshot().Process.Connections.Peak; peak > 3 {
		t.Errorf("%d clients were connected at once, want at most 3", peak)
	}
}

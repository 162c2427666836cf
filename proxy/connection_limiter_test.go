package proxy

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/output"
	"mcplb/proxy/admin"

	"golang.org/x/sys/unix"
)

// When maxconn is reached, clients wait in the backlog, and are served as soon as
// others have left.
func TestMaxConn(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + frontendText("g", "127.0.0.2:0", "mcp", "b") + backendText("b", []string{s.Address})
	r := start(t, "[global]\nmaxconn = 2\n"+text)
	first, second := dial(t, r.address("f")), dial(t, r.address("g"))
	first.Ask("hello")
	second.Ask("hello")
	third := dial(t, r.address("f"))
	third.silent()
	r.eventually("the status says that clients wait", func() bool {
		shown := r.Snapshot()
		p := shown.Process
		return p.Connections.Current == 2 && p.Connections.Limit == 2 && p.AcceptPaused && p.AcceptPauseReason == "maxconn" &&
			!slices.ContainsFunc(shown.Frontends, func(f admin.Frontend) bool { return f.State != admin.FrontendPaused })
	})
	second.Close()
	third.Ask("my turn")

	fourth := dial(t, r.address("g"))
	fourth.silent()
	r.apply("[global]\nmaxconn = 3\n" + text)
	fourth.Ask("my turn")
	r.apply("[global]\nmaxconn = 1\n" + text)
	first.Ask("still here")
	third.Close()
	fifth := dial(t, r.address("f"))
	fifth.silent()
	fourth.Close()
	fifth.silent()
	first.Close()
	fifth.Ask("my turn")
}

// silent checks that no answer comes for a moment.
func (c *client) silent() {
	c.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		c.Fatal(err)
	}
	if _, err := c.Reader.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.Fatalf("received %v, want nothing", err)
	}
	if err := c.SetDeadline(time.Now().Add(endpoint.Patience)); err != nil {
		c.Fatal(err)
	}
}

// Pauses and resumptions cross each other, over two listeners: no client is left
// waiting, and the limit holds.
func TestMaxConnUnderChurn(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := start(t, "[global]\nmaxconn = 3\nthreads = 2\n"+
		frontendText("f", anyPort, "tcp", "b")+frontendText("g", "127.0.0.2:0", "tcp", "b")+backendText("b", []string{s.Address}))
	addresses := []string{r.address("f"), r.address("g")}
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for n := range 40 {
				c := dial(t, addresses[(i+n)%2])
				c.Ask("hello")
				if n%3 == 0 {
					c.Reset()
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

// When descriptors run out clients are turned away: an operator sees it in the log,
// once and not a thousand times.
func TestFailedAcceptsAreLogged(t *testing.T) {
	t.Parallel()
	var lines output.Output
	c := newConnectionLimiter(nil, 10, func() {}, slog.New(slog.NewTextHandler(&lines, nil)))
	for range 1000 {
		c.Failed(unix.EMFILE)
	}
	lines.Await(t, `a client was not accepted" err="too many open files" omitted=0 advice="raise the limit of open files`, nil)
	if n := strings.Count(lines.String(), "\n"); n != 1 {
		t.Errorf("%d lines are written, want 1:\n%s", n, lines.String())
	}
	if n := c.failed.Load(); n != 1000 {
		t.Errorf("%d failures are counted, want 1000", n)
	}
}

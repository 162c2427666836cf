package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/lateness"
	"mcplb/proxy/admin"
)

// Killing a node breaks its connections and no others. Other nodes serve its sources
// at once, and only these return to the node when it is back.
func TestNodeDiesAndReturns(t *testing.T) {
	t.Parallel()
	sources := full(400, 200)
	c := startCluster(t, func(s *setup) { s.ratelimit = "connection_rate = 0\nmessage_rate = 0" })
	h := c.hold(t, sources, sources)
	dead := c.nodes[1]
	dead.signal(t, syscall.SIGKILL)
	<-dead.ended

	broken := 0
	during := make([]string, sources) // the node of each source while the node is dead
	forEach(t, sources, func(i int) (err error) {
		fresh, name, err := sessionFrom(h.sources[i], c.frontend)
		if err != nil {
			return fmt.Errorf("a new client: %w", err)
		}
		during[i] = name
		if h.nodes[i] != dead.name {
			return errors.Join(h.clients[i].ping(), fresh.leave())
		}
		if err := h.clients[i].ping(); err == nil {
			return errors.New("a connection of the dead node answers")
		}
		h.clients[i].Close()
		h.clients[i] = fresh
		return nil
	})
	moved := 0
	for i, name := range h.nodes {
		if name == dead.name {
			broken++
		}
		if name != during[i] {
			moved++
		}
	}
	t.Logf("%s was killed: its %d of %d connections broke; %d sources moved; %d new clients, none failed", dead.name, broken, sources, moved, sources)
	if moved != broken {
		t.Errorf("%d sources moved, want the %d of %s", moved, broken, dead.name)
	}

	startNode(t, dead.name, dead.address)
	c.reloadChecks(t, "interval = '1s'")
	c.awaitUsable(t, 1, true)
	c.reloadChecks(t, "") // those of a busy machine would move sources
	c.awaitTrusted(t)
	forEach(t, sources, func(i int) error { return errors.Join(h.clients[i].ping(), c.reopen(h, i)) })
	t.Logf("%s came back: every connection stayed, and every source that reconnected was on its first node again", dead.name)
}

// reloadChecks sets how often nodes are checked.
func (c *cluster) reloadChecks(t *testing.T, lines string) {
	t.Helper()
	c.check = "type = 'mcp'\n" + lines
	c.write(t)
	if status, _, stderr := mcplb("reload", "-admin", c.admin); status != exitOK {
		t.Fatalf("reload: %s", stderr)
	}
}

// awaitTrusted waits until every node is up and no check is overdue.
func (c *cluster) awaitTrusted(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		for _, s := range c.status(t).Backends[0].Servers {
			if s.State != admin.ServerUp || s.Suspect {
				return fmt.Errorf("%s is %s, its check overdue: %v", s.Name, s.State, s.Suspect)
			}
		}
		return nil
	})
}

// A node that hangs (its kernel still accepts, it never answers) is out of
// rotation within 5 s by default. From then on no new client reaches it, and its
// clients can reconnect at once.
func TestNodeHangs(t *testing.T) {
	t.Parallel()
	const sources, within = 80, 5 * time.Second
	c := startCluster(t, func(s *setup) {
		s.ratelimit = "connection_rate = 0\nmessage_rate = 0"
		s.check += "\ninterval = '3s'\nfast_interval = '1s'" // the default
	})
	h := c.hold(t, sources, sources)
	hung := c.nodes[2]
	late := lateness.Measure(t)
	hung.signal(t, syscall.SIGSTOP)
	start := time.Now()

	var a arrivals
	for c.status(t).Backends[0].Servers[2].Usable {
		a.open(c.frontend, 20)
	}
	shownDown := time.Since(start)
	a.open(c.frontend, sources)
	margin := late()
	forEach(t, sources, func(i int) error {
		if h.nodes[i] != hung.name {
			return h.clients[i].ping()
		}
		if _, err := h.clients[i].readByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("the connection of a client of the hung node does not end: %w", err)
		}
		again, _, err := sessionFrom(h.sources[i], c.frontend)
		if err != nil {
			return err
		}
		return again.leave()
	})
	failed, last := a.failures(start)
	t.Logf("%s hung: %d of %d new clients reached it, the last after %v; it was shown down after %v; its %d clients were disconnected and reconnected; timers were %v late",
		hung.name, failed, a.begun, last.Round(time.Millisecond), shownDown.Round(time.Millisecond), count(h.nodes, hung.name), margin.Round(time.Millisecond))
	if last > within+margin {
		t.Errorf("out of rotation after %v, want at most %v, and %v for a busy machine", last, within, margin)
	}

	hung.signal(t, syscall.SIGCONT)
	c.awaitUsable(t, 2, true)
}

// arrivals are new clients, one every few milliseconds.
type arrivals struct {
	begun   int
	opening sync.WaitGroup
	mu      sync.Mutex
	failed  []time.Time // guarded by mu; when the clients began that were not served
}

// open opens n clients, each from the next source.
func (a *arrivals) open(address string, n int) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range n {
		<-ticker.C
		from, begun := source(a.begun), time.Now()
		a.begun++
		a.opening.Go(func() {
			c, _, err := sessionFrom(from, address)
			if err != nil {
				a.mu.Lock()
				defer a.mu.Unlock()
				a.failed = append(a.failed, begun)
				return
			}
			c.Close()
		})
	}
}

// failures is the number of clients that were not served, and how long after start
// the last of them began.
func (a *arrivals) failures(start time.Time) (n int, last time.Duration) {
	a.opening.Wait()
	for _, begun := range a.failed {
		last = max(last, begun.Sub(start))
	}
	return len(a.failed), last
}

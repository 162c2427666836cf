package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Upgrade after upgrade under traffic: no client notices, and the process before
// is gone soon although the long-lived connections live on.
func TestUpgradesUnderTraffic(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	s := startStage(t, "-pid-file", pidFile)
	l := &line{balancer: s.balancer, pidFile: pidFile}
	t.Cleanup(l.killAll)
	tr := startTraffic(t, trafficLoad(), s.entrances)
	files := openFiles(t, l.serving(t))
	for i := range full(20, 3) {
		before, after := l.upgrade(t)
		began := time.Now()
		l.awaitGone(t, before)
		t.Logf("upgrade %d: the process before was gone %v after", i+1, time.Since(began).Round(time.Millisecond))
		tr.awaitProgress(t, 3)
		if now := l.serving(t); now != after {
			t.Fatalf("process %d serves, not %d", now, after)
		}
	}
	tr.stop()
	tr.expectNoFailure(t)
	if now := openFiles(t, l.serving(t)); now > files+20 {
		t.Errorf("%d descriptors are open, %d were before the upgrades", now, files)
	}
}

// openFiles is how many descriptors a process has open.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Many connections move at once, and every one of them goes on: each is asked
// before and after. The log says for how long nobody served them.
func TestUpgradeWithManyConnections(t *testing.T) {
	t.Parallel()
	n := full(9000, 400)
	s := newSetup(t, startEcho(t))
	s.mode = "mcp"
	s.ratelimit = "exempt = ['127.0.0.0/8']"
	l := startLine(t, s)
	clients := make([]*client, n)
	for i := range clients {
		var err error
		if clients[i], err = dialFrom("", l.frontend); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer clients[i].Close()
		expectAnswer(t, clients[i], i)
	}
	before, after := l.upgrade(t)
	l.awaitGone(t, before)
	for i, c := range clients {
		expectAnswer(t, c, i)
	}
	t.Log(l.await(t, `connections_taken_over=.*`)[0])
	status := l.status(t)
	if got := status.Process.Connections.Current; got != int64(n) || status.Process.PID != after {
		t.Errorf("%d connections in process %d, want %d in %d", got, status.Process.PID, n, after)
	}
	if files := openFiles(t, after); files > 2*n+60 {
		t.Errorf("%d descriptors are open for %d connections", files, n)
	}
}

// expectAnswer sends a line of its own and wants it back.
func expectAnswer(t *testing.T, c *client, i int) {
	t.Helper()
	line := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i)
	if answer, err := c.roundTrip(line); err != nil || answer != line {
		t.Fatalf("connection %d: %q, %v", i, answer, err)
	}
}

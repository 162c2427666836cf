package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Upgrade after upgrade under traffic: no client notices, and the process before
// is gone soon although the long-lived connections live on.
func TestUpgradesUnderTraffic(t *testing.T) {
	t.Parallel()
	s := startStage(t)
	files := openFiles(t, s.serving(t))
	tr := startTraffic(t, trafficLoad(), s.entrances)
	for i := range full(20, 3) {
		s.upgradeInTime(t, i+1)
		tr.awaitProgress(t, 3)
	}
	tr.stop()
	tr.expectNoFailure(t)
	s.expectFilesClosed(t, files)
}

// Upgrades among reloads that change the file under traffic: before an upgrade,
// after one, and while one is under way. So what a reload takes away, frontends,
// backends and servers with their clients, goes through upgrades, too. No client
// notices, the process before is gone soon, and the last one has no more files
// open and takes no more memory than the first ones.
func TestReloadsAmidUpgradesUnderTraffic(t *testing.T) {
	t.Parallel()
	s := startStage(t)
	files := openFiles(t, s.serving(t))
	tr := startTraffic(t, trafficLoad(), s.entrances)
	reloads, upgrades, memory := 0, full(20, 6), 0
	for i := 1; i <= upgrades; i++ {
		for range 1 + i%2 {
			reloads++
			s.reloadVariant(t, reloads)
			tr.awaitProgress(t, 1)
		}
		reloads++
		s.upgradeInTime(t, i, func(before int) {
			s.writeVariant(t, reloads)
			s.send(t, before, syscall.SIGHUP)
		})
		s.awaitReloads(t, reloads)
		tr.awaitProgress(t, 5)
		now := anonymous(t, s.serving(t))
		t.Logf("after %d reloads the process has %.1f MB", reloads, float64(now)/1024)
		if i <= upgrades/2 {
			memory = max(memory, now)
		} else if now > memory+mostGrown {
			t.Errorf("process %d has %d KB, those of the first half had %d", i+1, now, memory)
		}
	}
	tr.stop()
	tr.expectNoFailure(t)
	t.Logf("%d reloads, %d upgrades", reloads, upgrades)
	s.expectFilesClosed(t, files)
}

// mostGrown is by how many kilobytes one process's memory may differ from
// another's: when the collector ran last makes as much.
const mostGrown = 4 << 10

// upgradeInTime upgrades, does meanwhile what is to be done, and waits until the
// process before has gone.
func (s *stage) upgradeInTime(t *testing.T, n int, meanwhile ...func(before int)) {
	t.Helper()
	began, before := time.Now(), s.serving(t)
	s.send(t, before, syscall.SIGUSR2)
	for _, do := range meanwhile {
		do(before)
	}
	s.awaitGone(t, before)
	took := time.Since(began)
	t.Logf("upgrade %d: the process before was gone %v after the signal", n, took.Round(time.Millisecond))
	if os.Getenv("MCPLB_LONG") != "" && took > 10*time.Second {
		t.Errorf("upgrade %d: that is more than 10 s", n)
	}
	if now := s.serving(t); now == before || commandLine(now) == "" {
		t.Fatalf("upgrade %d: process %d, which the pid file names, does not serve", n, now)
	}
}

// expectFilesClosed wants no more files open, when no client is connected any
// more, than there were before any had come, but for the connections to servers
// that are kept.
func (s *stage) expectFilesClosed(t *testing.T, before int) {
	t.Helper()
	const some = 8 // a listener that the shape has more, and one of a page that is asked
	eventually(t, func() error {
		shown, kept := s.status(t), 0
		for _, b := range shown.Backends {
			for _, server := range b.Servers {
				kept += int(server.Idle)
			}
		}
		if now := openFiles(t, s.serving(t)); now-kept > before+some {
			return fmt.Errorf("%d files are open, %d of them connections that are kept; before there were %d", now, kept, before)
		}
		return nil
	})
}

// anonymous is the memory of a process's own, in kilobytes (proc(5), RssAnon).
func anonymous(t *testing.T, pid int) (kilobytes int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, err := fmt.Sscanf(line, "RssAnon: %d kB", &kilobytes); n == 1 && err == nil {
			return kilobytes
		}
	}
	t.Fatalf("process %d does not tell its memory:\n%s", pid, text)
	return 0
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

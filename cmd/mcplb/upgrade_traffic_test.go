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

// Several upgrades under traffic: no client notices, and each old process ends soon
// although the long-lived connections continue.
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

// Reloads change the file under traffic before, during and after upgrades. So
// frontends, backends and servers that a reload removes while they have clients go
// through upgrades, too. No client notices, each old process ends soon, and the last
// process has no more open files and no more memory than the first ones.
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
			continue
		}
		eventually(t, func() error { // what has not been collected yet is no leak
			if now := anonymous(t, s.serving(t)); now > memory+mostGrown {
				return fmt.Errorf("process %d has %d KB, the first half had %d", i+1, now, memory)
			}
			return nil
		})
	}
	tr.stop()
	tr.expectNoFailure(t)
	t.Logf("%d reloads, %d upgrades", reloads, upgrades)
	s.expectFilesClosed(t, files)
}

// mostGrown is the allowed difference of memory between processes, in kilobytes: the
// time of the last garbage collection causes as much.
const mostGrown = 4 << 10

// upgradeInTime upgrades, calls meanwhile, and waits for the end of the old process.
func (s *stage) upgradeInTime(t *testing.T, n int, meanwhile ...func(before int)) {
	t.Helper()
	began, before := time.Now(), s.serving(t)
	s.send(t, before, syscall.SIGUSR2)
	for _, do := range meanwhile {
		do(before)
	}
	s.awaitGone(t, before)
	took := time.Since(began)
	t.Logf("upgrade %d: the old process ended %v after the signal", n, took.Round(time.Millisecond))
	if os.Getenv("MCPLB_LONG") != "" && took > 10*time.Second {
		t.Errorf("upgrade %d: that is more than 10 s", n)
	}
	if now := s.serving(t); now == before || commandLine(now) == "" {
		t.Fatalf("upgrade %d: process %d of the pid file does not serve", n, now)
	}
}

// expectFilesClosed checks that, without clients, no more files are open than before
// the first client, except for kept connections to servers.
func (s *stage) expectFilesClosed(t *testing.T, before int) {
	t.Helper()
	const some = 8 // a further listener of the shape, and a connection of the page
	eventually(t, func() error {
		shown, kept := s.status(t), 0
		for _, b := range shown.Backends {
			for _, server := range b.Servers {
				kept += int(server.Idle)
			}
		}
		if now := openFiles(t, s.serving(t)); now-kept > before+some {
			return fmt.Errorf("%d files are open, %d of them kept connections; before, there were %d", now, kept, before)
		}
		return nil
	})
}

// anonymous is the unshared memory of a process, in kilobytes (proc(5), RssAnon).
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
	t.Fatalf("no RssAnon of process %d:\n%s", pid, text)
	return 0
}

// openFiles is the number of open descriptors of a process.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Many connections move at once, and each one is served before and after. The log
// shows for how long they were not served.
func TestUpgradeWithManyConnections(t *testing.T) {
	t.Parallel()
	n := full(9000, 400)
	s := newSetup(t, startEcho(t))
	s.mode = "mcp"
	s.ratelimit = "exempt = ['127.0.0.0/8']"
	l := startLineage(t, s)
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

// expectAnswer sends a unique line and expects it back.
func expectAnswer(t *testing.T, c *client, i int) {
	t.Helper()
	line := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i)
	if answer, err := c.roundTrip(line); err != nil || answer != line {
		t.Fatalf("connection %d: %q, %v", i, answer, err)
	}
}

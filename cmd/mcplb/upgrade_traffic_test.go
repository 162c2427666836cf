package main

import (
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

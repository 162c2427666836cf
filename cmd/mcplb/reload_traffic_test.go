package main

import (
	"fmt"
	"syscall"
	"testing"
)

// Many reloads, each of a different file, and no client notices.
func TestReloadsUnderTraffic(t *testing.T) {
	t.Parallel()
	s := startStage(t)
	tr := startTraffic(t, trafficLoad(), s.entrances)
	tr.pauses() // discards the time in which clients connected
	for i := 1; i <= full(50, len(s.variants())); i++ {
		s.reloadVariant(t, i)
		tr.awaitProgress(t, 3)
	}
	waits := tr.pauses()
	tr.stop()
	tr.expectNoFailure(t)
	t.Logf("the longest wait of a connection for a message: median %v, maximum %v", waits[len(waits)/2], waits[len(waits)-1])
	if failed := s.metrics(t)["mcplb_config_last_reload_successful"]; failed != 1 {
		t.Error("the last reload failed")
	}
}

// reloadVariant writes shape number i, counted from 1, and returns when it is in force.
func (s *stage) reloadVariant(t *testing.T, i int) {
	t.Helper()
	s.writeVariant(t, i)
	s.send(t, s.serving(t), syscall.SIGHUP)
	s.awaitReloads(t, i)
}

// awaitReloads waits until n reloads have been done.
func (s *stage) awaitReloads(t *testing.T, n int) {
	t.Helper()
	s.await(t, fmt.Sprintf(`(?s:("?msg"?[=:]"?reloaded.*){%d})`, n))
}

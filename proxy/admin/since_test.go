package admin

import (
	"strings"
	"testing"
	"time"
)

// For how long a server has been down is counted from the verdict of its checks: draining it and
// taking it back must not make an outage look new.
func TestSinceOfHealthAndAdmin(t *testing.T) {
	t.Parallel()
	hourAgo, now := exampleTime.Add(-time.Hour), exampleTime
	s := Server{State: ServerDown, Admin: AdminReady, Since: hourAgo, AdminSince: now}
	if got := s.ShownSince(); !got.Equal(hourAgo) {
		t.Errorf("down and ready again: since %v, want the time of the verdict", got)
	}
	s.Admin = AdminDrain
	if got := s.ShownSince(); !got.Equal(now) {
		t.Errorf("down and in drain: since %v, want the time of the command", got)
	}
	if got := s.Changed(); !got.Equal(now) {
		t.Errorf("last changed %v, want the time of the command", got)
	}
	s.Since, s.AdminSince = now, hourAgo
	if got := s.Changed(); !got.Equal(now) {
		t.Errorf("last changed %v, want the time of the verdict", got)
	}
	d := newDesk(edited(func(s *Snapshot) {
		server := &s.Backends[0].Servers[1]
		server.Admin, server.Since, server.AdminSince = AdminReady, hourAgo, now
	}))
	if text := body(t, d.ask("GET", "/api/v1/status", "")); !strings.Contains(text, "is down for 1h") {
		t.Errorf("the finding does not count from the verdict: %s", text[strings.Index(text, `"summary"`):])
	}
}

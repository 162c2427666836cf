package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/proxy/admin"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			b := startBalancer(t, newSetup(t, startEcho(t)))
			c := connect(t, b.frontend)
			c.expectEcho(t)
			b.signal(t, sig)
			b.await(t, `msg=draining signal=`+sig.String()+` connections=1`)

			expectNoNewClients(t, b.frontend)
			c.expectEcho(t)
			expectShownDraining(t, b)
			b.signal(t, syscall.SIGHUP)
			b.await(t, `msg="not reloading" err="the balancer is draining`)
			c.expectEcho(t)

			c.Close()
			b.expectExit(t, exitOK)
			b.expectLog(t, `stopped, every connection had ended`)
		})
	}
}

// expectNoNewClients waits until the frontend's port is closed.
func expectNoNewClients(t *testing.T, address string) {
	t.Helper()
	eventually(t, func() error {
		c, err := dialFrom("", address)
		if err == nil {
			c.Close()
			return errors.New("a new client is connected")
		}
		if errors.Is(err, syscall.ECONNRESET) {
			return err // the connection was in the backlog when the port was closed
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		return nil
	})
}

// expectShownDraining waits until the one client that is left is the only one shown:
// those that were accepted just before the port was closed may still be ending.
func expectShownDraining(t *testing.T, b *balancer) {
	t.Helper()
	var s *admin.Snapshot
	eventually(t, func() error {
		if s = b.status(t); s.Process.Connections.Current != 1 {
			return fmt.Errorf("the status shows %d connections, want 1", s.Process.Connections.Current)
		}
		return nil
	})
	if state := s.Frontends[0].State; !s.Process.Draining || state != admin.FrontendDraining {
		t.Errorf("the status shows draining=%v, frontend %s", s.Process.Draining, state)
	}
	if code, body := get(t, b.health, "/health"); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("/health answers %d %q, want 503 for draining", code, body)
	}
}

func TestStopWithoutClients(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t)))
	b.signal(t, syscall.SIGTERM)
	b.expectExit(t, exitOK)
	b.expectLog(t, `stopped, every connection had ended`)
}

// A second signal and hard_stop_after cut draining short. Clients that are still
// connected see a reset, not an orderly end.
func TestDrainingIsCutShort(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		hardStop  time.Duration
		second    syscall.Signal // 0 = none
		least     time.Duration  // the shortest time until the end
		lastWords string
	}{
		{"second TERM", time.Hour, syscall.SIGTERM, 0, `1 connections were cut off: a second signal to stop`},
		{"INT after TERM", 0, syscall.SIGINT, 0, `1 connections were cut off: a second signal to stop`},
		{"hard_stop_after", 300 * time.Millisecond, 0, 300 * time.Millisecond, `1 connections were cut off: draining took longer than hard_stop_after \(300ms\)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, startEcho(t))
			s.global = fmt.Sprintf("hard_stop_after = '%s'", test.hardStop)
			b := startBalancer(t, s)
			c := connect(t, b.frontend)
			c.expectEcho(t)
			start := time.Now()
			b.signal(t, syscall.SIGTERM)
			b.await(t, `msg=draining`)
			if test.second != 0 {
				b.signal(t, test.second)
			}
			c.expectReset(t)
			b.expectExit(t, exitOK)
			if took := time.Since(start); took < test.least || took > test.least+30*time.Second { // half a second on an idle machine
				t.Errorf("it took %v to stop, want %v and little more", took, test.least)
			}
			b.expectLog(t, test.lastWords)
		})
	}
}

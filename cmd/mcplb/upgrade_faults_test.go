package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The old process is killed as soon as the new one serves: all connections have moved
// by then.
func TestOldProcessKilled(t *testing.T) {
	t.Parallel()
	l := startLineage(t, newSetup(t, startEcho(t)))
	held := holdLines(t, l, 100)
	for range 3 {
		before, after := l.upgrade(t)
		_ = syscall.Kill(before, syscall.SIGKILL) // it may have ended already
		l.awaitGone(t, before)
		held = stillHeld(t, held)
		if len(held) != 100 {
			t.Fatalf("%d connections of 100 are left", len(held))
		}
		l.expectServing(t, after)
		l.await(t, `(?s)the process before has ended.*$`)
	}
}

// The new process is killed at a random moment before it serves. The old process
// continues to serve: new clients are accepted, and no connection is lost except
// those that the dead process had, which the old one does not count any more.
func TestNewProcessKilled(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.ratelimit = "exempt = ['127.0.0.0/8']"
	l := startLineage(t, s)
	first := l.serving(t)
	knocking := knock(t, l.frontend)
	killed := 0
	for range full(60, shorter(15)) {
		held := holdLines(t, l, 60)
		l.send(t, first, syscall.SIGUSR2)
		delay := time.Duration(rand.Int64N(int64(40 * time.Millisecond)))
		timer := time.NewTimer(delay) // the random moment of the test
		<-timer.C
		if !l.killNext(t, first) {
			// It served already, so it is the first process now.
			eventually(t, func() error {
				if l.serving(t) == first {
					return errors.New("no process has taken over")
				}
				return nil
			})
			l.awaitGone(t, first)
			first = l.serving(t)
			eventually(t, func() error { return l.alone(first) })
		} else {
			killed++
			l.await(t, fmt.Sprintf(`(?s:(the upgrade failed.*){%d})`, killed))
		}
		held = stillHeld(t, held)
		l.expectServing(t, first)
		for _, c := range held {
			c.expectEcho(t)
			c.Close()
		}
		l.awaitIdleBut(t, 1)
	}
	t.Logf("%d new processes were killed before they served", killed)
	if failures := knocking(); len(failures) > 0 {
		t.Errorf("%d clients were not accepted: %v", len(failures), failures[0])
	}
}

// holdLines opens connections and exchanges a line on each.
func holdLines(t *testing.T, l *lineage, n int) (held []*client) {
	t.Helper()
	for range n {
		c := connect(t, l.frontend)
		c.expectEcho(t)
		held = append(held, c)
	}
	return held
}

// stillHeld are the connections that still get the right answer. The others must have
// ended: a wrong or missing answer is an error.
func stillHeld(t *testing.T, held []*client) (left []*client) {
	t.Helper()
	for i, c := range held {
		question := fmt.Sprintf("question %d", i)
		answer, err := c.roundTrip(question)
		switch {
		case err == nil && answer == question:
			left = append(left, c)
		case err == nil:
			t.Errorf("connection %d was answered %q", i, answer)
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("connection %d is not served", i)
		}
	}
	return left
}

// knock connects repeatedly until it is stopped, and returns the failures.
func knock(t *testing.T, address string) (stop func() []error) {
	t.Helper()
	var failures []error
	var working sync.WaitGroup
	done := make(chan struct{})
	stop = sync.OnceValue(func() []error {
		close(done)
		working.Wait()
		return failures
	})
	t.Cleanup(func() { stop() })
	working.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			c, err := net.DialTimeout("tcp", address, patience)
			if err != nil {
				failures = append(failures, err)
				continue
			}
			c.Close()
		}
	})
	return stop
}

// killNext kills the new process of an upgrade, unless it serves already.
func (l *lineage) killNext(t *testing.T, before int) bool {
	t.Helper()
	for _, text := range strings.Fields(childrenOf(before)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		// Stopped, so that it does not start to serve between the check and the kill.
		_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended
		if l.serving(t) == before {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return true
		}
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	return false
}

// childrenOf are the children of a process (proc(5), children).
func childrenOf(pid int) string {
	all := ""
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		all += string(text) + " "
	}
	return all
}

// alone returns an error unless a process has logged the end of the old process.
func (l *lineage) alone(pid int) error {
	text := l.log.String()
	serving := strings.LastIndex(text, fmt.Sprintf("pid=%d ", pid))
	if serving < 0 || !strings.Contains(text[serving:], "the process before has ended") {
		return fmt.Errorf("process %d is not alone", pid)
	}
	return nil
}

// awaitIdleBut waits until at most n clients are connected.
func (l *lineage) awaitIdleBut(t *testing.T, n int64) {
	t.Helper()
	eventually(t, func() error {
		if now := l.status(t).Process.Connections.Current; now > n {
			return fmt.Errorf("%d clients are connected", now)
		}
		return nil
	})
}

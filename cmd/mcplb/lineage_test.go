package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lineage is an mcplb and the processes of its upgrades, one after the other. All
// write to one log.
type lineage struct {
	*balancer
	binary, pidFile string
}

// startLineage starts the first process. Its binary is a separate link, which a test
// may replace.
func startLineage(t *testing.T, s *setup, flags ...string) *lineage {
	t.Helper()
	directory := t.TempDir()
	l := &lineage{binary: filepath.Join(directory, "mcplb"), pidFile: filepath.Join(directory, "pid")}
	l.install(t, filepath.Join(binaries, "mcplb"))
	if !slices.Contains(flags, "-upgrade-timeout") {
		flags = append(flags, "-upgrade-timeout", patience.String())
	}
	command := exec.Command(l.binary, append(flags, "-c", s.write(t), "-pid-file", l.pidFile)...)
	l.balancer = &balancer{startProcess(t, command), s}
	t.Cleanup(func() { l.killAll() })
	l.await(t, `\bserving\b`)
	return l
}

// install replaces the binary by a program.
func (l *lineage) install(t *testing.T, program string) {
	t.Helper()
	fresh := l.binary + ".new"
	if err := os.Symlink(program, fresh); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, l.binary); err != nil {
		t.Fatal(err)
	}
}

// installScript replaces the binary by a shell script.
func (l *lineage) installScript(t *testing.T, text string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.install(t, script)
}

// pids are the processes that have served, in order.
func (l *lineage) pids() []int {
	var all []int
	for _, match := range regexp.MustCompile(`(?m)\bserving\b.*\bpid"?[=:](\d+)`).FindAllStringSubmatch(l.log.String(), -1) {
		pid, _ := strconv.Atoi(match[1]) // the pattern matches digits only
		all = append(all, pid)
	}
	return all
}

// killAll ends the remaining processes. Only the first one has been waited for, so the
// kernel has not reused the IDs of the others.
func (l *lineage) killAll() {
	for _, pid := range l.pids() {
		if strings.Contains(commandLine(pid), l.pidFile) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// commandLine is the command line of a process, "" when it has ended.
func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(text)
}

// serving is the process in the pid file.
func (l *lineage) serving(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(l.pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatalf("the pid file has %q", text)
	}
	return pid
}

// send sends a signal to one of the processes.
func (l *lineage) send(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// upgrade upgrades the serving process and returns when the new one serves.
func (l *lineage) upgrade(t *testing.T) (before, after int) {
	t.Helper()
	before = l.serving(t)
	l.send(t, before, syscall.SIGUSR2)
	eventually(t, func() error {
		if after = l.serving(t); after == before {
			return fmt.Errorf("process %d serves", before)
		}
		return nil
	})
	return before, after
}

// upgradeTimeout is a value of -upgrade-timeout that suffices for a good binary on
// a machine as busy as it is now, by the time of a start, and for what a test does
// while a bad one hangs.
func upgradeTimeout(t *testing.T) string {
	t.Helper()
	start := time.Now()
	startBalancer(t, newSetup(t, startEcho(t)))
	return (2*time.Second + 8*time.Since(start)).String()
}

// awaitGone waits for the end of a process.
func (l *lineage) awaitGone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, func() error {
		if text := commandLine(pid); text != "" { // a zombie's is empty
			return fmt.Errorf("process %d has not ended", pid)
		}
		return nil
	})
}

// expectServing checks that a process serves on every address.
func (l *lineage) expectServing(t *testing.T, pid int) {
	t.Helper()
	c := connect(t, l.frontend)
	c.expectEcho(t)
	c.Close()
	// The old process may still be closing the pages' sockets. It may cut a request off
	// that it has accepted late.
	eventually(t, func() error {
		code, body, err := tryGet(l.admin, "/api/v1/status")
		if err != nil {
			return err
		}
		if shown := parseStatus(t, code, body).Process.PID; shown != pid {
			return fmt.Errorf("process %d serves the pages, not %d", shown, pid)
		}
		return nil
	})
	eventually(t, func() error {
		status, body, err := tryGet(l.health, "/health")
		if err == nil && status != 200 {
			t.Errorf("health: %d %s", status, body)
		}
		return err
	})
}

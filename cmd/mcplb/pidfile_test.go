package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// A pid file that cannot be written stops an upgrade before anything has moved, and a
// start before anything is served. Found out at the end, it would cost every
// connection that has moved.
func TestUpgradeProvesThePIDFile(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	l := startLineage(t, s)
	first := l.serving(t)
	held := holdLines(t, l, 50)
	if err := os.Remove(l.pidFile); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(l.pidFile, 0o700); err != nil {
		t.Fatal(err)
	}
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `(?s)cannot start: cannot write the pid file .*: it is there and is no regular file.*the upgrade failed`)
	for _, c := range held {
		c.expectEcho(t)
	}
	l.expectServing(t, first)
	if err := os.Remove(l.pidFile); err != nil {
		t.Fatal(err)
	}
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `the new process serves`)
	l.awaitGone(t, first)
	for _, c := range held {
		c.expectEcho(t)
	}
	if now := l.serving(t); now == first {
		t.Error("the pid file names the old process")
	}

	refused := newSetup(t, startEcho(t))
	p := startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "-c", refused.write(t), "-pid-file", filepath.Join(t.TempDir(), "none", "pid")))
	p.expectExit(t, exitError)
	p.expectLog(t, `cannot start: cannot write the pid file .*none/pid: no such file or directory: create its directory`)
}

// After an upgrade that has failed, the pid file names the process that serves, even
// if the new one has written it already.
func TestFailedUpgradeRestoresThePIDFile(t *testing.T) {
	t.Parallel()
	l := startLineage(t, newSetup(t, startEcho(t)))
	first := l.serving(t)
	l.installScript(t, fmt.Sprintf("echo -n $$ > %s; exit 3", l.pidFile))
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `the upgrade failed`)
	if now := l.serving(t); now != first {
		t.Errorf("the pid file names %d, want %d", now, first)
	}
	l.installScript(t, fmt.Sprintf("rm %s; exit 3", l.pidFile))
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `(?s)the upgrade failed.*the upgrade failed`)
	if now := l.serving(t); now != first {
		t.Errorf("the pid file names %d, want %d", now, first)
	}
	l.expectServing(t, first)
}

// The disk of the pid file is full: the upgrade fails, or succeeds, but nobody is lost.
func TestUpgradeOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mounting a small disk: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := newSetup(t, startEcho(t))
	s.global = fmt.Sprintf("access_log = '%s'", filepath.Join(disk, "access.log"))
	pidFile := filepath.Join(disk, "pid")
	l := &lineage{binary: filepath.Join(binaries, "mcplb"), pidFile: pidFile}
	l.balancer = &balancer{startProcess(t, exec.Command(l.binary, "-c", s.write(t), "-pid-file", pidFile)), s}
	t.Cleanup(l.killAll)
	l.await(t, `\bserving\b`)
	first := l.serving(t)
	held := holdLines(t, l, 50)
	fill(t, filepath.Join(disk, "full"))
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `(?s)cannot write the pid file .*: no space left on device.*the upgrade failed`)
	for _, c := range held {
		c.expectEcho(t)
	}
	if text, err := os.ReadFile(pidFile); err != nil || string(text) != strconv.Itoa(first) {
		t.Errorf("the pid file has %q, %v", text, err)
	}
	if err := os.Remove(filepath.Join(disk, "full")); err != nil {
		t.Fatal(err)
	}
	_, after := l.upgrade(t)
	for _, c := range held {
		c.expectEcho(t)
	}
	l.expectServing(t, after)
}

// fill writes a file until its disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 1024))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

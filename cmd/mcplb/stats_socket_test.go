package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// askHAProxy sends a command to the stats socket.
func askHAProxy(path, command string) (string, error) {
	conn, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

// expectSocket expects the stats socket at path to answer for this process, and to be
// for its user alone.
func expectSocket(t *testing.T, path string, pid int) {
	t.Helper()
	eventually(t, func() error {
		text, err := askHAProxy(path, "show info")
		if err == nil && !strings.Contains(text, fmt.Sprintf("\nPid: %d\n", pid)) {
			err = fmt.Errorf("show info answers %q, want process %d", text, pid)
		}
		return err
	})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket has mode %v", info.Mode())
	}
}

// Scripts made for HAProxy reach the serving process at the same path, through
// reloads, upgrades and failed reloads, and nothing is left after a stop.
func TestStatsSocket(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	first, second := filepath.Join(directory, "first"), filepath.Join(directory, "second")
	s := newSetup(t, startEcho(t))
	s.adminLines = fmt.Sprintf("stats_socket = %q\n", first)
	l := startLineage(t, s)
	expectSocket(t, first, l.serving(t))

	if text, err := askHAProxy(first, "disable server nodes/node1"); err != nil || text != "\n" {
		t.Fatalf("disable server answers %q, %v", text, err)
	}
	if got := l.status(t).Backends[0].Servers[0].Admin; got != "maint" {
		t.Errorf("the server is in state %q after disable server", got)
	}

	s.adminLines = fmt.Sprintf("stats_socket = %q\n", filepath.Join(directory, "missing", "socket"))
	s.write(t)
	l.send(t, l.serving(t), syscall.SIGHUP)
	l.await(t, `reload failed.*admin\.stats_socket: `)
	expectSocket(t, first, l.serving(t))

	s.adminLines = fmt.Sprintf("stats_socket = %q\n", second)
	s.write(t)
	l.send(t, l.serving(t), syscall.SIGHUP)
	l.await(t, `msg=reloaded`)
	expectSocket(t, second, l.serving(t))
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("the former socket is still there: %v", err)
	}

	before, after := l.upgrade(t)
	l.awaitGone(t, before)
	expectSocket(t, second, after)

	l.send(t, after, syscall.SIGTERM)
	l.awaitGone(t, after)
	if left, err := os.ReadDir(directory); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestStandardInput checks that a configuration that came through a pipe is still there for
// a reload and for the new process of an upgrade: the pipe can be read only once, and
// without it the first SIGUSR2 would fail.
func TestStandardInput(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	text, err := os.ReadFile(s.write(t))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(binaries, "mcplb"), "-c", "-")
	command.Stdin = strings.NewReader(string(text)) // a pipe
	b := &balancer{startProcess(t, command), s}
	b.await(t, `msg=serving config=- `)
	c := connect(t, s.frontend)
	c.expectEcho(t)
	b.signal(t, syscall.SIGHUP)
	b.await(t, `msg=reloaded config=- changes="nothing changed"`)
	b.signal(t, syscall.SIGUSR2)
	pid, err := strconv.Atoi(b.await(t, `its_pid=(\d+)`)[1])
	if err != nil {
		t.Fatal(err)
	}
	b.await(t, `the process before has ended`)
	c.expectEcho(t)
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	b.await(t, `(?s)msg=reloaded.*msg=reloaded config=- changes="nothing changed"`)
}

// TestConfigDirectory checks that a reload takes up files that came and went since the
// start, and that a mistake in one of them changes nothing.
func TestConfigDirectory(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	directory := filepath.Dir(s.write(t))
	b := &balancer{startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "-c", directory)), s}
	b.await(t, `msg=serving config=`+directory)
	more := filepath.Join(directory, "more.toml")
	for i, step := range []struct {
		text, says string
		servers    int
	}{
		{"[[backend.nodes.server]]\nname = 'added'\ntcp = '127.0.0.1:9'\n", `msg=reloaded .*added`, 2},
		{"[global]\nthreads = 7\n", `reload failed.*more.toml:1: global: is defined in ` + directory + `/lb.toml:1 already`, 2},
		{"", `(?s)msg=reloaded .*msg=reloaded .*added`, 1},
	} {
		if err := os.WriteFile(more, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.signal(t, syscall.SIGHUP)
		b.await(t, step.says)
		if got := len(b.status(t).Backends[0].Servers); got != step.servers {
			t.Errorf("step %d: %d servers, want %d", i, got, step.servers)
		}
	}
}

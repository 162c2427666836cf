package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/run"
	"mcplb/conf"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// programs returns a directory with files named as the programs are.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"mcpcluster", "mcpnode", "mcplb"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	l, err := New(programs(t), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := conf.Load(l.configFile())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Backends[0].Servers); n != 4 {
		t.Errorf("%d nodes, want 4", n)
	}
}

func TestProgramIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := New(t.TempDir(), 4); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("got %v", err)
	}
}

func TestBreakNode(t *testing.T) {
	t.Parallel()
	l, err := New(programs(t), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := run.Options{Watch: []run.Watched{{Name: "mcplb", PID: 1}, {Name: "node2", PID: 2}}}
	if l.BreakNode(&o, "node2"); o.Fault.Command != "kill -9 2" || !strings.Contains(o.Fault.Repair, "node2") || !o.Expect.Undisturbed {
		t.Errorf("%+v", o.Fault)
	}
}

// A client of HTTP+SSE needs twice the files of the others.
func TestCapacity(t *testing.T) {
	t.Parallel()
	lines, err := Capacity(clients.Only(clients.TCP))
	if err != nil {
		t.Fatal(err)
	}
	if events, err := Capacity(clients.Only(clients.SSE)); err != nil || lines < 2*events || lines > 2*events+1 {
		t.Errorf("%d clients of raw TCP, %d of HTTP+SSE, %v", lines, events, err)
	}
}

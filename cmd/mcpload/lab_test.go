package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binaries builds what a lab needs, and mcpload.
func binaries(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	if output, err := exec.Command("go", "build", "-o", directory, "../mcplb", "../mcpnode", "../mcpcluster", "../mcpload").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return directory
}

// do runs an mcpload command in this process.
func do(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if got := dispatch(t.Context(), args, &out, &err); got != status {
		t.Fatalf("%v: exit status %d, want %d\n%s%s", args, got, status, &out, &err)
	}
	return out.String(), err.String()
}

// TestLab runs a part of everything that has a cluster of its own: one after the
// other, since a process has one lab at a time.
func TestLab(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters")
	}
	bin := binaries(t)
	t.Run("stress", func(t *testing.T) {
		stdout, _ := do(t, 0, "stress", "-bin", bin, "-size", "40", "-load", "400ms", "-p99", "1m", "-only", "formation")
		if strings.Count(stdout, "\nformation ") != 3 || strings.Count(stdout, " ok ") != 3 {
			t.Errorf("the table:\n%s", stdout)
		}
	})
	t.Run("bench", func(t *testing.T) {
		if os.Getenv("MCPLB_LONG") == "" {
			t.Skip("takes half a minute; set MCPLB_LONG=1")
		}
		out := t.TempDir()
		do(t, 0, "bench", "-bin", bin, "-o", out, "-n", "50", "-load", "300ms", "scaling")
		stdout, _ := do(t, 0, "bench", "-bin", bin, "-o", out+"/2", "-against", out, "-n", "50", "-load", "300ms", "scaling")
		if !strings.Contains(stdout, " 50 |") || !strings.Contains(stdout, "50, mcplb files: ") {
			t.Errorf("the table:\n%s", stdout)
		}
		for _, file := range []string{"scaling.csv", "scaling.md", "scaling-1.svg", "scaling-2.svg"} {
			if info, err := os.Stat(filepath.Join(out, file)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", file, err)
			}
		}
	})
}

// TestOrigin has clients of every kind that it serves take it for a server.
func TestOrigin(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	host := fmt.Sprintf("127.99.%d.%d", os.Getpid()>>8&255, os.Getpid()&255) // nobody else's
	lines, web := host+":7999", host+":7998"
	go func() { served <- serveOrigin(ctx, "o1", lines, web) }()
	for _, asked := range []message{messageWhoami, messageEcho, messagePing} {
		o := shortRun()
		o.mix, o.message = mix{kindTCP: 1, kindHTTP: 1}, asked
		o.targets[kindTCP], o.targets[kindHTTP] = lines, web
		report := mustRun(t, o)
		if report.Held != o.clients || report.Monitor.Answered != uint64(o.clients) || len(report.Nodes) != 1 || report.Nodes[0].Name != "o1" {
			t.Errorf("%v: %+v, lost %v", asked, report.Verdict, report.Lost)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestPeersConfigurations(t *testing.T) {
	t.Parallel()
	if os.Getenv("MCPLB_LONG") == "" {
		t.Skip("compares balancers; set MCPLB_LONG=1")
	}
	bin := binaries(t)
	output, err := exec.Command(filepath.Join(bin, "mcpload"), "peers", "-o", t.TempDir(), "-load", "500ms", "-n", "100").CombinedOutput()
	if err != nil || !strings.Contains(string(output), " mcplb |") {
		t.Errorf("%v: %s", err, output)
	}
}

func TestFamily(t *testing.T) {
	t.Parallel()
	p, err := startProcess([]string{"/bin/sh", "-c", "sleep 60 & wait"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	for deadline := time.Now().Add(10 * time.Second); len(family(p.pid())) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the family is %v", family(p.pid()))
		}
	}
	if u := usageOfFamily(p.pid()); u.Resident == 0 || u.Files < 6 {
		t.Errorf("in use: %+v", u)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	measured := table{kind: "clients"}
	measured.add("1", "p50 ms", 1.5)
	measured.add("1", "p99 ms", 2)
	measured.add("10", "p99 ms", 12_345)
	var text bytes.Buffer
	if err := measured.markdown(&text); err != nil || text.String() != "| clients | p50 ms | p99 ms |\n|---|---|---|\n| 1 | 1.5 | 2 |\n| 10 | - | 12.35k |\n" {
		t.Errorf("%v:\n%s", err, &text)
	}
	measured.add("1", "p50 ms", 0.5)
	measured.add("1", "p50 ms", 7.5)
	if measured.medians(); len(measured.entries) != 3 || measured.entries[0].value != 1.5 {
		t.Errorf("with medians: %+v", measured.entries)
	}
	measured.add("1", "max ms", 9)
	text.Reset()
	if err := measured.markdown(&text); err != nil || !strings.HasPrefix(text.String(), "|  | 1 | 10 |\n|---|---|---|\n| p50 ms | 1.5 | - |\n") {
		t.Errorf("%v:\n%s", err, &text)
	}
	path := filepath.Join(t.TempDir(), "t.csv")
	if err := writeFile(path, measured.writeCSV); err != nil {
		t.Fatal(err)
	}
	earlier, err := readTable(path)
	if err != nil || len(earlier.entries) != 4 || earlier.entries[3] != measured.entries[3] {
		t.Fatalf("%v: %+v", err, earlier)
	}
	measured.entries[0].value = 3
	text.Reset()
	if err := measured.compare(&text, earlier); err != nil || !strings.Contains(text.String(), "1, p50 ms: 3, was 1.5 (+100%)") {
		t.Errorf("%v:\n%s", err, &text)
	}
}

func TestScalingSizes(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{50: 1, 100: 1, 8000: 3, 9_999_999: 5} {
		if sizes := scalingSizes(limit); len(sizes) != want || sizes[len(sizes)-1] > limit {
			t.Errorf("%d: %v", limit, sizes)
		}
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// binaries builds the programs and returns their directory.
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
	if got := execute(t.Context(), args, &out, &err); got != status {
		t.Fatalf("%v: exit status %d, want %d\n%s%s", args, got, status, &out, &err)
	}
	return out.String(), err.String()
}

// TestCluster runs a part of every command that starts a cluster: one after the
// other, since a process has one cluster at a time.
func TestCluster(t *testing.T) {
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

func TestPeers(t *testing.T) {
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

// Every command has a help with an example, and completes.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"run", "bench", "peers", "stress", "origin"} {
		stdout, _ := do(t, 0, "help", command)
		if same, _ := do(t, 0, command, "-h"); same != stdout || !strings.Contains(stdout, "Examples:\n  mcpload "+command) {
			t.Errorf("%s:\n%s", command, stdout)
		}
	}
	for args, want := range map[string]string{
		"version":                    "mcpload ",
		"completion fish":            "complete -c mcpload",
		"__complete bench ":          "scaling\t",
		"__complete run -message ":   "whoami\n",
		"__complete stress -only ":   "reliability\n",
		"__complete run --expect-p9": "--expect-p99",
	} {
		if stdout, _ := do(t, 0, strings.Split(args, " ")...); !strings.Contains(stdout, want) {
			t.Errorf("%s:\n%s", args, stdout)
		}
	}
}

func TestWrongCommandLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                   "name a command",
		"stres -size 50":     "did you mean stress?",
		"bench":              "missing argument: NAME",
		"bench x":            `there is no benchmark "x"`,
		"bench all x":        `there is no benchmark "all"`,
		"stress -size 3":     "-size must be at least 4",
		"stress -only x":     `there is no group "x"`,
		"peers x":            `unexpected argument "x"`,
		"origin -name":       "flag needs an argument",
		"origin -port 12345": "unknown flag",
	} {
		if _, stderr := do(t, 2, strings.Fields(line)...); !strings.Contains(stderr, want) {
			t.Errorf("%s: %s, want %s", line, stderr, want)
		}
	}
}

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"mcplb/internal/leak"
)

// The tests of this package run the programs as an operator does: real binaries, in
// separate processes, on loopback addresses that no other test uses.

var (
	// binaries is the directory of mcplb, mcpnode and mcpcluster, built by TestMain.
	binaries string

	// lifetime is closed only by the kernel, when this process ends.
	lifetime io.WriteCloser
)

func TestMain(m *testing.M) {
	if config := os.Getenv(panicsVariable); config != "" {
		os.Exit(serveAndPanic(config))
	}
	var err error
	if binaries, err = buildBinaries(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The race detector would delay the exit of each child by a second.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	leak.Main(m)
}

// buildBinaries builds into a directory that is removed when this process has ended,
// for whatever reason. If the tests run under the race detector, so do the binaries.
func buildBinaries() (string, error) {
	directory, err := os.MkdirTemp("", "mcplb-test-")
	if err != nil {
		return "", err
	}
	if err := removeAtEnd(directory); err != nil {
		return "", err
	}
	args := []string{"build", "-buildvcs=false", "-o", directory + string(filepath.Separator)}
	if raceEnabled {
		args = append(args, "-race")
	}
	output, err := exec.Command("go", append(args, "mcplb/cmd/mcplb", "mcplb/cmd/mcpnode", "mcplb/cmd/mcpcluster")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the binaries under test: %w\n%s", err, output)
	}
	return directory, nil
}

// removeAtEnd starts a shell that waits for the end of this process, which closes its
// input, and then removes the directory.
func removeAtEnd(directory string) error {
	shell := exec.Command("sh", "-c", `read -r _; rm -rf -- "$0"`, directory)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not ended by Ctrl-C
	var err error
	if lifetime, err = shell.StdinPipe(); err != nil {
		return err
	}
	return shell.Start()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	good := newSetup(t, "127.0.0.1:9")
	bad := newSetup(t, "127.0.0.1:9")
	bad.global = "max_conn = 5\nthreads = 'two'"
	missing := filepath.Join(t.TempDir(), "missing.toml")
	for _, test := range []struct {
		name   string
		args   []string
		status int
		output string // a regular expression that all output matches
	}{
		{"help", []string{"-h"}, 0, `(?s)^mcplb -c FILE is the balancer.*Usage:\n  mcplb -c FILE \[flags\]\n.*drain +Send no new clients.*--pid-file FILE`},
		{"version", []string{"-version"}, 0, `^mcplb \S+\n$`},
		{"command version", []string{"version"}, 0, `^mcplb \d\S+\n(commit .*\n)?go\S+ linux/\S+\n$`},
		{"schema", []string{"schema"}, 0, `(?s)^\{.*"health_listen": \{.*"default": "127\.0\.0\.1:8888"`},
		{"good file", []string{"-c", good.write(t), "-t"}, 0, `^\S+lb\.toml: configuration is valid\n$`},
		{"every mistake of a bad file", []string{"-t", "-c", bad.write(t)}, 2,
			`lb\.toml:2: global\.max_conn: .*maxconn.*\n.*lb\.toml:3: global\.threads: `},
		{"bad file without -t", []string{"-c", bad.path}, 2, `lb\.toml:2: global\.max_conn: `},
		{"missing file", []string{"-c", missing}, 2, `mcplb: .*missing\.toml" cannot be read: no such file or directory`},
		{"directory", []string{"-c", filepath.Dir(missing)}, 2, `mcplb: .*is a directory`},
		{"no file", nil, 2, `^mcplb: name the configuration with -c\nusage: mcplb -c FILE`},
		{"unknown flag", []string{"-nonsense"}, 2, `^mcplb: unknown flag: --nonsense\nusage: mcplb -c FILE`},
		{"surplus argument", []string{"-c", good.path, "surplus"}, 2, `^mcplb: there is no command "surplus"\nusage: mcplb -c FILE`},
		{"mistyped command", []string{"statsu"}, 2, `^mcplb: there is no command "statsu"; did you mean status\?\nusage: mcplb -c FILE`},
		{"a file without -c", []string{"-t", "lb.toml"}, 2, `^mcplb: there is no command "lb\.toml"; a configuration is named with -c lb\.toml\nusage: mcplb -c FILE`},
		{"empty argument", []string{""}, 2, `^mcplb: there is no command ""\nusage: mcplb -c FILE`},
		{"missing argument", []string{"tls-check"}, 64, `^mcplb tls-check: missing argument: FILE\n`},
		{"invalid value", []string{"-c", good.path, "-t", "-upgrade-timeout=soon"}, 2, `invalid argument "soon" for "--upgrade-timeout"`},
		{"flags with two dashes", []string{"--config", good.path, "--check"}, 0, `configuration is valid\n$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), test.args...))
			p.expectExit(t, test.status)
			p.expectLog(t, test.output)
		})
	}
}

// TestConfigOfEnvironment: -t checks the configuration that MCPLB_CONFIG names, as the image's
// users ask ("docker run IMAGE -t"), and mcplb alone does not serve it. Otherwise they must
// repeat the image's own path, or "docker exec CONTAINER /mcplb" is a second balancer.
func TestConfigOfEnvironment(t *testing.T) {
	t.Parallel()
	good := newSetup(t, "127.0.0.1:9").write(t)
	for _, test := range []struct {
		name   string
		args   []string
		status int
		output string
	}{
		{"check", []string{"-t"}, 0, `lb\.toml: configuration is valid\n$`},
		{"the flag replaces it", []string{"-t", "-c", good + ".missing"}, 2, `missing" cannot be read`},
		{"serve", nil, 2, `^mcplb: name the configuration with -c\n`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			command := exec.Command(filepath.Join(binaries, "mcplb"), test.args...)
			command.Env = append(os.Environ(), "MCPLB_CONFIG="+good)
			p := startProcess(t, command)
			p.expectExit(t, test.status)
			p.expectLog(t, test.output)
		})
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRunStartsAndEndsInOrder(t *testing.T) {
	t.Parallel()
	l := configure(t, "node1", "node2")
	logs := filepath.Join(t.TempDir(), "logs")
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", binaries(t), "-v", "-logs", logs)
	r.stdout.await(t, `(?s)^ROLE +NAME +ADDRESS +PID +STATE\n`+
		`node +node1 +tcp `+regexp.QuoteMeta(l.nodes[0])+` +\d+ +ready\n`+
		` +http `+regexp.QuoteMeta(l.web[0])+` *\n +sse `+regexp.QuoteMeta(l.events[0])+` *\n`+
		`node +node2 +tcp `+regexp.QuoteMeta(l.nodes[1])+` +\d+ +ready\n`+
		` +http `+regexp.QuoteMeta(l.web[1])+` *\n +sse `+regexp.QuoteMeta(l.events[1])+` *\n`+
		`balancer +mcplb +tcp `+regexp.QuoteMeta(l.frontend)+` +\d+ +ready\n`+
		` +health `+regexp.QuoteMeta(l.health)+` *\n`+
		`Ctrl-C ends the cluster\.\n$`)
	expectAnswer(t, append(l.nodes, l.frontend)...)
	r.interrupt()
	r.expectStatus(t, 0)
	expectClosed(t, slices.Concat(l.nodes, l.web, l.events, []string{l.frontend})...)
	got := r.stderr.String()
	// Nodes start together.
	order := `(?s)(node1 \| node1 is up.*node2 \| node2 is up|node2 \| node2 is up.*node1 \| node1 is up).*mcplb \| mcplb is up.*` +
		`mcplb \| mcplb says goodbye.*node2 \| node2 says goodbye.*node1 \| node1 says goodbye`
	if !regexp.MustCompile(order).MatchString(got) {
		t.Errorf("the order of starting and ending is wrong: %s", got)
	}
	for _, name := range []string{"node1", "node2", "mcplb"} {
		log, err := os.ReadFile(filepath.Join(logs, name+".log"))
		if err != nil || string(log) != name+" is up\n"+name+" says goodbye\n" {
			t.Errorf("the log of %s is %q, %v", name, log, err)
		}
	}
}

func TestOtherNodesOutliveANode(t *testing.T) {
	t.Parallel()
	l := configure(t, "node1", "node2", "node3")
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", binaries(t))
	r.awaitReady(t)
	pid := r.pidOf(t, "node2")
	syscall.Kill(pid, syscall.SIGKILL)
	r.stderr.await(t, fmt.Sprintf(`node node2 \(pid %d\) ended unexpectedly: signal: killed; its last lines:\n  \| node2 is up\n`, pid)+
		`mcpcluster: 2 of 3 nodes still run\n`)
	expectAnswer(t, l.nodes[0], l.nodes[2], l.frontend)
	r.interrupt()
	r.expectStatus(t, 0)
}

func TestClusterEndsWithTheBalancer(t *testing.T) {
	t.Parallel()
	l := configure(t, "node1")
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", binaries(t))
	r.awaitReady(t)
	syscall.Kill(r.pidOf(t, "mcplb"), syscall.SIGKILL)
	r.expectStatus(t, 1)
	r.stderr.await(t, `balancer mcplb \(pid \d+\) ended unexpectedly: signal: killed; its last lines:\n  \| mcplb is up\n`)
	expectClosed(t, l.nodes...)
}

func TestMemberEndsAtStart(t *testing.T) {
	t.Parallel()
	l := configure(t, "node1", diesAtStart)
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", binaries(t))
	r.expectStatus(t, 1)
	r.stderr.await(t, `node dies-at-start is not ready: it ended \(exit status 3\).*; its last lines:\n  \| out of cheese\n  \| redo from start\n`)
	if got := r.stdout.String(); got != "" {
		t.Errorf("a table was shown: %q", got)
	}
	expectClosed(t, l.nodes...)
}

func TestInterruptWhileStarting(t *testing.T) {
	t.Parallel()
	l := configure(t, "node1", neverReady)
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", binaries(t), "-v")
	r.stderr.await(t, "never-ready is up")
	r.interrupt()
	r.expectStatus(t, 0)
	expectClosed(t, l.nodes...)
}

func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	l := configure(t, ignoresTerm)
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", binaries(t), "-v")
	r.awaitReady(t)
	r.interrupt()
	r.stderr.await(t, "ignores it")
	r.kill()
	r.expectStatus(t, 0)
	r.stderr.await(t, `node ignores-term \(pid \d+\) was killed: it had not ended after SIGTERM`)
	expectClosed(t, l.nodes...)
}

func TestStopEscalates(t *testing.T) {
	t.Parallel()
	launcher := newLauncher()
	defer launcher.close()
	const short, long = 50 * time.Millisecond, time.Minute
	for _, test := range []struct {
		name        string
		drain, stop time.Duration
		killed      bool
		outcome     string
	}{
		{"node1", long, long, false, "exit status 0"},
		{ignoresTerm, short, short, true, "signal: killed"},
	} {
		child, ended := startMember(t, launcher, test.name)
		if killed := child.stop(t.Context(), test.drain, test.stop); killed != test.killed {
			t.Errorf("%s was killed: %v, want %v", test.name, killed, test.killed)
		}
		if got := <-ended; got != child || child.state() != "ended" || child.outcome() != test.outcome {
			t.Errorf("%s is %s, %s; want ended, %s", test.name, child.state(), child.outcome(), test.outcome)
		}
	}
}

// The second signal ends what drains after the first. One that comes before the process
// has seen the first is lost, so a busy machine gets more time between the two.
func TestStopEndsDraining(t *testing.T) {
	t.Parallel()
	launcher := newLauncher()
	defer launcher.close()
	for _, seen := range []time.Duration{time.Second, 5 * time.Second, 20 * time.Second} {
		child, ended := startMember(t, launcher, drains)
		killed := child.stop(t.Context(), seen, 10*time.Second)
		if got := <-ended; got != child || child.state() != "ended" {
			t.Errorf("it is %s", child.state())
		}
		if !killed {
			if child.outcome() != "exit status 0" {
				t.Error(child.outcome())
			}
			return
		}
	}
	t.Error("it was killed")
}

// startMember starts a fake node that is ready, and returns where its end is reported.
func startMember(t *testing.T, launcher *launcher, name string) (*child, <-chan *child) {
	t.Helper()
	member := nodeMember(name, freeAddresses(t, 1)[0])
	member.path = filepath.Join(binaries(t), "mcpnode")
	ended := make(chan *child, 1)
	child, err := startChild(launcher, realSystem(), member, &processLog{}, watcher{ended: func(c *child) { ended <- c }})
	if err != nil {
		t.Fatal(err)
	}
	if err := child.verify(t.Context()); err != nil || child.state() != "ready" {
		t.Errorf("%s is %s, %v", name, child.state(), err)
	}
	return child, ended
}

func TestStartRefusedByTheSystem(t *testing.T) {
	t.Parallel()
	l := configure(t, "node1", "node2")
	system := realSystem()
	system.start = func(command *exec.Cmd) error {
		if strings.Contains(strings.Join(command.Args, " "), "node2") {
			return syscall.EAGAIN
		}
		return command.Start()
	}
	r := startCluster(t, system, "run", "-c", l.path, "-bin", binaries(t))
	r.expectStatus(t, 1)
	r.stderr.await(t, `mcpcluster: start node2: resource temporarily unavailable`)
	expectClosed(t, l.nodes...)
}

// The kernel ends the members when mcpcluster itself is killed.
func TestNothingOutlivesMcpcluster(t *testing.T) {
	t.Parallel()
	l := configure(t, "node1", ignoresTerm)
	command, stdout, _ := startProcess(t, "run", "-c", l.path)
	stdout.await(t, "Ctrl-C ends the cluster")
	expectAnswer(t, append(l.nodes, l.frontend)...)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	command.Wait()
	expectClosed(t, append(l.nodes, l.frontend, l.health)...)
}

func TestSignalsEndMcpcluster(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			if signal.Ignored(sig) {
				t.Skip("it is ignored here, as nohup has it, and so by the cluster")
			}
			l := configure(t, "node1")
			command, stdout, stderr := startProcess(t, "run", "-c", l.path)
			stdout.await(t, "Ctrl-C ends the cluster")
			if err := command.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("it ended with %v, want status 0; stderr: %s", err, stderr)
			}
			expectClosed(t, append(l.nodes, l.frontend)...)
		})
	}
}

// startProcess runs mcpcluster as a separate process, with the binaries in its
// directory.
func startProcess(t *testing.T, args ...string) (command *exec.Cmd, stdout, stderr *terminal) {
	t.Helper()
	stdout, stderr = &terminal{}, &terminal{}
	bin := binaries(t)
	command = exec.Command(filepath.Join(bin, "mcpcluster"), append(args, "-bin", bin)...)
	command.Stdout, command.Stderr = stdout, stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	return command, stdout, stderr
}

func TestTakenPortsAreFoundBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	bin := binaries(t)
	l := configure(t, "node1", "node2", "node3")
	first, second := startHolder(t, bin, l.nodes[1]), startHolder(t, bin, l.frontend)
	system := realSystem()
	system.start = func(*exec.Cmd) error { return errors.New("something was started") }
	r := startCluster(t, system, "run", "-c", l.path, "-bin", bin)
	r.expectStatus(t, 1)
	got := r.stderr.String()
	for _, want := range []string{
		"nothing was started",
		fmt.Sprintf("tcp of node node2: listen tcp %s: bind: address already in use: mcpnode (pid %d) listens there", l.nodes[1], first.Process.Pid),
		fmt.Sprintf("tcp of balancer mcplb: listen tcp %s: bind: address already in use: mcpnode (pid %d) listens there", l.frontend, second.Process.Pid),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("stderr %q lacks %q", got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	bin := binaries(t)
	l := configure(t, "node1")
	broken := filepath.Join(t.TempDir(), "broken.toml")
	if err := os.WriteFile(broken, []byte("[frontend.tcp]\nlisten = 7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(logs, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string // regular expressions
	}{
		{"no command", nil, 2, `^$`, `^mcpcluster: name a command:\n\nUsage:\n  mcpcluster \[command\]\n(?s).*  run +Run a cluster`},
		{"unknown command", []string{"dance"}, 2, `^$`, `^mcpcluster: there is no command "dance"\nusage: mcpcluster \[command\]\n`},
		{"mistyped command", []string{"strat"}, 2, `^$`, `^mcpcluster: there is no command "strat"; did you mean start`},
		{"help", []string{"-h"}, 0, `(?s)Usage:\n  mcpcluster \[command\].*  run `, `^$`},
		{"help of run", []string{"run", "-h"}, 0, `(?s)Usage:\n  mcpcluster run \[flags\].*--bin DIRECTORY.*-c, --config FILE.*--logs DIRECTORY.*-v, `, `^$`},
		{"version", []string{"version"}, 0, `^mcpcluster \d\S+\n(commit .*\n)?go\S+ \S+\n$`, `^$`},
		{"unknown flag", []string{"run", "-x"}, 2, `^$`, `^mcpcluster run: unknown shorthand flag: 'x' in -x\nusage: mcpcluster run \[flags\]\n`},
		{"surplus argument", []string{"run", "x"}, 2, `^$`, `^mcpcluster run: unexpected argument "x"\n`},
		{"no member", []string{"tail"}, 2, `^$`, `^mcpcluster tail: missing argument: MEMBER\n`},
		{"negative lines", []string{"tail", "-n", "-1", "node1"}, 2, `^$`, `^mcpcluster tail: -n must not be negative\n`},
		{"no directory", []string{"compose"}, 2, `^$`, `^mcpcluster compose: name the directory to write to with -o\n`},
		{"no configuration", []string{"run", "-c", "no/such.toml"}, 1, `^$`, `the configuration is not usable:\n.*no/such.toml`},
		{"broken configuration", []string{"run", "-c", broken}, 1, `^$`, `(?s)the configuration is not usable:\n.*broken.toml:2`},
		{"no binaries", []string{"run", "-c", l.path, "-bin", "no/such"}, 1, `^$`, `no/such/mcpnode: no such file or directory; build it there`},
		{"logs in a file", []string{"run", "-c", l.path, "-bin", bin, "-logs", logs}, 1, `^$`, `make the directory for logs`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := startCluster(t, realSystem(), test.args...)
			r.expectStatus(t, test.status)
			if got := r.stdout.String(); !regexp.MustCompile(test.stdout).MatchString(got) {
				t.Errorf("stdout %q does not match %q", got, test.stdout)
			}
			if got := r.stderr.String(); !regexp.MustCompile(test.stderr).MatchString(got) {
				t.Errorf("stderr %q does not match %q", got, test.stderr)
			}
		})
	}
}

func TestLocateRefusesFilesThatAreNoPrograms(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "mcpnode"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := locate([]member{nodeMember("node1", "127.0.0.1:1")}, directory)
	if err == nil || !strings.Contains(err.Error(), "is not an executable file") {
		t.Errorf("got %v", err)
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal)
	running, waiting := stages(signals)
	signals <- syscall.SIGINT
	<-running.Done()
	if waiting.Err() != nil {
		t.Error("the first signal ended both contexts")
	}
	signals <- syscall.SIGINT
	<-waiting.Done()
}

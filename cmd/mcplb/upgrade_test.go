package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// line is an mcplb and those that take its place, one after the other. What
// they write is in one log.
type line struct {
	*balancer
	binary, pidFile string
}

// startLine starts the first. Its binary is a link of its own, so that a test
// may put another in its place.
func startLine(t *testing.T, s *setup, flags ...string) *line {
	t.Helper()
	directory := t.TempDir()
	l := &line{binary: filepath.Join(directory, "mcplb"), pidFile: filepath.Join(directory, "pid")}
	l.install(t, filepath.Join(binaries, "mcplb"))
	command := exec.Command(l.binary, append(flags, "-c", s.write(t), "-pid-file", l.pidFile)...)
	l.balancer = &balancer{startProcess(t, command), s}
	t.Cleanup(func() { l.killAll() })
	l.await(t, `\bserving\b`)
	return l
}

// install puts a program in the place of the binary.
func (l *line) install(t *testing.T, program string) {
	t.Helper()
	fresh := l.binary + ".new"
	if err := os.Symlink(program, fresh); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, l.binary); err != nil {
		t.Fatal(err)
	}
}

// installScript puts a shell script in the place of the binary.
func (l *line) installScript(t *testing.T, text string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.install(t, script)
}

// pids are the processes that have served, in their order.
func (l *line) pids() []int {
	var all []int
	for _, match := range regexp.MustCompile(`(?m)\bserving\b.*\bpid"?[=:](\d+)`).FindAllStringSubmatch(l.log.String(), -1) {
		pid, _ := strconv.Atoi(match[1]) // the pattern has digits only
		all = append(all, pid)
	}
	return all
}

// killAll ends those that are left. None has been waited for but the first, so
// their numbers are theirs.
func (l *line) killAll() {
	for _, pid := range l.pids() {
		if strings.Contains(commandLine(pid), l.pidFile) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// commandLine is what a process was started with, "" when it has ended.
func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(text)
}

// serving is the process that the pid file names.
func (l *line) serving(t *testing.T) int {
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

// send sends a signal to one of them.
func (l *line) send(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// upgrade has the serving process replaced, and returns when the new one
// serves.
func (l *line) upgrade(t *testing.T) (before, after int) {
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

// awaitGone waits for the end of a process.
func (l *line) awaitGone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, func() error {
		if text := commandLine(pid); text != "" { // that of a zombie is empty
			return fmt.Errorf("process %d lives", pid)
		}
		return nil
	})
}

// expectServing checks that a process serves, on every address, to its end.
func (l *line) expectServing(t *testing.T, pid int) {
	t.Helper()
	c := connect(t, l.frontend)
	c.expectEcho(t)
	c.Close()
	eventually(t, func() error { // another process may just be letting the page's socket go
		if shown := l.status(t).Process.PID; shown != pid {
			return fmt.Errorf("process %d serves the pages, not %d", shown, pid)
		}
		return nil
	})
	if status, body := get(t, l.health, "/health"); status != 200 {
		t.Errorf("health: %d %s", status, body)
	}
}

// Upgrade after upgrade, the addresses are served without a pause, and when
// nobody is connected the process before ends at once.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	l := startLine(t, newSetup(t, startEcho(t)))
	first := l.serving(t)
	l.expectServing(t, first)
	for range 3 {
		before, after := l.upgrade(t)
		l.awaitGone(t, before)
		l.expectServing(t, after)
	}
	last := l.serving(t)
	l.send(t, last, syscall.SIGTERM)
	l.awaitGone(t, last)
	if _, err := os.Stat(l.pidFile); !os.IsNotExist(err) {
		t.Errorf("the pid file is left behind: %v", err)
	}
}

// The page's plots go on: what the process before has seen stands at the left.
func TestUpgradeKeepsThePlots(t *testing.T) {
	t.Parallel()
	l := startLine(t, newSetup(t, startEcho(t)))
	awaitPlot := func(pattern string) {
		t.Helper()
		eventually(t, func() error {
			response, err := http.Get("http://" + l.admin + "/")
			if err != nil {
				return err // the process before may end within its answer
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				return err
			}
			paths := regexp.MustCompile(`class="line [^"]*" d="([^"]*)"`).FindStringSubmatch(string(body))
			if len(paths) < 2 || !regexp.MustCompile(pattern).MatchString(paths[1]) {
				return fmt.Errorf("connections are plotted as %q", paths)
			}
			return nil
		})
	}
	awaitPlot(`^M600 119h1$`) // none, once
	c := connect(t, l.frontend)
	c.expectEcho(t)
	l.upgrade(t)
	awaitPlot(`^M0 119L[\dL ]+[ L](\d|\d\d)$`) // none, then one
	c.expectEcho(t)
}

// A new binary that does not come to serve leaves the old one as it was, time
// and again, and the next good one is taken.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	l := startLine(t, s, "-upgrade-timeout", "500ms")
	first := l.serving(t)
	c := connect(t, l.frontend)
	c.expectEcho(t)
	good := filepath.Join(binaries, "mcplb")
	for i, test := range []struct {
		name    string
		arrange func()
	}{
		{"it crashes", func() { l.installScript(t, "exit 3") }},
		{"it ends with success", func() { l.installScript(t, "exit 0") }},
		{"it hangs", func() { l.installScript(t, "exec sleep 50") }},
		{"it is no program", func() { l.install(t, s.path) }},
		{"it is not there", func() { l.install(t, "/does/not/exist") }},
		{"it cannot read its configuration", func() {
			l.install(t, good)
			broken := *s
			broken.global = "threads = 'many'"
			broken.write(t)
		}},
		{"it cannot listen", func() {
			taken := *s
			taken.tables = frontendTable("other", occupy(t))
			taken.write(t)
		}},
	} {
		test.arrange()
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, fmt.Sprintf(`(?s:(the upgrade failed.*){%d})`, i+1))
		c.expectEcho(t)
		l.expectServing(t, first)
		if now := l.serving(t); now != first {
			t.Fatalf("%s: the pid file names %d", test.name, now)
		}
	}
	s.write(t)
	_, after := l.upgrade(t)
	l.expectServing(t, after)
}

// A binary that speaks another version of the hand-over gets the listening
// sockets, from an older one as well as from a newer one. Whoever is connected is
// served by the old process, to the end.
func TestUpgradeToAnotherProtocol(t *testing.T) {
	t.Parallel()
	other := buildOtherProtocol(t)
	l := startLine(t, newSetup(t, startEcho(t)))
	for i, binary := range []string{other, filepath.Join(binaries, "mcplb")} {
		c := connect(t, l.frontend)
		c.expectEcho(t)
		l.install(t, binary)
		before, after := l.upgrade(t)
		l.await(t, fmt.Sprintf(`(?s:(another protocol: connections end here.*the new process serves.*){%d})`, i+1))
		l.expectServing(t, after)
		c.expectEcho(t)
		if commandLine(before) == "" {
			t.Error("the old process has ended, and has a client")
		}
		c.Close()
		l.awaitGone(t, before)
		eventually(t, func() error { return l.alone(after) })
	}
}

// buildOtherProtocol builds mcplb with another upgrade.Protocol.
func buildOtherProtocol(t *testing.T) (binary string) {
	t.Helper()
	directory := t.TempDir()
	source, err := filepath.Abs("../../proxy/upgrade/upgrade.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	constant := regexp.MustCompile(`(?m)^const Protocol = \d+$`)
	if !constant.Match(text) {
		t.Fatalf("%s has no Protocol", source)
	}
	changed, overlay := filepath.Join(directory, "upgrade.go"), filepath.Join(directory, "overlay.json")
	for path, text := range map[string][]byte{
		changed: constant.ReplaceAll(text, []byte("const Protocol = 999")),
		overlay: fmt.Appendf(nil, `{"Replace": {%q: %q}}`, source, changed),
	} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	binary = filepath.Join(directory, "mcplb")
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", binary, "mcplb/cmd/mcplb").CombinedOutput(); err != nil {
		t.Fatalf("building another mcplb: %v\n%s", err, output)
	}
	return binary
}

// What signals do while an upgrade is under way stands in the table of phases.
func TestSignalsDuringUpgrade(t *testing.T) {
	t.Parallel()
	t.Run("HUP and USR2 while the new process hangs", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, startEcho(t))
		l := startLine(t, s, "-upgrade-timeout", "1s")
		first := l.serving(t)
		l.installScript(t, "exec sleep 50")
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `msg=upgrading`)
		other := freeAddress(t)
		s.tables = frontendTable("other", other)
		s.write(t)
		l.send(t, first, syscall.SIGHUP)
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `an upgrade is in progress`)
		l.await(t, `(?s)the upgrade failed.*msg=reloaded .*\+frontend other`)
		connect(t, other).expectEcho(t)
		l.expectServing(t, first)
	})
	t.Run("TERM while the new process hangs", func(t *testing.T) {
		t.Parallel()
		l := startLine(t, newSetup(t, startEcho(t)), "-upgrade-timeout", "500ms")
		first := l.serving(t)
		l.installScript(t, "exec sleep 50")
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `msg=upgrading`)
		l.send(t, first, syscall.SIGTERM)
		l.await(t, `(?s)the upgrade failed.*msg=draining`)
		l.awaitGone(t, first)
	})
	t.Run("TERM twice while the new process hangs", func(t *testing.T) {
		t.Parallel()
		l := startLine(t, newSetup(t, startEcho(t)))
		first := l.serving(t)
		l.installScript(t, "exec sleep 50")
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `msg=upgrading`)
		l.send(t, first, syscall.SIGTERM)
		l.await(t, `stopping when`)
		l.send(t, first, syscall.SIGINT)
		l.awaitGone(t, first)
	})
}

// What a running process cannot change is changed by another one of the same
// binary, which a reload starts by itself.
func TestReloadRenews(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.global = "threads = 2"
	l := startLine(t, s)
	first := l.serving(t)
	other := freeAddress(t)
	s.global, s.tables = "threads = 1", frontendTable("other", other)
	s.write(t)
	l.send(t, first, syscall.SIGHUP)
	l.await(t, `(?s)msg=reloaded .*\+frontend other.*another process takes over.*global\.threads.*new process serves`)
	l.awaitGone(t, first)
	l.expectServing(t, l.serving(t))
	connect(t, other).expectEcho(t)
	if n := l.status(t).Process.Threads; n != 1 {
		t.Errorf("%d threads, want 1", n)
	}
}

// The first process of a container does not make way for another: the kernel
// would end that one with it (pid_namespaces(7)).
func TestNoUpgradeOfAFirstProcess(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.global = "threads = 1"
	command := exec.Command(filepath.Join(binaries, "mcplb"), "-c", s.write(t))
	p := &process{command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &p.log, &p.log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWPID}
	if err := command.Start(); err != nil {
		t.Skip("no process namespace to be had: ", err)
	}
	go func() {
		defer close(p.ended)
		_ = command.Wait() // its outcome is in ProcessState
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.ended
	})
	b := &balancer{p, s}
	b.await(t, `msg=serving .*pid=1 `)
	c := connect(t, b.frontend)
	c.expectEcho(t)
	b.signal(t, syscall.SIGUSR2)
	b.await(t, `not upgrading.*first process of its container`)
	s.global = "threads = 2"
	reload(t, b, `(?s)msg=reloaded .*not upgrading`)
	c.expectEcho(t)
	b.signal(t, syscall.SIGTERM)
	c.Close()
	b.expectExit(t, exitOK)
}

// While a request keeps the process before, the new one does as any process does
// on HUP, and puts USR2 off until it is alone. The one before passes HUP on, and
// is through at once on TERM.
func TestSignalsAfterUpgrade(t *testing.T) {
	t.Parallel()
	address, answerAll := startSlowWeb(t)
	s := newSetup(t, address)
	s.mode = "http"
	s.endpoint = "http"
	l := startLine(t, s)
	ask := func() *client {
		c := connect(t, l.frontend)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	waiting := ask()
	eventually(t, func() error {
		if n := l.status(t).Backends[0].Servers[0].Connections.Current; n != 1 {
			return fmt.Errorf("%d requests are under way", n)
		}
		return nil
	})
	first, second := l.upgrade(t)
	l.send(t, second, syscall.SIGUSR2)
	l.await(t, `the upgrade waits until the old process has ended`)
	l.send(t, second, syscall.SIGHUP)
	l.await(t, `(?s:(msg=reloaded.*){1})`)
	l.send(t, first, syscall.SIGHUP) // sent on
	l.await(t, `(?s:(msg=reloaded.*){2})`)
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `not upgrading: this process is about to end`)
	answerAll()
	if line, err := waiting.lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Errorf("the request that kept the first process is answered %q, %v", line, err)
	}
	l.awaitGone(t, first)
	l.await(t, `(?s)has ended.*msg=upgrading.*new process serves`)
	l.awaitGone(t, second)
	if third := l.serving(t); third == first || third == second {
		t.Errorf("process %d serves, and should be a third one", third)
	}
}

// A request that does not end keeps the process before until hard_stop_after, or
// until it is told to end.
func TestLeavingIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		global string
		end    func(l *line, t *testing.T, first int)
	}{
		"hard_stop_after": {"hard_stop_after = '300ms'", func(*line, *testing.T, int) {}},
		"TERM": {"", func(l *line, t *testing.T, first int) {
			l.await(t, "the new process serves") // else the upgrade is still under way
			l.send(t, first, syscall.SIGTERM)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			defer close(over)
			s := newSetup(t, startServer(t, func(*net.TCPConn) { <-over }))
			s.mode, s.endpoint, s.global = "http", "http", test.global
			l := startLine(t, s)
			c := connect(t, l.frontend)
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				if l.status(t).Backends[0].Servers[0].Connections.Current != 1 {
					return errors.New("no request is under way")
				}
				return nil
			})
			first, second := l.upgrade(t)
			test.end(l, t, first)
			c.expectReset(t)
			l.awaitGone(t, first)
			if now := l.serving(t); now != second {
				t.Errorf("process %d serves, want %d", now, second)
			}
		})
	}
}

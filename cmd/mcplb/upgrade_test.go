package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The addresses are served through several upgrades without an interruption. If no
// client is connected, the old process ends at once.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	l := startLineage(t, newSetup(t, startEcho(t)))
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
		t.Errorf("the pid file still exists: %v", err)
	}
}

// The page's plots continue: the values of the old process are on the left.
func TestUpgradeKeepsThePlots(t *testing.T) {
	t.Parallel()
	l := startLineage(t, newSetup(t, startEcho(t)))
	awaitPlot := func(pattern string) {
		t.Helper()
		eventually(t, func() error {
			response, err := http.Get("http://" + l.admin + "/")
			if err != nil {
				return err // the old process may end during its answer
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
	awaitPlot(`^M(600 119h1|0 119L600 119)$`) // 0, once or for longer
	c := connect(t, l.frontend)
	c.expectEcho(t)
	l.upgrade(t)
	awaitPlot(`^M0 119L[\dL ]+[ L](\d|\d\d)$`) // 0, then 1
	c.expectEcho(t)
}

// A new binary that does not serve leaves the old process as it was, repeatedly. The
// next good one takes over.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	l := startLineage(t, s, "-upgrade-timeout", upgradeTimeout(t))
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
		{"it is not a program", func() { l.install(t, s.path) }},
		{"it is missing", func() { l.install(t, "/does/not/exist") }},
		{"it cannot read its configuration", func() {
			l.install(t, good)
			broken := *s
			broken.global = "threads = 'many'"
			broken.write(t)
		}},
		{"it cannot listen", func() {
			taken := *s
			taken.tables = frontendSection("other", occupy(t))
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

// A binary with another version of the handover protocol gets only the listening
// sockets, from an older binary and from a newer one. The old process serves its
// connections to their end.
func TestUpgradeToAnotherProtocol(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short")
	}
	t.Parallel()
	other := buildOtherProtocol(t)
	l := startLineage(t, newSetup(t, startEcho(t)))
	for i, binary := range []string{other, filepath.Join(binaries, "mcplb")} {
		c := connect(t, l.frontend)
		c.expectEcho(t)
		l.install(t, binary)
		before, after := l.upgrade(t)
		l.await(t, fmt.Sprintf(`(?s:(another protocol: connections end here.*the new process serves.*){%d})`, i+1))
		l.expectServing(t, after)
		c.expectEcho(t)
		if commandLine(before) == "" {
			t.Error("the old process has ended although it had a client")
		}
		c.Close()
		l.awaitGone(t, before)
		eventually(t, func() error { return l.alone(after) })
	}
}

// buildOtherProtocol builds mcplb with another handover.Protocol.
func buildOtherProtocol(t *testing.T) (binary string) {
	t.Helper()
	directory := t.TempDir()
	source, text := findProtocol(t)
	changed, overlay := filepath.Join(directory, "protocol.go"), filepath.Join(directory, "overlay.json")
	for path, text := range map[string][]byte{
		changed: protocolConstant.ReplaceAll(text, []byte("${1}999$2")),
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

var protocolConstant = regexp.MustCompile(`(?m)^((?:const |\t)Protocol += )\d+(\s|$)`)

// findProtocol finds the file of the constant handover.Protocol.
func findProtocol(t *testing.T) (path string, text []byte) {
	t.Helper()
	paths, err := filepath.Glob("../../proxy/handover/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !protocolConstant.Match(text) {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			t.Fatal(err)
		}
		return path, text
	}
	t.Fatal("package handover has no constant Protocol")
	return "", nil
}

// Signals during an upgrade do what the table of phases says (signals.go).
func TestSignalsDuringUpgrade(t *testing.T) {
	t.Parallel()
	t.Run("HUP and USR2 while the new process hangs", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, startEcho(t))
		l := startLineage(t, s, "-upgrade-timeout", upgradeTimeout(t))
		first := l.serving(t)
		l.installScript(t, "exec sleep 50")
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `msg=upgrading`)
		other := freeAddress(t)
		s.tables = frontendSection("other", other)
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
		l := startLineage(t, newSetup(t, startEcho(t)), "-upgrade-timeout", upgradeTimeout(t))
		first := l.serving(t)
		l.installScript(t, "exec sleep 50")
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `msg=upgrading`)
		l.send(t, first, syscall.SIGTERM)
		l.await(t, `(?s)the upgrade failed.*msg=draining`)
		l.awaitGone(t, first)
	})
	t.Run("TERM to the new process before it serves", func(t *testing.T) {
		t.Parallel()
		l := startLineage(t, newSetup(t, startEcho(t)))
		first := l.serving(t)
		l.installScript(t, "kill -TERM $$; exec sleep 50")
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `(?s)the upgrade failed.*the new process was asked to stop.*msg=draining`)
		l.awaitGone(t, first)
	})
	t.Run("TERM during a reload that hangs", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, startEcho(t))
		l := startLineage(t, s)
		first := l.serving(t)
		hang(t, s)
		for range 8 {
			l.send(t, first, syscall.SIGHUP)
		}
		l.send(t, first, syscall.SIGTERM)
		l.await(t, `msg=draining`)
		l.awaitGone(t, first)
	})
	t.Run("USR2 during a reload that hangs, TERM to the new process", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, startEcho(t))
		l := startLineage(t, s)
		first := l.serving(t)
		hang(t, s)
		l.send(t, first, syscall.SIGHUP)
		l.installScript(t, "exec sleep 50")
		l.send(t, first, syscall.SIGUSR2)
		l.await(t, `msg=upgrading`)
		c := connect(t, l.frontend) // it serves
		c.expectEcho(t)
		c.Close()
		var next int
		eventually(t, func() error {
			if next = l.child(first); next == 0 {
				return errors.New("no new process")
			}
			return nil
		})
		l.send(t, next, syscall.SIGTERM)
		l.await(t, `(?s)the new process was asked to stop.*msg=draining`)
		l.awaitGone(t, next)
		l.awaitGone(t, first)
	})
}

// hang makes the configuration a pipe without a writer: a reload hangs, or refuses it.
func hang(t *testing.T, s *setup) {
	t.Helper()
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(s.path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// child is a child of a process; 0 = it has none.
func (l *lineage) child(pid int) (child int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may have ended
		if n, _ := fmt.Sscan(string(text), &child); n == 1 {
			return child
		}
	}
	return 0
}

// TERM is obeyed by a process that has not begun to serve, whatever it waits for.
func TestStopDuringStart(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.write(t)
	hang(t, s)
	p := startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "-c", s.path))
	eventually(t, func() error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
		if err == nil && !regexp.MustCompile(`SigCgt:\s*[0-9a-f]*[4-7c-f][0-9a-f]{3}\n`).Match(text) { // bit 14: SIGTERM
			return errors.New("it does not handle SIGTERM yet")
		}
		return nil
	})
	p.signal(t, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
}

// Signals to reload that come during a reload make one more follow, not as many.
func TestReloadsCoalesce(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}, 9), make(chan struct{})
	l := &life{server: &server{log: slog.New(slog.DiscardHandler)}, reloadNow: func() {
		begun <- struct{}{}
		<-end
	}}
	for range 8 {
		l.hangUp()
	}
	<-begun
	for range 2 {
		end <- struct{}{}
		<-l.reloaded
		l.afterReload()
	}
	<-begun
	if len(begun) > 0 || l.reloaded != nil {
		t.Error("a third reload has begun")
	}
}

// A signal to stop that comes beside the outcome of an upgrade is for the process that
// serves: otherwise an operator's stop would end the old process, and the new one serve on.
func TestStopBesideOutcome(t *testing.T) {
	t.Parallel()
	l := &life{phase: upgrading}
	stop := make(chan os.Signal, 2)
	stop <- syscall.SIGTERM
	stop <- syscall.SIGINT
	l.postponeStops(stop)
	if !slices.Equal(l.postponed, []os.Signal{syscall.SIGTERM}) || len(stop) > 0 {
		t.Errorf("postponed %v, %d signals are left; want SIGTERM, once", l.postponed, len(stop))
	}
}

// If a configuration changes keys that a running process cannot change, the reload
// starts an upgrade to a new process of the same binary.
func TestReloadUpgrades(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.global = "threads = 2"
	l := startLineage(t, s)
	first := l.serving(t)
	other := freeAddress(t)
	s.global, s.tables = "threads = 1", frontendSection("other", other)
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

// The first process of a container is not upgraded: the kernel would end the new
// process together with it (pid_namespaces(7)).
func TestNoUpgradeOfFirstProcess(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.global = "threads = 1"
	command := exec.Command(filepath.Join(binaries, "mcplb"), "-c", s.write(t))
	p := &process{command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &p.log, &p.log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWPID}
	if err := command.Start(); err != nil {
		t.Skip("process namespaces are not available: ", err)
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

// While a request keeps the old process alive, the new one reloads on HUP and
// postpones USR2 until the old process has ended. The old process forwards HUP, and
// ends at once on TERM.
func TestSignalsAfterUpgrade(t *testing.T) {
	t.Parallel()
	address, answerAll := startSlowWeb(t)
	s := newSetup(t, address)
	s.mode = "http"
	s.endpoint = "http"
	l := startLineage(t, s)
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
			return fmt.Errorf("%d requests are in progress", n)
		}
		return nil
	})
	first, second := l.upgrade(t)
	l.send(t, second, syscall.SIGUSR2)
	l.await(t, `the upgrade waits until the old process has ended`)
	l.send(t, second, syscall.SIGHUP)
	l.await(t, `(?s:(msg=reloaded.*){1})`)
	l.send(t, first, syscall.SIGHUP) // forwarded
	l.await(t, `(?s:(msg=reloaded.*){2})`)
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `not upgrading: this process is about to end`)
	answerAll()
	if line, err := waiting.lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Errorf("the request in the first process is answered %q, %v", line, err)
	}
	l.awaitGone(t, first)
	l.await(t, `(?s)has ended.*msg=upgrading.*new process serves`)
	l.awaitGone(t, second)
	if third := l.serving(t); third == first || third == second {
		t.Errorf("process %d serves, want a third one", third)
	}
}

// A request that does not end keeps the old process alive until hard_stop_after, or
// until a signal stops it.
func TestLeavingIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		global string
		end    func(l *lineage, t *testing.T, first int)
	}{
		"hard_stop_after": {"hard_stop_after = '300ms'", func(*lineage, *testing.T, int) {}},
		"TERM": {"", func(l *lineage, t *testing.T, first int) {
			l.await(t, "the new process serves") // otherwise the upgrade is still in progress
			l.send(t, first, syscall.SIGTERM)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			defer close(over)
			s := newSetup(t, startServer(t, func(*net.TCPConn) { <-over }))
			s.mode, s.endpoint, s.global = "http", "http", test.global
			l := startLineage(t, s)
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

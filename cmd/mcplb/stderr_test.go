package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/output"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// piped is a balancer whose standard output and error are a pipe.
type piped struct {
	*balancer
	reader *os.File // nobody reads, unless the test does
}

// startPiped starts the command with its output in a pipe as small as it can be.
func startPiped(t *testing.T, s *setup, command *exec.Cmd) *piped {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	if _, err := unix.FcntlInt(writer.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	p := &process{command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = writer, writer
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	go func() {
		defer close(p.ended)
		_ = command.Wait() // its outcome is in ProcessState
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // it may have ended
		<-p.ended
	})
	b := &piped{&balancer{p, s}, reader}
	eventually(t, func() error {
		_, _, err := tryGet(s.health, "/health")
		return err
	})
	return b
}

// fillLog makes the balancer log more than pipe and queue hold, by reloads that fail
// with long messages. That every request is answered shows that it is not stopped.
func (p *piped) fillLog(t *testing.T) {
	t.Helper()
	wrong := *p.setup
	for i := range 3000 {
		wrong.tables += fmt.Sprintf("unknown_key_of_a_long_name_so_that_the_message_is_long_%d = 1\n", i)
	}
	wrong.write(t)
	for dropped := 0.0; dropped == 0; dropped = p.metrics(t)["mcplb_log_dropped_total"] {
		if status, _ := post(t, p.admin, "/api/v1/reload"); status == http.StatusOK {
			t.Fatal("the reload has succeeded")
		}
	}
	p.setup.write(t)
}

// mcplbCommand runs the binary.
func mcplbCommand(t *testing.T, s *setup, flags ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(filepath.Join(binaries, "mcplb"), append(flags, "-c", s.write(t))...)
}

// The reader of standard error goes away, and the balancer logs: it serves on, reloads,
// is upgraded and stops as usual. SIGPIPE would end it with all connections.
func TestReaderOfStderrGone(t *testing.T) {
	t.Parallel()
	for name, log := range map[string]string{"": "", "with the access log": "access_log = 'stdout'"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, startEcho(t))
			s.global = log
			pidFile := filepath.Join(t.TempDir(), "pid")
			p := startPiped(t, s, mcplbCommand(t, s, "-pid-file", pidFile))
			l := &lineage{balancer: p.balancer, pidFile: pidFile}
			c := connect(t, p.frontend)
			c.expectEcho(t)
			p.reader.Close()
			for range 3 {
				if status, body := post(t, p.admin, "/api/v1/reload"); status != http.StatusOK {
					t.Fatalf("a reload: %d %s", status, body)
				}
				another := connect(t, p.frontend)
				another.expectEcho(t)
				another.Close()
			}
			before, after := l.upgrade(t)
			l.awaitGone(t, before)
			t.Cleanup(func() { _ = syscall.Kill(after, syscall.SIGKILL) })
			c.expectEcho(t)
			c.Close()
			l.expectServing(t, after)
			eventually(t, func() error { // what a process logs is written a moment later
				if p.metrics(t)["mcplb_log_dropped_total"] == 0 {
					return errors.New("no line of the log is counted as dropped")
				}
				return nil
			})
			l.send(t, after, syscall.SIGTERM)
			l.awaitGone(t, after)
		})
	}
}

// post sends a command.
func post(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+address+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Mcplb-Command", "1")
	response, err := webClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Nobody reads standard error: reloads, checks, an upgrade and TERM work as usual, and
// what is lost is counted and, once somebody reads, reported.
func TestNobodyReadsStderr(t *testing.T) {
	t.Parallel()
	server := occupy(t)
	s := newSetup(t, server)
	s.check = "interval = '50ms'\nfast_interval = '50ms'"
	pidFile := filepath.Join(t.TempDir(), "pid")
	p := startPiped(t, s, mcplbCommand(t, s, "-pid-file", pidFile))
	l := &lineage{balancer: p.balancer, pidFile: pidFile}
	p.fillLog(t)
	if status, body := post(t, p.admin, "/api/v1/reload"); status != http.StatusOK {
		t.Errorf("a reload: %d %s", status, body)
	}
	first := l.serving(t)
	before, after := l.upgrade(t)
	t.Cleanup(func() { _ = syscall.Kill(after, syscall.SIGKILL) })
	l.awaitGone(t, before)
	if before != first {
		t.Errorf("process %d served, want %d", before, first)
	}
	p.fillLog(t)
	var log output.Output
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&log, p.reader)
	}()
	log.Await(t, `log lines were dropped.* lines=\d+`, nil)
	l.send(t, after, syscall.SIGTERM)
	l.awaitGone(t, after)
	<-read
	if text := log.String(); !strings.HasSuffix(text, "had ended\"\n") {
		t.Errorf("the log ends with %q", text[max(0, len(text)-100):])
	}
}

// panicsVariable makes the test binary serve a configuration and panic on a loop when
// the first client comes.
const panicsVariable = "MCPLB_TEST_PANICS"

func serveAndPanic(config string) int {
	system := *reactor.Kernel()
	accept := system.Accept
	system.Accept = func(fd int) (int, netip.AddrPort, unix.Errno) {
		client, from, errno := accept(fd)
		if errno == 0 {
			panic("injected into a loop")
		}
		return client, from, errno
	}
	b := &balancerOptions{stdout: os.Stdout, stderr: os.Stderr, config: []string{config}, system: &system}
	return b.serve()
}

// A panic on a loop ends the process at once, with the stack in its log, also when
// nobody reads that: a balancer that lives on without one of its loops is worse than
// one that is started again.
func TestPanicEndsTheProcess(t *testing.T) {
	t.Parallel()
	knock := func(t *testing.T, s *setup) {
		t.Helper()
		c, err := net.Dial("tcp", s.frontend)
		if err == nil {
			c.Close()
		} else if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	}
	command := func(t *testing.T, s *setup) *exec.Cmd {
		t.Helper()
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), panicsVariable+"="+s.write(t))
		return c
	}
	t.Run("read", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, startEcho(t))
		p := startProcess(t, command(t, s))
		p.await(t, `\bserving\b`)
		knock(t, s)
		p.expectExit(t, 2)
		p.expectLog(t, `(?s)panic: injected into a loop.*goroutine \d+.*reactor\.\(\*Listener\)\.Ready`)
	})
	t.Run("nobody reads", func(t *testing.T) {
		t.Parallel()
		s := newSetup(t, startEcho(t))
		p := startPiped(t, s, command(t, s))
		p.fillLog(t)
		knock(t, s)
		select {
		case <-p.ended:
		case <-time.After(patience):
			t.Fatal("the process does not end")
		}
	})
}

// systemd starts the balancer again after whatever end but an orderly one, however
// often: a panic has exit status 2.
func TestUnitRestarts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../packaging/systemd/mcplb.service")
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]bool{
		`(?m)^Restart=(on-failure|always)$`: true, `(?m)^StartLimitIntervalSec=0$`: true,
		`(?m)^RestartPreventExitStatus=`: false, `(?m)^SuccessExitStatus=`: false,
	} {
		if got := regexp.MustCompile(pattern).Match(text); got != want {
			t.Errorf("the unit matches %s: %v, want %v", pattern, got, want)
		}
	}
}

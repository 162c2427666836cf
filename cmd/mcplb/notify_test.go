package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// manager stands in for systemd: it receives the notifications of the service.
type manager struct {
	path     string
	messages chan notification
	main     int // the only process that may send; 0 = any
}

// notification is a message of a process of the service, with the process ID from the
// kernel.
type notification struct {
	text string
	pid  int
}

// startManager listens on a socket for NOTIFY_SOCKET.
func startManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(t.TempDir(), "notify"), messages: make(chan notification, 10_000)}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			said, err := receiveNotification(socket)
			if err != nil {
				return
			}
			m.messages <- said
		}
	}()
	t.Cleanup(func() {
		socket.Close()
		<-ended
	})
	return m
}

// receiveNotification reads one message and its sender (unix(7), SO_PASSCRED).
func receiveNotification(socket *net.UnixConn) (notification, error) {
	text, control := make([]byte, 4096), make([]byte, 256)
	n, size, _, _, err := socket.ReadMsgUnix(text, control)
	if err != nil {
		return notification{}, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) != 1 {
		return notification{}, fmt.Errorf("%d control messages, %w", len(messages), err)
	}
	sender, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return notification{}, err
	}
	return notification{string(text[:n]), int(sender.Pid)}, nil
}

// start starts mcplb under the manager, with further environment variables.
func (m *manager) start(t *testing.T, s *setup, environment ...string) *lineage {
	t.Helper()
	l := &lineage{binary: filepath.Join(binaries, "mcplb"), pidFile: filepath.Join(t.TempDir(), "pid")}
	command := exec.Command(l.binary, "-c", s.write(t), "-pid-file", l.pidFile)
	command.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+m.path), environment...)
	l.balancer = &balancer{startProcess(t, command), s}
	t.Cleanup(l.killAll)
	return l
}

// next waits for a message.
func (m *manager) next(t *testing.T) notification {
	t.Helper()
	select {
	case said := <-m.messages:
		return said
	case <-time.After(patience):
		t.Fatal("the service sends no message")
		return notification{}
	}
}

// expect waits for a message and returns it, or the first group of the pattern.
// Messages for the watchdog may come in between.
func (m *manager) expect(t *testing.T, pattern string) string {
	t.Helper()
	for {
		said := m.next(t)
		if said.text == "WATCHDOG=1" && pattern != said.text {
			continue
		}
		match := regexp.MustCompile(`^(?s:` + pattern + `)$`).FindStringSubmatch(said.text)
		if match == nil || m.main != 0 && said.pid != m.main {
			t.Fatalf("process %d of the service sends %q, want %q", said.pid, said.text, pattern)
		}
		return match[len(match)-1]
	}
}

// TestServiceManager runs the balancer from its start to its stop, as systemd sees it.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	s := newSetup(t, startEcho(t))
	s.global = "hard_stop_after = '90s'"
	b := m.start(t, s)
	m.expect(t, "READY=1\nSTATUS=serving")
	c := connect(t, b.frontend) // it is true
	c.expectEcho(t)

	before := monotonic(t)
	b.signal(t, syscall.SIGHUP)
	stamp, err := strconv.ParseInt(m.expect(t, `RELOADING=1\nMONOTONIC_USEC=(\d+)`), 10, 64)
	if err != nil || stamp < before || stamp > monotonic(t) {
		t.Errorf("MONOTONIC_USEC=%d, %v; it is between %d and %d", stamp, err, before, monotonic(t))
	}
	m.expect(t, "READY=1\nSTATUS=serving")

	s.backend = "retries = -1\nmax_idle = -1"
	s.write(t)
	b.signal(t, syscall.SIGHUP)
	m.expect(t, `RELOADING=1\n.*`)
	m.expect(t, `READY=1\nSTATUS=serving; the last reload: [^\n]*retries[^\n]*max_idle[^\n]*`)

	b.signal(t, syscall.SIGTERM)
	m.expect(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC=100000000\nSTATUS=draining")
	c.Close()
	b.expectExit(t, exitOK)
}

// In an upgrade, the process that the manager knows reports the new main process. The
// new process serves the watchdog and sends all further messages; the old one ends
// without another message.
func TestServiceManagerFollowsAnUpgrade(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	s := newSetup(t, startEcho(t))
	l := m.start(t, s, "WATCHDOG_USEC=300000")
	m.expect(t, "READY=1\nSTATUS=serving")
	c := connect(t, l.frontend)
	c.expectEcho(t)
	s.backend = "retries = -1"
	s.write(t)
	l.signal(t, syscall.SIGHUP)
	m.expect(t, `RELOADING=1\n.*`)
	m.expect(t, `READY=1\nSTATUS=serving; the last reload: .*`) // the upgrade replaces this status
	s.backend = ""
	s.write(t)

	before, after := l.upgrade(t)
	replaced, ready := false, false
	for !replaced || !ready {
		switch said := m.next(t); said {
		case notification{fmt.Sprintf("MAINPID=%d\nSTATUS=serving", after), before}:
			replaced = true
		case notification{"READY=1\nSTATUS=serving", after}:
			ready = true
		case notification{"WATCHDOG=1", before}, notification{"WATCHDOG=1", after}:
		default:
			t.Fatalf("process %d, of %d and %d, sends %q", said.pid, before, after, said.text)
		}
	}
	l.awaitGone(t, before)
	c.expectEcho(t)
	for m.next(t) != (notification{"WATCHDOG=1", after}) {
	}
	m.main = after
	l.send(t, after, syscall.SIGHUP)
	m.expect(t, `RELOADING=1\n.*`)
	m.expect(t, "READY=1\nSTATUS=serving")
	l.send(t, after, syscall.SIGTERM)
	m.expect(t, `STOPPING=1\n.*`)
	c.Close()
	l.awaitGone(t, after)
}

// monotonic is CLOCK_MONOTONIC in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// The watchdog is served if the manager requires it of this process, also while
// draining.
func TestWatchdogIsServed(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	b := m.start(t, newSetup(t, startEcho(t)), "WATCHDOG_USEC=30000")
	c := connect(t, awaitServing(t, b).frontend)
	c.expectEcho(t)
	m.expect(t, "READY=1\nSTATUS=serving")
	for range 2 {
		m.expect(t, "WATCHDOG=1")
	}
	b.signal(t, syscall.SIGTERM)
	m.expect(t, `STOPPING=1.*`)
	m.expect(t, "WATCHDOG=1")
	c.Close()
	b.expectExit(t, exitOK)

	other := startManager(t)
	b = other.start(t, newSetup(t, startEcho(t)), "WATCHDOG_USEC=30000", "WATCHDOG_PID=1")
	awaitServing(t, b)
	b.signal(t, syscall.SIGTERM)
	b.expectExit(t, exitOK)
	for len(other.messages) > 0 {
		if said := <-other.messages; said.text == "WATCHDOG=1" {
			t.Fatal("another process's watchdog is served")
		}
	}
}

func awaitServing(t *testing.T, b *lineage) *lineage {
	t.Helper()
	b.await(t, `\bserving\b`)
	return b
}

// The watchdog's messages stop while a loop hangs, and continue when it turns again.
func TestWatchdogStopsWithTheLoops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &notifier{log: slog.New(slog.DiscardHandler), watchdog: 30 * time.Second}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var turns atomic.Int32
		hang := make(chan struct{})
		go n.watch(ctx, func(context.Context) error {
			if turns.Add(1) == 4 {
				<-hang
			}
			return errors.New("a loop hangs")
		})
		for _, step := range []struct {
			wait time.Duration
			want int32
		}{{time.Second, 1}, {30 * time.Second, 4}, {time.Hour, 4}} {
			time.Sleep(step.wait)
			synctest.Wait()
			if n := turns.Load(); n != step.want {
				t.Errorf("turn was called %d times, want %d", n, step.want)
			}
		}
		close(hang)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := turns.Load(); n < 6 {
			t.Errorf("the loops turn again, and turn was called %d times in all", n)
		}
	})
}

// Without a manager, nothing is sent and nothing fails.
func TestNoServiceManager(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t)))
	b.signal(t, syscall.SIGHUP)
	b.await(t, `msg=reloaded`)
	b.signal(t, syscall.SIGTERM)
	b.expectExit(t, exitOK)
	if strings.Contains(b.log.String(), "service manager") {
		t.Errorf("it logs a problem: %s", &b.log)
	}
}

// mostExposed is the highest exposure of the unit, of 100, by systemd-analyze.
const mostExposed = 18

// systemd accepts the unit, and the unit is hardened.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, err := os.ReadFile("../../packaging/systemd/mcplb.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "mcplb.service")
	placed := strings.ReplaceAll(string(text), "/usr/local/bin/mcplb", filepath.Join(binaries, "mcplb"))
	if err := os.WriteFile(unit, []byte(placed), 0o644); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, said)
	}
	said, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", fmt.Sprintf("--threshold=%d", mostExposed), unit).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, said)
	}
	t.Log(string(regexp.MustCompile(`(?m)^.*Overall.*$`).Find(said)))
}

// The configuration that make install installs is valid.
func TestInstalledConfiguration(t *testing.T) {
	t.Parallel()
	p := startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "-c", "../../packaging/lb.toml", "-t"))
	p.expectExit(t, exitOK)
}

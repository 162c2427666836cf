package logqueue

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// sink is a writer whose behaviour a test changes.
type sink struct {
	mu   sync.Mutex
	text strings.Builder
	err  error         // of the next writes
	most int           // bytes that a failing write takes
	gate chan struct{} // nil = open; a write waits until it is closed
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		n := min(s.most, len(p))
		s.most -= n
		s.text.Write(p[:n])
		return n, s.err
	}
	return s.text.Write(p)
}

func (s *sink) set(err error, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.most = err, most
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Lines are written in their order, also those that wait at the end.
func TestOrder(t *testing.T) {
	t.Parallel()
	s, want := &sink{}, ""
	q := New(s)
	for i := range 1000 {
		line := fmt.Sprintf("line %d\n", i)
		want += line
		if n, err := q.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	q.Close(time.Minute)
	if s.String() != want || q.Dropped() != 0 {
		t.Errorf("%d bytes are written, want %d; %d lines dropped", len(s.String()), len(want), q.Dropped())
	}
	if _, err := q.Write([]byte("late\n")); err != nil || q.Dropped() != 1 {
		t.Errorf("a line after the end: %v, %d dropped", err, q.Dropped())
	}
}

// A reader that does not read stops nobody: what does not fit is dropped, counted, and
// reported once there is room.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{})}
		q := New(s)
		q.OnLost(func(n uint64) { fmt.Fprintf(q, "%d lines lost\n", n) })
		line := []byte(strings.Repeat("x", 1023) + "\n")
		_, _ = q.Write(line) // the one that hangs
		synctest.Wait()
		const rest = mostWaiting / 1024
		for range rest + 7 {
			_, _ = q.Write(line)
		}
		if q.Dropped() != 7 {
			t.Errorf("%d lines dropped, want 7", q.Dropped())
		}
		close(s.gate)
		synctest.Wait()
		lines := strings.SplitAfter(s.String(), "\n")
		if len(lines) != rest+1+1+1 || lines[rest+1] != "7 lines lost\n" && lines[1] != "7 lines lost\n" {
			t.Errorf("%d lines, the last: %q", len(lines), lines[len(lines)-2])
		}
		q.Close(time.Minute)
	})
}

// A reader that hangs delays the end by no more than the limit.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{})}
		q := New(s)
		_, _ = q.Write([]byte("x\n"))
		start := time.Now()
		q.Close(time.Second)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v", took)
		}
		close(s.gate)
	})
}

// A disk that is full for a while loses nothing that fits into the queue, and no line
// is cut.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{err: syscall.ENOSPC, most: 4}
		q := New(s)
		_, _ = q.Write([]byte("first line\n"))
		_, _ = q.Write([]byte("second line\n"))
		time.Sleep(5 * time.Second)
		if s.String() != "firs" || q.Dropped() != 0 {
			t.Errorf("written %q, %d dropped", s, q.Dropped())
		}
		s.set(nil, 0)
		time.Sleep(retryTime)
		synctest.Wait()
		if s.String() != "first line\nsecond line\n" {
			t.Errorf("written %q", s)
		}
		s.set(syscall.ENOSPC, 0)
		_, _ = q.Write([]byte("last\n"))
		synctest.Wait()
		start := time.Now()
		q.Close(time.Hour)
		if took := time.Since(start); took > 0 || q.Dropped() != 1 {
			t.Errorf("the end took %v, %d lines dropped", took, q.Dropped())
		}
	})
}

// Without a reader lines are dropped at once, and counted.
func TestReaderGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{err: &os.PathError{Op: "write", Err: syscall.EPIPE}}
		q := New(s)
		for range 3 {
			_, _ = q.Write([]byte("x\n"))
			synctest.Wait()
		}
		q.Close(time.Hour)
		if q.Dropped() != 3 {
			t.Errorf("%d lines dropped, want 3", q.Dropped())
		}
	})
}

// What others write to the descriptor of a full pipe fails instead of waiting for the
// reader, as the runtime's output of a panic must; the queue itself waits, and a copy
// that another process has of the pipe is as it was.
func TestFullPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(other)
	file := os.NewFile(uintptr(fd), "standard error") // blocking, as descriptor 2 is
	defer file.Close()
	q := New(file)
	for err == nil {
		_, err = syscall.Write(fd, make([]byte, 4096))
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(other), syscall.F_GETFL, 0); errno != 0 || flags&syscall.O_NONBLOCK != 0 {
		t.Errorf("the other copy's flags are %#x, %v", flags, errno)
	}
	_, _ = q.Write([]byte("\nlast\n"))
	lines := bufio.NewReader(reader)
	for line := ""; line != "last\n"; {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	q.Close(time.Minute)
}

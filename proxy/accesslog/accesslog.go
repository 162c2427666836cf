package accesslog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mcplb/conf"

	"golang.org/x/sys/unix"
)

const (
	batchTime = 100 * time.Millisecond // from the first record of a batch until it is written
	retryTime = time.Second            // after a write that failed
	hangTime  = time.Second            // until a write that takes nothing is given up, if somebody waits for it
)

// Options are the settings that do not change while the log is in use.
type Options struct {
	Loops int          // the number of buffers
	Now   func() int64 // the clock of the records' times: monotonic nanoseconds
	Log   *slog.Logger // receives reports of failed writes
}

// Log is an access log. Its methods may be called by any goroutine.
type Log struct {
	options Options
	buffers []Buffer
	on      atomic.Bool
	json    atomic.Bool // lines are JSON, not key=value
	idle    atomic.Bool // the writer waits for the first record of a batch
	follows atomic.Bool // if another file is at the path, switch to it
	target  atomic.Pointer[target]
	lines   atomic.Uint64 // written
	sends   atomic.Uint64 // begun and ended: odd while the target is written to
	failing atomic.Pointer[string]

	wake    chan struct{}      // a record was added, or many wait
	flushes chan chan struct{} // requests to write now, and then close the channel
	stop    chan struct{}
	ended   chan struct{} // the writer has returned
	close   sync.Once

	mu sync.Mutex // held while the target changes

	// The fields below belong to the writer.
	out     []byte  // formatted lines, of which sent bytes are written
	sent    int     // bytes of out already written to to
	to      *target // where writing out began
	stamp   stamp
	flushed chan struct{} // closed after the flush under way; nil = none
}

// target is where lines go. path is never empty: a log that is off has no
// target.
type target struct {
	path string
	sink io.WriteCloser // an *os.File where the path is one that can be opened again
}

// New returns a log that is off. The caller must Close it.
func New(options Options) *Log {
	l := &Log{
		options: options,
		buffers: make([]Buffer, options.Loops),
		wake:    make(chan struct{}, 1),
		flushes: make(chan chan struct{}),
		stop:    make(chan struct{}),
		ended:   make(chan struct{}),
	}
	for i := range l.buffers {
		l.buffers[i].log = l
	}
	go l.write()
	return l
}

// Buffer returns the buffer of the loop with the given number; for a nil Log,
// nil, which is always off.
func (l *Log) Buffer(loop int) *Buffer {
	if l == nil {
		return nil
	}
	return &l.buffers[loop]
}

// Opened is a path opened for writing: the half of a change that can fail.
type Opened struct{ target *target }

// Open opens a path for Use: a file (created with mode 0640) or a pipe to
// append to, a standard stream, syslog, or for "" nothing. The error says what to
// do.
func Open(path string) (Opened, error) {
	if path == "" {
		return Opened{}, nil
	}
	sink, err := open(path)
	if err != nil {
		return Opened{}, fmt.Errorf("global.access_log: cannot write to %s: %w", path, explain(err))
	}
	return Opened{&target{path, sink}}, nil
}

func open(path string) (io.WriteCloser, error) {
	switch {
	case path == conf.Stdout:
		return standard(syscall.Stdout, path)
	case path == conf.Stderr:
		return standard(syscall.Stderr, path)
	case isSyslog(path):
		return openSyslog(path)
	}
	return openFile(path)
}

// isSyslog reports whether path means syslog.
func isSyslog(path string) bool { return strings.HasPrefix(strings.ToLower(path), "syslog:") }

// standard returns a copy of a standard stream: writes to a broken pipe that is
// descriptor 1 or 2 end a Go program.
func standard(stream int, name string) (io.WriteCloser, error) {
	fd, err := unix.FcntlInt(uintptr(stream), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// reopens reports whether another file may be at the path after a time.
func reopens(path string) bool {
	return path != "" && path != conf.Stdout && path != conf.Stderr && !isSyslog(path)
}

func openFile(path string) (*os.File, error) {
	// Without O_NONBLOCK, opening a pipe would wait for its reader.
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
}

// explain returns a clearer error where the system's text says little.
func explain(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, syscall.ENXIO) {
		return errors.New("it is a named pipe without a reader: start its reader first")
	}
	return err
}

// Use sends all lines to o from now on, including those that wait. If o turns
// the log off, waiting lines still go to the previous path, for which Use waits
// unless a write hangs for hangTime.
func (l *Log) Use(o Opened) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on.Store(o.target != nil)
	if o.target == nil {
		l.flush()
	}
	l.swap(o.target)
}

// swap changes where lines go. A write under way finishes where it began; if it
// hangs, it is repeated.
func (l *Log) swap(to *target) {
	from := l.target.Swap(to)
	if from != nil {
		from.sink.Close()
	}
	l.wakeWriter()
}

// SetJSON makes lines JSON objects from now on, or key=value pairs, the
// default.
func (l *Log) SetJSON(yes bool) { l.json.Store(yes) }

// Path returns where lines go; "" while the log is off.
func (l *Log) Path() string {
	if t := l.target.Load(); t != nil {
		return t.path
	}
	return ""
}

// Reopen opens the path again, after its file was moved away. If that fails,
// the log continues with the open file.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := l.Path()
	if !reopens(path) {
		return nil
	}
	o, err := Open(path)
	if err != nil {
		return fmt.Errorf("reopen the access log: %w", err)
	}
	l.swap(o.target)
	return nil
}

// Follow is for an old process that has handed over to a new one: from the next
// batch on, lines go to the file that is at the path then. Only the new process
// is asked for Reopen.
func (l *Log) Follow() { l.follows.Store(true) }

// Close writes the waiting records, unless a write hangs for hangTime, and ends the
// log. Loops must not use it afterwards.
func (l *Log) Close() {
	l.close.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.on.Store(false)
		done := l.flush()
		close(l.stop)
		l.swap(nil) // ends a hanging write, if anything can
		if !done {
			return // the writer may hang until the process ends
		}
		<-l.ended
	})
}

// flush makes the writer write the waiting records, and reports whether it did so: it
// gives up a write that hangs for hangTime. What counts is how often the write is seen
// to hang, not the time: a process that does not run for a second loses no line.
func (l *Log) flush() bool {
	const looks = 10
	tick := time.NewTicker(hangTime / looks)
	defer tick.Stop()
	done, requests := make(chan struct{}), l.flushes
	for hanging, last := 0, uint64(0); hanging < looks; {
		select {
		case requests <- done:
			requests = nil
		case <-done:
			return true
		case <-l.ended:
			return true
		case <-tick.C:
			now := l.sends.Load()
			if hanging++; now != last || now%2 == 0 {
				hanging, last = 0, now
			}
		}
	}
	return false
}

// Stats counts the records.
type Stats struct {
	Lines   uint64 // written
	Dropped uint64 // not written because too many waited
	Error   string // why the log cannot be written now; "" = it can
}

// Stats returns the current counts, approximately.
func (l *Log) Stats() Stats {
	s := Stats{Lines: l.lines.Load()}
	for i := range l.buffers {
		s.Dropped += l.buffers[i].dropped.Load()
	}
	if text := l.failing.Load(); text != nil {
		s.Error = *text
	}
	return s
}

// wakeWriter wakes the writer, without waiting.
func (l *Log) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

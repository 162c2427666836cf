package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stdout is the path that means standard output.
const Stdout = "stdout"

const (
	batchTime = 100 * time.Millisecond // from the first record of a batch until it is written
	retryTime = time.Second            // after a write that failed
)

// Options are what does not change while the log is in use.
type Options struct {
	Loops int          // how many buffers there are
	Now   func() int64 // the clock of the records' times: monotonic nanoseconds
	Log   *slog.Logger // where failures to write are told
}

// Log is an access log. Its methods may be called by any goroutine.
type Log struct {
	options Options
	buffers []Buffer
	on      atomic.Bool
	json    atomic.Bool // lines are JSON, otherwise key=value
	idle    atomic.Bool // the writer waits for the first record of a batch
	follows atomic.Bool // another file at the path takes the place of the one that is open
	target  atomic.Pointer[target]
	lines   atomic.Uint64 // written
	failing atomic.Pointer[string]

	wake  chan struct{}      // a record has come, or many wait
	asked chan chan struct{} // write now, and then close this
	stop  chan struct{}
	ended chan struct{} // the writer has returned
	close sync.Once

	mu sync.Mutex // held while the target is changed

	// The writer's own.
	out    []byte  // formatted and not written yet, but for sent bytes of it
	sent   int     // how many of those are in to already
	to     *target // where out was begun to be written
	stamp  stamp
	answer chan struct{} // who asked; nil = nobody
}

// target is where lines go. The zero value of path never occurs: a log that is
// off has no target.
type target struct {
	path string
	file *os.File
}

// New returns a log that is off. Close must be called in the end.
func New(options Options) *Log {
	l := &Log{
		options: options,
		buffers: make([]Buffer, options.Loops),
		wake:    make(chan struct{}, 1),
		asked:   make(chan chan struct{}),
		stop:    make(chan struct{}),
		ended:   make(chan struct{}),
	}
	for i := range l.buffers {
		l.buffers[i].log = l
	}
	go l.write()
	return l
}

// Buffer returns the way into the log of the loop with the given number; nil,
// which is always off, of a nil Log.
func (l *Log) Buffer(loop int) *Buffer {
	if l == nil {
		return nil
	}
	return &l.buffers[loop]
}

// Opened is a path that can be written to: the half of a change that can fail.
type Opened struct{ target *target }

// Open opens what a path names: a file, created with mode 0640, or a pipe to
// append to, standard output, or, for "", nothing. The error says what to do.
// What was opened is for Use.
func Open(path string) (Opened, error) {
	if path == "" {
		return Opened{}, nil
	}
	file, err := open(path)
	if err != nil {
		return Opened{}, fmt.Errorf("global.access_log: cannot write to %s: %w", path, explain(err))
	}
	return Opened{&target{path, file}}, nil
}

func open(path string) (*os.File, error) {
	if path == Stdout {
		// A copy: writes to a broken pipe that is descriptor 1 end a Go program.
		fd, err := unix.FcntlInt(uintptr(syscall.Stdout), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), Stdout), nil
	}
	// Without O_NONBLOCK a pipe that nobody reads would be waited for.
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
}

// explain says more of errors that the system's words say little of.
func explain(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, syscall.ENXIO) {
		return errors.New("it is a named pipe that nobody reads: start its reader first")
	}
	return err
}

// Use has lines go to what was opened from now on; those that wait, too, but
// where the log is turned off: they go where they were to go, for which it
// waits a second at the most.
func (l *Log) Use(o Opened) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on.Store(o.target != nil)
	if o.target == nil {
		l.flush(time.Second)
	}
	l.swap(o.target)
}

// swap changes where lines go. A write under way ends whole where it was begun,
// unless it hangs: then it is done again.
func (l *Log) swap(to *target) {
	from := l.target.Swap(to)
	if from != nil {
		from.file.Close()
	}
	l.rouse()
}

// SetJSON has lines be JSON objects from now on, or key=value pairs, which they
// are at first.
func (l *Log) SetJSON(yes bool) { l.json.Store(yes) }

// Path returns where lines go; "" while the log is off.
func (l *Log) Path() string {
	if t := l.target.Load(); t != nil {
		return t.path
	}
	return ""
}

// Reopen opens the path anew, since what it named was moved away. When that
// fails, the log goes on where it was.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := l.Path()
	if path == "" || path == Stdout {
		return nil
	}
	o, err := Open(path)
	if err != nil {
		return fmt.Errorf("reopen the access log: %w", err)
	}
	l.swap(o.target)
	return nil
}

// Follow is for a process whose place another one has taken: lines go, from the
// next batch on, to whatever file stands at the path then. Whoever moves the file
// away asks that process for Reopen, and this one need not be told.
func (l *Log) Follow() { l.follows.Store(true) }

// Close writes what waits, for a second at the most, and ends the log. Loops
// must not use it any more.
func (l *Log) Close() {
	l.close.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.on.Store(false)
		done := l.flush(time.Second)
		close(l.stop)
		l.swap(nil) // ends a write that hangs, if anything can
		if !done {
			return // it may hang in a write for as long as the process lives
		}
		<-l.ended
	})
}

// flush has the writer write what waits, and tells whether it did so in time.
func (l *Log) flush(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done := make(chan struct{})
	select {
	case l.asked <- done:
	case <-l.ended:
		return true
	case <-timer.C:
		return false
	}
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// Stats are what became of the records.
type Stats struct {
	Lines   uint64 // written
	Dropped uint64 // not written, because too many waited
	Error   string // why the log cannot be written at present; "" = it can
}

// Stats returns the counts at about this moment.
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

// rouse wakes the writer. It never waits.
func (l *Log) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

package logqueue

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// mostWaiting is how many bytes may wait to be written.
	mostWaiting = 1 << 20
	// retryTime is the pause after a write that failed, fullTime after one that found
	// no room and could not wait for it.
	retryTime, fullTime = time.Second, 10 * time.Millisecond
)

// Queue is an io.Writer whose Write takes one line, and does not wait until it is
// written: one goroutine writes. Create it with New. Its methods may be called by
// any goroutine.
type Queue struct {
	to      io.Writer
	lost    atomic.Pointer[func(uint64)]
	dropped atomic.Uint64 // lines
	wake    chan struct{} // something waits, or Close was called
	ended   chan struct{} // the writer has returned

	mu      sync.Mutex
	waiting []byte // guarded by mu; whole lines
	closed  bool   // guarded by mu
}

// New returns a queue that writes to w. If w is a file that a reader may leave full,
// such as standard error that is a pipe, writes to it by others do not wait either
// from now on, if that is possible.
func New(w io.Writer) *Queue {
	if file, ok := w.(*os.File); ok {
		w = unblock(file)
	}
	q := &Queue{to: w, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.writeAll()
	return q
}

// OnLost registers f to be called, by the writer's goroutine, with the number of lines
// that were dropped since its last call, as soon as lines are written again. f may
// write to the queue.
func (q *Queue) OnLost(f func(lines uint64)) { q.lost.Store(&f) }

// Dropped is how many lines were lost: because too many waited, or because they could
// not be written.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// Write implements io.Writer. It never fails: a line for which there is no room is
// dropped and counted.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting)+len(line) > mostWaiting {
		q.drop(line)
		return len(line), nil
	}
	q.waiting = append(q.waiting, line...)
	q.rouse()
	return len(line), nil
}

// rouse wakes the writer, without waiting.
func (q *Queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// drop counts lines that are lost.
func (q *Queue) drop(lines []byte) { q.dropped.Add(uint64(bytes.Count(lines, newline))) }

var newline = []byte("\n")

// Close writes what waits, for up to limit, and ends the queue. Lines written later
// are dropped.
func (q *Queue) Close(limit time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.rouse()
	q.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-q.ended:
	case <-timer.C: // the writer may wait for its reader until the process ends
	}
}

// writeAll is the writer's goroutine.
func (q *Queue) writeAll() {
	defer close(q.ended)
	var spare []byte // for reuse
	var reported uint64
	for {
		lines, closed := q.take(spare)
		if len(lines) > 0 && q.write(lines) {
			reported = q.report(reported)
		}
		spare = lines[:0]
		switch {
		case len(lines) > 0: // there may be more by now
		case closed:
			return
		default:
			<-q.wake
		}
	}
}

// take takes the lines that wait.
func (q *Queue) take(spare []byte) (lines []byte, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, q.waiting = q.waiting, spare
	return lines, q.closed
}

// write writes lines, and tries again when that fails, for as long as it may help. It
// reports false if some are lost.
func (q *Queue) write(lines []byte) bool {
	for len(lines) > 0 {
		n, err := q.to.Write(lines)
		lines = lines[n:]
		switch {
		case err == nil || n > 0:
		case errors.Is(err, syscall.EAGAIN):
			time.Sleep(fullTime)
		case errors.Is(err, syscall.EPIPE), errors.Is(err, os.ErrClosed), !q.pause(): // it has no reader any more
			q.drop(lines)
			return false
		}
	}
	return true
}

func (q *Queue) hasRoom() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) < mostWaiting/2
}

// pause waits until it is time for the next attempt. It returns false if the queue was
// closed.
func (q *Queue) pause() bool {
	timer := time.NewTimer(retryTime)
	defer timer.Stop()
	for !q.isClosed() {
		select {
		case <-q.wake: // perhaps only another line
		case <-timer.C:
			return true
		}
	}
	return false
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// report reports the lines that were lost since the last report, if there is room for
// that.
func (q *Queue) report(before uint64) (reported uint64) {
	now := q.Dropped()
	f := q.lost.Load()
	if f == nil || now == before || !q.hasRoom() {
		return before
	}
	(*f)(now - before)
	return now
}

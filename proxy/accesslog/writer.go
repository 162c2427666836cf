package accesslog

import (
	"bytes"
	"os"
	"time"
)

// write is the writer's goroutine: it formats the records of the loops and
// writes them in batches.
func (l *Log) write() {
	defer close(l.ended)
	for !l.wait() {
		l.send() // the rest of a failed write
		l.gather()
		l.send()
		if l.flushed != nil {
			close(l.flushed)
			l.flushed = nil
		}
	}
	l.drop()
	l.gather()
	l.drop()
}

// wait returns when it is time to write: batchTime after the first record of a
// batch, at once if many wait or a flush is requested, or retryTime after a
// failed write. It reports whether the log is closed.
func (l *Log) wait() (stopped bool) {
	pause := batchTime
	if len(l.out) > 0 {
		pause = retryTime
	} else {
		l.idle.Store(true)
		if !l.waiting() {
			select {
			case <-l.wake:
			case l.flushed = <-l.flushes:
			case <-l.stop:
				return true
			}
		}
		l.idle.Store(false)
		if l.flushed != nil {
			return false
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wake:
	case l.flushed = <-l.flushes:
	case <-l.stop:
		return true
	}
	return false
}

// waiting reports whether there are records to write.
func (l *Log) waiting() bool {
	for i := range l.buffers {
		if l.buffers[i].filled.Load() != nil {
			return true
		}
	}
	return false
}

// gather formats the records of the loops. While a write fails, it leaves them
// in the buffers, which limit their number.
func (l *Log) gather() {
	if len(l.out) > 0 {
		return
	}
	l.stamp.set(time.Now(), l.options.Now())
	for i := range l.buffers {
		b := &l.buffers[i]
		first := b.take()
		if first == nil {
			continue
		}
		n, last := 0, first
		for r := first; r != nil; r = r.next {
			l.out = l.format(l.out, r)
			n, last = n+1, r
		}
		b.giveBack(first, last, n)
	}
}

func (l *Log) format(dst []byte, r *Record) []byte {
	if l.json.Load() {
		return appendJSON(dst, r, &l.stamp)
	}
	return appendText(dst, r, &l.stamp)
}

// maxReusedBatch is the largest batch whose memory is reused.
const maxReusedBatch = 1 << 20

// send writes the formatted lines.
func (l *Log) send() {
	if len(l.out) == 0 {
		return
	}
	l.sends.Add(1)
	defer l.sends.Add(1)
	to := l.target.Load()
	if to == nil {
		l.drop()
		return
	}
	if l.follows.Load() {
		to = l.reopenedTarget(to)
	}
	l.switchTo(to)
	n, err := to.sink.Write(l.out[l.sent:])
	l.lines.Add(uint64(bytes.Count(l.out[l.sent:l.sent+n], newline)))
	l.sent += n
	l.report(to, err)
	if err == nil {
		l.resetOut()
	}
}

var newline = []byte("\n")

// reopenedTarget returns the target for the file now at the path: to, unless
// another file has replaced it.
func (l *Log) reopenedTarget(to *target) *target {
	open, isFile := to.sink.(*os.File)
	if !isFile || !reopens(to.path) {
		return to
	}
	there, err := os.Stat(to.path)
	if err != nil {
		return to
	}
	if here, err := open.Stat(); err != nil || os.SameFile(here, there) {
		return to
	}
	file, err := openFile(to.path)
	if err != nil {
		return to
	}
	next := &target{to.path, file}
	if !l.target.CompareAndSwap(to, next) { // the target has just been changed
		file.Close()
		return to
	}
	open.Close()
	return next
}

// switchTo continues with another target. A line begun in the old target is
// written to the new one again, completely.
func (l *Log) switchTo(to *target) {
	if l.to == to {
		return
	}
	l.to = to
	l.out = append(l.out[:0], l.out[bytes.LastIndexByte(l.out[:l.sent], '\n')+1:]...)
	l.sent = 0
}

// drop discards the formatted lines, and counts them.
func (l *Log) drop() {
	l.buffers[0].dropped.Add(uint64(bytes.Count(l.out[l.sent:], newline)))
	l.resetOut()
}

func (l *Log) resetOut() {
	l.out, l.sent = l.out[:0], 0
	if cap(l.out) > maxReusedBatch {
		l.out = nil
	}
}

// report informs the operator when writing begins to fail and when it works
// again. A write ended by a change of the target is not a failure.
func (l *Log) report(to *target, err error) {
	failed := l.failing.Load() != nil
	switch {
	case err == nil && failed:
		l.failing.Store(nil)
		l.options.Log.Info("the access log is written again", "path", to.path, "dropped", l.Stats().Dropped)
	case err != nil && l.target.Load() != to:
		l.wakeWriter()
	case err != nil && !failed:
		text := explain(err).Error()
		l.failing.Store(&text)
		l.options.Log.Error("the access log cannot be written: lines wait, and are dropped when too many do", "path", to.path, "err", text)
	}
}

package accesslog

import (
	"bytes"
	"os"
	"time"
)

// write is the writer: it formats what the loops hand over and writes it, a
// batch at a time.
func (l *Log) write() {
	defer close(l.ended)
	for !l.wait() {
		l.send() // what could not be written before
		l.gather()
		l.send()
		if l.answer != nil {
			close(l.answer)
			l.answer = nil
		}
	}
	l.drop()
	l.gather()
	l.drop()
}

// wait returns when it is time to write: a while after the first record of a
// batch came, at once when many wait or somebody asked, or when the last write,
// which failed, is to be tried again. It tells whether the log is closed.
func (l *Log) wait() (stopped bool) {
	pause := batchTime
	if len(l.out) > 0 {
		pause = retryTime
	} else {
		l.idle.Store(true)
		if !l.waiting() {
			select {
			case <-l.wake:
			case l.answer = <-l.asked:
			case <-l.stop:
				return true
			}
		}
		l.idle.Store(false)
		if l.answer != nil {
			return false
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wake:
	case l.answer = <-l.asked:
	case <-l.stop:
		return true
	}
	return false
}

// waiting tells whether there is something to write.
func (l *Log) waiting() bool {
	for i := range l.buffers {
		if l.buffers[i].filled.Load() != nil {
			return true
		}
	}
	return false
}

// gather formats what the loops have handed over. While a write fails, it is
// left with them: that bounds what waits.
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
		b.give(first, last, n)
	}
}

func (l *Log) format(dst []byte, r *Record) []byte {
	if l.json.Load() {
		return appendJSON(dst, r, &l.stamp)
	}
	return appendText(dst, r, &l.stamp)
}

// mostKept is how large a batch may be whose memory is used again.
const mostKept = 1 << 20

// send writes what is formatted.
func (l *Log) send() {
	if len(l.out) == 0 {
		return
	}
	to := l.target.Load()
	if to == nil {
		l.drop()
		return
	}
	if l.follows.Load() {
		to = l.followed(to)
	}
	l.turnTo(to)
	n, err := to.file.Write(l.out[l.sent:])
	l.lines.Add(uint64(bytes.Count(l.out[l.sent:l.sent+n], newline)))
	l.sent += n
	l.note(to, err)
	if err == nil {
		l.forget()
	}
}

var newline = []byte("\n")

// followed is the target of the file that stands at the path: to, unless that is
// another one by now.
func (l *Log) followed(to *target) *target {
	if to.path == Stdout {
		return to
	}
	there, err := os.Stat(to.path)
	if err != nil {
		return to
	}
	if here, err := to.file.Stat(); err != nil || os.SameFile(here, there) {
		return to
	}
	file, err := open(to.path)
	if err != nil {
		return to
	}
	next := &target{to.path, file}
	if !l.target.CompareAndSwap(to, next) { // somebody has just changed it
		file.Close()
		return to
	}
	to.file.Close()
	return next
}

// turnTo goes on writing to another target than that in which a line may have
// been begun: it is written there once more, whole.
func (l *Log) turnTo(to *target) {
	if l.to == to {
		return
	}
	l.to = to
	l.out = append(l.out[:0], l.out[bytes.LastIndexByte(l.out[:l.sent], '\n')+1:]...)
	l.sent = 0
}

// drop gives up what is formatted, and counts it.
func (l *Log) drop() {
	l.buffers[0].dropped.Add(uint64(bytes.Count(l.out[l.sent:], newline)))
	l.forget()
}

func (l *Log) forget() {
	l.out, l.sent = l.out[:0], 0
	if cap(l.out) > mostKept {
		l.out = nil
	}
}

// note tells the operator when the log begins to fail and when it is well again.
// A write that was ended by a change of the target is no failure.
func (l *Log) note(to *target, err error) {
	failed := l.failing.Load() != nil
	switch {
	case err == nil && failed:
		l.failing.Store(nil)
		l.options.Log.Info("the access log is written again", "path", to.path, "dropped", l.Stats().Dropped)
	case err != nil && l.target.Load() != to:
		l.rouse()
	case err != nil && !failed:
		text := explain(err).Error()
		l.failing.Store(&text)
		l.options.Log.Error("the access log cannot be written: lines wait, and are dropped when too many do", "path", to.path, "err", text)
	}
}

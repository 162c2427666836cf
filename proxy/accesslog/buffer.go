package accesslog

import "sync/atomic"

// mostWaiting is how many records of one loop may wait to be written, and how
// many are kept for use again.
const mostWaiting = 8192

// Buffer is one loop's way into the log. Its methods may be used by that loop
// only, but a nil Buffer by anybody: it is always off. They take no lock, make
// no system call but to wake the writer, and allocate a record only while more
// are in use than ever before.
//
//	loop                              writer
//	Begin   <- free <- returned  <-   what was written
//	End     -> filled            ->   what is to be written
//
// filled and returned are stacks: each is pushed to by one side, and taken
// whole by the other.
type Buffer struct {
	log      *Log
	free     *Record // the loop's own
	kept     int     // at least so many are free
	filled   atomic.Pointer[Record]
	returned atomic.Pointer[Record]
	waiting  atomic.Int64 // records that were ended and not written yet
	dropped  atomic.Uint64
	stacked  int // the writer's own: how many are returned, if any are
	_        [64]byte
}

// Begin returns an empty record, to be given back to End; nil while the log is
// off.
func (b *Buffer) Begin() *Record {
	if b == nil || !b.log.on.Load() {
		return nil
	}
	if b.free == nil {
		b.free, b.kept = b.returned.Swap(nil), 0
	}
	r := b.free
	if r == nil {
		r = new(Record)
	} else {
		b.free, b.kept = r.next, max(b.kept-1, 0)
	}
	*r = Record{Request: None, Queue: None, Connect: None, Response: None}
	return r
}

// End has the record written, or drops and counts it where too many wait
// already. The record is no longer the caller's.
func (b *Buffer) End(r *Record) {
	switch {
	case !b.log.on.Load():
		b.discard(r)
		return
	case b.waiting.Load() >= mostWaiting:
		b.dropped.Add(1)
		b.discard(r)
		return
	}
	for {
		last := b.filled.Load()
		r.next = last
		if b.filled.CompareAndSwap(last, r) {
			break
		}
	}
	if n := b.waiting.Add(1); n == mostWaiting/2 || b.log.idle.Load() {
		b.log.rouse()
	}
}

// discard takes back a record that is not to be written.
func (b *Buffer) discard(r *Record) {
	if b.kept < mostWaiting {
		r.next, b.free = b.free, r
		b.kept++
	}
}

// take returns the records that are to be written, the first one first. Only
// the writer calls it.
func (b *Buffer) take() *Record {
	var first *Record
	for r := b.filled.Swap(nil); r != nil; {
		next := r.next
		r.next, first = first, r
		r = next
	}
	return first
}

// give hands back n records, chained from first to last, for use again. Only
// the writer calls it.
func (b *Buffer) give(first, last *Record, n int) {
	b.waiting.Add(int64(-n))
	top := b.returned.Load()
	if top == nil {
		b.stacked = 0
	}
	if b.stacked += n; b.stacked > mostWaiting {
		b.stacked -= n
		return
	}
	last.next = top
	if b.returned.CompareAndSwap(top, first) {
		return
	}
	last.next = nil // the loop has taken them meanwhile: nobody else pushes
	b.stacked = n
	b.returned.Store(first)
}

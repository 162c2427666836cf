package accesslog

import "sync/atomic"

// maxWaiting is the most records of one loop that may wait to be written, and
// that are kept for reuse.
const maxWaiting = 8192

// Buffer connects one loop to the log. Only that loop may call its methods; a
// nil Buffer, which is always off, may be used anywhere. The methods take no
// lock, make no system call except to wake the writer, and allocate a record
// only when more are in use than ever before.
//
//	loop                              writer
//	Begin   <- free <- returned  <-   written records
//	End     -> filled            ->   records to write
//
// filled and returned are stacks: one side pushes, the other takes all at once.
type Buffer struct {
	log           *Log
	free          *Record // only for the loop
	freeCount     int     // a lower bound of the number of free records
	filled        atomic.Pointer[Record]
	returned      atomic.Pointer[Record]
	waiting       atomic.Int64 // records ended but not written yet
	dropped       atomic.Uint64
	returnedCount int // only for the writer: the number of returned records, if any
	_             [64]byte
}

// Begin returns an empty record, to be passed to End; nil while the log is off.
func (b *Buffer) Begin() *Record {
	if b == nil || !b.log.on.Load() {
		return nil
	}
	if b.free == nil {
		b.free, b.freeCount = b.returned.Swap(nil), 0
	}
	r := b.free
	if r == nil {
		r = new(Record)
	} else {
		b.free, b.freeCount = r.next, max(b.freeCount-1, 0)
	}
	*r = Record{Request: None, Queue: None, Connect: None, Response: None, RequestID: r.RequestID[:0], Name: r.Name[:0]}
	return r
}

// End hands the record over to be written, or drops and counts it if too many
// wait. The caller must not use the record afterwards.
func (b *Buffer) End(r *Record) {
	switch {
	case !b.log.on.Load():
		b.discard(r)
		return
	case b.waiting.Load() >= maxWaiting:
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
	if n := b.waiting.Add(1); n == maxWaiting/2 || b.log.idle.Load() {
		b.log.wakeWriter()
	}
}

// discard takes back a record without writing it.
func (b *Buffer) discard(r *Record) {
	if b.freeCount < maxWaiting {
		r.next, b.free = b.free, r
		b.freeCount++
	}
}

// take returns the records to write, oldest first. Only the writer calls it.
func (b *Buffer) take() *Record {
	var first *Record
	for r := b.filled.Swap(nil); r != nil; {
		next := r.next
		r.next, first = first, r
		r = next
	}
	return first
}

// giveBack returns n records, chained from first to last, for reuse. Only the
// writer calls it.
func (b *Buffer) giveBack(first, last *Record, n int) {
	b.waiting.Add(int64(-n))
	top := b.returned.Load()
	if top == nil {
		b.returnedCount = 0
	}
	if b.returnedCount += n; b.returnedCount > maxWaiting {
		b.returnedCount -= n
		return
	}
	last.next = top
	if b.returned.CompareAndSwap(top, first) {
		return
	}
	last.next = nil // the loop has taken them meanwhile; only this goroutine pushes
	b.returnedCount = n
	b.returned.Store(first)
}

package ratelimit

import (
	"sync/atomic"
	"time"
)

// Turn is a connection's place among those that wait for a token: of its source, or of
// all sources together, never of both. The zero value waits for none. It belongs to its
// connection, and to one source until Source.Leave.
//
// It is one word, since every connection has one: when the token is due that the
// connection waits for, times two, plus the number of the queue.
type Turn struct{ word int64 }

// Waits reports whether the connection waits for a token.
func (t *Turn) Waits() bool { return t.word != 0 }

// Place is the place that the connection has, for the new process of an upgrade; 0 = none.
// It is absolute: both processes share the clock.
func (t *Turn) Place() int64 { return t.word }

// in reports whether the connection waits in the queue of a number.
func (t *Turn) in(number int64) bool { return t.word != 0 && t.word&1 == number }

// due is when the token is there, if no request leaves.
func (t *Turn) due() int64 { return t.word >> 1 }

// queue is a bucket and the number of connections that wait for its tokens. There is
// no list of them, and so no lock: each knows when its token is due, counting those
// before it, and leaves the tokens before that to the others.
//
//	a connection    gets
//	not waiting     the tokens that no request waits for
//	waiting         the same
//	waiting, due    one token, and those that no other waits for
//
// Who gets less than it asked for waits from then on, behind all others. One that
// leaves does not shorten the times of those behind it, but lets tokens pile up that
// no request waits for: they are found within longestSleep.
type queue struct {
	*bucket
	waiting *atomic.Int32
	number  int64
}

// The numbers of the queues.
const (
	ofSource = iota
	ofAll
)

// longestSleep is how long a connection sleeps before it asks again, so that it
// notices who has left, and changed limits.
const longestSleep = int64(time.Second)

// take takes up to n tokens and returns how many.
func (q queue) take(t *Turn, r limit, n int, now int64) int {
	if r.interval == 0 || n == 0 {
		return n
	}
	return q.takeAtLeast(t, r, n, 1, now)
}

// takeAtLeast is take for who needs so many at once when its time has come.
func (q queue) takeAtLeast(t *Turn, r limit, n, needed int, now int64) int {
	others, least := int64(q.waiting.Load()), 0
	if t.in(q.number) {
		others--
		if now >= t.due() {
			least = needed
		}
	}
	return q.takeUpTo(r, n, others, least, now)
}

// await makes the connection, which got fewer tokens than it asked for, wait for the
// next one, and returns when to ask again.
func (q queue) await(t *Turn, r limit, got int, now int64) (sleep int64) {
	return q.awaitN(t, r, 1, got, now)
}

// awaitN is await for who needs n tokens at once.
func (q queue) awaitN(t *Turn, r limit, n, got int, now int64) (sleep int64) {
	others := int64(0)
	switch {
	case !t.in(q.number):
		others = int64(q.waiting.Add(1)) - 1
	case got > 0: // behind those who wait by now
		others = int64(q.waiting.Load()) - 1
	case now < t.due(): // it keeps its place
		return min(t.due()-now, longestSleep)
	default: // another has taken its token: the next one is its
	}
	wait := max(1, q.until(r, others+int64(n), now))
	t.word = (now+wait)<<1 | q.number
	return min(wait, longestSleep)
}

// rejoin gives a connection that waits nowhere its place in another process back.
func (q queue) rejoin(t *Turn, place int64) {
	if place != 0 && place&1 == q.number && t.word == 0 {
		t.word = place
		q.waiting.Add(1)
	}
}

// leave gives the place up, if the connection has one here.
func (q queue) leave(t *Turn) {
	if t.in(q.number) {
		t.word = 0
		q.waiting.Add(-1)
	}
}

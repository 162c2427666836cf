package ratelimit

import (
	"sync/atomic"
	"time"
)

// Turn is a connection's place among those that wait for tokens: of its source, and
// of all sources together. The zero value waits for none. It belongs to its
// connection, and to one source until Source.Leave.
type Turn struct {
	source, global place
}

// Waits reports whether the connection waits for a token.
func (t *Turn) Waits() bool { return *t != (Turn{}) }

// place is when the token is due that a connection waits for; 0 = it waits for none.
type place int64

// queue is a bucket and the number of connections that wait for its tokens. There is
// no list of them, and so no lock: each knows when its token is due, counting those
// before it, and leaves the tokens before that to the others.
//
//	a connection    gets
//	not waiting     the tokens that nobody waits for
//	waiting         the same
//	waiting, due    one token, and those that no other waits for
//
// Who gets less than it asked for waits from then on, behind all others. One that
// leaves does not shorten the times of those behind it, but lets tokens pile up that
// nobody waits for: they are found within longestSleep.
type queue struct {
	*bucket
	waiting *atomic.Int32
}

// longestSleep is how long a connection sleeps before it asks again, so that it
// notices who has left, and changed limits.
const longestSleep = int64(time.Second)

// take takes up to n tokens and returns how many. If those are fewer, p waits for the
// next one, and sleep is when to ask again.
func (q queue) take(p *place, r limit, n int, now int64) (taken int, sleep int64) {
	if r.interval == 0 {
		q.leave(p)
		return n, 0
	}
	others, least := int64(q.waiting.Load()), 0
	if *p != 0 {
		others--
		if now >= int64(*p) {
			least = 1
		}
	}
	taken = q.takeUpTo(r, n, others, least, now)
	switch {
	case taken == n:
		q.leave(p)
		return n, 0
	case *p == 0:
		others = int64(q.waiting.Add(1)) - 1
	case taken > 0: // it waits again, for the one after
	case least == 0: // it keeps its place
		return 0, min(int64(*p)-now, longestSleep)
	default: // another has taken it: the next one
		others = 0
	}
	wait := max(1, q.until(r, others+1, now))
	*p = place(now + wait)
	return taken, min(wait, longestSleep)
}

// leave gives the place up.
func (q queue) leave(p *place) {
	if *p != 0 {
		*p = 0
		q.waiting.Add(-1)
	}
}

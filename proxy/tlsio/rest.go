package tlsio

import (
	"time"

	"mcplb/proxy/reactor"
)

// restAfter is how long a direction of a connection is not used before it gives its keys
// up; it may be twice as long. What they are derived from stays, so the next record
// costs some microseconds more.
const restAfter = 5 * time.Second

// So many connections are visited at a time, so that a loop that has many in use keeps
// none of them waiting.
const (
	visitsPerStep = 512
	stepPause     = 10 * time.Millisecond
)

// inUse lists the connections of one loop whose keys may be expanded, so that those at
// rest, which are most, cost neither memory for keys nor time to look at. The zero value,
// with a loop, is empty.
//
//	a connection is  its keys are       until
//	at rest          not expanded       a record comes or goes: in use
//	in use           expanded           two visits without a record in between: at rest;
//	                                    closed or detached: not listed
type inUse struct {
	loop   *reactor.Loop
	timer  reactor.Timer // armed while the list has members
	layers []*layer      // layers[i].place is i+1
	next   int           // layers[:next] are still to be visited
}

// add lists a connection, unless it is listed.
func (u *inUse) add(l *layer) {
	if l.place > 0 {
		return
	}
	u.layers = append(u.layers, l)
	l.place = int32(len(u.layers))
	if l.place == 1 {
		u.visitAll()
	}
}

// remove takes a connection off the list, if it is listed. The last one gets its place.
func (u *inUse) remove(l *layer) {
	if l.place == 0 {
		return
	}
	end := len(u.layers) - 1
	last := u.layers[end]
	u.layers[l.place-1], last.place = last, l.place
	u.layers[end] = nil
	u.layers, l.place = u.layers[:end], 0
	if end == 0 {
		u.loop.Disarm(&u.timer)
		u.layers = nil // it may have been long
	}
}

// visitAll begins to visit all of the list, in a while.
func (u *inUse) visitAll() {
	u.next = len(u.layers)
	u.loop.Arm(&u.timer, u, u.loop.Now()+int64(restAfter))
}

// Expired implements reactor.Expirer: it visits the next ones, from the end on, so that
// one that takes the place of another was visited.
func (u *inUse) Expired(*reactor.Timer) {
	u.next = min(u.next, len(u.layers))
	for end := max(u.next-visitsPerStep, 0); u.next > end; u.next-- {
		if l := u.layers[u.next-1]; l.rest() {
			u.remove(l)
		}
	}
	switch {
	case u.next > 0:
		u.loop.Arm(&u.timer, u, u.loop.Now()+int64(stepPause))
	case len(u.layers) > 0:
		u.visitAll()
	}
}

package fleet

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a register.
const (
	registerBatch   = 500     // entries written, and read, by one call
	registerKept    = 100_000 // entries in Redis
	registerPending = 100_000 // changes that wait
	longestEntry    = 256     // bytes of a key, and of a value
)

// keepEvery is how often the entries in force here are written again where Redis has lost
// them, and live longer where it has not.
const keepEvery = time.Minute

// entry is one entry of a register.
type entry struct {
	key, payload string
	stamp        int64         // of the change, in milliseconds; a later change wins
	lives        time.Duration // in Redis
}

// register is what all balancers of a fleet are to know, as seen by this one. Changes may
// be noted by any goroutine; one goroutine at a time exchanges.
type register struct {
	// adopt carries out an entry that is new here; false: it is none. It may be one of
	// this balancer.
	adopt func(key, payload string, lives time.Duration) bool
	// inForce returns the entries in force here.
	inForce func() []entry
	// holds reports whether an entry of inForce is still in force; nil = all are.
	holds func(entry) bool
	// clock takes Redis's time, in milliseconds.
	clock func(millis int64)

	mu      sync.Mutex // guards what follows
	pending map[string]entry

	// Of the goroutine that exchanges.
	epoch   string
	after   int64 // the version up to which everything was read
	last    int64 // the latest version that Redis had
	backlog []entry
	nextAt  time.Time // when the entries in force are written again
	more    bool      // there is more to be read or written at once

	sent, received, dropped, invalid atomic.Uint64
}

// note makes a change known to the others, at the next exchange. It does not wait.
func (r *register) note(e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = map[string]entry{}
	}
	if _, known := r.pending[e.key]; !known && len(r.pending) >= registerPending || len(e.key) > longestEntry {
		r.dropped.Add(1)
		return
	}
	r.pending[e.key] = e
}

// waiting returns the changes that the others do not know yet.
func (r *register) waiting() map[string]entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.pending)
}

// forget drops the changes that wait.
func (r *register) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = nil
}

// rejoin makes the next exchange read everything.
func (r *register) rejoin() { r.epoch, r.after, r.last, r.backlog = "", 0, 0, nil }

// batch returns the changes that wait, up to the size of a batch.
func (r *register) batch() (changes []entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.pending {
		if len(changes) == registerBatch {
			break
		}
		changes = append(changes, e)
	}
	return changes
}

// written removes changes from those that wait, unless they have changed again.
func (r *register) written(changes []entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range changes {
		if r.pending[e.key] == e {
			delete(r.pending, e.key)
		}
	}
	r.more = len(r.pending) > 0
	if !r.more {
		r.pending = nil // gives the memory of many back
	}
}

// exchange returns the call that writes and reads. prefix is that of the register's keys,
// fresh an epoch for Redis to take if it has none.
func (r *register) exchange(prefix, epochKey, fresh string, now time.Time) call {
	if now.After(r.nextAt) && r.epoch != "" && len(r.backlog) == 0 {
		r.backlog = r.inForce()
		r.nextAt = now.Add(keepEvery + time.Duration(len(r.backlog))*time.Millisecond)
	}
	changes := r.batch()
	kept := min(len(r.backlog), registerBatch-len(changes))
	held := r.backlog[:kept:kept]
	if r.holds != nil {
		held = slices.DeleteFunc(slices.Clone(held), func(e entry) bool { return !r.holds(e) })
	}
	args := []any{fresh, r.after, registerBatch, registerKept, longestEntry}
	for _, e := range changes {
		args = append(args, "set", e.key, e.stamp, e.payload, e.lives.Milliseconds())
	}
	for _, e := range held {
		args = append(args, "keep", e.key, 1, e.payload, e.lives.Milliseconds())
	}
	return call{registerScript, registerKeys(prefix, epochKey), args, func(reply reply) error {
		r.written(changes)
		r.backlog = r.backlog[kept:]
		r.sent.Add(uint64(len(changes)))
		return r.read(reply)
	}}
}

// registerKeys are the keys of a register, of the types in registerTypes.
func registerKeys(prefix, epochKey string) []string {
	return []string{prefix + ":values", prefix + ":versions", prefix + ":expiries", epochKey}
}

var registerTypes = []any{"hash", "zset", "zset", "string"}

// read takes what Redis has.
func (r *register) read(reply reply) error {
	list, err := reply.list(6)
	if err != nil {
		return err
	}
	r.clock(list[1].number())
	epoch, last, reached, found := list[0].text(), list[2].number(), list[3].number(), list[4].number()
	if epoch != r.epoch || last < r.last {
		r.rejoin()
		r.epoch, r.more, r.nextAt = epoch, true, time.Time{}
		return nil
	}
	entries, err := list[5].list(0)
	if err != nil {
		return err
	}
	r.after, r.last = max(r.after, reached), last
	r.more = r.more || found >= registerBatch || len(r.backlog) > 0
	r.take(entries)
	return nil
}

// take carries out the entries read: key, value and time to live of each.
func (r *register) take(entries []reply) {
	waiting := r.waiting()
	for ; len(entries) >= 3; entries = entries[3:] {
		key, value, lives := entries[0].text(), entries[1].text(), time.Duration(entries[2].number())*time.Millisecond
		if _, changed := waiting[key]; changed || lives <= 0 {
			continue
		}
		stamp, payload, _ := strings.Cut(value, " ")
		if _, err := strconv.ParseInt(stamp, 10, 64); err != nil || len(key) > longestEntry || len(value) > longestEntry || !r.adopt(key, payload, lives) {
			r.invalid.Add(1)
			continue
		}
		r.received.Add(1)
	}
}

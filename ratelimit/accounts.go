package ratelimit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// AccountKey identifies an account: a hash of the limit that it belongs to and of
// whom it counts (a source, a session, the value of a header).
type AccountKey [16]byte

// Limit is one limit of a route, for all of its accounts. It is immutable. The zero
// value limits nothing.
type Limit struct {
	rate        limit
	concurrency int  // 0 = no limit
	reject      bool // what is over is refused, not delayed
}

// NewLimit makes a limit of so many requests per second (0 = any) with bursts (0 = one
// second's worth, at least 1), and of so many under way at once (0 = any). reject says
// that a request over it is refused; otherwise it waits.
func NewLimit(perSecond float64, burst, concurrency int, reject bool) Limit {
	return Limit{rate: newRate(perSecond, burst), concurrency: concurrency, reject: reject}
}

// newRate is newLimit for rates below 1 as well.
func newRate(perSecond float64, burst int) limit {
	if perSecond <= 0 {
		return limit{}
	}
	if burst == 0 {
		burst = int(min(math.Ceil(perSecond), maxTokens))
	}
	const longest = 1 << 59 // nanoseconds that a bucket may be behind: 18 years
	interval := int64(min(math.Ceil(float64(time.Second)/perSecond), longest))
	interval = max(interval, 1)
	return limit{interval: interval, capacity: interval * min(int64(max(burst, 1)), maxTokens, longest/interval)}
}

// burst is how many tokens a full bucket has.
func (l limit) burst() int { return int(l.capacity / l.interval) }

// cost is how far n tokens move a bucket on, at most as far as no sum overflows.
func (l limit) cost(n int) int64 { return l.interval * min(int64(n), math.MaxInt64/4/l.interval) }

// Accounts are those who are limited by the limits of routes, each with its bucket
// and its requests under way. Any number of goroutines may use them at once. Make them
// with NewAccounts.
//
// At most as many as were said are remembered, beside those with requests: the one
// that was idle longest goes first. One that a new account would equal may be forgotten
// at any time.
type Accounts struct {
	mu             sync.Mutex // guards everything below, all accounts, and what passes say
	byKey          map[AccountKey]*account
	oldest, newest *account // the ends of the list of those without requests
	most           int
	elsewhere      map[AccountKey]*account // those with requests in the old process of an upgrade
}

// account is one account.
//
//	requests  in the list of idle ones
//	none      yes
//	any       no
type account struct {
	bucket
	key          AccountKey
	holders      int          // requests that pass, or wait; one more with elsewhere
	active       int          // requests that have passed, and are not over
	elsewhere    int          // those in the old process of an upgrade
	turns        atomic.Int32 // requests that wait for a token
	line         []*Pass      // requests that wait for others to end, the first first
	older, newer *account
}

// busy is how many requests are under way, wherever.
func (c *account) busy() int { return c.active + c.elsewhere }

// NewAccounts returns no accounts yet, and remembers most of them; 0 = any number.
func NewAccounts(most int) *Accounts {
	a := &Accounts{byKey: map[AccountKey]*account{}}
	a.Resize(most)
	return a
}

// Resize changes how many accounts are remembered; 0 = any number. Those above are
// forgotten step by step.
func (a *Accounts) Resize(most int) {
	if most <= 0 {
		most = math.MaxInt
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most = most
}

// Len returns how many accounts are remembered.
func (a *Accounts) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.byKey)
}

// hold returns the account of a key, known or new, with one more holder.
func (a *Accounts) hold(key AccountKey, now int64) *account {
	c := a.byKey[key]
	switch {
	case c == nil:
		a.forget(now)
		c = &account{key: key}
		a.byKey[key] = c
	case c.holders == 0:
		a.unlist(c)
	}
	c.holders++
	return c
}

// release takes a holder from an account.
func (a *Accounts) release(c *account) {
	if c.holders--; c.holders > 0 {
		return
	}
	c.older, c.newer = a.newest, nil
	if a.newest != nil {
		a.newest.newer = c
	} else {
		a.oldest = c
	}
	a.newest = c
}

// unlist takes an account out of the list of idle ones.
func (a *Accounts) unlist(c *account) {
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		a.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		a.newest = c.older
	}
	c.older, c.newer = nil, nil
}

// forget makes room for a new account: it forgets up to two of those that are idle
// longest, if new ones would equal them, or there are too many.
func (a *Accounts) forget(now int64) {
	for range 2 {
		c := a.oldest
		if c == nil || !c.isFull(now) && len(a.byKey) < a.most {
			return
		}
		a.unlist(c)
		delete(a.byKey, c.key)
	}
}

// AccountRecord is an account that is handed over to a new process.
type AccountRecord struct {
	Key  AccountKey
	Full int64 // when its bucket is full, in nanoseconds of the system's monotonic clock
}

// Handover returns the accounts that a new one would not equal. Requests under way
// are not among them: those that move are held again (Reinstate), the others are
// counted (Active).
func (a *Accounts) Handover(now int64) []AccountRecord {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []AccountRecord
	for key, c := range a.byKey {
		if !c.isFull(now) {
			list = append(list, AccountRecord{key, c.full.Load()})
		}
	}
	return list
}

// Restore takes over accounts of another process. What has been charged here stays
// charged.
func (a *Accounts) Restore(list []AccountRecord, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, record := range list {
		c := a.hold(record.Key, now)
		c.raise(record.Full)
		a.release(c)
	}
}

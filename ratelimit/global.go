package ratelimit

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// globalRate limits how many connections per second all sources together may
// open, with a burst of one second's worth. The zero value has no rate yet.
type globalRate struct {
	mu     sync.Mutex    // guards everything below
	bucket *rate.Limiter // nil = no rate was ever set
	latest int64         // the latest time seen: clocks of loops that lag do not count
	taken  uint64        // connections admitted since used was last called
	owed   float64       // less than one connection that is yet to be charged: see divide
}

// set changes the rate; what has been used up stays used up. Without a rate, 0,
// allow is not to be called.
func (g *globalRate) set(perSecond int) {
	if perSecond == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bucket == nil {
		g.bucket = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		return
	}
	g.bucket.SetBurstAt(time.Unix(0, g.latest), perSecond)
	g.bucket.SetLimitAt(time.Unix(0, g.latest), rate.Limit(perSecond))
}

// allow reports whether one more connection may be opened at the time now.
func (g *globalRate) allow(now int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latest = max(g.latest, now)
	ok := g.bucket.AllowN(time.Unix(0, g.latest), 1)
	if ok {
		g.taken++
	}
	return ok
}

// full returns when the bucket is full again.
func (g *globalRate) full() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bucket == nil {
		return 0
	}
	missing := float64(g.bucket.Burst()) - g.bucket.TokensAt(time.Unix(0, g.latest))
	return g.latest + int64(math.Ceil(missing/float64(g.bucket.Limit())*float64(time.Second)))
}

// restore makes an unused bucket one that is full again at the given time. Its
// burst is one second's worth, so that it is empty a second earlier.
func (g *globalRate) restore(full int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bucket != nil {
		g.bucket.AllowN(time.Unix(0, full-int64(time.Second)), g.bucket.Burst())
	}
}

// used returns how many connections were admitted since the last call.
func (g *globalRate) used() (taken uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken, g.taken = g.taken, 0
	return taken
}

// tokens returns how many connections may be opened at once; below 0, how many are
// charged in advance.
func (g *globalRate) tokens(now int64) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bucket == nil {
		return 0
	}
	return g.bucket.TokensAt(time.Unix(0, max(g.latest, now)))
}

// divide changes the part of the rate of perSecond that may be used here.
func (g *globalRate) divide(perSecond int, part Part, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bucket == nil || perSecond == 0 {
		return
	}
	g.latest = max(g.latest, now)
	at := time.Unix(0, g.latest)
	mine := float64(perSecond) * part.Fraction
	g.bucket.SetLimitAt(at, rate.Limit(mine))
	g.owed += part.Charge
	if g.owed < 0 { // what a later time would bring, now
		later := at.Add(time.Duration(-g.owed / mine * float64(time.Second)))
		g.bucket.SetLimitAt(later, rate.Limit(mine))
		g.owed = 0
	}
	debt := -g.bucket.TokensAt(at)
	for g.owed >= 1 && debt < mine*time.Duration(longestDebt).Seconds() {
		n := min(int(g.owed), g.bucket.Burst())
		g.bucket.ReserveN(at, n)
		g.owed -= float64(n)
		debt += float64(n)
	}
	g.owed = min(g.owed, 1)
}

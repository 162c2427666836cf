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
	return g.bucket.AllowN(time.Unix(0, g.latest), 1)
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

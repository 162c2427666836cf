package lograte

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limiter bounds the repetitions of one log line. Any goroutine may use it.
type Limiter struct {
	limiter *rate.Limiter
	omitted atomic.Uint64
}

// New returns a Limiter that allows burst lines at once, and then one per interval.
func New(interval time.Duration, burst int) *Limiter {
	return &Limiter{limiter: rate.NewLimiter(rate.Every(interval), burst)}
}

// Allow reports whether the line is to be written now, and how many were omitted
// since the last one that was.
func (l *Limiter) Allow() (omitted uint64, ok bool) {
	if !l.limiter.Allow() {
		l.omitted.Add(1)
		return 0, false
	}
	return l.omitted.Swap(0), true
}

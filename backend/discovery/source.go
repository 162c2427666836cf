package discovery

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"mcplb/conf"
)

// Source finds the servers of one backend.
type Source interface {
	// Run finds servers until ctx ends. It calls report with all servers whenever they
	// may have changed, and with an error, and no servers, whenever it cannot say which
	// there are. Reports come from one goroutine at a time; their servers are not changed
	// later.
	Run(ctx context.Context, report func(servers []conf.Server, err error))
}

// NewSource returns the source that the settings name. lookup is for DNS, and so is
// confirmed: when another process last had an answer; zero = never.
func NewSource(c *conf.Discover, lookup Lookup, confirmed time.Time) Source {
	switch {
	case c.Kubernetes != nil:
		return newByKubernetes(c)
	case c.File != "":
		return &byFile{settings: c}
	}
	return &byDNS{settings: c, lookup: lookup, confirmed: confirmed}
}

var errNothing = errors.New("nothing was found")

// retry is the pauses between attempts that fail: each is twice as long as the
// one before. Its zero value is not valid.
type retry struct {
	first, most time.Duration
	next        time.Duration // 0 = first
}

// pause returns the next pause, with up to a quarter taken off, so that many
// balancers do not ask in step.
func (b *retry) pause() time.Duration {
	p := cmp.Or(b.next, b.first)
	b.next = min(2*p, b.most)
	return p - jitter(p/4)
}

// reset makes the next pause the first one.
func (b *retry) reset() { b.next = 0 }

// sleep waits for d, or until ctx ends, and returns whether it has not.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// jitter is a random duration below d; 0 for d <= 0.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

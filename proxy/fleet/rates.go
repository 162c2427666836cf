package fleet

import (
	"sync/atomic"
	"time"

	"mcplb/ratelimit"
)

// Of the stream of what balancers let pass.
const (
	ratesBatch = 256              // entries read by one call
	ratesLive  = 10 * time.Second // the stream, after the last entry
	ratesFresh = 2 * time.Second  // an older entry is charged no more
	activeFor  = time.Second      // a balancer uses a rate that did so within this time
)

// rates shares what clients use of the rates. It belongs to the goroutine that exchanges.
type rates struct {
	limiter *ratelimit.Limiter
	now     func() int64

	process               string // this process, among all that write to the stream
	after                 string // the stream's entry up to which everything was read
	stepped               int64  // when the global rates were last divided
	messages, connections division
	seen                  map[string]int64 // by process: when it last let something pass

	sent, received, lost, invalid atomic.Uint64 // sources
}

// rejoin forgets what was read.
func (r *rates) rejoin(process string) {
	r.process, r.after, r.seen = process, "", map[string]int64{}
	r.alone()
}

// alone makes the global rates this balancer's in full.
func (r *rates) alone() {
	r.stepped, r.messages, r.connections = 0, division{}, division{}
	whole := ratelimit.Part{Fraction: 1}
	r.limiter.Divide(whole, whole, r.now())
}

// exchange returns the call that writes what was used here and reads what was elsewhere.
func (r *rates) exchange(key string) call {
	used := r.limiter.Collect(mostSources)
	r.lost.Add(used.Lost)
	args := []any{r.process, string(encodeUsage(&used)), r.after, ratesBatch, longestUsage, ratesLive.Milliseconds()}
	return call{ratesScript, []string{key}, args, func(reply reply) error {
		r.sent.Add(uint64(len(used.Sources)))
		return r.read(reply, &used)
	}}
}

// read charges what other balancers let pass. own is what passed here.
func (r *rates) read(reply reply, own *ratelimit.Usage) error {
	list, err := reply.list(3)
	if err != nil {
		return err
	}
	entries, err := list[2].list(0)
	if err != nil {
		return err
	}
	r.after = list[1].text()
	now := r.now()
	var sum ratelimit.Usage
	for ; len(entries) >= 3; entries = entries[3:] {
		u, ok := decodeUsage([]byte(entries[1].text()))
		if !ok {
			r.invalid.Add(1)
			continue
		}
		if age := time.Duration(entries[2].number()) * time.Millisecond; age > ratesFresh || age < 0 {
			continue
		}
		r.charge(entries[0].text(), &u, &sum, now)
	}
	r.divide(own, &sum, now)
	return nil
}

// charge charges what one balancer let pass to the sources, and adds the rest to sum.
func (r *rates) charge(process string, u, sum *ratelimit.Usage, now int64) {
	if u.Messages+u.Connections > 0 && (len(r.seen) < mostBalancers || r.seen[process] != 0) {
		r.seen[process] = now
	}
	sum.Messages += u.Messages
	sum.Connections += u.Connections
	for _, s := range u.Sources {
		r.limiter.Charge(s, now)
	}
	r.received.Add(uint64(len(u.Sources)))
}

// divide divides the global rates by what others let pass.
func (r *rates) divide(own, sum *ratelimit.Usage, now int64) {
	for process, at := range r.seen {
		if now-at > int64(activeFor) {
			delete(r.seen, process)
		}
	}
	since := r.stepped
	r.stepped = now
	if since == 0 {
		return
	}
	seconds, balancers := time.Duration(now-since).Seconds(), len(r.seen)+1
	messages, connections := r.limiter.GlobalRates()
	messageTokens, connectionTokens := r.limiter.GlobalTokens(now)
	r.limiter.Divide(
		r.messages.advance(float64(messages), float64(own.Messages), float64(sum.Messages), messageTokens, balancers, seconds),
		r.connections.advance(float64(connections), float64(own.Connections), float64(sum.Connections), connectionTokens, balancers, seconds),
		now)
}

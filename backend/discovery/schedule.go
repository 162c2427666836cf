package discovery

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"mcplb/conf"
)

// keepReporting is the goroutine that calls changed.
func (n *Names) keepReporting(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.report:
			n.changed()
		}
	}
}

// keepLookingUp is the goroutine of the schedule.
func (n *Names) keepLookingUp(ctx context.Context) {
	defer n.fillPlaces()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		due, pause := n.due(now)
		for _, key := range due {
			n.start(ctx, key)
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// fillPlaces waits until no look-up is under way.
func (n *Names) fillPlaces() {
	for range mostLookups {
		n.places <- struct{}{}
	}
}

// start looks a name up on a goroutine, when a place is free.
func (n *Names) start(ctx context.Context, key nameKey) {
	n.places <- struct{}{}
	go func() {
		defer func() { <-n.places }()
		n.lookUp(ctx, key)
		n.signal(n.wake)
	}()
}

// due returns the names to be looked up at now, the one that waits for longest first,
// and takes them; and how long there is until something is to be done.
func (n *Names) due(now time.Time) (keys []nameKey, pause time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pause = time.Hour
	if len(n.names) > 0 {
		pause = filesPause
		if n.ask.Changed() {
			n.expire(now)
		}
	}
	n.settle(now)
	for key, known := range n.names {
		switch {
		case known.asking:
		case !known.next.After(now):
			known.asking = true
			keys = append(keys, key)
		default:
			pause = min(pause, known.next.Sub(now))
		}
		if !known.held.IsZero() {
			pause = min(pause, known.held.Sub(now))
		}
	}
	slices.SortFunc(keys, func(a, b nameKey) int { return n.names[a].next.Compare(n.names[b].next) })
	return keys, max(pause, 0)
}

// expire makes every name due. n.mu is held.
func (n *Names) expire(now time.Time) {
	for _, known := range n.names {
		known.next, known.pause = now, 0
	}
}

// lookUp looks one name up, and notes the outcome.
func (n *Names) lookUp(ctx context.Context, key nameKey) {
	answer, err := n.ask.Addresses(ctx, key.host, key.family)
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.names[key]
	if known == nil {
		return // not wanted any more
	}
	known.asking = false
	if KindOf(err) == NotAsked && known.asked {
		return // the caller did not wait: this says nothing
	}
	known.asked = true
	known.lookups++
	if err != nil {
		n.fail(known, err, now)
	} else {
		n.succeed(known, answer, now)
	}
	n.settle(now)
}

// succeed notes a good answer.
func (n *Names) succeed(known *name, answer Answer, now time.Time) {
	if known.failure != "" && len(known.answer.Addresses) > 0 {
		n.log.Info("host name resolves again", "name", known.host)
	}
	known.answer = known.answer.succeededBy(answer)
	known.good, known.held, known.failure, known.kind, known.pause = now, time.Time{}, "", "", 0
	known.next = now.Add(max(answer.TTL, shortestTTL))
}

// succeededBy returns the next answer. Addresses of a family that was not answered
// for are those of the answer before.
func (a Answer) succeededBy(next Answer) Answer {
	for _, address := range a.Addresses {
		if next.Missing != "" && next.Missing.Has(address) && !slices.Contains(next.Addresses, address) {
			next.Addresses = append(slices.Clone(next.Addresses), address)
		}
	}
	next.Addresses = sortFamilies(next.Addresses, conf.FamilyAny)
	return next
}

// fail notes a failure. What is known is kept for a while.
func (n *Names) fail(known *name, err error, now time.Time) {
	known.fails++
	if known.failure == "" && len(known.answer.Addresses) > 0 {
		until := "it resolves again"
		if n.settings.Hold > 0 {
			known.held = now.Add(n.settings.Hold)
			until = known.held.Format(time.RFC3339)
		}
		n.log.Warn("host name does not resolve, servers keep its address", "name", known.host, "err", err, "until", until)
	}
	if len(known.answer.Addresses) == 0 && known.failure != err.Error() && n.refreshing == 0 {
		n.signal(n.report) // the reason has changed
	}
	known.failed, known.failure, known.kind = now, err.Error(), KindOf(err)
	known.pause = max(min(2*known.pause, n.longestPause()), min(firstPause, n.longestPause()))
	known.next = now.Add(known.pause)
}

// longestPause is the longest between two look-ups that fail.
func (n *Names) longestPause() time.Duration {
	if n.settings.MaxTTL > 0 {
		return n.settings.MaxTTL
	}
	return mostPause
}

// settle gives every server an address of its names, and takes away what is not held
// any more. n.mu is held.
func (n *Names) settle(now time.Time) {
	moved := false
	for _, known := range n.names {
		if !known.held.IsZero() && !known.held.After(now) {
			known.answer, known.held = Answer{}, time.Time{}
		}
		for _, u := range known.uses {
			moved = u.settle(known.answer.Addresses, now) || moved
		}
	}
	if moved && n.refreshing == 0 {
		n.signal(n.report)
	}
}

// settle keeps the address if it is among the addresses, and reports whether it is
// another now.
func (u *use) settle(addresses []netip.Addr, now time.Time) (moved bool) {
	if u.address.IsValid() && slices.Contains(addresses, u.address) || !u.address.IsValid() && len(addresses) == 0 {
		return false
	}
	u.address, u.since = netip.Addr{}, now
	if len(addresses) > 0 {
		u.address = addresses[0]
	}
	return true
}

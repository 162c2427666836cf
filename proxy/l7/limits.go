package l7

import (
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// permitBody judges a piece of the request's body: reason is what is wrong with
// its coding.
func (x upload) permitBody(reason http1.Reason) (refusal generated, ok bool) {
	if reason != http1.ReasonNone {
		x.client.counters().Malformed[reason].Add(1)
		return generated{why: BadRequest, malformed: reason}, false
	}
	if most := x.route.maxBody; most > 0 && x.request.size() > most {
		return generated{why: BodyTooLarge}, false
	}
	return generated{}, true
}

// originAllowed reports whether a request with its Origin may pass: one of those
// allowed, exactly as browsers write it. One without comes from no browser
// page; one with several from none that is honest.
func originAllowed(allowed []string, head *http1.RequestHead) bool {
	if len(allowed) == 0 || !head.Has(http1.HeaderOrigin) {
		return true
	}
	if head.Repeated(http1.HeaderOrigin) {
		return false
	}
	return listsOrigin(allowed, head.Get(http1.HeaderOrigin))
}

// verdict is what the rate says of a request.
type verdict struct {
	waits   bool          // it is held, until the next one may pass
	refused bool          // it is answered 429
	banned  bool          // it is of a client that is banned, on a proxy's connection
	denied  bool          // the frontend's allow or deny refuses its client
	wait    time.Duration // until then, or the ban's end; 0 = it has none
}

// admit finds out whose request head was read, and charges it to that source. reason
// is what is wrong with it: then its fields name no client, and on a proxy's connection it
// is charged to the proxy.
func (c requester) admit(reason http1.Reason) verdict {
	if remaining, banned := c.identify(reason == http1.ReasonNone); banned {
		return c.turnAway(verdict{banned: true, wait: remaining})
	}
	if !c.settings().Access.Admits(c.from().Addr()) {
		return c.turnAway(verdict{denied: true})
	}
	return c.meter()
}

// turnAway is meter for a request that is answered 403 whatever the rate says. Over the
// rate it is a violation, which bans a client that floods, and its answer waits like
// that of any other where messages are delayed: a refusal is work, too.
func (c requester) turnAway(answer verdict) verdict {
	within := false
	if !c.turn.Waits() {
		within, _ = c.Source.Allow(c.loop().Now())
	}
	if within || c.frontend.Limiter.OverMessage() == conf.Reject {
		c.Source.Leave(&c.turn)
		return answer
	}
	if rate := c.meter(); rate.waits {
		return rate
	}
	return answer
}

// meter charges the request head that was read, whatever it asks for and however it
// will be answered: before any other work is done for it.
func (c requester) meter() verdict {
	now := c.loop().Now()
	if c.frontend.Limiter.OverMessage() == conf.Reject {
		c.Source.Leave(&c.turn)
		ok, wait := c.Source.Allow(now)
		if !ok {
			c.counters().Taken.Rejected.Add(1)
		}
		return verdict{refused: !ok, wait: wait}
	}
	waited := c.turn.Waits()
	passing, wait := c.Source.Take(&c.turn, 1, now)
	if passing == 0 && !waited {
		c.counters().Taken.Delayed.Add(1)
	}
	return verdict{waits: passing == 0, wait: wait}
}

// limited is the answer to a request over the rate.
func (v verdict) limited() generated {
	return generated{why: RateLimited, retryAfter: max(v.wait, time.Millisecond)}
}

// hold keeps the head that was read pending: it is read again after the wait. Behind
// it nothing is read.
func (c requester) hold(wait time.Duration) {
	c.keepInput()
	c.ready = true
	c.HalfOpen = c.down().HungUp()
	c.Resume = c.loop().Now() + int64(wait)
	c.arm()
}

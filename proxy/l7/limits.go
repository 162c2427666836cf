package l7

import (
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// permit asks the limits about the request.
func (x *exchange) permit(settings *Settings) (refusal generated, ok bool) {
	head := &x.client.worker.request
	if most := settings.Frontend.MaxBody; most > 0 && head.Framing == http1.FramingLength && head.Length > most {
		return generated{why: BodyTooLarge}, false
	}
	if !originAllowed(settings.Frontend.AllowedOrigins, head) {
		return generated{why: OriginRefused}, false
	}
	return x.meter()
}

// permitBody judges a piece of the request's body: reason is what is wrong with
// its coding.
func (x upload) permitBody(reason http1.Reason) (refusal generated, ok bool) {
	if reason != http1.ReasonNone {
		x.client.counters().Malformed[reason].Add(1)
		return generated{why: BadRequest, malformed: reason}, false
	}
	if most := x.client.settings().Frontend.MaxBody; most > 0 && x.request.size() > most {
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

// meter charges the request to its source: over the rate, the next one is read
// later, or this one is refused.
func (x *exchange) meter() (refusal generated, ok bool) {
	c := x.client
	now := x.loop().Now()
	if c.frontend.Limiter.OverMessage() == conf.Reject {
		allowed, wait := c.Source.Allow(now)
		if !allowed {
			c.counters().Taken.Rejected.Add(1)
			return generated{why: RateLimited, retryAfter: max(wait, time.Millisecond)}, false
		}
		return generated{}, true
	}
	if pause := c.Source.Delay(1, now); pause > 0 {
		c.counters().Taken.Delayed.Add(1)
		c.Resume = now + int64(pause)
	}
	return generated{}, true
}

package ratelimit

import (
	"slices"
	"time"
)

// Claim is one limit that a request is subject to, and whose account it is charged to.
type Claim struct {
	Limit *Limit
	Key   AccountKey
	Cost  int // what it counts for: a batch, its messages; 0 = 1
}

// Waker is notified when a request that waits should ask again. Wake may be called by
// any goroutine, without a lock, also once more after the request has left.
type Waker interface{ Wake() }

// Pass is the way of one request through the limits of its routes. The zero value has
// none. It belongs to the request, and must not be copied in use.
//
//	state    event                                       next
//	none     Begin                                       asking
//	asking   every limit has room: all are charged       passed
//	asking   one that rejects has none: none is charged  asking: Leave
//	asking   one that delays has none: none is charged   waiting there, behind all others
//	waiting  Ask                                         as in asking; it keeps its place
//	asking,  Leave                                       none, uncharged
//	waiting
//	passed   Leave: the request is over                  none
type Pass struct {
	accounts *Accounts // nil in state none
	waker    Waker
	claims   []claim
	turn     Turn
	at       int // the claim where it waits; -1 = nowhere
	inLine   bool
	since    int64 // with inLine: when it came there
	woken    bool
	passed   bool
}

type claim struct {
	Claim
	account *account
}

// Answer is what the limits say of a request. The zero value lets it pass.
type Answer struct {
	Waits   bool          // it is to ask again after Wait, or when it is woken
	Refused bool          // by the claim
	Claim   int           // that refuses it, or lets it wait: the number in the order of Begin
	Wait    time.Duration // until it may pass, as far as is known
}

// inFlightRetry is what is said about when to come again where too many requests are
// under way: when they end is not known.
const inFlightRetry = time.Second

// Begun reports whether the request is subject to limits: Begin was called, and Leave
// was not.
func (p *Pass) Begun() bool { return p.accounts != nil }

// Waits reports whether the request waits for its turn.
func (p *Pass) Waits() bool { return p.at >= 0 && p.accounts != nil && !p.passed }

// Begin begins the way of a request through its limits. It charges nothing. Leave must
// follow.
func (p *Pass) Begin(a *Accounts, claims []Claim, waker Waker, now int64) {
	*p = Pass{accounts: a, waker: waker, claims: p.claims[:0], at: -1}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range claims {
		c.Cost = min(max(c.Cost, 1), maxTokens)
		p.claims = append(p.claims, claim{c, a.hold(c.Key, now)})
	}
}

// Ask asks all limits, and charges all or none: what one refuses costs no other. A
// request that waits must ask again after the time that it was given, or when woken.
func (p *Pass) Ask(now int64) Answer {
	if p.accounts == nil || p.passed {
		return Answer{}
	}
	p.accounts.mu.Lock()
	answer, free := p.ask(now)
	p.accounts.mu.Unlock()
	free.wake()
	return answer
}

// ask is Ask, under the lock; those who are to be woken behind it are returned.
func (p *Pass) ask(now int64) (Answer, woken) {
	p.woken = false
	delayed := -1
	for i := range p.claims {
		if p.mayPass(i, now) {
			continue
		}
		if p.claims[i].Limit.reject {
			return Answer{Refused: true, Claim: i, Wait: p.untilRoom(i, now)}, nil
		}
		if delayed < 0 || i == p.at {
			delayed = i
		}
	}
	if delayed >= 0 {
		return p.await(delayed, now)
	}
	for i := range p.claims {
		p.charge(i, now)
	}
	free := p.leaveQueue()
	p.passed = true
	return Answer{}, free
}

// mayPass reports whether a claim's limit has room for the request, behind those who
// wait there before it.
func (p *Pass) mayPass(i int, now int64) bool {
	c := &p.claims[i]
	if most := c.Limit.concurrency; most > 0 && c.account.busy()+p.ahead(i) >= most {
		return false
	}
	if c.Limit.rate.interval == 0 {
		return true
	}
	taken := c.queue().takeAtLeast(p.turnAt(i), c.Limit.rate, p.tokens(i), p.tokens(i), now)
	c.account.giveBack(c.Limit.rate, taken)
	return taken == p.tokens(i)
}

// tokens is how many the request takes at once.
func (p *Pass) tokens(i int) int { return min(p.claims[i].Cost, p.claims[i].Limit.rate.burst()) }

// turnAt is the request's place among those who wait for a token of a claim's account.
func (p *Pass) turnAt(i int) *Turn {
	if i == p.at {
		return &p.turn
	}
	return new(Turn)
}

// ahead is how many requests wait for the end of others before this one.
func (p *Pass) ahead(i int) int {
	line := p.claims[i].account.line
	if p.inLine && i == p.at {
		return slices.Index(line, p)
	}
	return len(line)
}

// charge charges a request that passes. A batch that is larger than the burst is
// charged in full: who comes next waits for it.
func (p *Pass) charge(i int, now int64) {
	c := &p.claims[i]
	c.account.active++
	if r := c.Limit.rate; r.interval > 0 {
		c.account.raise(now)
		c.account.full.Add(r.cost(c.Cost))
	}
}

// await lets the request wait at a claim, where it keeps its place if it waits there.
func (p *Pass) await(i int, now int64) (Answer, woken) {
	c := &p.claims[i]
	full := c.Limit.concurrency > 0 && c.account.busy()+p.ahead(i) >= c.Limit.concurrency
	var free woken
	if p.at != i || p.inLine != full {
		free = p.leaveQueue()
		p.at = i
	}
	if !full {
		sleep := c.queue().awaitN(&p.turn, c.Limit.rate, p.tokens(i), 0, now)
		return Answer{Waits: true, Claim: i, Wait: time.Duration(sleep)}, free
	}
	if !p.inLine {
		p.inLine, p.since = true, now
		c.account.line = append(c.account.line, p)
	}
	return Answer{Waits: true, Claim: i, Wait: time.Duration(longestSleep)}, free
}

// untilRoom is when a limit that refuses may have room.
func (p *Pass) untilRoom(i int, now int64) time.Duration {
	c := &p.claims[i]
	if c.Limit.concurrency > 0 && c.account.busy()+p.ahead(i) >= c.Limit.concurrency {
		return inFlightRetry
	}
	return time.Duration(max(1, c.account.until(c.Limit.rate, int64(p.tokens(i)), now)))
}

// queue are those who wait for a token of the claim's account.
func (c *claim) queue() queue { return queue{&c.account.bucket, &c.account.turns, ofSource} }

// leaveQueue gives the request's place up, and returns who moves up.
func (p *Pass) leaveQueue() (free woken) {
	if p.at < 0 {
		return nil
	}
	c := &p.claims[p.at]
	c.queue().leave(&p.turn)
	if p.inLine {
		c.account.line = slices.DeleteFunc(c.account.line, func(q *Pass) bool { return q == p })
		p.inLine = false
		free = c.account.movedUp(nil)
	}
	p.at = -1
	return free
}

// movedUp appends those in line who may pass now, and were not woken for it. Each has a
// limit of its own of what it was when it came.
func (c *account) movedUp(list woken) woken {
	for place, waiting := range c.line {
		if most := waiting.claims[waiting.at].Limit.concurrency; c.busy()+place >= most {
			break
		}
		if !waiting.woken {
			waiting.woken = true
			list = append(list, waiting.waker)
		}
	}
	return list
}

// woken are those who are to ask again.
type woken []Waker

func (ws woken) wake() {
	for _, w := range ws {
		w.Wake()
	}
}

// Leave ends the way of a request that is over, or is given up: one that did not pass
// was not charged. It may be called in any state.
func (p *Pass) Leave() {
	a := p.accounts
	if a == nil {
		return
	}
	a.mu.Lock()
	free := p.leaveQueue()
	for i := range p.claims {
		c := &p.claims[i]
		if p.passed {
			c.account.active--
			free = c.account.movedUp(free)
		}
		a.release(c.account)
		c.account = nil
	}
	a.mu.Unlock()
	p.accounts, p.waker, p.passed, p.claims = nil, nil, false, p.claims[:0]
	free.wake()
}

// Place is where a request waits, for the new process of an upgrade.
type Place struct {
	Key   AccountKey // of the claim
	Turn  int64      // among those who wait for a token: Turn.Place; 0 = it does not
	Since int64      // it waits for others to end, since then; 0 = it does not
}

// Place returns where the request waits; nil = nowhere.
func (p *Pass) Place() *Place {
	if !p.Waits() {
		return nil
	}
	place := &Place{Key: p.claims[p.at].Key, Turn: p.turn.Place()}
	if p.inLine {
		place.Since = p.since
	}
	return place
}

// Rejoin gives a request the place back that it had in the old process, so that those
// who come to the new process first do not get ahead of it. It must be called between
// Begin and Ask, and does nothing where the limit is no more.
func (p *Pass) Rejoin(place *Place) {
	if p.accounts == nil || place == nil {
		return
	}
	p.accounts.mu.Lock()
	defer p.accounts.mu.Unlock()
	i := slices.IndexFunc(p.claims, func(c claim) bool { return c.Key == place.Key })
	if i < 0 {
		return
	}
	p.at = i
	c := &p.claims[i]
	if place.Since == 0 {
		c.queue().rejoin(&p.turn, place.Turn)
		return
	}
	p.inLine, p.since = true, place.Since
	at := slices.IndexFunc(c.account.line, func(q *Pass) bool { return q.since > place.Since })
	if at < 0 {
		at = len(c.account.line)
	}
	c.account.line = slices.Insert(c.account.line, at, p)
}

// Keys are the accounts that a request which has passed is under way for, for the new
// process of an upgrade; nil if there are none.
func (p *Pass) Keys() (keys []AccountKey) {
	if p.accounts == nil || !p.passed {
		return nil
	}
	for i := range p.claims {
		keys = append(keys, p.claims[i].Key)
	}
	return keys
}

// Reinstate continues in another process a request that has passed, as Keys says. It
// charges nothing.
func (p *Pass) Reinstate(a *Accounts, keys []AccountKey, now int64) {
	if len(keys) == 0 {
		return
	}
	claims := make([]Claim, len(keys))
	for i, key := range keys {
		claims[i] = Claim{Limit: &Limit{}, Key: key}
	}
	p.Begin(a, claims, nil, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range p.claims {
		c := p.claims[i].account
		c.active++
		c.elsewhere = max(c.elsewhere-1, 0)
	}
	p.passed = true
}

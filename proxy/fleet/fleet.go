package fleet

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/conf"
	"mcplb/proxy/lograte"
	"mcplb/ratelimit"
)

// Options are what a Fleet is made of. Only TLS may be nil.
type Options struct {
	Log     *slog.Logger
	Now     func() int64 // the engine's clock, nanoseconds
	Limiter *ratelimit.Limiter
	Places  Places
	Report  func() Report // called once a second, on a goroutine of the fleet
	TLS     *tls.Config   // for rediss://, instead of the system's roots
}

// Fleet is this balancer's part in a fleet. Any goroutine may call its methods.
//
//	state      event                        next
//	idle       Resume                       apart, or member if there is a Redis
//	apart      Apply with a Redis           member
//	member     Apply without                apart, the report removed
//	member     Apply with another Redis,    member of that, the report removed where it was
//	           name or instance
//	any        Suspend                      idle, the report left to the new process
//	any        Close                        closed, the report removed
type Fleet struct {
	o       Options
	sharing shared
	bans    register
	places  register
	known   placesKnown
	rates   rates
	lines   *lograte.Limiter // of bans by others
	kick    chan struct{}    // there is something that should not wait
	offset  atomic.Int64     // Redis's clock less time.Now, in milliseconds
	stamped atomic.Int64     // the last stamp

	failures atomic.Uint64 // exchanges that failed

	mu       sync.Mutex // guards what follows
	settings conf.Fleet
	instance string
	running  bool
	closed   bool
	member   *member // nil = apart
	last     *member // the last one that ran, which may still be ending
}

// shared says what is shared now.
type shared struct{ sticky, bans, rates atomic.Bool }

// Bans by others are logged up to a burst, and then one per interval.
const (
	logBurst    = 50
	logInterval = time.Second
)

// New returns a fleet that shares nothing until Apply and Resume.
func New(o Options) *Fleet {
	f := &Fleet{o: o, lines: lograte.New(logInterval, logBurst), kick: make(chan struct{}, 1), known: placesKnown{}}
	f.bans.adopt, f.bans.inForce = f.adoptBan, f.bansInForce
	f.places.adopt, f.places.inForce, f.places.holds = f.adoptPlace, f.placesInForce, f.holdsPlace
	f.bans.clock, f.places.clock = f.setClock, f.setClock
	f.rates.limiter, f.rates.now = o.Limiter, o.Now
	return f
}

// Apply changes the settings. adminListen is part of the default instance.
func (f *Fleet) Apply(c conf.Fleet, adminListen string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	instance := c.Instance
	if instance == "" {
		instance = defaultInstance(adminListen)
	}
	joined := c.Redis != f.settings.Redis || c.Name != f.settings.Name || instance != f.instance
	f.settings, f.instance = c, instance
	if joined && f.member != nil {
		f.member.end(true)
		f.member = nil
	}
	f.adjust()
}

// defaultInstance is host name and admin address.
func defaultInstance(adminListen string) string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	if adminListen == "" {
		return host
	}
	return host + "/" + adminListen
}

// Resume begins to share, if there is a Redis.
func (f *Fleet) Resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = !f.closed
	f.adjust()
}

// Suspend stops sharing, because another process is this balancer from now on. It does
// not wait.
func (f *Fleet) Suspend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = false
	if f.member != nil {
		f.member.end(false)
		f.member = nil
	}
	f.adjust()
}

// Close ends, after this balancer was removed from the fleet's list; it waits no longer
// than ctx.
func (f *Fleet) Close(ctx context.Context) {
	f.mu.Lock()
	f.closed, f.running = true, false
	if f.member != nil {
		f.member.end(true)
		f.member = nil
	}
	f.adjust()
	last := f.last
	f.mu.Unlock()
	if last == nil {
		return
	}
	select {
	case <-last.done:
	case <-ctx.Done():
		last.cut()
		<-last.done
	}
}

// adjust makes what runs what settings and state say. The caller holds the lock.
func (f *Fleet) adjust() {
	on := f.running && f.settings.Redis.Network != ""
	f.sharing.sticky.Store(f.settings.Redis.Network != "" && f.settings.Has(conf.ShareSticky))
	f.sharing.bans.Store(f.settings.Redis.Network != "" && f.settings.Has(conf.ShareBans)) // noted while idle, too
	f.sharing.rates.Store(on && f.settings.Has(conf.ShareRates))
	f.o.Limiter.Share(f.sharing.rates.Load())
	if !f.sharing.bans.Load() {
		f.bans.forget()
	}
	if !f.sharing.sticky.Load() {
		f.places.forget()
	}
	if on && f.member == nil {
		f.member = newMember(f, f.last)
		f.last = f.member
		go f.member.run()
	}
}

// hurry makes the next exchange happen at once.
func (f *Fleet) hurry() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// stamp returns the time of a change, in milliseconds of Redis's clock as far as it is
// known. Each is later than the one before.
func (f *Fleet) stamp() int64 {
	now := time.Now().UnixMilli() + f.offset.Load()
	for {
		last := f.stamped.Load()
		next := max(now, last+1)
		if f.stamped.CompareAndSwap(last, next) {
			return next
		}
	}
}

// setClock notes Redis's clock, by which changes are stamped.
func (f *Fleet) setClock(millis int64) { f.offset.Store(millis - time.Now().UnixMilli()) }

// token returns a random word that no other process has.
func token() string { return rand.Text() }

// pendingBan is a change of a ban that no other balancer knows yet.
type pendingBan struct {
	Key     string        `json:"key"`
	Payload string        `json:"payload"`
	Stamp   int64         `json:"stamp"`
	Lives   time.Duration `json:"lives"`
}

// mostPending is how many changes are handed over.
const mostPending = 10_000

// Pending returns the changes of bans that no other balancer knows yet, for the new process
// of an upgrade: otherwise a ban that was lifted while Redis was away would come back.
func (f *Fleet) Pending() []byte {
	var list []pendingBan
	for _, e := range f.bans.waiting() {
		if len(list) < mostPending {
			list = append(list, pendingBan{e.key, e.payload, e.stamp, e.lives})
		}
	}
	text, _ := json.Marshal(list) // of numbers and words: never fails
	return text
}

// Restore takes over what Pending returned in the old process; nil = nothing.
func (f *Fleet) Restore(pending []byte) {
	var list []pendingBan
	if json.Unmarshal(pending, &list) != nil {
		return
	}
	for _, p := range list {
		f.bans.note(entry{p.Key, p.Payload, p.Stamp, p.Lives})
	}
}

// Status is a fleet as this balancer sees it.
type Status struct {
	Configured bool // there is a Redis
	Redis      string
	Name       string
	Instance   string
	Shares     []string

	Connected bool          // the last exchange succeeded
	Since     time.Time     // when Connected changed last
	Error     string        // of the last exchange; "" = none
	Advice    string        // what to do about it
	Lag       time.Duration // since the last exchange that succeeded; since the start if none has
	RoundTrip time.Duration // of the last one that succeeded
	Conflict  bool          // another balancer has the same instance

	Errors   uint64 // exchanges that failed
	Sent     Counts
	Received Counts
	Lost     Counts // there was no room
	Invalid  Counts // found in Redis, but no entries
	Waiting  int    // changes that the others do not know yet

	Balancers []Balancer // in the order of their names, this one included
}

// Counts are numbers of entries. Rates are counted by source and batch.
type Counts struct{ Sticky, Bans, Rates uint64 }

// Status returns the present status.
func (f *Fleet) Status() Status {
	f.mu.Lock()
	settings, instance, m := f.settings, f.instance, f.member
	f.mu.Unlock()
	s := Status{Configured: settings.Redis.Network != "", Redis: settings.Redis.String(), Name: settings.Name, Instance: instance}
	for _, share := range settings.Shares {
		s.Shares = append(s.Shares, string(share))
	}
	b, p, r := &f.bans, &f.places, &f.rates
	s.Sent = Counts{p.sent.Load(), b.sent.Load(), r.sent.Load()}
	s.Received = Counts{p.received.Load(), b.received.Load(), r.received.Load()}
	s.Lost = Counts{p.dropped.Load(), b.dropped.Load(), r.lost.Load()}
	s.Invalid = Counts{p.invalid.Load(), b.invalid.Load(), r.invalid.Load()}
	s.Waiting, s.Errors = b.count()+p.count(), f.failures.Load()
	if m != nil {
		m.show(&s)
	}
	if s.Configured && !slices.ContainsFunc(s.Balancers, func(b Balancer) bool { return b.Self }) {
		self := (&record{Report: f.o.Report()}).balancer(instance, 0)
		self.Self = true
		s.Balancers = append(s.Balancers, self)
	}
	return s
}

// count is the number of changes that wait.
func (r *register) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending)
}

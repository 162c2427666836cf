package healthcheck

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/backend"
	"mcplb/conf"
)

// Checker checks the servers of one backend. All its methods may be called
// from any goroutine.
type Checker struct {
	pool  *backend.Pool
	log   *slog.Logger
	probe probe

	// watches is replaced whole, under mu.
	watches atomic.Pointer[map[*backend.Server]*running]

	mu      sync.Mutex // guards what follows, and makes Apply and Stop take turns
	stopped bool
	offset  float64 // of the server added last
}

// running is a watch and the way to end it.
type running struct {
	*watch
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned
}

// New makes a Checker for pool, which checks nothing until Apply. It learns by
// itself which servers are in maintenance. Passive observation is the caller's
// to connect: pool.Observe(checker.Observe), before the pool is used. A nil log
// means slog.Default().
func New(pool *backend.Pool, log *slog.Logger) *Checker {
	if log == nil {
		log = slog.Default()
	}
	c := &Checker{pool: pool, log: log, probe: probeServer, offset: rand.Float64()}
	c.watches.Store(&map[*backend.Server]*running{})
	pool.OnChange(c.changed)
	return c
}

// changed has a server looked at whose admin state has changed.
func (c *Checker) changed(server *backend.Server, before, after backend.State) {
	if before.Admin == after.Admin {
		return
	}
	if r := (*c.watches.Load())[server]; r != nil {
		r.look()
	}
}

// Of the first checks of servers that are added together.
const (
	firstGap    = 5 * time.Millisecond   // between two
	firstWithin = 500 * time.Millisecond // all of them
)

// Apply makes servers the ones to check, as check says. They are of the
// Checker's pool, and the intervals and the timeout are above zero, as package
// conf sees to.
//
// Servers that were checked before keep their verdict and their counts and go
// on at their own pace with the new settings. Those that are new get their
// first check within half a second; one that comes with a verdict (of the
// process before this one) starts from it. Checks of servers not in the list
// end: when Apply returns, nothing more is reported about them. So neither it
// nor Stop may be called by the functions that the pool tells of changes
// (OnChange). After Stop it does nothing.
func (c *Checker) Apply(check conf.Check, servers []*backend.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	before := *c.watches.Load()
	after := make(map[*backend.Server]*running, len(servers))
	var added []*backend.Server
	for _, server := range servers {
		r, known := before[server]
		if !known {
			added = append(added, server)
			continue
		}
		r.check.Store(&check)
		r.look()
		after[server] = r
	}
	c.add(after, check, added)
	c.watches.Store(&after)
	for _, server := range added {
		after[server].start()
	}
	end(before, after)
}

// add puts watches of the added servers into watches. Their first checks are
// a gap apart; each one's later checks have a place of their own within the
// interval. Steps of the golden ratio spread any number of servers evenly,
// and leave those that are there where they are.
func (c *Checker) add(watches map[*backend.Server]*running, check conf.Check, added []*backend.Server) {
	now := time.Now()
	for i, server := range added {
		_, c.offset = math.Modf(c.offset + math.Phi)
		first := now.Add(min(firstGap, firstWithin/time.Duration(len(added))) * time.Duration(i))
		second := now.Add(share(check.Interval, c.offset))
		w := newWatch(pooled{c.pool, server}, check, server.State(), first, second)
		w.probe, w.log = c.probe, c.log
		watches[server] = &running{watch: w, ended: make(chan struct{})}
	}
}

// start begins to watch.
func (r *running) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.keepWatch(ctx)
}

func (r *running) keepWatch(ctx context.Context) {
	defer close(r.ended)
	r.run(ctx)
}

// end ends the watches that are in before and not in after, and waits for it.
func end(before, after map[*backend.Server]*running) {
	for server, r := range before {
		if after[server] == nil {
			r.cancel()
		}
	}
	for server, r := range before {
		if after[server] == nil {
			<-r.ended
		}
	}
}

// Observe takes note of how a client's connection to server ended. Event
// loops call it for every connection: it never blocks or allocates, costs
// nothing for connections that ended well, and little more for those of a
// server that dies with all of them. A server that is not checked is ignored.
func (c *Checker) Observe(server *backend.Server, outcome backend.Outcome) {
	k, isEvidence := kindOf(outcome)
	if !isEvidence {
		return
	}
	if r := (*c.watches.Load())[server]; r != nil && r.met.add(k, outcome) {
		r.look()
	}
}

// Status tells what is known of server, and whether it is checked at all.
func (c *Checker) Status(server *backend.Server) (Status, bool) {
	r := (*c.watches.Load())[server]
	if r == nil {
		return Status{}, false
	}
	return r.snapshot(), true
}

// Stop ends all checks and returns when they have ended. Nothing is reported
// after it. It may be called again.
func (c *Checker) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	before := *c.watches.Load()
	c.watches.Store(&map[*backend.Server]*running{})
	end(before, nil)
}

// pooled is a server of a pool as its watch sees it.
type pooled struct {
	pool   *backend.Pool
	server *backend.Server
}

func (p pooled) name() string { return p.server.Backend() + "/" + p.server.Name() }

func (p pooled) target() target {
	return target{tcp: p.server.Addr(conf.EndpointTCP), http: p.server.Addr(conf.EndpointHTTP)}
}

func (p pooled) inMaintenance() bool { return p.server.State().Admin == backend.Maint }

func (p pooled) left() int { return p.pool.Usable() }

func (p pooled) setHealth(health backend.Health, reason string, now time.Time) {
	p.server.SetHealth(health, reason, now)
}

func (p pooled) setSuspect(suspect bool, reason string) {
	p.server.SetDegraded(suspect, reason)
}

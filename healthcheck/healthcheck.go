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

// Checker checks the servers of one backend. Any goroutine may call its methods.
type Checker struct {
	pool  *backend.Pool
	log   *slog.Logger
	probe probe

	// watches points to an immutable map, which is replaced under mu.
	watches atomic.Pointer[map[*backend.Server]*running]

	endings sync.WaitGroup // probes that are ending MCP sessions

	mu      sync.Mutex // guards what follows, and serializes Apply and Stop
	stopped bool
	offset  float64 // place of the server added last within the interval, 0 to 1
}

// running is a watch and the means to end it.
type running struct {
	*watch
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned
}

// New returns a Checker for pool, which checks nothing until Apply. It follows
// maintenance states by itself. For passive observation the caller has to connect
// it, before the pool is used: pool.Observe(checker.Observe). A nil log means
// slog.Default().
func New(pool *backend.Pool, log *slog.Logger) *Checker {
	if log == nil {
		log = slog.Default()
	}
	c := &Checker{pool: pool, log: log, probe: probeServer, offset: rand.Float64()}
	c.watches.Store(&map[*backend.Server]*running{})
	pool.OnChange(c.changed)
	return c
}

// changed wakes the watch of a server whose admin state has changed.
func (c *Checker) changed(server *backend.Server, before, after backend.State) {
	if before.Admin == after.Admin {
		return
	}
	if r := (*c.watches.Load())[server]; r != nil {
		r.look()
	}
}

// Schedule of the first checks of servers that are added together.
const (
	firstGap    = 5 * time.Millisecond   // between two of them
	firstWithin = 500 * time.Millisecond // for all of them
)

// Apply sets the servers to check and the settings of the checks. The servers must
// belong to the Checker's pool; the intervals and the timeout must be above zero,
// which package conf ensures.
//
// Servers that are checked already keep their verdict, their counts and their
// schedule, with the new settings. New servers get their first check within half a
// second; if one has a verdict (of the old process in an upgrade), it starts from
// that. Checks of all other servers end: once Apply returns, nothing more is
// reported about them. So the functions that the pool calls after changes
// (OnChange) must not call Apply or Stop. After Stop, Apply does nothing.
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

// add puts watches of the added servers into watches. Their first checks are a gap
// apart; the later checks of each server have a different place within the
// interval. Steps of the golden ratio spread any number of servers evenly without
// moving the servers that exist already.
func (c *Checker) add(watches map[*backend.Server]*running, check conf.Check, added []*backend.Server) {
	now := time.Now()
	for i, server := range added {
		_, c.offset = math.Modf(c.offset + math.Phi)
		first := now.Add(min(firstGap, firstWithin/time.Duration(len(added))) * time.Duration(i))
		second := now.Add(share(check.Interval, c.offset))
		w := newWatch(pooled{c.pool, server, &memory{endings: &c.endings}}, check, server.State(), first, second)
		w.probe, w.log = c.probe, c.log
		watches[server] = &running{watch: w, ended: make(chan struct{})}
	}
}

// start starts the goroutine of the watch.
func (r *running) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.keepWatch(ctx)
}

func (r *running) keepWatch(ctx context.Context) {
	defer close(r.ended)
	r.run(ctx)
}

// end ends the watches in before that are not in after, and waits until they have
// ended.
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

// Observe records how a client's connection to server ended. Event loops call it for
// every connection: it never blocks or allocates. It costs next to nothing after a
// normal end, and little when all connections of a server fail at once. It ignores
// servers that are not checked.
func (c *Checker) Observe(server *backend.Server, outcome backend.Outcome) {
	k, isEvidence := kindOf(outcome)
	if !isEvidence {
		return
	}
	if r := (*c.watches.Load())[server]; r != nil && r.met.add(k, outcome) {
		r.look()
	}
}

// Status returns the status of server, and whether it is checked at all.
func (c *Checker) Status(server *backend.Server) (Status, bool) {
	r := (*c.watches.Load())[server]
	if r == nil {
		return Status{}, false
	}
	return r.snapshot(), true
}

// endingsWithin is how long Stop waits for MCP sessions of checks to end.
const endingsWithin = time.Second

// Stop ends all checks and returns when they have ended, and with them the MCP sessions
// that they had opened, unless servers are slow to end those. Nothing is reported after
// that. Further calls do nothing.
func (c *Checker) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	before := *c.watches.Load()
	c.watches.Store(&map[*backend.Server]*running{})
	end(before, nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.endings.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(endingsWithin):
	}
}

// pooled implements subject for a server of a pool.
type pooled struct {
	pool   *backend.Pool
	server *backend.Server
	memory *memory
}

func (p pooled) name() string { return p.server.Backend() + "/" + p.server.Name() }

func (p pooled) target() target {
	return target{Target: Target{TCP: p.address(conf.EndpointTCP), HTTP: p.address(conf.EndpointHTTP)}, memory: p.memory}
}

func (p pooled) address(e conf.Endpoint) Address {
	return Address{Addr: p.server.Addr(e), Written: p.server.Written(e)}
}

func (p pooled) inMaintenance() bool { return p.server.State().Admin == backend.Maint }

func (p pooled) left() int { return p.pool.Usable() }

func (p pooled) setHealth(health backend.Health, reason string, now time.Time) {
	p.server.SetHealth(health, reason, now)
}

func (p pooled) setDrainRequest(reason string, now time.Time) {
	p.server.SetDrainRequest(reason, now)
}

func (p pooled) setSuspect(suspect bool, reason string) {
	p.server.SetDegraded(suspect, reason)
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"mcplb/backend"
	"mcplb/backend/discovery"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/admin"
	"mcplb/proxy/fleet"
	"mcplb/proxy/l7"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
	"mcplb/ratelimit"
)

// Options are the settings that are not part of the configuration.
type Options struct {
	Version   string
	Log       *slog.Logger
	FileLimit int // the most descriptors that this process may have open
	System    *reactor.System
	// Inherited has open sockets, for Start to use instead of opening others. nil =
	// nothing is inherited.
	Inherited Inheritance
	// Share lets sockets be opened beside those of a port that this process has opened
	// besides the frontends', and reports whether there are any. nil = there are none.
	Share func(port string) bool
	// LogDropped returns how many lines of Log were lost. nil = none ever is.
	LogDropped func() uint64
	// Suspended makes Start accept no clients, and run no checks, until the
	// hand-over resumes the balancer.
	Suspended bool
	// Files are those that the system's resolver reads.
	Files discovery.System
}

// Proxy is a running balancer. Its methods may be called by any goroutine.
type Proxy struct {
	options      Options
	started      time.Time
	engine       *reactor.Engine
	limiter      *ratelimit.Limiter
	fleet        *fleet.Fleet
	accounts     *ratelimit.Accounts // of the limits of routes
	connections  *connectionLimiter
	disconnector *disconnector
	workers      l7.Workers
	tlsWorkers   *tlsio.Workers
	log          *accesslog.Log

	mu         sync.RWMutex // guards what follows; never taken on a loop
	config     *conf.Config // with the servers that were found or added
	written    *conf.Config // as the file says; nil = before the first apply
	extras     extras
	components // frontends and backends
	listeners  listeners
	suspended  bool // no checks run: their verdicts are yet to be restored
	draining   bool // this process is about to end
	replaced   bool // the new process of an upgrade serves
	handing    bool // this process's state is being handed over: servers stay as they are
	reload     reload
	names      *discovery.Names // set once
	detours    *detours         // set once
	drains     *drains          // set once

	resolver *discovery.Resolver // of names; set once
	watching sync.WaitGroup      // sources of servers
	applying sync.Mutex          // held while a configuration is applied or a server added; taken before mu
}

// reload is the outcome of the last attempt to change the configuration.
type reload struct {
	at  time.Time
	err error
}

// Start opens and runs what the configuration says. On an error nothing is left
// open.
func Start(c *conf.Config, options Options) (*Proxy, error) {
	files := budget(c, options.FileLimit)
	limit, err := files.maxConnections(c.Global.MaxConn)
	if err != nil {
		return nil, err
	}
	engine, err := reactor.Start(threads(c), files.pipes(), options.System)
	if err != nil {
		return nil, err
	}
	log := accesslog.New(accesslog.Options{
		Loops: len(engine.Loops()), Now: engine.Now, Log: options.Log,
	})
	p := &Proxy{
		options:      options,
		log:          log,
		started:      time.Now(),
		engine:       engine,
		limiter:      ratelimit.New(c.RateLimit),
		accounts:     ratelimit.NewAccounts(c.RateLimit.TableSize),
		disconnector: &disconnector{engine: engine},
		workers:      l7.NewWorkers(engine.Loops(), log),
		tlsWorkers:   tlsio.NewWorkers(engine.Loops(), handshakes(len(engine.Loops()))),
		config:       &conf.Config{Path: c.Path},
		components:   newComponents(),
		listeners:    listeners{engine: engine},
		suspended:    options.Suspended,
		extras:       extras{},
	}
	p.listeners.shareWith(options.Inherited, options.Share)
	engine.OnShortage(p.workers.Spare)
	engine.LimitDials(dialCeiling(c, options.FileLimit))
	p.fleet = p.newFleet()
	p.limiter.OnBan(p.onBan(options.Log))
	p.connections = newConnectionLimiter(engine, limit, p.resumeListeners, options.Log)
	p.connections.closed.Store(options.Suspended)
	p.resolver = discovery.New(c.Resolver, options.Files)
	p.names = discovery.NewNames(p.resolver, c.Resolver, options.Log, p.namesChanged)
	p.detours = newDetours(p)
	if _, err := p.apply(c); err != nil {
		p.watching.Wait()
		p.detours.close()
		p.names.Close()
		p.engine.Stop()
		p.log.Close()
		return nil, err
	}
	p.listeners.opener.Inherited = nil // every socket opened from now on is new
	p.drains = watchDrains(p)
	if !options.Suspended {
		p.fleet.Resume()
	}
	return p, nil
}

// threads is the number of loops to run.
func threads(c *conf.Config) int {
	if c.Global.Threads > 0 {
		return c.Global.Threads
	}
	return processorsAtStart
}

// processorsAtStart is GOMAXPROCS as the environment, the CPUs and the limit of
// the container set it: an engine raises it above its number of loops.
var processorsAtStart = runtime.GOMAXPROCS(0)

// Processors is how many of Go's processors (GOMAXPROCS) there should be if a
// frontend speaks TLS, so that loops do not wait for handshakes. Without TLS, one
// more than there are loops will do (reactor.Start).
func (p *Proxy) Processors() int {
	loops := len(p.engine.Loops())
	return loops + handshakes(loops)
}

// handshakes is how many handshakes may compute at once, beside so many loops.
func handshakes(loops int) int { return max(1, loops/2) }

// Stop accepts no more clients, waits until the present ones have gone or ctx
// ends, cuts off those that are left, and closes everything.
func (p *Proxy) Stop(ctx context.Context) error {
	p.closeListeners() // first: nothing that is under way may delay it
	p.detours.close()
	p.names.Close()
	p.drains.close()
	p.stopWatches()
	p.resumePools() // clients that are left are served here
	p.drainSessions()
	p.connections.drain()
	var cut error
	select {
	case <-p.connections.empty:
	case <-ctx.Done():
		cut = fmt.Errorf("%d connections were cut off: %w", p.engine.Load(), context.Cause(ctx))
		eachSession(p.engine, func(s session.Session) { s.Abort(session.Stopped) }, func() {})
		<-p.connections.empty
	}
	p.leaveFleet()
	for _, b := range p.backends {
		b.checker.Stop()
	}
	p.engine.Stop()
	p.log.Close()
	return cut
}

// closeListeners stops accepting clients.
func (p *Proxy) closeListeners() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	p.listeners.close()
}

// drainSessions ends the sessions that wait for nothing.
func (p *Proxy) drainSessions() {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, f := range p.allFrontends() {
		f.drain()
	}
	eachSession(p.engine, func(s session.Session) { s.Drain() }, func() {})
}

// resumeListeners makes every listener accept again. It does not wait: it may be
// called on a loop, which must not wait for a reload under way.
func (p *Proxy) resumeListeners() {
	go func() {
		p.mu.RLock()
		defer p.mu.RUnlock()
		p.listeners.resume()
	}()
}

// resumePools grants slots again.
func (p *Proxy) resumePools() {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, b := range p.pools() {
		b.Resume()
	}
}

// ReopenLog reopens the access log, because its file was moved away. If that
// fails, the log continues in the file that is open.
func (p *Proxy) ReopenLog() error { return p.log.Reopen() }

// Connections is the number of clients that are connected.
func (p *Proxy) Connections() int { return p.engine.Load() }

var errStopped = errors.New("the balancer has stopped")

// Turn returns nil when every event loop has run what was posted to it before, and
// so none hangs. It returns an error if ctx ends first or the balancer has
// stopped.
func (p *Proxy) Turn(ctx context.Context) error {
	loops := p.engine.Loops()
	turned := make(chan struct{}, len(loops))
	for _, loop := range loops {
		if !loop.Post(func() { turned <- struct{}{} }) {
			return errStopped
		}
	}
	for range loops {
		select {
		case <-turned:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Control returns the runtime commands.
func (p *Proxy) Control() admin.Control { return &control{p} }

// Snapshot implements admin.Source.
func (p *Proxy) Snapshot() admin.Snapshot {
	shared := p.fleet.Status() // without the lock, which it may take
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := view{p}.snapshot()
	s.Fleet = showFleet(&shared)
	return s
}

// Handover returns the balancer as it is handed over to a new process, and takes
// over from an old one.
func (p *Proxy) Handover() *Handover { return &Handover{p} }

// ErrDraining is returned when the balancer is about to end and applies no new
// configuration.
var ErrDraining = errors.New("the balancer is draining and takes no new configuration")

// Apply changes what runs to what c says, and returns a summary of the changes in
// one line. On an error nothing has changed. Settings that only a new process can
// change (conf.Fixed) are left as they are.
func (p *Proxy) Apply(c *conf.Config) (summary string, err error) {
	summary, err = p.apply(c)
	p.Note(err)
	return summary, err
}

// Note records for the status the outcome of an attempt to change the
// configuration; nil = success. Apply calls it itself; the caller calls it when a
// file could not be read.
func (p *Proxy) Note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reload = reload{at: time.Now(), err: err}
}

// apply carries a change out: first everything that can fail, which changes
// nothing that runs, and then the rest.
func (p *Proxy) apply(c *conf.Config) (summary string, err error) {
	p.applying.Lock()
	defer p.applying.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	next, started := p.nextExtras(ctx, c)
	p.names.Refresh(ctx, usesOf(next.join(c)), c.Resolver) // without the lock: name servers may be slow
	p.mu.Lock()
	defer p.mu.Unlock()
	change, err := p.prepareServing(next.join(c)) // a source may have found more by now, whose names are looked up later
	if err != nil {
		for _, w := range started {
			w.Stop()
		}
		p.names.Want(usesOf(p.config), p.config.Resolver)
		if !p.still() {
			p.bringIn() // what has changed meanwhile
		}
		return "", err
	}
	p.adopt(next)
	p.written = c
	summary = change.apply()
	for name := range p.extras {
		p.noteFailure(name)
	}
	return summary, nil
}

// prepareServing is prepare, unless the process is about to end.
func (p *Proxy) prepareServing(c *conf.Config) (*change, error) {
	if p.draining || p.replaced {
		return nil, ErrDraining
	}
	return p.prepare(c)
}

// newPool creates a backend's pool and its checker.
func (p *Proxy) newPool(c conf.Backend, addresses []backend.Addresses) (*pool, error) {
	made, err := backend.NewPoolAt(c, len(p.engine.Loops()), addresses)
	if err != nil {
		return nil, err
	}
	p.secure(made, c.TLS)
	b := newPool(made, p.options.Log)
	made.OnChange(func(s *backend.Server, old, now backend.State) { p.serverChanged(b, s, old, now) })
	return b, nil
}

// serverChanged notifies the clients of a server that has become unusable, because
// it went down or into maintenance: otherwise they would wait in vain. on_down
// says what happens to them.
func (p *Proxy) serverChanged(b *pool, server *backend.Server, old, now backend.State) {
	if now.Health == backend.Down && old.Health != backend.Down {
		p.detours.look()
	}
	if now.TakesBound() || !old.TakesBound() {
		return
	}
	p.workers.CloseIdle(server)
	p.disconnector.add(server, b.InForce().OnDown)
}

// removed closes the pending connections to servers that were removed, and those
// of their clients if the policy says so.
func (p *Proxy) removed(servers []*backend.Server, policy conf.OnDown) {
	for _, server := range servers {
		p.workers.Forget(server)
		if policy == conf.OnDownClose && server.Conns() > 0 {
			p.disconnector.add(server, policy)
		}
	}
}

// namesChanged puts in force what names stand for now, unless that must wait: a
// hand-over is under way.
func (p *Proxy) namesChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.still() {
		p.bringIn()
	}
}

// bringIn puts in force what names stand for now, without any other change.
func (p *Proxy) bringIn() {
	change := &change{proxy: p, to: p.config, addresses: addressesOf(p.config, p.names)}
	if moved := change.applyBackends(); len(moved) > 0 {
		p.options.Log.Info("host names resolve", "changes", strings.Join(moved, ", "))
	}
	p.explainUnresolved()
}

// prune forgets the frontends and backends that have left, unless the old process
// still has clients: they may use them.
func (p *Proxy) prune() {
	if p.connections.old.Load() == 0 {
		p.components.prune(p.engine)
	}
}

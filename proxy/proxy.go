package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/healthcheck"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/l7"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
	"mcplb/ratelimit"
)

// Options are what does not stand in the configuration.
type Options struct {
	Version   string
	Log       *slog.Logger
	FileLimit int // the most descriptors that this process may have open
	System    *reactor.System
	// Inherited returns the open socket of an address, for Start to use in
	// place of a new one, or nil; nil = none is inherited.
	Inherited func(address string) *net.TCPListener
	// Suspended has Start accept nobody until Resume.
	Suspended bool
}

// Proxy is a running balancer. Its methods may be called by any goroutine.
type Proxy struct {
	options Options
	started time.Time
	engine  *reactor.Engine
	limiter *ratelimit.Limiter
	gate    *gate
	workers l7.Workers
	secures *tlsio.Workers
	log     *accesslog.Log

	evictions evictions

	mu        sync.RWMutex // guards what follows; never taken on a loop
	config    *conf.Config
	backends  map[string]*pool
	frontends map[string]*layered
	listeners []*listener
	retiring  []*listener // taken away by a reload: they take in who is connecting, and close
	leaving   leaving
	draining  bool
	reload    reload

	taken inheritance // of the process before; its methods' own
	given bequest     // to the next process; its methods' own
}

// pool is a backend and what checks it.
type pool struct {
	*backend.Pool
	checker *healthcheck.Checker
}

// Start opens and runs what the configuration says. When it fails, nothing is
// left open.
func Start(c *conf.Config, options Options) (*Proxy, error) {
	limit, err := maxConnections(c.Global.MaxConn, options.FileLimit)
	if err != nil {
		return nil, err
	}
	engine, err := reactor.Start(threads(c), mostPipes, options.System)
	if err != nil {
		return nil, err
	}
	log := accesslog.New(accesslog.Options{
		Loops: len(engine.Loops()), Now: engine.Now, Log: options.Log,
	})
	p := &Proxy{
		options:   options,
		log:       log,
		started:   time.Now(),
		engine:    engine,
		limiter:   ratelimit.New(c.RateLimit),
		workers:   l7.NewWorkers(engine.Loops(), log),
		secures:   tlsio.NewWorkers(engine.Loops(), handshakes(len(engine.Loops()))),
		gate:      &gate{engine: engine, empty: make(chan struct{})},
		config:    &conf.Config{Path: c.Path},
		backends:  map[string]*pool{},
		frontends: map[string]*layered{},
		leaving:   leaving{frontends: map[string]*layered{}},
	}
	p.evictions.engine = engine
	p.gate.limit.Store(int64(limit))
	p.gate.closed.Store(options.Suspended)
	p.gate.resume = p.resumeAll
	if _, err := p.apply(c); err != nil {
		p.engine.Stop()
		p.log.Close()
		return nil, err
	}
	p.options.Inherited = nil // whatever is opened from now on is new
	return p, nil
}

// threads is how many loops there are to be.
func threads(c *conf.Config) int {
	if c.Global.Threads > 0 {
		return c.Global.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// resumeAll has every listener accept again.
func (p *Proxy) resumeAll() {
	// A loop may be asking, and must not wait for a reload under way.
	go func() {
		p.mu.RLock()
		defer p.mu.RUnlock()
		for _, l := range p.listeners {
			l.Resume()
		}
	}()
}

// Stop takes no more clients, waits until those there are have gone or ctx
// ends, cuts off those who are left, and closes everything.
func (p *Proxy) Stop(ctx context.Context) error {
	p.closeListeners()
	p.thaw() // who is left is served here
	p.drainSessions()
	p.gate.drain()
	var cut error
	select {
	case <-p.gate.empty:
	case <-ctx.Done():
		cut = fmt.Errorf("%d connections were cut off: %w", p.engine.Load(), context.Cause(ctx))
		p.each(func(s session.Session) { s.Abort(session.Stopped) })
		<-p.gate.empty
	}
	for _, b := range p.backends {
		b.checker.Stop()
	}
	p.engine.Stop()
	p.log.Close()
	return cut
}

// drainSessions has clients end that wait for nothing.
func (p *Proxy) drainSessions() {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, f := range p.frontends {
		f.drain()
	}
	for _, f := range p.leaving.frontends {
		f.drain()
	}
	p.each(func(s session.Session) { s.Drain() })
}

// closeListeners ends the taking in of clients.
func (p *Proxy) closeListeners() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	for _, l := range slices.Concat(p.listeners, p.retiring) {
		l.Close()
	}
	p.listeners, p.retiring = nil, nil
}

// ReopenLog opens the access log anew, for its file was moved away. When that
// fails, it goes on where it was.
func (p *Proxy) ReopenLog() error { return p.log.Reopen() }

// Connections is the number of clients that are connected.
func (p *Proxy) Connections() int { return p.engine.Load() }

// Turn returns when every event loop has come to run what it was given now, so
// that none of them hangs; or, with an error, when ctx ends before that.
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

var errStopped = errors.New("the balancer has stopped")

// each calls f for every session, on its loop, and returns without waiting.
func (p *Proxy) each(f func(session.Session)) { each(p.engine, f, func() {}) }

// newPool makes a backend, and what is to check it.
func (p *Proxy) newPool(c conf.Backend, resolve func(address string) (netip.AddrPort, error)) (*pool, error) {
	made, err := backend.NewPool(c, len(p.engine.Loops()), resolve)
	if err != nil {
		return nil, err
	}
	b := &pool{Pool: made, checker: healthcheck.New(made, p.options.Log)}
	made.Observe(b.checker.Observe)
	made.OnChange(func(s *backend.Server, old, now backend.State) { p.serverChanged(b, s, old, now) })
	return b, nil
}

// serverChanged tells the clients of a server that nobody may use any more,
// because it went down or into maintenance: they would else wait for nothing.
// What on_down says becomes of them.
func (p *Proxy) serverChanged(b *pool, server *backend.Server, old, now backend.State) {
	if now.TakesBound() || !old.TakesBound() {
		return
	}
	p.workers.CloseIdle(server)
	p.evictions.add(server, b.InForce().OnDown)
}

// ErrDraining says that the balancer is about to end and takes no new
// configuration.
var ErrDraining = errors.New("the balancer is draining and takes no new configuration")

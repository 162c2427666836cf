package l4

import (
	"net/netip"
	"sync/atomic"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Settings are what a reload may change of a frontend. They are immutable:
// sessions read them when they need them, so that a change holds for live
// sessions, too.
type Settings struct {
	Frontend conf.Frontend
	Pool     *backend.Pool
	TLS      Securer // nil = plain
}

// balance is the policy that holds here.
func (s *Settings) balance() conf.Balance {
	if s.Frontend.Balance != "" {
		return s.Frontend.Balance
	}
	return s.Pool.InForce().Balance
}

// idle is how long nothing may move: the shorter of the client's and the
// server's time; 0 = forever.
func (s *Settings) idle(halfClosed bool) time.Duration {
	idle := shorter(s.Frontend.TimeoutClient, s.Pool.InForce().TimeoutServer)
	if halfClosed {
		idle = shorter(idle, s.Frontend.TimeoutHalfClosed)
	}
	return idle
}

// shorter is the smaller of two limits of which 0 means none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Gate is the balancer's own limit on clients, over all frontends: maxconn.
type Gate interface {
	// MayEnter is asked on the acceptor's loop before every accept; while it
	// is false, clients wait in the listeners' backlogs.
	MayEnter() bool
	// Left is called when a session has ended. Any loop calls it.
	Left()
	// Failed counts an accept that failed, for want of descriptors perhaps.
	Failed(errno unix.Errno)
}

// Frontend is where clients of modes tcp and mcp connect. It is safe for use
// by all loops at once.
type Frontend struct {
	settings atomic.Pointer[Settings]
	limiter  *ratelimit.Limiter
	gate     Gate
	log      *accesslog.Log
	counters []Counters // one per loop
	current  atomic.Int64
	peak     atomic.Int64
}

// NewFrontend makes a frontend for an engine with the given number of loops.
// Its sessions are logged to log, unless that is nil. Its mode stays what it is;
// everything else may be changed by Apply.
func NewFrontend(s Settings, limiter *ratelimit.Limiter, gate Gate, log *accesslog.Log, loops int) *Frontend {
	f := &Frontend{limiter: limiter, gate: gate, log: log, counters: make([]Counters, loops)}
	f.settings.Store(&s)
	return f
}

// Apply changes the settings for sessions to come and, where they still ask,
// for those that live.
func (f *Frontend) Apply(s Settings) { f.settings.Store(&s) }

// Settings are those in force.
func (f *Frontend) Settings() *Settings { return f.settings.Load() }

// Current is the number of sessions now, Peak the most there have been.
func (f *Frontend) Current() int { return int(f.current.Load()) }

// ClearPeaks has every peak begin anew with what is now.
func (f *Frontend) ClearPeaks() {
	f.peak.Store(f.current.Load())
	for i := range f.counters {
		f.counters[i].ClearPeaks()
	}
}

// Peak is the most sessions there have been at once.
func (f *Frontend) Peak() int { return int(f.peak.Load()) }

// MayAccept implements reactor.AcceptHandler.
func (f *Frontend) MayAccept() bool { return f.gate.MayEnter() }

// AcceptFailed implements reactor.AcceptHandler.
func (f *Frontend) AcceptFailed(errno unix.Errno) { f.gate.Failed(errno) }

// Accepted implements reactor.AcceptHandler: it begins a session.
func (f *Frontend) Accepted(loop *reactor.Loop, fd int, from netip.AddrPort) {
	counters := &f.counters[loop.ID()]
	counters.Sessions.Add(1)
	f.count(f.current.Add(1))
	s := &Session{frontend: f, loop: loop, from: from}
	s.relay.owner, s.relay.taken = s, counters
	s.beginLog()
	client, errno := loop.Adopt(fd, s)
	if errno != 0 {
		s.state = admission
		s.finish(NoResources)
		return
	}
	s.relay.client = client
	s.start()
}

// count notes how many sessions there are now.
func (f *Frontend) count(now int64) {
	for peak := f.peak.Load(); now > peak && !f.peak.CompareAndSwap(peak, now); {
		peak = f.peak.Load()
	}
}

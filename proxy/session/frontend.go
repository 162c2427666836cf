package session

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Settings are what a reload may change of a frontend of either layer. They are
// immutable: sessions read them when they need them, so that a change holds for
// live sessions, too.
type Settings struct {
	Frontend conf.Frontend
	Pool     *backend.Pool
	TLS      TLS         // nil = plain
	Names    *NameRoutes // mode tcp: backends by SNI; nil = all clients go to Pool
	Access   *Access     // nil = everybody
}

// Balance is the policy that holds for the frontend's own backend.
func (s *Settings) Balance() conf.Balance { return s.BalanceIn(s.Pool) }

// BalanceIn is the policy that holds for the frontend's clients in a backend.
func (s *Settings) BalanceIn(pool *backend.Pool) conf.Balance {
	if s.Frontend.Balance != "" {
		return s.Frontend.Balance
	}
	return pool.InForce().Balance
}

// Liveness is how a client that has vanished is noticed.
func (s *Settings) Liveness() reactor.Liveness {
	return reactor.Liveness{UserTimeout: s.Pool.InForce().TimeoutTCPUser, KeepAlive: s.Frontend.KeepAlive}
}

// Trusts reports whether a peer at address is believed about the clients behind
// it.
func (s *Settings) Trusts(address netip.Addr) bool {
	return slices.ContainsFunc(s.Frontend.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// NamesClients reports whether a peer at address names the client of each request,
// in X-Forwarded-For, and is believed.
func (s *Settings) NamesClients(address netip.Addr) bool {
	return s.Frontend.ForwardedFor && s.Frontend.Mode == conf.ModeHTTP && s.Trusts(address)
}

// Idle is how long a relay between a client and a server of pool may be silent,
// before or after one side has finished sending; 0 = forever.
func (s *Settings) Idle(pool *backend.Pool, halfClosed bool) time.Duration {
	idle := Shorter(s.Frontend.TimeoutClient, pool.InForce().TimeoutServer)
	if halfClosed {
		idle = Shorter(idle, s.Frontend.TimeoutHalfClosed)
	}
	return idle
}

// Shorter is the smaller of two limits of which 0 means none.
func Shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// ConnectionLimiter is the limit on the clients of all frontends together:
// maxconn.
type ConnectionLimiter interface {
	// MayEnter is asked on the acceptor's loop before every accept; while it
	// is false, clients wait in the listeners' backlogs.
	MayEnter() bool
	// Left is called when a session has ended. Any loop calls it.
	Left()
	// Failed counts an accept that failed, as when no descriptor is left.
	Failed(errno unix.Errno)
}

// Shared is what all frontends share.
type Shared struct {
	Limiter     *ratelimit.Limiter
	Accounts    *ratelimit.Accounts // of the limits of routes
	Connections ConnectionLimiter
	Log         *accesslog.Log // nil = no access log
	Loops       int
}

// Frontend is what the frontends of both layers have in common; each embeds it.
// S is the layer's settings, C what it counts on each loop. All loops may use it
// at once.
type Frontend[S, C any] struct {
	Shared
	settings atomic.Pointer[S]
	counters []C // one per loop
	current  atomic.Int64
	peak     atomic.Int64
}

// Init makes the zero Frontend ready for use.
func (f *Frontend[S, C]) Init(s S, shared Shared) {
	f.Shared, f.counters = shared, make([]C, shared.Loops)
	f.settings.Store(&s)
}

// Apply changes the settings for sessions to come and, where they still ask,
// for live ones.
func (f *Frontend[S, C]) Apply(s S) { f.settings.Store(&s) }

// Settings returns those in force.
func (f *Frontend[S, C]) Settings() *S { return f.settings.Load() }

// Counters are what one loop counts for the frontend.
func (f *Frontend[S, C]) Counters(loop int) *C { return &f.counters[loop] }

// Current is the number of clients now.
func (f *Frontend[S, C]) Current() int { return int(f.current.Load()) }

// Peak is the most clients that there have been at once.
func (f *Frontend[S, C]) Peak() int { return int(f.peak.Load()) }

// ClearPeak restarts Peak with the clients of now.
func (f *Frontend[S, C]) ClearPeak() { f.peak.Store(f.current.Load()) }

// RestorePeak takes over the peak of the old process.
func (f *Frontend[S, C]) RestorePeak(n int) { f.raisePeak(int64(n)) }

// MayAccept implements reactor.AcceptHandler.
func (f *Frontend[S, C]) MayAccept() bool { return f.Connections.MayEnter() }

// AcceptFailed implements reactor.AcceptHandler.
func (f *Frontend[S, C]) AcceptFailed(errno unix.Errno) { f.Connections.Failed(errno) }

// Enter counts a client that was accepted, here or by the old process.
func (f *Frontend[S, C]) Enter() { f.raisePeak(f.current.Add(1)) }

// Leave gives back what every client holds to its end: its place in the limits
// and on its loop.
func (f *Frontend[S, C]) Leave(source *ratelimit.Source, loop *reactor.Loop) {
	source.Release()
	f.current.Add(-1)
	loop.AddLoad(-1)
	f.Connections.Left()
}

func (f *Frontend[S, C]) raisePeak(now int64) {
	for peak := f.peak.Load(); now > peak && !f.peak.CompareAndSwap(peak, now); {
		peak = f.peak.Load()
	}
}

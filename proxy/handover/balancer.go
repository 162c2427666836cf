package handover

import (
	"mcplb/backend"
	"mcplb/backend/discovery"
	"mcplb/conf"
	"mcplb/proxy/l4"
	"mcplb/proxy/l7"
	"mcplb/proxy/metrics"
	"mcplb/proxy/reactor"
	"mcplb/proxy/tlsio"
	"mcplb/ratelimit"
)

// Balancer is what both sides of a hand-over need of the balancer.
type Balancer interface {
	// Engine has the loops that serve clients. Its clock is the same in both
	// processes.
	Engine() *reactor.Engine
	Limiter() *ratelimit.Limiter
	// Accounts are those of the limits of routes.
	Accounts() *ratelimit.Accounts
	// Resume accepts clients and grants slots: in the old process again, after
	// Suspend; in the new process for the first time.
	Resume()
	// EachCounters calls visit with every set of counters, loop by
	// loop; what all loops count together belongs to loop 0.
	EachCounters(visit func(name string, loop int, counters metrics.Set))
}

// OldBalancer is the balancer that is handed over. Package proxy implements it.
type OldBalancer interface {
	Balancer
	// Sockets returns copies of all listening sockets.
	Sockets() ([]Socket, error)
	// Suspend stops accepting clients, who then wait in the listeners' backlogs.
	// When it returns, no accept is under way, and every session whose server was
	// lost has been notified.
	Suspend()
	// Pools returns the pools of all backends in use.
	Pools() []Pool
	Frontends() []FrontendState
	Figures() Figures
	// Names returns what host names stand for.
	Names() []discovery.Handover
	// Leave notes that the new process serves: no configuration is applied any
	// more, and the access log is wherever the new process writes it.
	Leave()
}

// Pool is the pool of a backend in the old process.
type Pool struct {
	*backend.Pool
	Removed bool // by a reload
	Extra   ExtraServers
}

// NewBalancer is the balancer that takes over. Package proxy implements it.
type NewBalancer interface {
	Balancer
	Restore(Figures) error
	// AdoptServers adds to this process's backends the servers that those of the old
	// process have beside those of its file.
	AdoptServers(all []BackendState)
	// RestoreNames takes over what host names stand for, before Pool is called: servers
	// are the same if their addresses are.
	RestoreNames([]discovery.Handover)
	// Pool returns the backend's pool. If this process's configuration lacks the
	// backend, or it was removed in the old process, the pool is created as one
	// that is leaving.
	Pool(*BackendState) (*backend.Pool, error)
	// Frontend returns the frontend of that name, with the layers that it had in
	// the old process; it is created as one that is leaving if the configuration
	// lacks it.
	Frontend(*FrontendState) Frontend
	// SetOldClients sets how many clients the old process still has. They count
	// towards maxconn.
	SetOldClients(n int)
	// Disconnect notifies the clients of a server that was removed.
	Disconnect(server *backend.Server, policy conf.OnDown)
	// Draining reports whether this process is about to end.
	Draining() bool
	// TLS has the loops' workers for connections that speak it.
	TLS() *tlsio.Workers
	// Alone notes that the old process has ended.
	Alone()
}

// Frontend is a frontend in the new process, by layer; nil = it has no such
// layer.
type Frontend struct {
	Stream *l4.Frontend
	HTTP   *l7.Frontend
}

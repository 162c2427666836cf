package handover

import (
	"errors"
	"time"

	"mcplb/backend"
	"mcplb/backend/discovery"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/ratelimit"
)

// The types in this file, and Record, are the payloads of messages. They contain
// no maps: see decoder.

// State is what the new process restores before it accepts clients.
//
// A frontend, backend or server that only the old process has, because a reload
// or the new configuration removed it, is created in the new process for the
// clients that use it, as if the new process had run that reload itself. The
// state therefore includes the settings of frontends and backends.
type State struct {
	Limiter   ratelimit.Handover
	Accounts  []ratelimit.AccountRecord
	Figures   Figures
	Names     []discovery.Handover
	Frontends []FrontendState
	Backends  []BackendState
	Servers   []ServerState // holdings and records refer to them by their places here, from 1 on
	Held      Holdings
}

// Figures are totals over the balancer.
type Figures struct {
	Peak      int64  // most clients at once
	Failed    uint64 // accepts that failed
	Forgotten []byte // counters of removed frontends that have lost their last client: an admin.Frontend, in JSON
	Fleet     []byte // what the fleet does not know yet: fleet.Fleet.Pending
}

// FrontendState is a frontend.
type FrontendState struct {
	Name string
	// Stream are its settings in mode tcp or mcp, HTTP those in mode http; nil =
	// it never had such a mode. They lack TLS: connections with TLS do not move.
	Stream, HTTP *conf.Frontend
	Peak         int
}

// BackendState is a backend.
type BackendState struct {
	Settings conf.Backend // with host names resolved as the old process resolved them
	Removed  bool         // by a reload
	Known    backend.Handover
	Extra    ExtraServers
}

// ExtraServers are the servers of a backend beside those of its file, with host names
// as they were given.
type ExtraServers struct {
	Runtime []conf.Server // added by command
	Found   []conf.Server // by the backend's source
	FoundAt time.Time     // when that last had an answer; zero = never
}

// ServerState is a server that may have clients.
type ServerState struct {
	Backend int // its place in State.Backends
	backend.Identity
	Removed bool // by a reload, which let its clients stay
}

// Holdings are what the old process holds, and what it has counted since the
// last time.
type Holdings struct {
	Clients  int
	Slots    []SlotCount
	Sources  []SourceCount
	Accounts []ratelimit.AccountCount // requests under the limits of routes
	Counts   []Growth
}

// SlotKey is a server, and what its pool remembers a slot's client by.
type SlotKey struct {
	Server uint32 // its place in State.Servers, from 1 on; 0 = no slot
	Entry  uint32 // backend.Slot.Entry
}

// spareEntry is the Entry of slots that are free, but reserved for clients that
// cannot move.
const spareEntry = ^uint32(0)

// SlotCount is how many slots of a key are in use.
type SlotCount struct {
	Key   SlotKey
	Count int
}

// SourceCount is how many connections of a source are counted.
type SourceCount struct {
	Key   uint64 // ratelimit.Source.Key
	Count int
}

// mostHeld bounds how many slots, and how many sources' connections, a process
// may claim to hold.
const mostHeld = 1 << 24

var errHoldings = errors.New("decoding what is handed over: impossible numbers of slots, connections or requests")

// check refuses numbers that no process can have.
func (h *Holdings) check() error {
	slots, sources := 0, 0
	for _, s := range h.Slots {
		if s.Count < 0 || s.Count > mostHeld-slots {
			return errHoldings
		}
		slots += s.Count
	}
	for _, s := range h.Sources {
		if s.Count < 0 || s.Count > mostHeld-sources {
			return errHoldings
		}
		sources += s.Count
	}
	for _, a := range h.Accounts {
		if a.Active < 0 || a.Active > mostHeld {
			return errHoldings
		}
	}
	if h.Clients < 0 || h.Clients > mostHeld {
		return errHoldings
	}
	return nil
}

// WaitKey says what a client in a queue of the old process waits for.
type WaitKey struct {
	Backend  int // its place in State.Backends
	Endpoint conf.Endpoint
	Server   uint32 // bound to it, as SlotKey.Server; 0 = any
}

// Waiting is how many clients wait for the same.
type Waiting struct {
	Key   WaitKey
	Count int
}

// report is what the old process sends regularly once the new one serves. The
// answer is what the new process has reserved for those who wait.
type report struct {
	Held    Holdings
	Waiting []Waiting
	History *admin.HandoverHistory // with the first report only: it can wait until clients are served
}

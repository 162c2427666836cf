package backend

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// sessionCells is how many cells a server's sessions have: 64 KiB, whatever the number of
// sessions, and none for a server without any.
const sessionCells = 1 << 14

// sessionTick is the unit of time of a cell, as a shift of nanoseconds: 67 ms.
const sessionTick = 26

// SessionKey stands for an MCP session in a server's count of them. Its zero value is no
// session.
type SessionKey uint32

// KeyOfSession returns the key of a session by the id that its server gave it.
func KeyOfSession(id []byte) SessionKey { return SessionOfHash(xxhash.Sum64(id)) }

// SessionOfHash is KeyOfSession for an id whose hash is known (xxhash.Sum64).
func SessionOfHash(hash uint64) SessionKey { return SessionKey(hash>>(64-14)) + 1 }

// sessions counts the MCP sessions of a server without a table of them: each falls by its
// hash into one of the cells, which has the time of its last use, and how many cells are
// in use tells how many sessions there are (linear counting: Whang, Vander-Zanden and
// Taylor, 1990). The standard error is 0.9% at 10,000 sessions and 1% at 40,000; above
// 150,000 the count stays there. That none is left is exact, but for one case: a session
// that shares its cell with one that is deleted is not counted until it is used again.
// The zero value has no sessions. Any goroutine may use it.
type sessions struct {
	cells atomic.Pointer[[sessionCells]atomic.Uint32] // nil = there were none
}

// tickOf is the time of a cell; 0 is not used.
func tickOf(now int64) uint32 { return uint32(now>>sessionTick) + 1 }

// cell returns the cell of a session, nil for no session.
func (s *sessions) cell(k SessionKey, create bool) *atomic.Uint32 {
	if k == 0 || k > sessionCells {
		return nil
	}
	cells := s.cells.Load()
	if cells == nil {
		if !create {
			return nil
		}
		s.cells.CompareAndSwap(nil, new([sessionCells]atomic.Uint32))
		cells = s.cells.Load()
	}
	return &cells[k-1]
}

// count returns how many sessions were used within the time given, at the time now; 0 =
// whenever.
func (s *sessions) count(within time.Duration, now int64) int {
	cells := s.cells.Load()
	if cells == nil {
		return 0
	}
	oldest := oldestTick(within, now)
	used := 0
	for i := range cells {
		if cells[i].Load() >= oldest {
			used++
		}
	}
	return estimate(used)
}

// oldestTick is the time from which on a session counts.
func oldestTick(within time.Duration, now int64) uint32 {
	if within == 0 || int64(within) >= now {
		return 1
	}
	return tickOf(now - int64(within))
}

// estimate is how many sessions probably fill so many cells.
func estimate(used int) int {
	empty := max(sessionCells-used, 1)
	return int(math.Round(-sessionCells * math.Log(float64(empty)/sessionCells)))
}

// UseSession notes that a session is used, at the time now of the loops' clock.
func (s *Server) UseSession(k SessionKey, now int64) {
	if cell, tick := s.sessions.cell(k, true), tickOf(now); cell != nil && cell.Load() < tick {
		cell.Store(tick)
	}
}

// KeepSession is UseSession for a session that may have ended meanwhile: then nothing is
// noted.
func (s *Server) KeepSession(k SessionKey, now int64) {
	cell, tick := s.sessions.cell(k, false), tickOf(now)
	if cell == nil {
		return
	}
	if was := cell.Load(); was != 0 && was < tick {
		cell.CompareAndSwap(was, tick)
	}
}

// EndSession notes that a session is over: it was deleted, or its server does not know it.
func (s *Server) EndSession(k SessionKey) {
	if cell := s.sessions.cell(k, false); cell != nil {
		cell.Store(0)
	}
}

// Sessions returns how many MCP sessions the server has, at the time now of the loops'
// clock: those that were used within the backend's session_seen, and not deleted. It is
// exact for few, and within a few percent for thousands.
func (s *Server) Sessions(now int64) int {
	return s.sessions.count(s.pool.InForce().SessionSeen, now)
}

// Empty reports whether the server has neither connections nor sessions, and no client waits
// for it: whatever ends now, no client loses anything.
func (s *Server) Empty(now int64) bool {
	return s.Conns() == 0 && s.Queued() == 0 && s.Sessions(now) == 0
}

// HandoverSession is a cell of a server's sessions: when one of them was last used.
type HandoverSession struct {
	Key  SessionKey
	Tick uint32
}

// handover returns the cells in use.
func (s *sessions) handover() (list []HandoverSession) {
	cells := s.cells.Load()
	if cells == nil {
		return nil
	}
	for i := range cells {
		if tick := cells[i].Load(); tick != 0 {
			list = append(list, HandoverSession{SessionKey(i + 1), tick})
		}
	}
	return list
}

// restore takes over cells of another process. Times after now count as now.
func (s *sessions) restore(list []HandoverSession, now int64) {
	for _, one := range list {
		if cell := s.cell(one.Key, true); cell != nil {
			cell.Store(min(one.Tick, tickOf(now)))
		}
	}
}

package backend

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// sessionServer is a server whose sessions count for so long.
func sessionServer(t testing.TB, seen time.Duration) *Server {
	c := backendOf(1)
	c.SessionSeen = seen
	return newPool(t, c).Servers()[0]
}

func keyOf(i int) SessionKey { return KeyOfSession(fmt.Appendf(nil, "session-%d", i)) }

// An operator who drains a server must be able to believe the number: none and few are
// exact, thousands are within a few percent, and a flood of ids takes no memory.
func TestSessionsCount(t *testing.T) {
	t.Parallel()
	const now = int64(time.Hour)
	for _, test := range []struct {
		sessions int
		within   float64
	}{{0, 0}, {1, 0}, {5, 0}, {100, 0.03}, {1000, 0.04}, {10_000, 0.04}, {40_000, 0.05}, {100_000, 0.1}} {
		s := sessionServer(t, 10*time.Minute)
		for i := range test.sessions {
			s.UseSession(keyOf(i), now)
			s.UseSession(keyOf(i), now) // once is enough
		}
		if got := s.Sessions(now); math.Abs(float64(got-test.sessions)) > test.within*float64(test.sessions) {
			t.Errorf("%d sessions count as %d", test.sessions, got)
		}
		for i := range test.sessions {
			s.EndSession(keyOf(i))
		}
		if got := s.Sessions(now); got != 0 {
			t.Errorf("of %d sessions, all deleted, %d are left", test.sessions, got)
		}
	}
	s := sessionServer(t, 10*time.Minute)
	for i := range 1_000_000 {
		s.UseSession(keyOf(i), now)
	}
	if got := s.Sessions(now); got < 100_000 {
		t.Errorf("a million sessions count as %d", got)
	}
}

// A session counts until it was not used for session_seen; 0 is for ever.
func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	const start = int64(time.Hour)
	at := func(after time.Duration) int64 { return start + int64(after) }
	s := sessionServer(t, time.Minute)
	s.UseSession(keyOf(1), start)
	s.UseSession(keyOf(2), start)
	s.UseSession(keyOf(2), at(30*time.Second))
	s.UseSession(keyOf(2), start) // of a loop whose clock lags
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {59 * time.Second, 2}, {61 * time.Second, 1}, {89 * time.Second, 1}, {91 * time.Second, 0}} {
		if got := s.Sessions(at(step.after)); got != step.want {
			t.Errorf("after %v there are %d sessions, want %d", step.after, got, step.want)
		}
	}
	ever := sessionServer(t, 0)
	ever.UseSession(keyOf(1), start)
	if got := ever.Sessions(at(10_000 * time.Hour)); got != 1 {
		t.Errorf("without a limit there are %d", got)
	}
	if got := s.Sessions(int64(time.Second)); got != 2 {
		t.Errorf("soon after the machine has started, there are %d", got)
	}
}

// What ends keeps nothing alive that is over, and the zero key is nobody's.
func TestSessionsKeep(t *testing.T) {
	t.Parallel()
	const start, later = int64(time.Hour), int64(2 * time.Hour)
	s := sessionServer(t, time.Minute)
	s.KeepSession(keyOf(1), start)
	s.EndSession(keyOf(1))
	s.UseSession(0, start)
	s.UseSession(sessionCells+1, start)
	if s.Sessions(start) != 0 || s.sessions.cells.Load() != nil {
		t.Error("a server without sessions has some, or memory for them")
	}
	s.UseSession(keyOf(1), start)
	s.KeepSession(keyOf(1), later)
	if s.Sessions(later) != 1 {
		t.Error("a session whose stream ends just now does not count")
	}
	s.EndSession(keyOf(1))
	s.KeepSession(keyOf(1), later)
	if s.Sessions(later) != 0 {
		t.Error("a session that was deleted counts again when its stream ends")
	}
}

// The sessions of a server that drains are known after an upgrade, too, and so is since
// when it has been empty.
func TestSessionsHandover(t *testing.T) {
	t.Parallel()
	const now = int64(time.Hour)
	c := backendOf(2)
	c.SessionSeen = time.Minute
	before, after := newPool(t, c), newPool(t, c)
	for i := range 300 {
		before.Servers()[0].UseSession(keyOf(i), now-int64(i%3)*int64(25*time.Second))
	}
	emptied := time.Now()
	before.Servers()[1].SetAdmin(Drain, "test", emptied)
	before.Servers()[1].SetEmptied(true, emptied)
	h := before.Handover(now)
	h.Servers[0].Sessions = append(h.Servers[0].Sessions, HandoverSession{0, 1}, HandoverSession{sessionCells + 1, 1})
	after.Restore(h, now)
	for _, later := range []time.Duration{0, 20 * time.Second, 45 * time.Second, 2 * time.Minute} {
		if a, b := before.Servers()[0].Sessions(now+int64(later)), after.Servers()[0].Sessions(now+int64(later)); a != b {
			t.Errorf("after %v: %d sessions, and %d in the new process", later, a, b)
		}
	}
	if got := after.Servers()[1].State().Emptied; !got.Equal(emptied) {
		t.Errorf("empty since %v, want %v", got, emptied)
	}
}

// Emptied is a matter of servers that drain.
func TestEmptied(t *testing.T) {
	t.Parallel()
	s := newPool(t, backendOf(1)).Servers()[0]
	first, second := time.Unix(100, 0), time.Unix(200, 0)
	s.SetEmptied(true, first)
	if !s.State().Emptied.IsZero() {
		t.Error("a server that does not drain is reported as empty")
	}
	s.SetAdmin(Drain, "", first)
	s.SetEmptied(true, first)
	s.SetEmptied(true, second)
	if got := s.State().Emptied; !got.Equal(first) {
		t.Errorf("empty since %v", got)
	}
	s.SetEmptied(false, second)
	if !s.State().Emptied.IsZero() {
		t.Error("it has clients again, and is reported as empty")
	}
	s.SetEmptied(true, second)
	s.SetAdmin(Ready, "", second)
	if !s.State().Emptied.IsZero() {
		t.Error("it is back in service, and is reported as drained and empty")
	}
	s.SetDrainRequest("503", second)
	s.SetEmptied(true, second)
	if s.State().Emptied.IsZero() {
		t.Error("a server that asked to be drained is never reported as empty")
	}
}

// A request of a session pays a hash and a load, and nothing is allocated.
func TestSessionsAllocate(t *testing.T) {
	s, id := sessionServer(t, time.Minute), []byte("4f0c3c7a-5d55-4b46-9b5a-0f4bb4bdbb0f")
	s.UseSession(KeyOfSession(id), 0)
	now := int64(time.Hour)
	if n := testing.AllocsPerRun(100, func() { now += 1 << 30; s.UseSession(KeyOfSession(id), now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSessions(b *testing.B) {
	s, id := sessionServer(b, 10*time.Minute), []byte("4f0c3c7a-5d55-4b46-9b5a-0f4bb4bdbb0f")
	b.Run("use", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.UseSession(KeyOfSession(id), int64(time.Hour))
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			_ = s.Sessions(int64(time.Hour))
		}
	})
}

package reactor

import (
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// eventOf returns an event as the kernel would report it for c.
func eventOf(c *Conn, events uint32) unix.EpollEvent {
	return unix.EpollEvent{Events: events, Fd: int32(c.index), Pad: int32(c.generation)}
}

func TestEventOfReusedPlaceIsDropped(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, _ := socketPair(t)
	first := adopt(t, l, near, ignore)
	stale := eventOf(first, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLERR)
	first.Close()
	l.turn()

	called := 0
	near, _ = socketPair(t)
	second := adopt(t, l, near, handlerFunc(func(*Conn) { called++ }))
	if second != first {
		t.Fatal("the free place was not reused")
	}
	l.dispatch(&stale)
	if called != 0 || second.Readable() || second.HungUp() || second.Failed() {
		t.Errorf("a closed connection's event reached the next in its place: %d calls, flags %b", called, second.flags)
	}
	fresh := eventOf(second, unix.EPOLLIN)
	l.dispatch(&fresh)
	if called != 1 || !second.Readable() {
		t.Errorf("its own event did not reach it: %d calls", called)
	}
}

// TestKernelReportsClosed keeps a closed connection's socket open with another
// descriptor, so that the kernel continues to report its events.
func TestKernelReportsClosed(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	var seen []unix.EpollEvent
	wait := system.EpollWait
	system.EpollWait = func(epoll int, events []unix.EpollEvent, millis int) int {
		n := wait(epoll, events, millis)
		seen = append(seen, events[:n]...)
		return n
	}
	l := newStepped(t, system)
	near, far := socketPair(t)
	other, err := unix.FcntlInt(uintptr(near), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	closing := adopt(t, l, near, ignore)
	settle(t, l, closing)
	stale := eventOf(closing, 0)
	closing.Close()
	l.turn()
	near, _ = socketPair(t)
	c := adopt(t, l, near, ignore)
	settle(t, l, c)
	c.SetHandler(handlerFunc(func(*Conn) { t.Error("called for a closed connection's event") }))

	seen = nil
	sendAll(t, far, []byte("too late"))
	until(t, l, "the kernel reports the closed connection", func() bool { return len(seen) > 0 })
	if seen[0].Fd != stale.Fd || seen[0].Pad != stale.Pad {
		t.Errorf("event for %d/%d, want the closed connection's %d/%d", seen[0].Fd, seen[0].Pad, stale.Fd, stale.Pad)
	}
	if c.Readable() {
		t.Error("the next connection in its place became readable")
	}
}

// TestClosedInItsBatch calls two connections in one turn, of which the first
// closes the other and adopts a third.
func TestClosedInItsBatch(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	conns := make([]*Conn, 2)
	var called []*Conn
	var third *Conn
	for i := range conns {
		near, far := socketPair(t)
		sendAll(t, far, []byte("x"))
		conns[i] = adopt(t, l, near, handlerFunc(func(c *Conn) {
			called = append(called, c)
			if len(called) == 1 {
				conns[1-i].Close()
				near, _ := socketPair(t)
				third = adopt(t, l, near, ignore)
			}
		}))
	}
	l.turn()
	if len(called) != 1 {
		t.Fatalf("%d of the two were called, want 1", len(called))
	}
	if third == conns[0] || third == conns[1] {
		t.Error("a place was reused before the end of the turn")
	}
	if l.Conns() != 2 {
		t.Errorf("%d connections on the loop, want 2", l.Conns())
	}
}

func TestGenerationWraps(t *testing.T) {
	t.Parallel()
	for _, generation := range []uint32{math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
		l := newStepped(t, steppedSystem())
		l.conns.extend()
		l.conns.at(0).generation = generation
		near, far := socketPair(t)
		called := 0
		c := adopt(t, l, near, handlerFunc(func(*Conn) { called++ }))
		sendAll(t, far, []byte("x"))
		until(t, l, "the event has arrived", func() bool { return called > 0 })
		stale := eventOf(c, unix.EPOLLIN)
		if c.index != 0 || uint32(stale.Pad) != generation {
			t.Fatalf("place %d, generation %d in the event, want 0, %d", c.index, stale.Pad, generation)
		}
		c.Close()
		l.turn()
		near, _ = socketPair(t)
		if next := adopt(t, l, near, ignore); next.generation != generation+1 {
			t.Errorf("after generation %d comes %d", generation, next.generation)
		}
		if l.conns.find(0, generation) != nil {
			t.Errorf("generation %d is found after its end", generation)
		}
	}
}

func TestFindUnknown(t *testing.T) {
	t.Parallel()
	var table table
	if table.find(0, 0) != nil || table.find(wakeIndex-1, 0) != nil {
		t.Error("found in an empty table")
	}
	c := table.take()
	if table.find(c.index, c.generation) != c {
		t.Error("not found")
	}
	if table.find(c.index+1, 0) != nil {
		t.Error("found in an unused place")
	}
	c.flags |= closed
	if table.find(c.index, c.generation) != nil {
		t.Error("found though closed")
	}
}

// TestTableAgainstModel takes and releases places at random.
func TestTableAgainstModel(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var table table
	type key struct{ index, generation uint32 }
	var live []*Conn
	model := map[*Conn]key{}
	gone := map[key]bool{}
	for range 50_000 {
		if len(live) == 0 || random.IntN(100) < 52 {
			c := table.take()
			k := key{c.index, c.generation}
			if _, taken := model[c]; taken || gone[k] {
				t.Fatalf("place %d, generation %d was assigned twice", k.index, k.generation)
			}
			model[c] = k
			live = append(live, c)
			continue
		}
		i := random.IntN(len(live))
		c := live[i]
		if got := table.find(model[c].index, model[c].generation); got != c {
			t.Fatalf("place %d holds %p, want %p: the connection moved", model[c].index, got, c)
		}
		gone[model[c]] = true
		delete(model, c)
		live[i] = live[len(live)-1]
		live = live[:len(live)-1]
		table.release(c)
	}
	if table.count != len(live) {
		t.Errorf("count is %d, want %d", table.count, len(live))
	}
	if size := table.size(); size > 4096 {
		t.Errorf("%d places for at most some 2,000 at once: they are not reused", size)
	}
	for k := range gone {
		if table.find(k.index, k.generation) != nil {
			t.Errorf("place %d, generation %d is found after its end", k.index, k.generation)
		}
	}
}

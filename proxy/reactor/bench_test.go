package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// echoRelay copies the bytes of each of two connections to the other.
type echoRelay struct{ a, b *Conn }

func (r *echoRelay) Ready(*Conn) {
	r.pump(r.a, r.b)
	r.pump(r.b, r.a)
}

func (r *echoRelay) pump(from, to *Conn) {
	for from.Readable() && !to.Blocked() {
		p := from.Loop().Scratch()
		n, errno := from.Read(p)
		if errno != 0 || n == 0 {
			return
		}
		if errno := to.Send(p[:n]); errno != 0 {
			return
		}
	}
}

// relayed is a client and a server with a relay between them, on a loop whose
// turns the test runs.
type relayed struct {
	loop           *Loop
	client, server int
	buffer         [ReadSize]byte
}

func newRelayed(t testing.TB, system *System) *relayed {
	t.Helper()
	r := &relayed{loop: newStepped(t, system)}
	relay := &echoRelay{}
	near, far := socketPair(t)
	relay.a, r.client = adopt(t, r.loop, near, ignore), far
	near, far = socketPair(t)
	relay.b, r.server = adopt(t, r.loop, near, ignore), far
	settle(t, r.loop, relay.a)
	settle(t, r.loop, relay.b)
	relay.a.SetHandler(relay)
	relay.b.SetHandler(relay)
	return r
}

// round sends a message to the server and back.
func (r *relayed) round(t testing.TB, n int) {
	r.move(t, r.client, r.server, n)
	r.move(t, r.server, r.client, n)
}

func (r *relayed) move(t testing.TB, from, to, n int) {
	if _, errno := kernelWrite(from, r.buffer[:n]); errno != 0 {
		t.Fatal(errno)
	}
	for got := 0; got < n; {
		r.loop.turn()
		m, errno := kernelRead(to, r.buffer[:])
		if errno == unix.EAGAIN {
			continue
		}
		if errno != 0 {
			t.Fatal(errno)
		}
		got += m
	}
}

// fickleSystem is a kernel that takes first half of the bytes written, then
// none, then the rest.
func fickleSystem() *System {
	s := steppedSystem()
	calls := 0
	s.Write = func(fd int, p []byte) (int, unix.Errno) {
		calls++
		switch calls % 3 {
		case 1:
			return kernelWrite(fd, p[:len(p)/2])
		case 2:
			return 0, unix.EAGAIN
		}
		return kernelWrite(fd, p)
	}
	// No event reports space that was there all the time: report it in every
	// turn.
	wait := s.EpollWait
	s.EpollWait = func(epoll int, events []unix.EpollEvent, millis int) int {
		n := wait(epoll, events, millis)
		for i := range events[:n] {
			events[i].Events |= unix.EPOLLOUT
		}
		for place := int32(0); place < 2; place++ {
			events[n] = unix.EpollEvent{Events: unix.EPOLLOUT, Fd: place}
			n++
		}
		return n
	}
	return s
}

func TestMessageAllocatesNothing(t *testing.T) {
	cases := map[string]struct {
		system *System
		size   int
	}{
		"small":        {steppedSystem(), 200},
		"large":        {steppedSystem(), 32 << 10},
		"small parked": {fickleSystem(), 200},
		"large parked": {fickleSystem(), 32 << 10},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRelayed(t, c.system)
			if allocs := testing.AllocsPerRun(200, func() { r.round(t, c.size) }); allocs != 0 {
				t.Errorf("%v allocations per message round, want 0", allocs)
			}
			for _, free := range r.loop.buffers.free {
				if len(free) > 2 {
					t.Errorf("%d buffers for two connections", len(free))
				}
			}
		})
	}
}

// TestIdleHoldsNothing checks connections after a message that had to be
// parked.
func TestIdleHoldsNothing(t *testing.T) {
	r := newRelayed(t, fickleSystem())
	for range 10 {
		r.round(t, 5000)
	}
	r.loop.turn()
	r.loop.turn()
	for i := range uint32(2) {
		if c := r.loop.conns.at(i); c.parked != nil || c.flags&yielded != 0 {
			t.Errorf("idle connection %d: parked %v, yielded %v", i, c.parked, c.flags&yielded != 0)
		}
	}
}

func TestTimersAndPostsAllocateNothing(t *testing.T) {
	l := newStepped(t, steppedSystem())
	var timer Timer
	owner := expirerFunc(func(*Timer) {})
	var f Expirer = owner
	if allocs := testing.AllocsPerRun(1000, func() { l.Arm(&timer, f, l.Now()+1e9); l.Disarm(&timer) }); allocs != 0 {
		t.Errorf("%v allocations to arm and disarm a timer, want 0", allocs)
	}
	post := func() {}
	if allocs := testing.AllocsPerRun(1000, func() { l.Post(post); l.turn() }); allocs != 0 {
		t.Errorf("%v allocations to post, want 0", allocs)
	}
	near, _ := socketPair(t)
	c := adopt(t, l, near, ignore)
	if allocs := testing.AllocsPerRun(1000, func() { c.Yield(); l.turn() }); allocs != 0 {
		t.Errorf("%v allocations to yield, want 0", allocs)
	}
}

func TestSpliceAllocatesNothing(t *testing.T) {
	l := newStepped(t, steppedSystem())
	in, source := socketPair(t)
	out, sink := socketPair(t)
	from, to := adopt(t, l, in, ignore), adopt(t, l, out, ignore)
	settle(t, l, to)
	p := make([]byte, 32<<10)
	allocs := testing.AllocsPerRun(200, func() {
		sendAll(t, source, p)
		pipe := l.Pipe()
		if n, errno := from.SpliceIn(pipe); n != len(p) || errno != 0 {
			t.Fatalf("SpliceIn: %d, %v", n, errno)
		}
		if errno := to.SpliceOut(pipe); errno != 0 {
			t.Fatalf("SpliceOut: %v", errno)
		}
		l.ReturnPipe(pipe)
		for got := 0; got < len(p); {
			n, errno := kernelRead(sink, p)
			if errno != 0 {
				t.Fatal(errno)
			}
			got += n
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per splice, want 0", allocs)
	}
}

// BenchmarkMessage sends a message of 200 bytes through a loop, and its
// response, including the work of the client and the server (4 system calls).
func BenchmarkMessage(b *testing.B) {
	r := newRelayed(b, steppedSystem())
	b.ReportAllocs()
	for b.Loop() {
		r.round(b, 200)
	}
}

// BenchmarkMessageParked is BenchmarkMessage with half of every message parked.
func BenchmarkMessageParked(b *testing.B) {
	r := newRelayed(b, fickleSystem())
	b.ReportAllocs()
	for b.Loop() {
		r.round(b, 200)
	}
}

// BenchmarkTimer arms and disarms a timer among 25,000.
func BenchmarkTimer(b *testing.B) {
	var w wheel
	var owner Expirer = expirerFunc(func(*Timer) {})
	timers := make([]Timer, 25_000)
	for i := range timers {
		w.set(&timers[i], owner, int64(i)*1e7)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		t := &timers[i%len(timers)]
		w.stop(t)
		w.set(t, owner, int64(i%3_000)*1e8)
		i++
	}
}

// BenchmarkPost posts from several goroutines to one loop.
func BenchmarkPost(b *testing.B) {
	e, err := Start(1, 0, Kernel())
	if err != nil {
		b.Fatal(err)
	}
	defer e.Stop()
	l := e.Loops()[0]
	post := func() {}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Post(post)
		}
	})
}

// BenchmarkAdoptAndClose adopts and closes a connection that moves no bytes.
func BenchmarkAdoptAndClose(b *testing.B) {
	l := newStepped(b, numbered())
	b.ReportAllocs()
	for b.Loop() {
		c, errno := l.Adopt(1_000_000, ignore)
		if errno != 0 {
			b.Fatal(errno)
		}
		c.Close()
		l.free()
	}
}

package reactor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limited is an AcceptHandler that accepts clients while it has room, and
// adopts them. Only its loops use it, whose turns the test runs.
type limited struct {
	room     int
	asked    int
	accepted []*Conn
	from     []netip.AddrPort
	failures []unix.Errno
}

func (g *limited) MayAccept() bool {
	g.asked++
	return g.room > 0
}

func (g *limited) Accepted(l *Loop, fd int, from netip.AddrPort) {
	g.room--
	g.from = append(g.from, from)
	if c, errno := l.Adopt(fd, ignore); errno == 0 {
		g.accepted = append(g.accepted, c)
	}
}

func (g *limited) AcceptFailed(errno unix.Errno) { g.failures = append(g.failures, errno) }

// unlimited has room for every client.
func unlimited() *limited { return &limited{room: 1 << 30} }

// listenStepped makes a stepped loop accept on a socket.
func listenStepped(t *testing.T, l *Loop, socket *net.TCPListener, h AcceptHandler) *Listener {
	t.Helper()
	e := &Engine{loops: []*Loop{l}}
	var listener *Listener
	concurrently(t, l, func() error {
		var err error
		listener, err = e.Listen(socket, h)
		return err
	})
	return listener
}

// listening returns a stepped loop that accepts for h on a new port.
func listening(t *testing.T, system *System, h AcceptHandler) (*Loop, *net.TCPListener, *Listener) {
	t.Helper()
	l, socket := newStepped(t, system), listenTCP(t, "127.0.0.1:0")
	return l, socket, listenStepped(t, l, socket, h)
}

// concurrently runs f on another goroutine, and l meanwhile.
func concurrently(t *testing.T, l *Loop, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	if err := receive(t, l, "the call has returned", done); err != nil {
		t.Fatal(err)
	}
}

// dialN connects n clients, which are closed when the test ends.
func dialN(t *testing.T, socket *net.TCPListener, n int) []*net.TCPConn {
	t.Helper()
	clients := make([]*net.TCPConn, n)
	for i := range clients {
		client, err := net.Dial("tcp", socket.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		clients[i] = client.(*net.TCPConn)
	}
	return clients
}

func TestAcceptsInShares(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	socket := listenTCP(t, "127.0.0.1:0")
	g := &limited{}
	others := 0
	near, far := socketPair(t)
	other := adopt(t, l, near, handlerFunc(func(c *Conn) { others++; c.Yield() }))
	sendAll(t, far, []byte("x"))
	listener := listenStepped(t, l, socket, g)
	const clients = 2*acceptsPerTurn + 5
	dialN(t, socket, clients)
	g.room = clients
	listener.Resume()
	for deadline := time.Now().Add(patience); len(g.accepted) < clients && time.Now().Before(deadline); {
		before, called := len(g.accepted), others
		l.turn()
		if share := len(g.accepted) - before; share > acceptsPerTurn {
			t.Errorf("accepted %d in one turn, want at most %d", share, acceptsPerTurn)
		}
		if others != called+1 {
			t.Errorf("another connection was called %d times in a turn, want once", others-called)
		}
	}
	if len(g.accepted) != clients || len(g.failures) != 0 {
		t.Errorf("%d of %d were accepted, with failures %v", len(g.accepted), clients, g.failures)
	}
	if l.Load() != len(g.accepted) {
		t.Errorf("the load is %d, want %d", l.Load(), len(g.accepted))
	}
	other.Close()
}

// TestAcceptBacksOff makes accept fail repeatedly while clients keep coming: it
// is called once per pause.
func TestAcceptBacksOff(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EPERM} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			system := steppedSystem()
			clock := fakeClock(system)
			var asked []int64
			fails := true
			system.Accept = func(fd int) (int, netip.AddrPort, unix.Errno) {
				asked = append(asked, clock.now)
				if fails {
					return -1, netip.AddrPort{}, errno
				}
				return kernelAccept(fd)
			}
			l := newStepped(t, system)
			socket := listenTCP(t, "127.0.0.1:0")
			g := &limited{}
			dialN(t, socket, 1)
			listener := listenStepped(t, l, socket, g)
			g.room = 1 << 30
			listener.Resume()
			for len(asked) < 10 {
				if l.turn(); len(asked) > 0 {
					amid := len(asked)
					event := eventOf(listener.conn, unix.EPOLLIN)
					l.dispatch(&event)
					if len(asked) != amid {
						t.Fatal("an event during a pause caused an accept")
					}
				}
			}
			checkPauses(t, asked)
			if len(g.failures) != len(asked) || g.failures[0] != errno {
				t.Errorf("%d failures reported of %d, the first %v", len(g.failures), len(asked), g.failures[0])
			}
			fails = false
			until(t, l, "the waiting clients are accepted", func() bool { return len(g.accepted) > 0 })
			fails, asked = true, nil
			dialN(t, socket, 1)
			until(t, l, "accept has failed twice more", func() bool { return len(asked) >= 2 })
			if pause := asked[1] - asked[0]; pause > 10e6+tick+1e6 {
				t.Errorf("the first pause after a success is %d ns, want 10 ms again", pause)
			}
		})
	}
}

// checkPauses checks the times of failing accepts: 10 ms apart, doubled, up to
// 1 s.
func checkPauses(t *testing.T, asked []int64) {
	t.Helper()
	want := int64(10e6)
	for i := range asked[1:] {
		if pause := asked[i+1] - asked[i]; pause < want || pause > want+tick+1e6 {
			t.Errorf("pause %d is %d ns, want %d and a tick at most", i, pause, want)
		}
		want = min(2*want, 1e9)
	}
}

// TestAcceptContinues has clients that give up before they are accepted: the
// next one is accepted in the same turn.
func TestAcceptContinues(t *testing.T) {
	t.Parallel()
	gone := []unix.Errno{unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.EHOSTUNREACH}
	script := slices.Clone(gone)
	system := steppedSystem()
	var l *Loop
	turns := map[int64]bool{} // the turns in which accept was called, by time
	system.Accept = func(fd int) (int, netip.AddrPort, unix.Errno) {
		turns[l.Now()] = true
		if len(script) > 0 {
			errno := script[0]
			script = script[1:]
			return -1, netip.AddrPort{}, errno
		}
		return kernelAccept(fd)
	}
	l = newStepped(t, system)
	socket := listenTCP(t, "127.0.0.1:0")
	dialN(t, socket, 1)
	g := unlimited()
	listenStepped(t, l, socket, g)
	until(t, l, "the next client is accepted", func() bool { return len(g.accepted) > 0 })
	if !slices.Equal(g.failures, gone) {
		t.Errorf("failures reported: %v, want %v", g.failures, gone)
	}
	if len(turns) != 1 {
		t.Errorf("it took %d turns, want one", len(turns))
	}
}

// TestAcceptDoesNotSpin has an endless number of clients that give up: other
// connections on the loop have their turns.
func TestAcceptDoesNotSpin(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	calls := 0
	system.Accept = func(int) (int, netip.AddrPort, unix.Errno) {
		calls++
		return -1, netip.AddrPort{}, unix.ECONNABORTED
	}
	l := newStepped(t, system)
	socket := listenTCP(t, "127.0.0.1:0")
	dialN(t, socket, 1)
	listenStepped(t, l, socket, unlimited())
	until(t, l, "the first failed", func() bool { return calls > 0 })
	calls = 0
	l.turn()
	if calls > acceptsPerTurn {
		t.Errorf("%d calls of accept in a turn, want at most %d", calls, acceptsPerTurn)
	}
}

func TestMayAcceptAndResume(t *testing.T) {
	t.Parallel()
	g := &limited{room: 2}
	l, socket, listener := listening(t, steppedSystem(), g)
	clients := dialN(t, socket, 5)
	until(t, l, "two are accepted", func() bool { return len(g.accepted) == 2 })
	asked := g.asked
	listener.Resume() // too early: still no room
	until(t, l, "MayAccept is called again", func() bool { return g.asked > asked })
	if len(g.accepted) != 2 {
		t.Fatalf("%d accepted with room for 2", len(g.accepted))
	}
	g.room = 3
	listener.Resume()
	until(t, l, "all are accepted", func() bool { return len(g.accepted) == 5 })
	for i, client := range clients {
		if want := client.LocalAddr().(*net.TCPAddr).AddrPort(); g.from[i] != want {
			t.Errorf("client %d comes from %v, want %v", i, g.from[i], want)
		}
	}
}

// TestWaitingDoesNotSpin has no room while a client waits: the loop sleeps.
func TestWaitingDoesNotSpin(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	clock := fakeClock(system)
	g := &limited{}
	l, socket, _ := listening(t, system, g)
	dialN(t, socket, 1)
	until(t, l, "MayAccept is called", func() bool { return g.asked > 0 })
	asked := g.asked
	clock.sleeps = nil
	for range 5 {
		l.turn()
	}
	if len(clock.sleeps) != 5 || g.asked != asked {
		t.Errorf("%d sleeps in 5 turns, MayAccept called %d times more; want 5, 0", len(clock.sleeps), g.asked-asked)
	}
}

// TestListenerSetHandler changes to a handler that has room when the first has
// none.
func TestListenerSetHandler(t *testing.T) {
	t.Parallel()
	first, second := &limited{room: 1}, unlimited()
	l, socket, listener := listening(t, steppedSystem(), first)
	dialN(t, socket, 3)
	until(t, l, "the first handler has one client", func() bool { return len(first.accepted) == 1 })
	listener.SetHandler(second)
	until(t, l, "the second handler has the others", func() bool { return len(second.accepted) == 2 })
	concurrently(t, l, func() error { listener.Close(); return nil })
	listener.SetHandler(first) // too late
	l.turn()
}

// TestSetHandlerWhileAccepting alternates between two handlers while clients go
// to other loops: every client reaches a handler.
func TestSetHandlerWhileAccepting(t *testing.T) {
	t.Parallel()
	const clients = 200
	e := startLoops(t, 3, Kernel())
	socket := listenTCP(t, "127.0.0.1:0")
	handlers := []acceptances{make(acceptances, clients), make(acceptances, clients)}
	listener, err := e.Listen(socket, handlers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		for i := range clients {
			listener.SetHandler(handlers[i%2])
		}
	}()
	dialN(t, socket, clients)
	<-handed
	for range clients {
		select {
		case client := <-handlers[0]:
			unix.Close(client.fd)
		case client := <-handlers[1]:
			unix.Close(client.fd)
		case <-time.After(patience):
			t.Fatal("a client was lost")
		}
	}
}

func TestListenerClose(t *testing.T) {
	t.Parallel()
	g := &limited{}
	l, socket, listener := listening(t, steppedSystem(), g)
	waiting := dialN(t, socket, 1)[0]
	socket.Close() // the listener has a copy and continues
	dialN(t, socket, 1)
	closeStepped := func() error { listener.Close(); return nil }
	concurrently(t, l, closeStepped)
	if _, err := net.Dial("tcp", socket.Addr().String()); err == nil {
		t.Error("a client can still connect")
	}
	if err := waiting.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := waiting.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the waiting client read %d, %v; want a reset", n, err)
	}

	// Another connection takes its place: calls of the closed listener must
	// not reach it.
	near, _ := socketPair(t)
	c := adopt(t, l, near, ignore)
	settle(t, l, c)
	if c.index != 0 {
		t.Fatalf("place %d was used, not the listener's", c.index)
	}
	c.SetHandler(handlerFunc(func(*Conn) { t.Error("called by a closed listener") }))
	concurrently(t, l, closeStepped)
	listener.Resume()
	l.turn()
	l.turn()
	if c.Closed() {
		t.Error("closing a listener twice closed another connection")
	}
}

func TestListenerClosesWhileBackingOff(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	calls := 0
	system.Accept = func(int) (int, netip.AddrPort, unix.Errno) {
		calls++
		return -1, netip.AddrPort{}, unix.EMFILE
	}
	clock := fakeClock(system)
	l, socket, listener := listening(t, system, unlimited())
	dialN(t, socket, 1)
	until(t, l, "it backs off", func() bool { return calls > 0 })
	concurrently(t, l, func() error { listener.Close(); return nil })
	calls = 0
	for range 3 {
		clock.now += 2e9
		l.turn()
	}
	if calls > 0 || listener.timer.Armed() {
		t.Errorf("%d calls of accept after Close, timer armed: %v", calls, listener.timer.Armed())
	}
}

// TestSharedSocketLeavesThePollSet closes a listener whose socket is open
// elsewhere: new clients do not wake this loop.
func TestSharedSocketLeavesThePollSet(t *testing.T) {
	t.Parallel()
	l, socket, listener := listening(t, steppedSystem(), unlimited())
	concurrently(t, l, func() error { listener.Close(); return nil })
	for l.system.EpollWait(l.epoll, l.events[:], 0) > 0 {
		l.runMail() // events that came before
	}
	dialN(t, socket, 1)
	awaitClient(t, socket)
	if n := l.system.EpollWait(l.epoll, l.events[:], 0); n != 0 {
		t.Errorf("%d events for a socket that this loop has closed", n)
	}
}

// awaitClient waits until a client can be accepted, and does not accept it.
func awaitClient(t *testing.T, socket *net.TCPListener) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		waiting := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for deadline := time.Now().Add(patience); n < 1 && time.Now().Before(deadline); { // the runtime's signals end it, too
			n, _ = unix.Poll(waiting, int(patience.Milliseconds()))
		}
	})
	if err != nil || n != 1 {
		t.Fatalf("no client came: %d, %v", n, err)
	}
}

// accepted is a client and the loop that was chosen for it.
type accepted struct {
	loop *Loop
	fd   int
	from netip.AddrPort
}

// acceptances is an AcceptHandler for an engine with goroutines.
type acceptances chan accepted

func (a acceptances) MayAccept() bool { return true }
func (a acceptances) Accepted(l *Loop, fd int, from netip.AddrPort) {
	a <- accepted{l, fd, from}
}
func (a acceptances) AcceptFailed(unix.Errno) {}

// next waits for the next client.
func (a acceptances) next(t *testing.T) accepted {
	t.Helper()
	select {
	case client := <-a:
		return client
	case <-time.After(patience):
		t.Fatal("no client was accepted")
		panic("unreachable")
	}
}

func TestSpreadsByLoad(t *testing.T) {
	t.Parallel()
	e, err := Start(4, 0, Kernel())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	e.Loops()[2].AddLoad(10)
	socket := listenTCP(t, "127.0.0.1:0")
	clients := make(acceptances, 100)
	listener, err := e.Listen(socket, clients)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := make([]int, 4)
	for range 30 {
		dialN(t, socket, 1)
		client := clients.next(t)
		unix.Close(client.fd)
		got[client.loop.ID()]++
	}
	if !slices.Equal(got, []int{10, 10, 0, 10}) {
		t.Errorf("30 clients went to the loops %v, want 10 each except the one that has 10", got)
	}
	e.Loops()[1].AddLoad(-5)
	for range 5 {
		dialN(t, socket, 1)
		client := clients.next(t)
		unix.Close(client.fd)
		if client.loop.ID() != 1 {
			t.Errorf("a client went to loop %d, want 1, which has the least load", client.loop.ID())
		}
	}
}

// TestStoppedLoopTakesNoClient stops the loop that is chosen for a client: the
// client is closed, and no longer counts.
func TestStoppedLoopTakesNoClient(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	other, err := newLoop(1, Kernel(), 0)
	if err != nil {
		t.Fatal(err)
	}
	other.shutdown()
	l.AddLoad(1)
	listener := &Listener{engine: &Engine{loops: []*Loop{l, other}}, loop: l, handler: unlimited()}
	near, far := tcpPair(t)
	listener.deliver(near, netip.AddrPort{})
	if n, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client read %d, %v; want the end", n, err)
	}
	if other.Load() != 0 {
		t.Errorf("the stopped loop's load is %d", other.Load())
	}
}

// TestClientAddresses accepts over both families, and over a socket of both.
func TestClientAddresses(t *testing.T) {
	t.Parallel()
	cases := []struct{ listen, dial, want string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"[::1]:0", "::1", "::1"},
		{"[::]:0", "127.0.0.1", "127.0.0.1"},
		{"[::]:0", "::1", "::1"},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s from %s", c.listen, c.dial), func(t *testing.T) {
			t.Parallel()
			socket := listenTCP(t, c.listen)
			l := newStepped(t, steppedSystem())
			g := unlimited()
			listenStepped(t, l, socket, g)
			port := int(addressOf(socket).Port())
			client, err := net.Dial("tcp", net.JoinHostPort(c.dial, fmt.Sprint(port)))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			until(t, l, "it is accepted", func() bool { return len(g.from) == 1 })
			if got := g.from[0]; got.Addr().String() != c.want || int(got.Port()) != client.LocalAddr().(*net.TCPAddr).Port {
				t.Errorf("client %v, want %s, port of %v", got, c.want, client.LocalAddr())
			}
			if got := g.accepted[0].LocalAddr(); got.Addr().String() != c.want || int(got.Port()) != port {
				t.Errorf("accepted at %v, want %s, port %d", got, c.want, port)
			}
		})
	}
}

// stoppedClock installs a clock in s that only the test moves.
func stoppedClock(s *System) *atomic.Int64 {
	now := new(atomic.Int64)
	now.Store(1e9)
	s.Now = now.Load
	return now
}

// TestListenerRetires checks that a retiring listener accepts clients that have
// begun to connect, and no others.
func TestListenerRetires(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	clock := stoppedClock(system)
	g := &limited{}
	loop, socket, listener := listening(t, system, g)
	dialN(t, socket, 3)
	concurrently(t, loop, func() error { listener.Retire(); return nil })
	var timeout net.Error
	if late, err := net.DialTimeout("tcp", socket.Addr().String(), 100*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a late client: %v, %v; want silence", late, err)
	}
	g.room = 2
	until(t, loop, "the handler is full", func() bool { listener.Resume(); return len(g.accepted) == 2 })
	clock.Add(retireTime)
	until(t, loop, "the time is over", func() bool { return g.room == 0 })
	if listener.Closed() {
		t.Fatal("closed although a client waits")
	}
	g.room = 10
	clock.Add(retireTime)
	until(t, loop, "it is closed", func() bool { return listener.Closed() })
	if len(g.accepted) != 3 {
		t.Errorf("%d clients were accepted, want 3", len(g.accepted))
	}
	concurrently(t, loop, func() error {
		if listener.CancelRetire() {
			t.Error("a closed listener was reopened")
		}
		return nil
	})
}

// TestListenerRetiresInTheEnd checks that retirement ends although MayAccept is
// false.
func TestListenerRetiresInTheEnd(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	clock := stoppedClock(system)
	g := &limited{}
	loop, socket, listener := listening(t, system, g)
	dialN(t, socket, 1)
	concurrently(t, loop, func() error { listener.Retire(); return nil })
	for range int(maxRetireTime/retireTime) + 1 {
		clock.Add(retireTime)
		concurrently(t, loop, func() error { return nil })
	}
	until(t, loop, "it is closed", func() bool { clock.Add(retireTime); return listener.Closed() })
}

// TestListenerCancelRetire needs a retiring listener again.
func TestListenerCancelRetire(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	clock := stoppedClock(system)
	g := unlimited()
	loop, socket, listener := listening(t, system, g)
	concurrently(t, loop, func() error { listener.Retire(); return nil })
	concurrently(t, loop, func() error {
		if !listener.CancelRetire() {
			t.Error("it is closed")
		}
		return nil
	})
	clock.Add(10 * retireTime)
	dialN(t, socket, 2)
	until(t, loop, "clients are accepted again", func() bool { return len(g.accepted) == 2 })
	if listener.Closed() {
		t.Error("it was closed nevertheless")
	}
}

// TestListenerCloseAccepts checks that Close accepts the waiting clients.
func TestListenerCloseAccepts(t *testing.T) {
	t.Parallel()
	g := &limited{}
	loop, socket, listener := listening(t, steppedSystem(), g)
	dialN(t, socket, 100)
	g.room = 100
	concurrently(t, loop, func() error { listener.Close(); return nil })
	if len(g.accepted) != 100 {
		t.Errorf("%d of 100 clients were accepted", len(g.accepted))
	}
}

package reactor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watched is a stepped loop whose clock the test sets, and what it does to sockets.
type watched struct {
	*Loop
	now     int64
	options []string // set, in order
	unacked int
	asked   int // how often
}

func newWatched(t *testing.T) *watched {
	w := &watched{}
	system := steppedSystem()
	start := system.Now()
	set, wait := system.SetOption, system.EpollWait
	system.EpollWait = func(epoll int, events []unix.EpollEvent, _ int) int { return wait(epoll, events, 0) }
	names := map[[2]int]string{
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: "user", {unix.SOL_SOCKET, unix.SO_KEEPALIVE}: "on", {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: "idle",
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}: "interval", {unix.IPPROTO_TCP, unix.TCP_KEEPCNT}: "count",
	}
	system.Now = func() int64 { return start + w.now }
	system.SetOption = func(fd, level, option, value int) unix.Errno {
		if name, ok := names[[2]int{level, option}]; ok {
			w.options = append(w.options, fmt.Sprint(name, " ", value))
		}
		return set(fd, level, option, value)
	}
	system.Unacked = func(int) (int, unix.Errno) { w.asked++; return w.unacked, 0 }
	w.Loop = newStepped(t, system)
	return w
}

// pass lets time pass, and runs the turns that are due.
func (w *watched) pass(d time.Duration) {
	for end := w.now + int64(d); w.now < end; {
		w.now = min(end, w.now+int64(50*time.Millisecond))
		w.turn()
	}
}

// done fails unless just these options were set since the last call.
func (w *watched) done(t *testing.T, when string, want ...string) {
	t.Helper()
	if !slices.Equal(w.options, want) {
		t.Errorf("%s: options %q, want %q", when, w.options, want)
	}
	w.options = nil
}

// TCP_USER_TIMEOUT is off while a connection is idle, and on whenever data may be
// unacknowledged; messages cost no system call, however many.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	near, _ := tcpPair(t)
	c := adopt(t, w.Loop, near, ignore)
	settle(t, w.Loop, c)
	c.Watch(Liveness{UserTimeout: 30 * time.Second, KeepAlive: 10 * time.Second})
	say := func() {
		t.Helper()
		if errno := c.Send([]byte("x")); errno != 0 {
			t.Fatal(errno)
		}
	}
	say()
	w.pass(4 * time.Second)
	w.done(t, "a moment after it has sent")
	w.pass(6 * time.Second)
	w.done(t, "before the first probe", "user 0")
	asked := w.asked
	w.pass(time.Minute)
	w.done(t, "while it is idle")
	if w.asked != asked {
		t.Errorf("an idle connection was asked for %d times", w.asked-asked)
	}
	say()
	w.done(t, "it sends", "user 30000")
	for range 1000 {
		say()
		w.pass(50 * time.Millisecond)
	}
	w.done(t, "it is busy")
	if w.asked != asked {
		t.Errorf("a busy connection was asked for %d times", w.asked-asked)
	}
	w.unacked = 1
	w.pass(time.Minute)
	w.done(t, "data are unacknowledged")
	w.unacked = 0
	w.pass(10 * time.Second)
	w.done(t, "all is acknowledged", "user 0")
	c.CloseWrite()
	w.done(t, "FIN may be unacknowledged", "user 30000")
}

// A connection that was dialed gets the options of keep-alive when it is idle for the
// first time: short ones cost no system calls.
func TestIdleDialed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		v           Liveness
		dialed      []string
		first, then []string // idle for the first time, and sending again
	}{
		{Liveness{30 * time.Second, time.Minute}, []string{"user 30000"}, []string{"user 0", "on 1", "idle 60", "interval 10", "count 3"}, []string{"user 30000"}},
		{Liveness{0, 2 * time.Second}, nil, []string{"on 1", "idle 2", "interval 1", "count 3"}, nil},
		{Liveness{5 * time.Second, 0}, []string{"user 5000"}, nil, nil},
		{Liveness{}, nil, nil, nil},
		{Liveness{0, 1500 * time.Millisecond}, nil, []string{"on 1", "idle 2", "interval 1", "count 3"}, nil},
	} {
		w := newWatched(t)
		socket := listenTCP(t, "127.0.0.1:0")
		c, a := dial(t, w.Loop, DialOptions{To: addressOf(socket), Liveness: tc.v})
		until(t, w.Loop, "the attempt has an outcome", func() bool { return a.done })
		w.done(t, fmt.Sprint(tc.v, " dialed"), tc.dialed...)
		w.pass(2 * time.Minute)
		w.done(t, fmt.Sprint(tc.v, " idle"), tc.first...)
		c.Send([]byte("x"))
		w.done(t, fmt.Sprint(tc.v, " sending"), tc.then...)
		w.pass(2 * time.Minute)
		if len(tc.then) > 0 {
			w.done(t, fmt.Sprint(tc.v, " idle again"), "user 0")
		}
		w.done(t, fmt.Sprint(tc.v, " at the end"))
	}
}

// An idle connection that moves to another loop, or process, is still one: what it
// sends next is watched.
func TestIdleMoves(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	near, _ := tcpPair(t)
	c := adopt(t, w.Loop, near, ignore)
	settle(t, w.Loop, c)
	c.Watch(Liveness{UserTimeout: 3 * time.Second, KeepAlive: 10 * time.Second})
	w.pass(20 * time.Second)
	w.done(t, "idle", "user 0")
	moved := c.Detach()
	w.turn()
	if want := (Watched{Liveness{3 * time.Second, 10 * time.Second}, true, true}); moved.Watched != want {
		t.Errorf("%+v, want %+v", moved.Watched, want)
	}
	other := newWatched(t)
	c, errno := other.Attach(moved, ignore)
	if errno != 0 {
		t.Fatal(errno)
	}
	settle(t, other.Loop, c)
	other.pass(20 * time.Second)
	other.done(t, "still idle")
	c.Send([]byte("x"))
	other.done(t, "it sends", "user 3000")
	other.pass(20 * time.Second)
	other.done(t, "idle again", "user 0")
}

// What the kernel is asked for: the first probe after the idle time, then one every
// sixth of it, a second at least, gone after three.
func TestKeepAliveOptions(t *testing.T) {
	t.Parallel()
	for idle, want := range map[time.Duration][]int{
		0: {0}, time.Second: {1, 1, 1, 3}, 6 * time.Second: {1, 6, 1, 3}, 10 * time.Second: {1, 10, 2, 3},
		time.Minute: {1, 60, 10, 3}, 9 * time.Hour: {1, 32400, 5400, 3},
	} {
		var got []int
		for _, o := range (Liveness{KeepAlive: idle}).KeepAliveOptions() {
			got = append(got, o.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", idle, got, want)
		}
	}
}

// More kinds of watching than a loop tells apart are no harm.
func TestManyKinds(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	near, _ := tcpPair(t)
	c := adopt(t, w.Loop, near, ignore)
	settle(t, w.Loop, c)
	for i := range 1000 {
		c.Watch(Liveness{UserTimeout: time.Duration(i+1) * time.Second, KeepAlive: time.Minute})
	}
	w.pass(2 * time.Minute)
	c.Send([]byte("x"))
	if n := len(w.sweeper.kinds); n > mostKinds {
		t.Errorf("%d kinds", n)
	}
	w.done(t, "of a kind that is not told apart")
}

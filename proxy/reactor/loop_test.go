package reactor

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startLoops runs an engine until the test ends.
func startLoops(t *testing.T, loops int, system *System) *Engine {
	t.Helper()
	e, err := Start(loops, 4, system)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

// await waits for a channel to be closed.
func await(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("timed out waiting until %s", what)
	}
}

// TestPostKeepsOrder posts from many goroutines: all posts of a goroutine run,
// in their order, and never two at once.
func TestPostKeepsOrder(t *testing.T) {
	t.Parallel()
	const posters, posts = 8, 2000
	l := startLoops(t, 1, Kernel()).Loops()[0]
	var last [posters]int // only the loop touches it
	ran := 0
	done := make(chan struct{})
	for p := range posters {
		go func() {
			for i := 1; i <= posts; i++ {
				l.Post(func() {
					if last[p] != i-1 {
						t.Errorf("poster %d: post %d ran after post %d", p, i, last[p])
					}
					last[p] = i
					if ran++; ran == posters*posts {
						close(done)
					}
				})
			}
		}()
	}
	await(t, "all posts have run", done)
}

// TestPostOfPost posts from a post: it runs in a later turn, after the
// connections had theirs.
func TestPostOfPost(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	ran := 0
	var again func()
	again = func() {
		ran++
		l.Post(again)
	}
	l.Post(again)
	for turn := 1; turn <= 5; turn++ {
		if l.turn(); ran != turn {
			t.Fatalf("after turn %d it has run %d times", turn, ran)
		}
	}
	l.mail.posts = nil
}

// TestPostMeetsStop posts while the loop stops: the posts for which Post
// returned true run, and no others.
func TestPostMeetsStop(t *testing.T) {
	t.Parallel()
	for range 10 {
		e, err := Start(1, 0, Kernel())
		if err != nil {
			t.Fatal(err)
		}
		l := e.Loops()[0]
		var promised, ran atomic.Int64
		var posters sync.WaitGroup
		for range 4 {
			posters.Go(func() {
				for l.Post(func() { ran.Add(1) }) {
					promised.Add(1)
				}
			})
		}
		e.Stop()
		posters.Wait()
		if promised.Load() != ran.Load() {
			t.Fatalf("%d posts were promised, %d ran", promised.Load(), ran.Load())
		}
		if l.Post(func() { t.Error("a post ran after the end") }) {
			t.Error("Post promised something after the end")
		}
	}
}

// blockingSystem is the kernel, and reports that a loop is about to sleep until an
// event.
func blockingSystem() (*System, chan struct{}) {
	s := Kernel()
	sleeps := make(chan struct{}, 1000)
	s.EpollWait = func(epoll int, events []unix.EpollEvent, millis int) int {
		if millis < 0 {
			sleeps <- struct{}{}
		}
		return kernelEpollWait(epoll, events, millis)
	}
	return s, sleeps
}

func TestSleepingLoopIsWokenByPost(t *testing.T) {
	t.Parallel()
	system, sleeps := blockingSystem()
	l := startLoops(t, 1, system).Loops()[0]
	for range 200 {
		<-sleeps
		done := make(chan struct{})
		l.Post(func() { close(done) })
		await(t, "the post has run", done)
	}
}

func TestSleepingLoopIsWokenByTimer(t *testing.T) {
	t.Parallel()
	system, _ := blockingSystem()
	l := startLoops(t, 1, system).Loops()[0]
	var timer Timer
	var late atomic.Int64
	done := make(chan struct{})
	l.Post(func() {
		when := l.Now() + 20e6
		l.Arm(&timer, expirerFunc(func(*Timer) {
			late.Store(l.Now() - when)
			close(done)
		}), when)
	})
	await(t, "the timer has expired", done)
	if late.Load() < 0 {
		t.Errorf("the timer expired %d ns early", -late.Load())
	}
}

// TestSleepingLoopIsInterrupted signals the loop's thread while it sleeps
// (EINTR): the loop continues.
func TestSleepingLoopIsInterrupted(t *testing.T) {
	t.Parallel()
	system, sleeps := blockingSystem()
	l := startLoops(t, 1, system).Loops()[0]
	thread := make(chan int, 1)
	l.Post(func() { thread <- unix.Gettid() })
	id := <-thread
	for len(sleeps) > 0 {
		<-sleeps
	}
	// Each signal interrupts a sleep, or comes between two of them.
	for range 20 {
		if err := unix.Tgkill(unix.Getpid(), id, unix.SIGURG); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	l.Post(func() { close(done) })
	await(t, "the post has run", done)
}

// TestEveryConnectionHasItsTurn has a connection that yields in every turn, as
// a bulk transfer does, and receives events as well: no connection is called
// twice in a turn, and one with a single message is called in the turn it
// arrives.
func TestEveryConnectionHasItsTurn(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, bulkFar := socketPair(t)
	bulkCalls, smallCalls := 0, 0
	bulk := adopt(t, l, near, handlerFunc(func(c *Conn) { bulkCalls++; c.Yield() }))
	near, smallFar := socketPair(t)
	small := adopt(t, l, near, handlerFunc(func(c *Conn) {
		for smallCalls++; c.Readable(); {
			_, _ = c.Read(l.Scratch())
		}
	}))
	settle(t, l, small)
	settle(t, l, bulk)
	for turn := range 100 {
		bulkCalls, smallCalls = 0, 0
		sendAll(t, bulkFar, []byte("x")) // an event in every turn
		sendAll(t, smallFar, []byte("x"))
		l.turn()
		if bulkCalls != 1 || smallCalls != 1 {
			t.Fatalf("turn %d: bulk was called %d times, small %d times; want once each", turn, bulkCalls, smallCalls)
		}
	}
	bulk.Close()
}

// TestYieldIsNextTurn yields from an event, from a call after Yield, from a
// post and from a timer: Ready is called once, in the next turn, without a
// sleep.
func TestYieldIsNextTurn(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	clock := fakeClock(system)
	l := newStepped(t, system)
	near, far := socketPair(t)
	calls, more := 0, 0
	c := adopt(t, l, near, handlerFunc(func(c *Conn) {
		if calls++; more > 0 {
			more--
			c.Yield()
			c.Yield()
		}
	}))
	settle(t, l, c)
	var timer Timer
	for name, ask := range map[string]func(){
		"event": func() { more = 1; sendAll(t, far, []byte("x")); l.turn() },
		"yield": func() { more = 2; c.Yield(); l.turn(); l.turn() },
		"post":  func() { l.Post(c.Yield); l.turn() },
		"timer": func() {
			l.Arm(&timer, expirerFunc(func(*Timer) { c.Yield() }), l.Now())
			clock.now += 2 * tick
			l.turn()
		},
	} {
		ask()
		before := calls
		clock.sleeps = nil
		if l.turn(); calls != before+1 || len(clock.sleeps) > 0 {
			t.Errorf("%s: called %d times in the next turn after %d sleeps; want once, none", name, calls-before, len(clock.sleeps))
		}
		if l.turn(); calls != before+1 {
			t.Errorf("%s: called in the turn after that, too", name)
		}
	}
}

// TestYieldThenClose closes connections that have yielded: neither they nor
// their successors in the table are called.
func TestYieldThenClose(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	var closing [5]*Conn
	for i := range closing {
		near, _ := socketPair(t)
		closing[i] = adopt(t, l, near, ignore)
		settle(t, l, closing[i])
		closing[i].SetHandler(handlerFunc(func(*Conn) { t.Error("a closed connection was called") }))
	}
	near, _ := socketPair(t)
	called := 0
	alive := adopt(t, l, near, ignore)
	settle(t, l, alive)
	alive.SetHandler(handlerFunc(func(*Conn) { called++ }))
	for i, c := range closing {
		c.Yield()
		if i == 2 {
			alive.Yield()
		}
	}
	for _, c := range closing {
		c.Close()
		c.Yield()
		c.RetryRead()
	}
	l.free()
	calls := map[*Conn]int{}
	for range closing {
		near, _ := socketPair(t)
		calls[adopt(t, l, near, handlerFunc(func(c *Conn) { calls[c]++ }))] = 0
	}
	l.turn()
	for _, c := range closing {
		if n, again := calls[c]; !again || n != 1 {
			t.Errorf("the successor of a closed connection was called %d times, want once, for its own event", n)
		}
	}
	if called != 1 {
		t.Errorf("the open connection was called %d times, want once", called)
	}
}

// TestClosedBeforeItsTurn closes a connection that would be called in the same
// turn.
func TestClosedBeforeItsTurn(t *testing.T) {
	t.Parallel()
	l, closing, _ := paired(t, steppedSystem())
	closing.SetHandler(handlerFunc(func(*Conn) { t.Error("a closed connection was called") }))
	near, far := socketPair(t)
	other := adopt(t, l, near, ignore)
	settle(t, l, other)
	other.SetHandler(handlerFunc(func(*Conn) { closing.Close() }))
	closing.Yield()
	sendAll(t, far, []byte("x"))
	l.turn()
	if l.Conns() != 1 {
		t.Errorf("%d connections left, want 1", l.Conns())
	}
}

// numbered returns a System whose sockets are only numbers.
func numbered() *System {
	s := steppedSystem()
	s.EpollAdd = func(epoll, fd int, event unix.EpollEvent) unix.Errno {
		if fd < 1_000_000 {
			return kernelEpollAdd(epoll, fd, event)
		}
		return 0
	}
	s.Close = func(int) unix.Errno { return 0 }
	return s
}

// TestSweepInPieces sweeps while some connections close and others come: those
// that stay are visited, and none is visited twice.
func TestSweepInPieces(t *testing.T) {
	t.Parallel()
	l := newStepped(t, numbered())
	next := 1_000_000
	come := func() *Conn { next++; return adopt(t, l, next, ignore) }
	var conns []*Conn
	for range 3*sweepPerTurn + 100 {
		conns = append(conns, come())
	}
	gone := map[int32]bool{}
	visited := map[int32]int{}
	perTurn, done := 0, false
	l.Sweep(func(c *Conn) {
		perTurn++
		visited[c.fd]++
		if c.fd%7 == 0 { // a visitor may close
			c.Close()
		}
	}, func() { done = true })
	for turn := 0; !done; turn++ {
		for i := turn * 3; i < len(conns); i += 20 {
			if c := conns[i]; c != nil && !c.Closed() && c.fd%7 != 0 {
				gone[c.fd] = true
				c.Close()
				conns[i] = nil
			}
		}
		l.free()
		come()
		perTurn = 0
		if l.turn(); perTurn > sweepPerTurn {
			t.Errorf("%d visits in a turn, want at most %d", perTurn, sweepPerTurn)
		}
	}
	for fd := int32(1_000_001); fd <= int32(1_000_000+3*sweepPerTurn+100); fd++ {
		if n := visited[fd]; n > 1 || n == 0 && !gone[fd] {
			t.Errorf("connection %d was visited %d times, gone meanwhile: %v", fd, n, gone[fd])
		}
	}
}

// TestSweepOfNone sweeps an empty loop.
func TestSweepOfNone(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	done := false
	l.Sweep(func(*Conn) { t.Error("visited a connection") }, func() { done = true })
	if !done {
		t.Error("done was not called")
	}
}

// TestSweepMeetsStop stops the loop between two pieces: the sweep finishes
// nevertheless.
func TestSweepMeetsStop(t *testing.T) {
	t.Parallel()
	l, err := newLoop(0, numbered(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * sweepPerTurn {
		adopt(t, l, 1_000_000+i, ignore)
	}
	visits, done := 0, 0
	l.Sweep(func(*Conn) { visits++ }, func() { done++ })
	l.shutdown()
	if visits != 3*sweepPerTurn || done != 1 {
		t.Errorf("%d visits, done was called %d times; want all %d and once", visits, done, 3*sweepPerTurn)
	}
}

// TestHandlersRunOnTheLoop has connections on two loops: each is called only on
// the thread of its loop.
func TestHandlersRunOnTheLoop(t *testing.T) {
	t.Parallel()
	e := startLoops(t, 2, Kernel())
	var group sync.WaitGroup
	for _, l := range e.Loops() {
		group.Add(1)
		near, far := socketPair(t)
		l.Post(func() {
			thread := unix.Gettid()
			_, errno := l.Adopt(near, handlerFunc(func(c *Conn) {
				if unix.Gettid() != thread || c.Loop() != l {
					t.Error("called on another thread")
				}
				if c.Readable() {
					c.Close()
					group.Done()
				}
			}))
			if errno != 0 {
				t.Error(errno)
			}
			sendAll(t, far, []byte("x"))
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	await(t, "both were called", done)
}

func TestLoopIDsAndLoad(t *testing.T) {
	t.Parallel()
	for i, l := range startLoops(t, 3, Kernel()).Loops() {
		l.AddLoad(i + 2)
		l.AddLoad(-1)
		if got := fmt.Sprint(l.ID(), l.Load(), len(l.Scratch())); got != fmt.Sprint(i, i+1, ReadSize) {
			t.Errorf("loop %d: ID, load and scratch are %s", i, got)
		}
	}
}

func TestSetHandler(t *testing.T) {
	t.Parallel()
	l, c, far := paired(t, steppedSystem())
	called := 0
	c.SetHandler(handlerFunc(func(*Conn) { called++ }))
	if _, is := c.Handler().(handlerFunc); !is {
		t.Errorf("the handler is %T", c.Handler())
	}
	sendAll(t, far, []byte("x"))
	until(t, l, "the new handler is called", func() bool { return called > 0 })
}

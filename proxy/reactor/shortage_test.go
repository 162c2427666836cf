//go:build linux

package reactor

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestShortage connects when no descriptor is free while there is something to spare:
// on the same loop the call is repeated at once. Otherwise kept-alive connections that nobody uses shut clients out.
func TestShortage(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE} {
		var spare, calls atomic.Int64
		system := Kernel()
		free := func() bool { calls.Add(1); return spare.Load() == 0 }
		system.Socket = func(family int) (int, unix.Errno) {
			if !free() {
				return -1, errno
			}
			return kernelSocket(family)
		}
		e, err := Start(1, 4, system)
		if err != nil {
			t.Fatal(err)
		}
		e.OnShortage(func(*Loop) int { return int(spare.Swap(0)) })
		loop := e.Loops()[0]
		spare.Store(3)
		loop.Do(func() {
			c, errno := loop.Dial(DialOptions{To: refusing(t)}, ignore)
			if errno != 0 {
				t.Errorf("connecting while connections can be spared: %v", errno)
				return
			}
			c.Close()
		})
		if calls.Load() != 2 {
			t.Errorf("%d sockets were asked for, want 2: one in vain", calls.Load())
		}
		// Pipes that are not in use are spared, too, and only those.
		loop.Do(func() {
			lent, back := loop.Pipe(), loop.Pipe()
			loop.ReturnPipe(back)
			if n := loop.shed(); n != 2 || len(loop.pipes.made) != 1 || loop.pipes.made[0] != lent {
				t.Errorf("%d descriptors of pipes were freed, %d pipes left", n, len(loop.pipes.made))
			}
			loop.ReturnPipe(lent)
		})
		e.Stop()
	}
}

// Connections to servers leave descriptors for everything else. Otherwise the requests of a few
// clients of HTTP/2 take those of checks, logs and upgrades.
func TestLimitDials(t *testing.T) {
	t.Parallel()
	system := Kernel()
	var next atomic.Int64 // the number of the next descriptor, as far as Dial knows
	var closed []int
	system.Socket = func(int) (int, unix.Errno) { return int(next.Load()), 0 }
	system.Connect = func(int, netip.AddrPort) unix.Errno { return unix.ECONNREFUSED }
	closing := system.Close
	system.Close = func(fd int) unix.Errno {
		if int64(fd) != next.Load() {
			return closing(fd)
		}
		closed = append(closed, fd)
		return 0
	}
	e, err := Start(1, 0, system)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ceiling int
		fd      int64
		want    unix.Errno
	}{{0, 1 << 20, unix.ECONNREFUSED}, {1 << 20, 1<<20 - 1, unix.ECONNREFUSED}, {1 << 20, 1 << 20, unix.EMFILE}, {1 << 20, 1<<20 + 1, unix.EMFILE}} {
		e.LimitDials(test.ceiling)
		e.Loops()[0].Do(func() {
			next.Store(test.fd)
			if _, errno := e.Loops()[0].Dial(DialOptions{To: netip.MustParseAddrPort("127.0.0.1:1")}, ignore); errno != test.want {
				t.Errorf("descriptor %d of %d: %v, want %v", test.fd, test.ceiling, errno, test.want)
			}
			if len(closed) != 1 {
				t.Errorf("descriptor %d of %d: %d are closed, want 1", test.fd, test.ceiling, len(closed))
			}
			next.Store(-1)
			closed = nil
		})
	}
	e.Stop()
}

// TestShortageOnAnotherLoop checks that the other loops are asked when this one has
// nothing to spare, each once until it has answered, and that a call does not spin.
func TestShortageOnAnotherLoop(t *testing.T) {
	t.Parallel()
	system := Kernel()
	var full atomic.Bool
	full.Store(true)
	system.Socket = func(family int) (int, unix.Errno) {
		if full.Load() {
			return -1, unix.EMFILE
		}
		return kernelSocket(family)
	}
	e, err := Start(3, 0, system)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	var asked [3]atomic.Int64
	e.OnShortage(func(l *Loop) int {
		asked[l.ID()].Add(1)
		if l.ID() == 2 {
			full.Store(false)
			return 1
		}
		return 0
	})
	hold := make(chan struct{})
	for _, l := range e.Loops()[1:] {
		l.Post(func() { <-hold })
	}
	first := e.Loops()[0]
	first.Do(func() {
		for range 100 {
			if _, errno := first.Dial(DialOptions{To: refusing(t)}, ignore); errno != unix.EMFILE {
				t.Errorf("connecting: %v, want EMFILE", errno)
			}
		}
	})
	close(hold)
	e.Barrier()
	if asked[1].Load() != 1 || asked[2].Load() != 1 {
		t.Errorf("the other loops were asked %d and %d times, want once each", asked[1].Load(), asked[2].Load())
	}
	first.Do(func() {
		c, errno := first.Dial(DialOptions{To: refusing(t)}, ignore)
		if errno != 0 {
			t.Errorf("connecting after another loop has closed something: %v", errno)
			return
		}
		c.Close()
	})
}

// TestAcceptShortage accepts when no descriptor is free while there is something to
// spare: the client is accepted in the same turn, and no failure is reported.
func TestAcceptShortage(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	full := true
	system.Accept = func(fd int) (int, netip.AddrPort, unix.Errno) {
		if full {
			return -1, netip.AddrPort{}, unix.EMFILE
		}
		return kernelAccept(fd)
	}
	l := newStepped(t, system)
	l.engine = &Engine{loops: []*Loop{l}}
	l.engine.OnShortage(func(*Loop) int {
		if !full {
			return 0
		}
		full = false
		return 1
	})
	socket := listenTCP(t, "127.0.0.1:0")
	g := unlimited()
	listenStepped(t, l, socket, g)
	dialN(t, socket, 1)
	until(t, l, "the client is accepted", func() bool { return len(g.accepted) > 0 })
	if len(g.failures) != 0 {
		t.Errorf("failures were reported: %v", g.failures)
	}
}

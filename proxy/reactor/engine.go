//go:build linux

package reactor

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Engine is a group of loops, with the listeners on the first of them.
type Engine struct {
	loops    []*Loop
	shortage shortage
}

// Start opens and runs the given number of loops, at least 1. pipes limits the
// pipes (two descriptors each) of all loops together; 0 = always copy.
//
// Start sets GOMAXPROCS to loops + 1 if it is lower, whatever the environment
// says: a loop that waits may hold one of Go's processors, and other goroutines
// need one. A process with several engines has to raise it further itself.
func Start(loops, pipes int, system *System) (*Engine, error) {
	e := &Engine{}
	for id := range loops {
		share := (pipes + loops - 1 - id) / loops // as equal as possible
		loop, err := newLoop(id, system, share)
		if err != nil {
			for _, opened := range e.loops {
				opened.release()
			}
			return nil, err
		}
		e.loops = append(e.loops, loop)
	}
	e.shortage.asked = make([]atomic.Bool, loops)
	reserveProcessors(loops)
	for _, loop := range e.loops {
		loop.engine = e
		go loop.run()
	}
	return e, nil
}

// Loops returns the engine's loops, indexed by ID.
func (e *Engine) Loops() []*Loop { return e.loops }

// Now returns the loops' clock: CLOCK_MONOTONIC in nanoseconds, which all
// processes on the machine share. Any goroutine may call it.
func (e *Engine) Now() int64 { return e.loops[0].system.Now() }

// Load returns the number of sessions on all loops. Any goroutine may call it.
func (e *Engine) Load() int {
	sum := 0
	for _, loop := range e.loops {
		sum += loop.Load()
	}
	return sum
}

// Stop ends the loops: it runs the remaining posts and closes all connections,
// without notifying their handlers, and all other descriptors. It returns when
// everything is closed. It must not be called from a loop. A second call does
// nothing.
func (e *Engine) Stop() {
	for _, loop := range e.loops {
		loop.Post(func() { loop.stopped = true })
	}
	for _, loop := range e.loops {
		<-loop.done
	}
}

// Listen accepts clients on a copy of a listening socket; the caller closes the
// original. Accepted sockets inherit its options: TCP_NODELAY and keep-alive
// must be set on the listening socket, since package net sets them only on
// connections it accepts itself. It should be plain TCP
// (net.ListenConfig.SetMultipathTCP(false)): connections over Multipath TCP,
// package net's default, lack TCP_USER_TIMEOUT. It must not be called from a
// loop.
func (e *Engine) Listen(socket *net.TCPListener, h AcceptHandler) (*Listener, error) {
	fd, err := duplicate(socket)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", socket.Addr(), err)
	}
	loop := e.loops[0]
	l := &Listener{engine: e, loop: loop, handler: h}
	result := make(chan error, 1)
	posted := loop.Post(func() {
		conn, errno := loop.Adopt(fd, l)
		if errno != 0 {
			result <- fmt.Errorf("listening on %s: %w", socket.Addr(), os.NewSyscallError("epoll_ctl", errno))
			return
		}
		l.conn = conn
		result <- nil
	})
	if !posted {
		unix.Close(fd)
		return nil, fmt.Errorf("listening on %s: the engine has stopped", socket.Addr())
	}
	if err := <-result; err != nil {
		return nil, err
	}
	return l, nil
}

// duplicate returns a non-blocking copy of the socket's descriptor.
func duplicate(socket *net.TCPListener) (int, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	err = raw.Control(func(original uintptr) {
		fd, failed = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = failed
	}
	return fd, err
}

// leastLoaded returns the loop with the fewest sessions, the first one of
// equals.
func (e *Engine) leastLoaded() *Loop {
	least := e.loops[0]
	for _, loop := range e.loops[1:] {
		if loop.Load() < least.Load() {
			least = loop
		}
	}
	return least
}

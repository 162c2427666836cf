//go:build linux

package reactor

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Engine is a group of loops and the listeners on the first of them.
type Engine struct {
	loops []*Loop
}

// Start opens and runs the given number of loops, at least 1. pipes is how many
// pipes (two descriptors each) they may hold together; 0 = always copy.
func Start(loops, pipes int, system *System) (*Engine, error) {
	e := &Engine{}
	for id := range loops {
		share := (pipes + loops - 1 - id) / loops // as equal as may be
		loop, err := newLoop(id, system, share)
		if err != nil {
			for _, opened := range e.loops {
				opened.release()
			}
			return nil, err
		}
		e.loops = append(e.loops, loop)
	}
	for _, loop := range e.loops {
		go loop.run()
	}
	return e, nil
}

// Loops are the engine's loops, by their ID.
func (e *Engine) Loops() []*Loop { return e.loops }

// Now is the loops' clock: CLOCK_MONOTONIC in nanoseconds, which every process
// on the machine shares. Any goroutine may call it.
func (e *Engine) Now() int64 { return e.loops[0].system.Now() }

// Load is the number of sessions that all loops carry. Any goroutine may ask.
func (e *Engine) Load() int {
	sum := 0
	for _, loop := range e.loops {
		sum += loop.Load()
	}
	return sum
}

// Stop ends the loops: posts that wait are run, every connection that is left
// is closed, without a word to its handler, and every descriptor with it. It
// returns when all is closed; do not call it from a loop. Stopping twice does
// nothing.
func (e *Engine) Stop() {
	for _, loop := range e.loops {
		loop.Post(func() { loop.stopped = true })
	}
	for _, loop := range e.loops {
		<-loop.done
	}
}

// Listen begins to accept on a listening socket, of which it makes a copy of
// its own; the original stays the caller's to close. What it accepts inherits
// the socket's options: TCP_NODELAY and keep-alive must be set on it, since
// package net sets them only on what it accepts itself. It should be plain TCP
// (net.ListenConfig.SetMultipathTCP(false)): connections over Multipath TCP,
// package net's default, lack TCP_USER_TIMEOUT. Any goroutine may call it but a
// loop's.
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

// leastLoaded is the loop with the fewest sessions, the first of several.
func (e *Engine) leastLoaded() *Loop {
	least := e.loops[0]
	for _, loop := range e.loops[1:] {
		if loop.Load() < least.Load() {
			least = loop
		}
	}
	return least
}

// Package reactor is the event engine under layers 4 and 7. It contains
// mechanism only: it knows no protocol and no backend, and logs nothing.
//
// An Engine runs one Loop per CPU: an edge-triggered epoll instance (epoll(7)),
// driven by one goroutine that is locked to its thread. A loop owns its
// connections, so that they need no locks. The package provides:
//
//   - Conn: a non-blocking connection; bytes that the peer does not take are
//     parked, and the handler can see when to stop reading for it
//   - Listener: accepts clients, backs off when descriptors run out
//   - Pipe: splice(2) through pipes borrowed from a bounded pool
//   - Timer: a deadline that costs nothing per message
//   - Loop.Post: a mailbox for other goroutines
//
// A server starts an engine and listens. Accepted runs on the loop that will
// serve the client; the handler's Ready runs there from then on:
//
//	engine, err := reactor.Start(runtime.NumCPU(), pipes, reactor.Kernel())
//	listener, err := engine.Listen(socket, acceptor)
//
//	func (a *acceptor) Accepted(l *reactor.Loop, fd int, from netip.AddrPort) {
//		l.Adopt(fd, &session{})
//	}
//
//	func (s *session) Ready(c *reactor.Conn) {
//		for c.Readable() {
//			n, errno := c.Read(c.Loop().Scratch())
//			...
//		}
//	}
//
// Loop.Dial opens a connection to a server on the same loop. Code that does not
// run on the loop uses Loop.Post.
//
// The package guarantees that
//   - a handler is called only on its loop's goroutine, at most once per turn;
//   - an event for a closed connection reaches no handler;
//   - a connection that broke never looks as if it had ended normally;
//   - an idle connection holds no buffer and no pipe;
//   - moving a message allocates nothing.
//
// It runs on Linux only.
package reactor

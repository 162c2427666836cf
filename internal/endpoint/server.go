package endpoint

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// loopback is any free port on this machine.
const loopback = "127.0.0.1:0"

// Server runs a script for every connection. Its methods are safe for
// concurrent use.
type Server struct {
	Address  string // host:port; the same after Shut and Open
	t        testing.TB
	script   func(*net.TCPConn)
	accepted atomic.Int64
	running  sync.WaitGroup
	mu       sync.Mutex
	listener net.Listener          // guarded by mu
	conns    map[net.Conn]struct{} // guarded by mu
}

// Serve runs script for every connection to a free port, each on a separate
// goroutine, and closes the connection afterwards. When the test ends, it
// closes the remaining connections and waits for the scripts, which must end
// when their connection does.
func Serve(t testing.TB, script func(*net.TCPConn)) *Server {
	t.Helper()
	return ServeAt(t, loopback, script)
}

// ServeAt is Serve on the given address.
func ServeAt(t testing.TB, address string, script func(*net.TCPConn)) *Server {
	t.Helper()
	s := &Server{t: t, Address: address, script: script, conns: map[net.Conn]struct{}{}}
	s.Open()
	t.Cleanup(func() {
		s.Shut()
		s.Cut()
		s.running.Wait()
	})
	return s
}

// Open listens on the same address again, after Shut.
func (s *Server) Open() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	s.Address = listener.Addr().String()
	s.running.Go(func() { s.accept(listener) })
}

func (s *Server) accept(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.running.Go(func() { s.serve(c) })
	}
}

func (s *Server) serve(c net.Conn) {
	s.script(c.(*net.TCPConn))
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Shut stops accepting connections; existing ones stay open.
func (s *Server) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
}

// Cut closes every connection.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Accepted returns the number of connections so far.
func (s *Server) Accepted() int64 { return s.accepted.Load() }

// Idle reports whether the scripts of all connections have ended.
func (s *Server) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) == 0
}

// Echo is a script that sends back all bytes, and ends when the client does. It
// does not splice: only the garbage collector closes the pipes of package net,
// which the leak check would take for leaks.
func Echo(c *net.TCPConn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

// Acceptor is a server that the test plays itself, one connection at a time.
type Acceptor struct {
	*net.TCPListener
	Address string // host:port
	t       testing.TB
}

// Accept listens on a free port until the test ends.
func Accept(t testing.TB) *Acceptor {
	t.Helper()
	listener, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &Acceptor{TCPListener: listener.(*net.TCPListener), Address: listener.Addr().String(), t: t}
}

// Next waits for the next connection and returns the server's end.
func (a *Acceptor) Next() *Conn {
	a.t.Helper()
	if err := a.SetDeadline(time.Now().Add(Patience)); err != nil {
		a.t.Fatal(err)
	}
	c, err := a.AcceptTCP()
	if err != nil {
		a.t.Fatal(err)
	}
	return New(a.t, c)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"

	"mcplb/proxy/admin"
)

// statsSocket serves the Unix socket that answers HAProxy's commands, which a reload
// may move. Any goroutine may call its methods.
type statsSocket struct {
	handler *admin.StatsSocket // set before anything is served
	working sync.WaitGroup

	mu      sync.Mutex
	serving *boundSocket // guarded by mu; nil = off
	closed  bool         // guarded by mu
}

// boundSocket is a Unix socket that listens at a temporary name until it is put into
// place.
type boundSocket struct {
	listener *net.UnixListener
	path     string      // where it belongs
	file     fs.FileInfo // identifies it
}

// temporary is the name of a socket until it is put into place. So the socket of an
// old process serves until then, and a socket that cannot be had is found out first.
func temporary(path string) string { return fmt.Sprintf("%s.%d.new", path, os.Getpid()) }

// open binds a socket for path, unless that is served already or is "". Only the user
// of the process may use it.
func (s *statsSocket) open(path string) (*boundSocket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == "" || s.serving != nil && s.serving.path == path && s.serving.inPlace() {
		return nil, nil
	}
	name := temporary(path)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin.stats_socket: %w", err)
	}
	if existing, err := os.Lstat(path); err == nil && existing.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("admin.stats_socket: %s exists and is no socket: remove it or choose another path", path)
	}
	config := net.ListenConfig{Control: ownerOnly}
	listener, err := config.Listen(context.Background(), "unix", name)
	if err != nil {
		return nil, fmt.Errorf("admin.stats_socket: %w (its directory must exist, and the user of mcplb must be allowed to write to it)", err)
	}
	bound := &boundSocket{listener: listener.(*net.UnixListener), path: path}
	bound.listener.SetUnlinkOnClose(false) // by then its name may be another process's
	if bound.file, err = os.Lstat(name); err != nil {
		bound.discard()
		return nil, fmt.Errorf("admin.stats_socket: %w", err)
	}
	return bound, nil
}

// ownerOnly sets the mode that bind(2) gives the socket's file.
func ownerOnly(_, _ string, conn syscall.RawConn) error {
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) }); err != nil {
		return err
	}
	return failed
}

// inPlace reports whether the path still leads to the socket.
func (b *boundSocket) inPlace() bool {
	file, err := os.Lstat(b.path)
	return err == nil && os.SameFile(file, b.file)
}

// discard closes a socket that was not put into place.
func (b *boundSocket) discard() {
	if b == nil {
		return
	}
	b.listener.Close()
	_ = os.Remove(temporary(b.path)) // it may be gone
}

// apply serves opened, the result of open for the same path, and stops serving
// another path.
func (s *statsSocket) apply(path string, opened *boundSocket, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed: // the process ends during a reload
		opened.discard()
		return
	case opened == nil && path != "":
		return // it is served already
	}
	s.stop()
	if opened == nil {
		return
	}
	if err := os.Rename(temporary(path), path); err != nil {
		log.Error("the stats socket is not served", "err", err)
		opened.discard()
		return
	}
	s.serving = opened
	s.working.Go(func() { s.handler.Serve(opened.listener) })
}

// stop, called with mu held, stops accepting, and removes the socket's file unless it is another process's.
func (s *statsSocket) stop() {
	if s.serving == nil {
		return
	}
	if s.serving.inPlace() {
		_ = os.Remove(s.serving.path) // or clients that connect to it would be refused
	}
	s.serving.listener.Close()
	s.serving = nil
}

// close stops serving and ends all connections.
func (s *statsSocket) close() {
	s.mu.Lock()
	s.closed = true
	s.stop()
	s.mu.Unlock()
	s.working.Wait()
	if s.handler != nil {
		s.handler.Close()
	}
}

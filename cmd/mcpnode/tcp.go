package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The first and the longest pause after an accept failure that passes (no
// descriptors, no memory).
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// peerKeepAlive finds clients that have disappeared without closing. It is slow on
// purpose: with Go's 15 seconds, 25,000 idle sessions would cost 1,700 probes per
// second. Nine lost probes in a row are conclusive; four may be lost in a minute in
// which all clients reconnect.
var peerKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Minute, Interval: 75 * time.Second, Count: 9}

// tcpEndpoint accepts connections, each of which is a session of one MCP server.
type tcpEndpoint struct {
	server   *mcp.Server
	listener net.Listener
	log      *slog.Logger
	sessions *registry[*lineConn]
	closed   chan struct{} // closed when no more connections are accepted
}

// listenTCP opens the endpoint's listening socket.
func listenTCP(address string, server *mcp.Server, log *slog.Logger) (*tcpEndpoint, error) {
	listener, err := listen("-tcp", address)
	if err != nil {
		return nil, err
	}
	return &tcpEndpoint{
		server:   server,
		listener: listener,
		log:      log,
		sessions: newRegistry[*lineConn](),
		closed:   make(chan struct{}),
	}, nil
}

// listen opens a listening socket; its backlog is the system's limit
// (net.core.somaxconn). option is the flag with the address: the error says what to
// do.
func listen(option, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: peerKeepAlive}
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err == nil {
		return listener, nil
	}
	advice := "it takes host:port, such as 127.0.0.11:9001"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "another process listens there: stop it (ss -ltnp shows it) or give another address"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "this machine does not have that address: use one that it has, or add it (ip addr add)"
	case errors.Is(err, syscall.EACCES):
		advice = "this port needs privileges: give one above 1023"
	}
	return nil, fmt.Errorf("%s %s: %w; %s", option, address, err, advice)
}

// addrs is the actual address, also if port 0 was configured.
func (e *tcpEndpoint) addrs() []slog.Attr { return []slog.Attr{slog.Any("tcp", e.listener.Addr())} }

// count is the number of open sessions.
func (e *tcpEndpoint) count() int { return e.sessions.count() }

// accept serves until close is called, and then returns nil. It fails if the
// listening socket has become unusable.
func (e *tcpEndpoint) accept() error {
	pause := minAcceptPause
	for {
		conn, err := e.listener.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
			e.open(conn)
		case errors.Is(err, net.ErrClosed):
			return nil
		case acceptPasses(err):
			e.log.Warn("cannot accept connections; raise the open-files limit (ulimit -n) if it is reached",
				"error", err, "sessions", e.count(), "pause", pause)
			if !e.wait(pause) {
				return nil
			}
			pause = min(2*pause, maxAcceptPause)
		default:
			return fmt.Errorf("accept on %s: %w", e.listener.Addr(), err)
		}
	}
}

// acceptPasses reports whether an error is a shortage, which passes, and not a broken
// listener. (The net package handles ECONNABORTED by itself.)
func acceptPasses(err error) bool {
	for _, shortage := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}

// wait waits for a pause. It reports false if the endpoint was closed meanwhile.
func (e *tcpEndpoint) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.closed:
		return false
	}
}

// open makes a connection a session. The SDK owns it from then on and closes it when
// the session ends.
func (e *tcpEndpoint) open(conn net.Conn) {
	line := newLineConn(conn, e.sessions.remove)
	if !e.sessions.add(line) {
		conn.Close()
		return
	}
	// There is nothing to wait for: the SDK runs the session and calls Close.
	if _, err := e.server.Connect(context.Background(), acceptedTransport{line}, nil); err != nil {
		e.log.Error("cannot open a session", "client", conn.RemoteAddr(), "error", err)
		line.Close()
	}
}

// close stops accepting, interrupts every session and waits for them to end, at most
// for the timeout. It reports whether all have ended.
func (e *tcpEndpoint) close(timeout time.Duration) bool {
	e.listener.Close()
	close(e.closed)
	for _, session := range e.sessions.close() {
		session.interrupt()
	}
	return e.sessions.wait(timeout)
}

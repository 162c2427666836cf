package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// How long one connection may take for what. The pages are small, and who
// reads them sits near.
const (
	readHeaderTimeout = 5 * time.Second  // a request head; the first from when the connection was accepted
	readTimeout       = 10 * time.Second // a request with its body
	writeTimeout      = 30 * time.Second // from the end of the head to the end of the answer
	idleTimeout       = 60 * time.Second // between two requests
	maxHeaderBytes    = 16 << 10
)

// HTTPServer serves a handler on listeners, with time limits that no silent or
// slow client outlives. NewHTTPServer makes one. Its methods may be called by
// any goroutine.
type HTTPServer struct {
	server http.Server
}

// NewHTTPServer returns a server of handler that logs what goes wrong with
// connections to logger, at level warn.
func NewHTTPServer(handler http.Handler, logger *slog.Logger) *HTTPServer {
	return &HTTPServer{http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}}
}

// Serve serves the connections of listener, which it closes in the end, and
// returns nil after Shutdown, or what is wrong with the listener. Several
// listeners are served by several calls.
func (s *HTTPServer) Serve(listener net.Listener) error {
	err := s.server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve admin pages on %s: %w", listener.Addr(), err)
}

// Shutdown closes the listeners and idle connections and waits for answers
// under way. When ctx ends first, it cuts these off and says so by its error.
// In either case nothing is left open.
func (s *HTTPServer) Shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	_ = s.server.Close() // the listeners are closed already; only connections are left
	return fmt.Errorf("stop serving admin pages: %w", err)
}

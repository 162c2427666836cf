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

// Time limits of one connection. They are short, because the pages are small and
// the clients are near.
const (
	readHeaderTimeout = 5 * time.Second  // a request head; for the first one, from the accept
	readTimeout       = 10 * time.Second // a request with its body
	writeTimeout      = 30 * time.Second // from the end of the request head to the end of the response
	idleTimeout       = 60 * time.Second // between two requests
	maxHeaderBytes    = 16 << 10
)

// HTTPServer serves a handler on listeners, with time limits for silent and slow
// clients. Create it with NewHTTPServer. Any goroutine may call its methods.
type HTTPServer struct {
	server http.Server
}

// NewHTTPServer returns a server of handler that logs connection errors to logger,
// at level warn.
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

// Serve serves the connections of listener and closes it at the end. It returns
// nil after Shutdown, or the error of the listener. Call it once per listener.
func (s *HTTPServer) Serve(listener net.Listener) error {
	err := s.server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve admin pages on %s: %w", listener.Addr(), err)
}

// Shutdown closes the listeners and idle connections and waits for requests in
// progress. If ctx ends first, it cuts those off and returns an error. In either
// case nothing stays open.
func (s *HTTPServer) Shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	_ = s.server.Close() // only closes connections: the listeners are closed already
	return fmt.Errorf("stop serving admin pages: %w", err)
}

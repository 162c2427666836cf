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
	idleTimeout       = 20 * time.Second // between two requests
	maxHeaderBytes    = 16 << 10
)

// The share of the machine that one address has, in requests and new connections per
// second. A flood waits; people, scrapes and checks stay far below. Connections are
// slower than requests, so that a connection whose turn comes is not ended before by new ones.
const (
	requestRate  = 200
	requestBurst = 100
	longestWait  = 5 * time.Second // of a request

	acceptRate  = 100
	acceptBurst = 100
)

// HTTPServer serves a handler on listeners, with time limits for silent and slow
// clients, within a limit on connections and at a pace that leaves the machine to the
// clients of the balancer. Create it with NewHTTPServer. Any goroutine may call its methods.
type HTTPServer struct {
	server  http.Server
	handler http.Handler
	limit   *ConnectionLimit

	requests, accepts *pace
}

// NewHTTPServer returns a server of handler that logs connection errors to logger,
// at level warn. Other servers may share the limit.
func NewHTTPServer(handler http.Handler, limit *ConnectionLimit, logger *slog.Logger) *HTTPServer {
	s := &HTTPServer{
		handler: handler, limit: limit,
		requests: newPace(requestRate, requestBurst, longestWait),
		accepts:  newPace(acceptRate, acceptBurst, time.Second),
	}
	s.server = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	return s
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// serve serves a request when its turn has come. A connection that only waits may be ended
// for another one.
func (s *HTTPServer) serve(w http.ResponseWriter, r *http.Request) {
	if !s.requests.wait(r.Context().Done()) {
		w.Header().Set("Retry-After", "1")
		fail(w, r, http.StatusServiceUnavailable, "too many requests: try again in a second")
		return
	}
	if conn, ok := r.Context().Value(connKey{}).(*limitedConn); ok {
		conn.execute(true)
		defer conn.execute(false)
	}
	s.handler.ServeHTTP(w, r)
}

// Serve serves the connections of listener and closes it at the end. It returns
// nil after Shutdown, or the error of the listener. Call it once per listener.
func (s *HTTPServer) Serve(listener net.Listener) error {
	err := s.server.Serve(&limitedListener{listener, s.limit, s.accepts})
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

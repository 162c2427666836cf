package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The paths of the HTTP services.
const (
	pathMCP       = "/mcp"     // Streamable HTTP
	pathWebSocket = "/mcp/ws"  // WebSocket
	pathSSE       = "/mcp/sse" // the deprecated HTTP+SSE
	pathHealth    = "/health"  // 200, on every address
)

const (
	// statelessSince is the first protocol version without sessions.
	statelessSince = "2026-07-28"
	// headTimeout bounds the time in which a request's head must arrive.
	headTimeout = time.Minute
	// goingAway is the reason that clients see when the node stops.
	goingAway = "the node is stopping"
)

// httpOptions are the addresses of the HTTP services, host:port each.
type httpOptions struct {
	http string        // Streamable HTTP; "" = none
	ws   string        // "" = that of http
	sse  string        // "" = that of http
	idle time.Duration // ends a Streamable HTTP session without a request for that long; 0 = never
}

// wanted reports whether any service has an address.
func (o httpOptions) wanted() bool { return cmp.Or(o.http, o.ws, o.sse) != "" }

// httpEndpoint serves MCP over HTTP on one or several addresses.
//
// It ends in this order: no more requests; the connections, so that no truncated
// answer looks complete; running calls; the WebSockets; and, when no request is left
// that could open one, the sessions.
type httpEndpoint struct {
	log   *slog.Logger
	sites []*site
	stop  context.CancelFunc // cancels running tools

	requests *registry[*http.Request] // in progress
	sockets  *registry[*socketConn]

	// The SDK keeps a server's sessions in a list, so the short-lived sessions of
	// stateless requests get a separate server.
	sessions, stateless *mcp.Server
}

// site is one address and the services there.
type site struct {
	option   string // the flag that gave the address
	address  string // as given
	mux      *http.ServeMux
	listener net.Listener
	server   *http.Server
}

// listenHTTP opens the listening sockets of the HTTP services. newServer creates the
// MCP servers of their sessions.
func listenHTTP(opts httpOptions, newServer func() *mcp.Server, log *slog.Logger) (*httpEndpoint, error) {
	stopping, stop := context.WithCancel(context.Background())
	e := &httpEndpoint{
		log:       log,
		stop:      stop,
		requests:  newRegistry[*http.Request](),
		sockets:   newRegistry[*socketConn](),
		sessions:  newServer(),
		stateless: newServer(),
	}
	e.sessions.AddReceivingMiddleware(endWith(stopping))
	e.stateless.AddReceivingMiddleware(endWith(stopping))
	tasks := newTaskStore()
	tasks.closeWith(stopping)
	e.serve("http", opts.http, pathMCP, e.streamable(opts.idle, tasks))
	e.serve("ws", cmp.Or(opts.ws, opts.http), pathWebSocket, &webSocketHandler{e.sessions, e.sockets, log})
	e.serve("sse", cmp.Or(opts.sse, opts.http), pathSSE, e.sse())
	for _, site := range e.sites {
		if err := site.listen(e.track(site.mux), log); err != nil {
			e.close(0)
			return nil, err
		}
	}
	return e, nil
}

// endWith is the middleware that cancels a server's calls when ctx ends.
func endWith(ctx context.Context) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(call context.Context, method string, req mcp.Request) (mcp.Result, error) {
			call, cancel := context.WithCancel(call)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			return next(call, method, req)
		}
	}
}

// serve adds a service at an address; without an address it does nothing.
func (e *httpEndpoint) serve(option, address, path string, handler http.Handler) {
	if address == "" {
		return
	}
	for _, site := range e.sites {
		if site.address == address {
			site.mux.Handle(path, handler)
			return
		}
	}
	mux := http.NewServeMux()
	mux.Handle(path, handler)
	mux.HandleFunc(pathHealth, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	e.sites = append(e.sites, &site{option: option, address: address, mux: mux})
}

// streamable serves both eras of Streamable HTTP, each by a handler of the SDK: one
// handles requests that name a version without sessions, apart from tasks (taskHandler),
// the other one all others.
// (A client tries the newer era first, and the answer lists the versions.)
//
// The SDK's protection against DNS rebinding is off here and in sse: on a loopback
// address it would refuse every Host but localhost, and the balancer forwards Host
// as the client sent it. The balancer has allowed_origins instead.
func (e *httpEndpoint) streamable(idle time.Duration, tasks *taskStore) http.Handler {
	sessions := mcp.NewStreamableHTTPHandler(always(e.sessions), &mcp.StreamableHTTPOptions{
		Logger:                     sdkLogger(e.log),
		SessionTimeout:             idle,
		MaxRequestBodyBytes:        maxMessage,
		DisableLocalhostProtection: true,
	})
	stateless := mcp.NewStreamableHTTPHandler(always(e.stateless), &mcp.StreamableHTTPOptions{
		Logger:                       sdkLogger(e.log),
		Stateless:                    true,
		PropagateRequestCancellation: true, // a client that disconnects cancels, says the specification
		MaxRequestBodyBytes:          maxMessage,
		DisableLocalhostProtection:   true,
	})
	withTasks := &taskHandler{tasks, stateless}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("MCP-Protocol-Version") >= statelessSince {
			withTasks.ServeHTTP(w, req)
		} else {
			sessions.ServeHTTP(w, req)
		}
	})
}

// sse serves HTTP+SSE, the transport of protocol version 2024-11-05.
func (e *httpEndpoint) sse() http.Handler {
	return mcp.NewSSEHandler(always(e.sessions), &mcp.SSEOptions{
		MaxRequestBodyBytes:        maxMessage,
		DisableLocalhostProtection: true,
	})
}

func always(server *mcp.Server) func(*http.Request) *mcp.Server {
	return func(*http.Request) *mcp.Server { return server }
}

// track registers requests while they are in progress.
func (e *httpEndpoint) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !e.requests.add(req) {
			http.Error(w, goingAway, http.StatusServiceUnavailable)
			return
		}
		defer e.requests.remove(req)
		next.ServeHTTP(w, req)
	})
}

// listen opens the site's listening socket. Connections have no idle timeout: the
// balancer closes the ones that it keeps.
func (s *site) listen(handler http.Handler, log *slog.Logger) error {
	listener, err := listen("-"+s.option, s.address)
	if err != nil {
		return err
	}
	s.listener = listener
	s.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return nil
}

// addrs are the actual addresses, also if port 0 was configured.
func (e *httpEndpoint) addrs() []slog.Attr {
	var addrs []slog.Attr
	for _, site := range e.sites {
		addrs = append(addrs, slog.Any(site.option, site.listener.Addr()))
	}
	return addrs
}

// count is the number of open sessions.
func (e *httpEndpoint) count() int {
	count := 0
	for range e.sessions.Sessions() {
		count++
	}
	return count
}

// accept serves until close is called, and then returns nil. It fails if a listening
// socket has become unusable.
func (e *httpEndpoint) accept() error {
	ended := make(chan error, len(e.sites))
	for _, site := range e.sites {
		go func() { ended <- site.accept() }()
	}
	for range e.sites {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

func (s *site) accept() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("accept on %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// close ends all requests, connections and sessions, and waits for that, at most for
// the timeout. It reports whether all have ended.
func (e *httpEndpoint) close(timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	e.requests.close()
	for _, site := range e.sites {
		if site.server != nil {
			site.server.Close()   // with the connections, so the requests end, too
			site.listener.Close() // if accept has not started to serve it
		}
	}
	for _, socket := range e.sockets.close() {
		socket.interrupt()
	}
	e.stop()
	return e.requests.wait(time.Until(deadline)) &&
		e.sockets.wait(time.Until(deadline)) &&
		e.closeSessions(time.Until(deadline))
}

// closeSessions closes the sessions that are left after all requests have ended:
// sessions of Streamable HTTP outlive their requests.
func (e *httpEndpoint) closeSessions(timeout time.Duration) bool {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for session := range e.sessions.Sessions() {
			session.Close()
		}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-closed:
		return true
	case <-timer.C:
		return false
	}
}

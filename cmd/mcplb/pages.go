package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/admin"
	"mcplb/proxy/handover"

	"golang.org/x/sys/unix"
)

// pages serves the admin and health addresses, which a reload may change. Any
// goroutine may call its methods.
type pages struct {
	log           *slog.Logger
	admin, health http.Handler
	connections   *admin.ConnectionLimit
	most          int            // connections that descriptors are reserved for, if these are few; 0 = as many as configured
	working       sync.WaitGroup // for pages that are served or are closing

	mu      sync.Mutex
	serving map[string]*page // guarded by mu; by key
	closed  bool             // guarded by mu
}

// page is one address that is served.
type page struct {
	address string // as configured
	socket  net.Listener
	handler atomic.Pointer[http.Handler] // a reload may change it, too
	server  *admin.HTTPServer
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*p.handler.Load()).ServeHTTP(w, r) }

func newPages(log *slog.Logger) *pages {
	return &pages{log: log, serving: map[string]*page{}, connections: admin.NewConnectionLimit(0)}
}

// use sets the handlers, before anything is served.
func (p *pages) use(admin, health http.Handler) { p.admin, p.health = admin, health }

// wanted is a configured address.
type wanted struct {
	name, address string
	network       string // the families that the address is for
	health        bool
}

// wantedOf returns the configured addresses.
func wantedOf(c conf.Admin) []wanted {
	var list []wanted
	for _, w := range []wanted{{name: "admin.listen", address: c.Listen}, {name: "admin.health_listen", address: c.HealthListen, health: true}} {
		if w.address != "" {
			w.network = network(c, w.address)
			list = append(list, w)
		}
	}
	return list
}

// key identifies a served page: by its address and families, whose use may change. Each
// port 0 is a different page.
func (w *wanted) key() string {
	if strings.HasSuffix(w.address, ":0") {
		return w.name + " " + w.address
	}
	return w.network + " " + w.address
}

// open opens the addresses of c that are not served yet, or none, and returns the
// sockets by key.
func (p *pages) open(c conf.Admin, opener *proxy.Opener) (map[string]net.Listener, error) {
	opened := map[string]net.Listener{}
	for _, w := range wantedOf(c) {
		if p.serves(w.key()) {
			continue
		}
		socket := opener.Inherit(w.network, w.address)
		if socket == nil {
			var err error
			if socket, err = opener.Open(w.address, w.listen); err != nil {
				closeAll(opened)
				return nil, fmt.Errorf("%s: %w%s", w.name, err, listenAdvice(err))
			}
		}
		opened[w.key()] = socket
	}
	return opened, nil
}

// nameTimeout limits the time to look up the host name of an address.
const nameTimeout = 2 * time.Second

// listen opens the address, shared with other sockets of this user or not.
func (w *wanted) listen(shared bool) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		if !shared {
			return nil
		}
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, failed)
	}}
	ctx, cancel := context.WithTimeout(context.Background(), nameTimeout)
	defer cancel()
	socket, err := config.Listen(ctx, w.network, proxy.ListenName(ctx, w.address))
	if err != nil {
		return nil, err
	}
	return socket.(*net.TCPListener), nil
}

func (p *pages) serves(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serving[key] != nil
}

// share lets sockets be opened beside the pages' at a port, which are about to be closed,
// and reports whether there are any.
func (p *pages) share(port string) (found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, served := range p.serving {
		found = handover.SharePort(served.socket.(*net.TCPListener), port) || found
	}
	return found
}

// network is what package net calls the families that an address is for. With "tcp",
// it takes 0.0.0.0 for every address of both.
func network(c conf.Admin, address string) string {
	switch {
	case slices.Contains(c.IPv6Only, address):
		return "tcp6"
	case strings.HasPrefix(address, "0.0.0.0:"):
		return "tcp4"
	}
	return "tcp"
}

// listenAdvice is what to do about a page that cannot be served.
func listenAdvice(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return " (ss -ltnp shows which process listens; stop it or choose another address)"
	}
	return proxy.ListenAdvice(err)
}

// copies duplicates the sockets for another process.
func (p *pages) copies() ([]handover.Socket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []handover.Socket
	for _, served := range p.serving {
		file, err := served.socket.(*net.TCPListener).File()
		if err != nil {
			return all, fmt.Errorf("copying the socket of %s: %w", served.address, err)
		}
		all = append(all, handover.Socket{Address: served.address, File: file})
	}
	return all, nil
}

func closeAll(sockets map[string]net.Listener) {
	for _, socket := range sockets {
		socket.Close()
	}
}

// apply serves the addresses of c, new ones on the sockets, and stops serving all
// others.
func (p *pages) apply(c conf.Admin, sockets map[string]net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // the process ends during a reload
		closeAll(sockets)
		return
	}
	p.change(c, sockets)
}

// allowed is how many connections there may be: as many as configured (0 = no limit),
// and no more than descriptors are reserved for.
func (p *pages) allowed(configured int) int {
	if configured == 0 || p.most == 0 {
		return cmp.Or(p.most, configured)
	}
	return min(configured, p.most)
}

// change is apply, under the lock.
func (p *pages) change(c conf.Admin, sockets map[string]net.Listener) {
	p.connections.Set(p.allowed(c.MaxConnections))
	stays := map[string]bool{}
	for _, w := range wantedOf(c) {
		key := w.key()
		stays[key] = true
		if p.serving[key] == nil {
			p.serving[key] = p.serve(w.address, sockets[key], p.handlerOf(&w))
			continue
		}
		handler := p.handlerOf(&w)
		p.serving[key].handler.Store(&handler)
	}
	for key, served := range p.serving {
		if !stays[key] {
			delete(p.serving, key)
			p.stop(served)
		}
	}
}

func (p *pages) handlerOf(w *wanted) http.Handler {
	if w.health {
		return p.health
	}
	return p.admin
}

// serve serves a page until it is stopped.
func (p *pages) serve(address string, socket net.Listener, handler http.Handler) *page {
	served := &page{address: address, socket: socket}
	served.handler.Store(&handler)
	served.server = admin.NewHTTPServer(served, p.connections, p.log)
	p.working.Go(func() {
		if err := served.server.Serve(socket); err != nil {
			p.log.Error("a page is not served any more", "err", err)
		}
	})
	return served
}

// answerTimeout bounds the answers in progress when a page is stopped.
const answerTimeout = time.Second

// stop stops a page without waiting: the request for it may be waiting for its answer
// on the same page.
func (p *pages) stop(served *page) {
	p.working.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		defer cancel()
		_ = served.server.Shutdown(ctx) // a request that is cut off came at the very end
	})
}

// close stops all pages, for good, and waits for that.
func (p *pages) close() {
	p.mu.Lock()
	p.closed = true
	p.change(conf.Admin{}, nil)
	p.mu.Unlock()
	p.working.Wait()
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/handover"
)

// pages are the addresses of the admin side, which a reload may change. Its
// methods are called by one goroutine at a time.
type pages struct {
	log           *slog.Logger
	admin, health http.Handler
	serving       map[string]*page // by key
	working       sync.WaitGroup   // for pages that are served, or are being closed
}

// page is one address that is served.
type page struct {
	address string // as configured
	socket  net.Listener
	handler atomic.Pointer[http.Handler] // what is shown there may change, too
	server  *admin.HTTPServer
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*p.handler.Load()).ServeHTTP(w, r) }

func newPages(log *slog.Logger) *pages {
	return &pages{log: log, serving: map[string]*page{}}
}

// use says what is shown, before anything is served.
func (p *pages) use(admin, health http.Handler) { p.admin, p.health = admin, health }

// wanted is an address of the configuration.
type wanted struct {
	name, address string
	health        bool
}

// wantedOf are those that are to be served.
func wantedOf(c conf.Admin) []wanted {
	var list []wanted
	for _, w := range []wanted{{"admin.listen", c.Listen, false}, {"admin.health_listen", c.HealthListen, true}} {
		if w.address != "" {
			list = append(list, w)
		}
	}
	return list
}

// key finds what is served: by its address, with which it may change from one
// use to the other; every port 0 is another one.
func (w *wanted) key() string {
	if strings.HasSuffix(w.address, ":0") {
		return w.name + " " + w.address
	}
	return w.address
}

// open opens the addresses of c that are not served yet, by their keys, or
// none; inherited returns the socket of an address that is open already, or nil.
func (p *pages) open(c conf.Admin, inherited func(address string) *net.TCPListener) (map[string]net.Listener, error) {
	opened := map[string]net.Listener{}
	for _, w := range wantedOf(c) {
		if p.serving[w.key()] != nil {
			continue
		}
		if socket := inherited(w.address); socket != nil {
			opened[w.key()] = socket
			continue
		}
		socket, err := net.Listen("tcp", w.address)
		if err != nil {
			closeAll(opened)
			return nil, fmt.Errorf("%s: %w (see who listens with: ss -ltnp; or choose another address)", w.name, err)
		}
		opened[w.key()] = socket
	}
	return opened, nil
}

// copies are copies of the sockets, for another process.
func (p *pages) copies() ([]handover.Socket, error) {
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

// apply serves what c says, on sockets where an address is new, and stops
// serving the others.
func (p *pages) apply(c conf.Admin, sockets map[string]net.Listener) {
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
	served.server = admin.NewHTTPServer(served, p.log)
	p.working.Go(func() {
		if err := served.server.Serve(socket); err != nil {
			p.log.Error("pages are not served any more", "err", err)
		}
	})
	return served
}

// answersEnd is how long answers under way may take when a page is stopped.
const answersEnd = time.Second

// stop ends a page, without waiting: whoever asked for it may be reading its
// answer on the same page.
func (p *pages) stop(served *page) {
	p.working.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answersEnd)
		defer cancel()
		_ = served.server.Shutdown(ctx) // whoever is cut off asked for a page at the very end
	})
}

// close ends all pages and waits for that.
func (p *pages) close() {
	p.apply(conf.Admin{}, nil)
	p.working.Wait()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/admin"
	"mcplb/proxy/reactor"
)

// server is the running process.
type server struct {
	path   string
	config *conf.Config
	log    *slog.Logger
	level  *slog.LevelVar
	proxy  *proxy.Proxy
	pages  []*admin.HTTPServer
}

// serve runs the balancer until it is told to stop, and returns the exit status.
func serve(path string, config *conf.Config, stderr io.Writer) int {
	level := new(slog.LevelVar)
	level.Set(config.Global.LogLevel)
	s := &server{path: path, config: config, level: level, log: logger(stderr, config.Global.LogFormat, level)}
	// Registered before anything is served: no signal finds nobody.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	if err := s.start(); err != nil {
		fmt.Fprintln(stderr, "mcplb: cannot start:", err)
		return exitError
	}
	s.log.Info("serving", "config", path, "pid", os.Getpid(), "version", buildVersion(),
		"maxconn", s.proxy.Snapshot().Process.Connections.Limit)
	// What reading the configuration took goes back before clients come.
	debug.FreeOSMemory()
	return s.untilStopped(signals)
}

func logger(w io.Writer, format conf.LogFormat, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == conf.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// start opens everything, or nothing.
func (s *server) start() error {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return err
	}
	// The pages' addresses first: they show whether another mcplb runs here.
	sockets, err := listenPages(s.config.Admin)
	if err != nil {
		return err
	}
	s.proxy, err = proxy.Start(s.config, proxy.Options{Version: buildVersion(), Log: s.log, FileLimit: limit, System: reactor.Kernel()})
	if err != nil {
		for _, page := range sockets {
			page.socket.Close()
		}
		return err
	}
	for _, page := range sockets {
		s.servePages(page)
	}
	return nil
}

// pageSocket is an address of the admin side; health says which of the two.
type pageSocket struct {
	socket net.Listener
	health bool
}

// listenPages opens the addresses of the admin pages and of the health page.
func listenPages(c conf.Admin) ([]pageSocket, error) {
	var opened []pageSocket
	for _, page := range []struct {
		key, address string
		health       bool
	}{{"admin.listen", c.Listen, false}, {"admin.health_listen", c.HealthListen, true}} {
		if page.address == "" {
			continue
		}
		socket, err := net.Listen("tcp", page.address)
		if err != nil {
			for _, other := range opened {
				other.socket.Close()
			}
			return nil, fmt.Errorf("%s: %w (see who listens with: ss -ltnp; or choose another address)", page.key, err)
		}
		opened = append(opened, pageSocket{socket, page.health})
	}
	return opened, nil
}

// servePages serves one of them.
func (s *server) servePages(page pageSocket) {
	handler := admin.NewAdminHandler(s.proxy)
	if page.health {
		handler = admin.NewHealthHandler(s.proxy)
	}
	pages := admin.NewHTTPServer(handler, s.log)
	s.pages = append(s.pages, pages)
	go func() {
		if err := pages.Serve(page.socket); err != nil {
			s.log.Error("pages are not served any more", "err", err)
		}
	}()
}

// untilStopped obeys signals until the balancer has stopped.
//
//	signal      while serving      while draining
//	HUP         reload             logged: too late
//	TERM, INT   begin to drain     stop at once
func (s *server) untilStopped(signals <-chan os.Signal) int {
	for sig := range signals {
		if sig == syscall.SIGHUP {
			s.reload()
			continue
		}
		s.log.Info("draining", "signal", sig.String(), "connections", s.proxy.Connections(), "hard_stop_after", s.config.Global.HardStopAfter)
		return s.drain(signals)
	}
	return exitOK
}

// errSecondSignal says why draining was cut short.
var errSecondSignal = errors.New("told to stop a second time")

// drain stops the balancer, within hard_stop_after or at the next signal.
func (s *server) drain(signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if limit := s.config.Global.HardStopAfter; limit > 0 {
		timer := time.AfterFunc(limit, func() {
			cancel(fmt.Errorf("draining took longer than hard_stop_after (%v)", limit))
		})
		defer timer.Stop()
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.proxy.Stop(ctx) }()
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				s.log.Warn("not reloading", "err", proxy.ErrDraining)
				continue
			}
			cancel(errSecondSignal)
		case err := <-stopped:
			return s.stopped(err)
		}
	}
}

// stopped closes the pages, which were there to watch the draining.
func (s *server) stopped(cut error) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, pages := range s.pages {
		_ = pages.Shutdown(ctx) // whoever is cut off asked for a page at the very end
	}
	if cut != nil {
		s.log.Warn("stopped", "err", cut)
		return exitOK
	}
	s.log.Info("stopped, every connection had ended")
	return exitOK
}

// reload reads the file again and changes what runs. A file with mistakes
// changes nothing.
func (s *server) reload() {
	config, err := conf.Load(s.path)
	if err != nil {
		s.proxy.Note(err)
		s.log.Error("reload failed, the configuration before stays in force", "config", s.path, "err", err)
		return
	}
	summary, err := s.proxy.Apply(config)
	if err != nil {
		s.log.Error("reload failed, the configuration before stays in force", "config", s.path, "err", err)
		return
	}
	s.config = config
	s.level.Set(config.Global.LogLevel)
	s.log.Info("reloaded", "config", s.path, "changes", summary)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/admin"
	"mcplb/proxy/reactor"
)

// server is the running process.
type server struct {
	path  string
	log   *slog.Logger
	style *logStyle
	proxy *proxy.Proxy
	pages *pages
	note  *notifier

	access admin.Access // to the runtime commands

	// renew has another process of this binary take over, for what this one
	// cannot change of itself; nil where there is no way.
	renew func() error

	mu      sync.Mutex   // guards what follows; held for the whole of a reload
	config  *conf.Config // in force
	started conf.Global  // what this process was started with
}

// serve runs the balancer until it is told to stop, and returns the exit status.
func serve(path string, config *conf.Config, stderr io.Writer) int {
	style := newLogStyle(config.Global)
	s := &server{path: path, config: config, started: config.Global, style: style, log: style.logger(stderr)}
	s.note = newNotifier(s.log)
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
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	go s.note.watch(watching, s.proxy.Turn)
	s.note.ready("serving")
	return s.untilStopped(signals)
}

// start opens everything, or nothing.
func (s *server) start() error {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return err
	}
	if err := s.useToken(s.config.Admin.TokenFile); err != nil {
		return err
	}
	// The pages' addresses first: they show whether another mcplb runs here.
	s.pages = newPages(s.log)
	sockets, err := s.pages.open(s.config.Admin)
	if err != nil {
		return err
	}
	s.proxy, err = proxy.Start(s.config, proxy.Options{Version: buildVersion(), Log: s.log, FileLimit: limit, System: reactor.Kernel()})
	if err != nil {
		closeAll(sockets)
		return err
	}
	s.pages.use(s.adminHandler(), admin.NewHealthHandler(s.proxy))
	s.pages.apply(s.config.Admin, sockets)
	return nil
}

// adminHandler is what the admin address serves.
func (s *server) adminHandler() http.Handler {
	return admin.NewAdminHandler(admin.Options{
		Source: s.proxy, Control: s.proxy, Access: &s.access, Log: s.log,
		Reload: func(context.Context) (string, error) { return s.reload() },
	})
}

// useToken puts in force who may use the runtime commands.
func (s *server) useToken(path string) error {
	warning, err := s.access.UseFile(path)
	if warning != "" {
		s.log.Warn("the admin token is not safe", "warning", warning)
	}
	return err
}

// untilStopped obeys signals until the balancer has stopped.
//
//	signal      while serving      while draining
//	HUP         reload             logged: too late
//	TERM, INT   begin to drain     stop at once
func (s *server) untilStopped(signals <-chan os.Signal) int {
	for sig := range signals {
		if sig == syscall.SIGHUP {
			_, _ = s.reload() // what is wrong is logged
			continue
		}
		limit := s.hardStopAfter()
		s.log.Info("draining", "signal", sig.String(), "connections", s.proxy.Connections(), "hard_stop_after", limit)
		return s.drain(signals, limit)
	}
	return exitOK
}

// errSecondSignal says why draining was cut short.
var errSecondSignal = errors.New("told to stop a second time")

// hardStopAfter is the longest that draining may take; 0 = no limit.
func (s *server) hardStopAfter() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Global.HardStopAfter
}

// drain stops the balancer, within limit or at the next signal.
func (s *server) drain(signals <-chan os.Signal, limit time.Duration) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if limit > 0 {
		timer := time.AfterFunc(limit, func() {
			cancel(fmt.Errorf("draining took longer than hard_stop_after (%v)", limit))
		})
		defer timer.Stop()
	}
	s.note.stopping(ctx, limit, "draining")
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
	s.pages.close()
	if cut != nil {
		s.log.Warn("stopped", "err", cut)
		return exitOK
	}
	s.log.Info("stopped, every connection had ended")
	return exitOK
}

package main

import (
	"context"
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

	"mcplb/cmd/internal/build"
	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/admin"
	"mcplb/proxy/handover"
	"mcplb/proxy/reactor"
)

// server is the running process.
type server struct {
	path      string
	log       *slog.Logger
	style     *logStyle
	proxy     *proxy.Proxy
	pages     *pages
	socket    statsSocket
	openPages func() // starts to serve them, once
	note      *notifier

	access  admin.Access // to the runtime commands
	history *admin.History

	process *handover.Process // this process in handovers
	renewal chan struct{}     // receives a request of a reload for an upgrade

	mu      sync.Mutex   // guards the fields below; held during a reload or an upgrade
	config  *conf.Config // in force
	started conf.Global  // in force when this process started
}

// serve runs the balancer until a signal stops it, or another process has taken over,
// and returns the exit status.
func serve(path string, config *conf.Config, options handover.ProcessOptions, stderr io.Writer) int {
	style := newLogStyle(config.Global)
	s := &server{path: path, config: config, started: config.Global, style: style, log: style.logger(stderr), renewal: make(chan struct{}, 1)}
	s.note = newNotifier(s.log)
	// Registered before anything is served, so that no signal is lost.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	old, err := s.begin(options)
	if err != nil {
		fmt.Fprintln(stderr, "mcplb: cannot start:", err)
		return exitError
	}
	defer s.process.Forget()
	s.log.Info("serving", "config", path, "pid", os.Getpid(), "version", build.Version(),
		"maxconn", s.proxy.Snapshot().Process.Connections.Limit)
	remembering, forget := context.WithCancel(context.Background())
	defer forget()
	go s.history.Run(remembering)
	// Return the memory used for reading the configuration before clients come: twice,
	// since pools keep their contents for one cycle.
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	go s.note.watch(watching, s.proxy.Turn)
	s.note.ready("serving")
	return s.obey(signals, old)
}

// start opens everything, or nothing. It uses the sockets that the old process hands
// over, and serves no client before that process has stopped serving.
func (s *server) start(old *handover.Receiver) error {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return err
	}
	if err := s.useToken(s.config.Admin.TokenFile); err != nil {
		return err
	}
	// The pages' addresses come first: they show whether another mcplb runs here.
	s.pages = newPages(s.log)
	sockets, err := s.pages.open(s.config.Admin, old.Socket)
	if err != nil {
		return err
	}
	statsSocket, err := s.socket.open(s.config.Admin.StatsSocket)
	if err != nil {
		closeAll(sockets)
		return err
	}
	s.proxy, err = proxy.Start(s.config, proxy.Options{
		Version: build.Version(), Log: s.log, FileLimit: limit, System: reactor.Kernel(),
		Inherited: old.Socket, Suspended: old != nil,
	})
	if err != nil {
		closeAll(sockets)
		statsSocket.discard()
		return err
	}
	s.prepareTLS(s.config)
	s.history = admin.NewHistory(s.proxy)
	s.pages.use(s.adminHandler(), admin.NewHealthHandler(s.proxy))
	s.socket.handler = admin.NewStatsSocket(s.adminOptions())
	s.openPages = sync.OnceFunc(func() {
		s.pages.apply(s.config.Admin, sockets)
		s.socket.apply(s.config.Admin.StatsSocket, statsSocket, s.log)
	})
	if old == nil {
		s.openPages()
	}
	return nil
}

// adminHandler is the handler of the admin address.
func (s *server) adminHandler() http.Handler { return admin.NewAdminHandler(s.adminOptions()) }

func (s *server) adminOptions() admin.Options {
	return admin.Options{
		Source: s.proxy, Control: s.proxy.Control(), Access: &s.access, Log: s.log, History: s.history,
		Reload: func(context.Context) (string, error) { return s.reload() },
	}
}

// useToken applies the token file, which decides who may use the runtime commands.
func (s *server) useToken(path string) error {
	warning, err := s.access.UseFile(path)
	if warning != "" {
		s.log.Warn("the admin token is not safe", "warning", warning)
	}
	return err
}

// hardStopAfter is the longest that draining may take; 0 = no limit.
func (s *server) hardStopAfter() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Global.HardStopAfter
}

// ended closes the pages, which served during the draining to watch it, and returns
// the exit status.
func (s *server) ended(cut error) int {
	s.pages.close()
	s.socket.close()
	if cut != nil {
		s.log.Warn("stopped", "err", cut)
		return exitOK
	}
	s.log.Info("stopped, every connection had ended")
	return exitOK
}

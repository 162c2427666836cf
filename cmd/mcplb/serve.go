package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/cmd/internal/build"
	"mcplb/cmd/internal/logqueue"
	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/admin"
	"mcplb/proxy/handover"
	"mcplb/proxy/reactor"
)

// server is the running process.
type server struct {
	paths     []string
	stderr    *logqueue.Queue // of log, and of what is said before there is one
	log       *slog.Logger
	style     *logStyle
	system    *reactor.System
	proxy     *proxy.Proxy
	pages     *pages
	socket    statsSocket
	openPages func() // starts to serve them, once
	note      *notifier
	warner    warner

	access  admin.Access // to the runtime commands
	history *admin.History

	process  *handover.Process // this process in handovers
	progress atomic.Int32      // of the start
	renewal  chan struct{}     // receives a request of a reload for an upgrade

	reloads chan struct{} // holds a value during a reload: they come one after the other

	// applying is held while a configuration is applied and during an upgrade. What
	// is slow, such as reading the file, happens before it is taken.
	applying sync.Mutex
	left     bool // guarded by applying: another process serves

	mu      sync.Mutex   // guards the fields below, for a moment only
	config  *conf.Config // in force
	started conf.Global  // in force when this process started
}

// newServer returns a server that logs to the queue.
func newServer(paths []string, stderr *logqueue.Queue) *server {
	style := newLogStyle(conf.Global{})
	s := &server{
		paths: paths, stderr: stderr, system: reactor.Kernel(), style: style, log: style.logger(stderr),
		renewal: make(chan struct{}, 1), reloads: make(chan struct{}, 1),
	}
	stderr.OnLost(func(lines uint64) {
		s.log.Warn("log lines were dropped: standard error was not read, or could not be written", "lines", lines)
	})
	slog.SetDefault(s.log) // and that of package log: a library may use them
	s.note = newNotifier(s.log)
	s.warner = warner{log: s.log, find: warnings}
	return s
}

// serve serves until the balancer is stopped.
func (s *server) serve(signals *signals, begun startup) int {
	s.log.Info("serving", "config", s.config.Path, "pid", os.Getpid(), "version", build.Version(),
		"maxconn", s.proxy.Snapshot().Process.Connections.Limit)
	remembering, forget := context.WithCancel(context.Background())
	defer forget()
	go s.history.Run(remembering)
	// Return the memory used for reading the configuration before clients come: twice,
	// since pools keep their contents for one cycle.
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	go newTrimmer().run(remembering)
	go s.warner.run(remembering)
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	go s.note.watch(watching, s.proxy.Turn)
	s.note.ready("serving")
	return s.obey(signals, begun)
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
	s.access.UseHosts(s.config.Admin.Hosts)
	s.access.Protect(s.config.Admin.Protect)
	// The pages' addresses come first: they show whether another mcplb runs here.
	s.pages = newPages(s.log)
	s.pages.most = proxy.PageConnections(s.config, limit)
	sockets, err := s.pages.open(s.config.Admin, &proxy.Opener{Inherited: old})
	if err != nil {
		return err
	}
	statsSocket, err := s.socket.open(s.config.Admin.StatsSocket)
	if err != nil {
		closeAll(sockets)
		return err
	}
	s.proxy, err = proxy.Start(s.config, proxy.Options{
		Version: build.Version(), Log: s.log, FileLimit: limit, System: s.system,
		Inherited: old, Share: s.pages.share, Suspended: old != nil, LogDropped: s.stderr.Dropped,
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
		Reload: s.reload,
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

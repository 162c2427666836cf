package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mcplb/conf"
	"mcplb/proxy"
)

// errReplaced is why a process does not reload whose successor serves.
var errReplaced = errors.New("another process serves now, and has read the configuration")

// reload reads the configuration again, applies it and returns the changes in one
// line. If it fails, nothing has changed, and the log and the status show why. Any
// goroutine may call it; it waits for a reload in progress, until ctx ends.
//
//	step                              may fail   changes the running balancer
//	reopen the access log             yes        no: its file may have been moved away
//	read, parse, validate the file    yes        no
//	open the pages' new addresses     yes        no
//	proxy.Apply                       yes        only when nothing can fail any more
//	pages, log                        no         yes
//	an upgrade, if required           yes        no: this process continues to serve
//
// What takes long, reading files and looking up names, delays only other reloads:
// signals are obeyed meanwhile.
func (s *server) reload(ctx context.Context) (changes string, err error) {
	select {
	case s.reloads <- struct{}{}:
		defer func() { <-s.reloads }()
	case <-ctx.Done():
		return "", fmt.Errorf("a reload is in progress, and has not ended: %w", context.Cause(ctx))
	}
	s.makeRoom(ctx)
	s.note.reloading()
	defer func() { s.note.ready(statusAfter(err)) }()
	s.reopenLog() // even if the file has mistakes
	config, err := conf.Load(s.paths...)
	if err != nil {
		s.proxy.Note(err)
	} else {
		changes, err = s.apply(config)
	}
	switch {
	case errors.Is(err, errReplaced), errors.Is(err, proxy.ErrDraining):
		s.log.Warn("not reloading", "err", err)
		return "", err
	case err != nil:
		s.log.Error("reload failed, the old configuration stays in force", "config", strings.Join(s.paths, " "), "err", err)
		return "", err
	}
	s.log.Info("reloaded", "config", config.Path, "changes", changes)
	s.renewFor(conf.Fixed(&s.started, &config.Global))
	return changes, nil
}

// roomTimeout bounds the wait for loops that hang.
const roomTimeout = time.Second

// makeRoom closes what need not be open if a reload or an upgrade would find no free
// descriptors.
func (s *server) makeRoom(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, roomTimeout)
	defer cancel()
	s.proxy.MakeRoom(ctx)
}

// reopenLog reopens the access log: if its file was moved away, a new one must be
// created.
func (s *server) reopenLog() {
	if err := s.proxy.ReopenLog(); err != nil {
		s.log.Error("the access log continues in the old file", "err", err)
	}
}

// statusAfter is what the service manager shows after a reload.
func statusAfter(err error) string {
	if err != nil {
		return "serving; the last reload: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "serving"
}

// apply applies a configuration and returns the changes.
func (s *server) apply(config *conf.Config) (changes string, err error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.left {
		return "", errReplaced
	}
	sockets, err := s.pages.open(config.Admin, &proxy.Opener{Share: []func(port string) bool{s.pages.share, s.proxy.SharePort}})
	if err != nil {
		s.proxy.Note(err)
		return "", err
	}
	statsSocket, err := s.socket.open(config.Admin.StatsSocket)
	if err != nil {
		closeAll(sockets)
		s.proxy.Note(err)
		return "", err
	}
	if changes, err = s.proxy.Apply(config); err != nil {
		closeAll(sockets)
		statsSocket.discard()
		return "", err
	}
	if err := s.useToken(config.Admin.TokenFile); err != nil { // unlikely: loading the configuration has just read it
		s.log.Error("the old admin token stays in force", "err", err)
	}
	s.access.UseHosts(config.Admin.Hosts)
	s.access.Protect(config.Admin.Protect)
	s.prepareTLS(config)
	s.pages.apply(config.Admin, sockets)
	s.socket.apply(config.Admin.StatsSocket, statsSocket, s.log)
	s.style.apply(config.Global)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = config
	return changes, nil
}

// renewFor starts an upgrade to a new process, as SIGUSR2 does, if keys have changed
// that cannot change in this process.
func (s *server) renewFor(keys []string) {
	if len(keys) == 0 {
		return
	}
	s.log.Info("another process takes over", "keys", keys)
	select {
	case s.renewal <- struct{}{}:
	default: // it is requested already
	}
}

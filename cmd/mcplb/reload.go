package main

import (
	"net"
	"strings"

	"mcplb/conf"
)

// reload reads the file again and changes what runs; it says in one line what
// that was. When it fails, nothing has changed; log and status say why. Any
// goroutine may call it.
//
//	step                              may fail   touches what runs
//	open the access log anew          yes        no: it may have been moved away
//	read, parse, validate the file    yes        no
//	open the pages' new addresses     yes        no
//	proxy.Apply                       yes        only once nothing can fail
//	pages, log                        no         yes
//	another process, if need be       yes        no: this one serves on
func (s *server) reload() (changes string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note.reloading()
	defer func() { s.note.ready(statusAfter(err)) }()
	s.reopenLog() // whatever is in the file
	config, err := conf.Load(s.path)
	if err != nil {
		s.proxy.Note(err)
	} else {
		changes, err = s.apply(config)
	}
	if err != nil {
		s.log.Error("reload failed, the configuration before stays in force", "config", s.path, "err", err)
		return "", err
	}
	s.log.Info("reloaded", "config", s.path, "changes", changes)
	s.renewFor(conf.Fixed(&s.started, &config.Global))
	return changes, nil
}

// reopenLog opens the access log anew: whoever moved its file away must get a new
// one.
func (s *server) reopenLog() {
	if err := s.proxy.ReopenLog(); err != nil {
		s.log.Error("the access log goes on where it was", "err", err)
	}
}

// statusAfter is what the service manager shows after a reload.
func statusAfter(err error) string {
	if err != nil {
		return "serving; the last reload: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "serving"
}

// apply puts a configuration in force.
func (s *server) apply(config *conf.Config) (changes string, err error) {
	sockets, err := s.pages.open(config.Admin, nothingInherited)
	if err != nil {
		s.proxy.Note(err)
		return "", err
	}
	if changes, err = s.proxy.Apply(config); err != nil {
		closeAll(sockets)
		return "", err
	}
	if err := s.useToken(config.Admin.TokenFile); err != nil { // it was read a moment ago
		s.log.Error("the admin token before stays in force", "err", err)
	}
	s.secure(config)
	s.pages.apply(config.Admin, sockets)
	s.style.apply(config.Global)
	s.config = config
	return changes, nil
}

// nothingInherited says that no socket is open already.
func nothingInherited(string) *net.TCPListener { return nil }

// renewFor has another process of this binary take over, as SIGUSR2 does, where
// keys cannot change in this one.
func (s *server) renewFor(keys []string) {
	if len(keys) == 0 {
		return
	}
	s.log.Info("another process takes over", "keys", keys)
	select {
	case s.renewal <- struct{}{}:
	default: // it was asked for already
	}
}

package proxy

import (
	"context"
	"fmt"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/admin"
)

// PutServer implements admin.Control.
func (c *control) PutServer(backendName, name string, keys admin.ServerKeys) (created bool, changes []admin.Change, err error) {
	p := c.proxy
	if _, err := c.findBackend(backendName); err != nil {
		return false, nil, err
	}
	p.applying.Lock()
	defer p.applying.Unlock()
	server, err := c.newServer(backendName, name, keys)
	if err != nil {
		return false, nil, err
	}
	if uses := usesOfServer(backendName, &server); len(uses) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
		defer cancel()
		p.names.Refresh(ctx, uses, p.resolverSettings())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.still() {
		p.names.Want(usesOf(p.config), p.config.Resolver)
		return false, nil, errStill
	}
	before, servers := p.extras.setRuntime(backendName, name, &server), p.backends[backendName].Servers()
	asSet(servers, before)
	p.refreshLocked(backendName)
	if before == nil {
		return true, nil, nil
	}
	return false, changed(servers, before, &server), nil
}

// resolverSettings are those in force.
func (p *Proxy) resolverSettings() conf.Resolver {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.config.Resolver
}

// errStill is why servers cannot be added or removed for a moment.
var errStill = fmt.Errorf("%w: an upgrade is under way, or the balancer is about to end: ask the process that serves then", admin.ErrUnavailable)

// newServer makes a server for a backend from its keys, unless it is not one that a
// command may change.
func (c *control) newServer(backendName, name string, keys admin.ServerKeys) (conf.Server, error) {
	p := c.proxy
	p.mu.RLock()
	defer p.mu.RUnlock()
	b := p.config.Backend(backendName)
	if b == nil {
		return conf.Server{}, fmt.Errorf("%w: backend %s has gone", admin.ErrNotFound, backendName)
	}
	if err := c.ownedByCommands(backendName, name); err != nil {
		return conf.Server{}, err
	}
	server, err := p.config.NewServer(b, name, keys)
	if err != nil {
		return conf.Server{}, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	}
	known := newTaken()
	for i := range b.Servers {
		if b.Servers[i].Name != name {
			known.take(&b.Servers[i])
		}
	}
	if !known.take(&server) {
		return conf.Server{}, fmt.Errorf("%w: another server of backend %s has the same tag or address as %s would have: give it another name", admin.ErrInvalid, backendName, name)
	}
	return server, nil
}

// ownedByCommands returns an error for a server that is there and was not added by a
// command. The lock is held.
func (c *control) ownedByCommands(backendName, name string) error {
	p := c.proxy
	written := p.written.Backend(backendName)
	if written == nil {
		return fmt.Errorf("%w: backend %s has gone", admin.ErrNotFound, backendName)
	}
	e := p.extras[backendName]
	switch there := named(p.config.Backend(backendName).Servers, name) != nil; origins(written.Servers, e)(name) {
	case originFile:
		return fmt.Errorf("%w: server %s/%s is in the file: change it there and reload; mcplb drain, maint, weight and maxconn change it at run time", admin.ErrConflict, backendName, name)
	case originDiscover:
		if there {
			return fmt.Errorf("%w: server %s/%s was found by %s, which says when it goes; mcplb drain and maint take it out of service", admin.ErrConflict, backendName, name, e.settings.Kind())
		}
	}
	return nil
}

// asSet gives the settings of one of the servers, if any, the numbers that other commands
// may have set since.
func asSet(servers []*backend.Server, settings *conf.Server) {
	if settings == nil {
		return
	}
	for _, s := range servers {
		if s.Name() == settings.Name {
			settings.Weight, settings.MaxConn = s.Weight(), s.MaxConn()
		}
	}
}

// changed returns what is different of one of the servers, and sets what other commands
// may have set since.
func changed(servers []*backend.Server, before, now *conf.Server) (changes []admin.Change) {
	for _, s := range servers {
		if s.Name() == now.Name {
			s.SetWeight(now.Weight)
			s.SetMaxConn(now.MaxConn)
		}
	}
	one := func(s *conf.Server) *conf.Config {
		return &conf.Config{Backends: []conf.Backend{{Servers: []conf.Server{*s}}}}
	}
	for _, b := range conf.Diff(one(before), one(now)).Backends {
		for _, s := range b.Servers {
			for _, k := range s.Keys {
				changes = append(changes, admin.Change{What: k.Key, Old: k.Old, New: k.New})
			}
		}
	}
	return changes
}

// RemoveServer implements admin.Control.
func (c *control) RemoveServer(backendName, name string) error {
	p := c.proxy
	_, missing := c.findServer(backendName, name)
	p.applying.Lock()
	defer p.applying.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.still() {
		return errStill
	}
	if missing != nil && !p.extras.added(backendName, name) {
		return missing
	}
	if err := c.ownedByCommands(backendName, name); err != nil {
		return err
	}
	if p.extras.setRuntime(backendName, name, nil) == nil {
		return fmt.Errorf("%w: backend %s has no server %q any more", admin.ErrNotFound, backendName, name)
	}
	p.refreshLocked(backendName)
	return nil
}

//go:build linux

package proxy

import (
	"errors"
	"fmt"

	"mcplb/proxy/upgrade"
)

// Sockets implements upgrade.Giver: copies of the listening sockets of all
// frontends.
func (p *Proxy) Sockets() ([]upgrade.Socket, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var all []upgrade.Socket
	for address, l := range p.listeners {
		file, err := l.File()
		if err != nil {
			return all, fmt.Errorf("copying the socket of %s: %w", address, err)
		}
		all = append(all, upgrade.Socket{Address: address, File: file})
	}
	return all, nil
}

// Suspend implements upgrade.Giver: nobody is accepted any more when it
// returns. Clients wait in the listeners' backlogs.
func (p *Proxy) Suspend() {
	p.gate.closed.Store(true)
	// An accept that has begun ends with its loop's turn.
	for _, loop := range p.engine.Loops() {
		turned := make(chan struct{})
		if loop.Post(func() { close(turned) }) {
			<-turned
		}
	}
}

// Resume has clients accepted again, after Suspend or Options.Suspended.
func (p *Proxy) Resume() {
	p.gate.closed.Store(false)
	p.resumeAll()
}

// State implements upgrade.Giver.
func (p *Proxy) State() ([]byte, error) { return nil, nil }

// Move implements upgrade.Giver.
func (p *Proxy) Move(func(*upgrade.Batch) error) error { return nil }

// Report implements upgrade.Giver.
func (p *Proxy) Report() ([]byte, int, error) { return nil, p.Connections(), nil }

// Restore implements upgrade.Taker.
func (p *Proxy) Restore([]byte) error { return nil }

// Adopt implements upgrade.Taker.
func (p *Proxy) Adopt([]byte, []int) (upgrade.Adopted, error) {
	return nil, errors.New("connections are not adopted yet")
}

// Inherited implements upgrade.Taker.
func (p *Proxy) Inherited([]byte) error { return nil }

// Alone implements upgrade.Taker.
func (p *Proxy) Alone() {}

// Leave says that another process serves now: no configuration is taken any
// more. Stop is to follow.
func (p *Proxy) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
}

package main

import (
	"mcplb/proxy/upgrade"
)

// begin starts the server: as the first process, or in the place of another.
func (s *server) begin(options upgrade.ProcessOptions) (inherited *upgrade.Inheritance, err error) {
	if s.process, err = upgrade.NewProcess(options); err != nil {
		return nil, err
	}
	if inherited, err = upgrade.Inherit(s.process, s.log); err != nil {
		return nil, err
	}
	if err := s.start(inherited); err != nil {
		inherited.Close()
		return nil, err
	}
	if inherited != nil {
		if err := inherited.Take(handing{s}); err != nil {
			return nil, err
		}
	}
	return inherited, s.process.Ready()
}

// handing is the server as it is handed over, and takes over: the balancer and
// its pages.
type handing struct{ *server }

// Sockets implements upgrade.Giver.
func (h handing) Sockets() ([]upgrade.Socket, error) {
	all, err := h.proxy.Sockets()
	if err != nil {
		return all, err
	}
	pages, err := h.pages.copies()
	return append(all, pages...), err
}

// Suspend implements upgrade.Giver.
func (h handing) Suspend() { h.proxy.Suspend() }

// Resume implements upgrade.Giver.
func (h handing) Resume() { h.proxy.Resume() }

// State implements upgrade.Giver.
func (h handing) State() ([]byte, error) { return h.proxy.State() }

// Move implements upgrade.Giver.
func (h handing) Move(give func(*upgrade.Batch) error) error { return h.proxy.Move(give) }

// Report implements upgrade.Giver.
func (h handing) Report() ([]byte, int, error) { return h.proxy.Report() }

// Restore implements upgrade.Taker.
func (h handing) Restore(state []byte) error { return h.proxy.Restore(state) }

// Serve implements upgrade.Taker.
func (h handing) Serve() {
	h.proxy.Resume()
	h.openPages()
}

// Adopt implements upgrade.Taker.
func (h handing) Adopt(payload []byte, descriptors []int) (upgrade.Adopted, error) {
	return h.proxy.Adopt(payload, descriptors)
}

// Inherited implements upgrade.Taker.
func (h handing) Inherited(report []byte) error { return h.proxy.Inherited(report) }

// Alone implements upgrade.Taker.
func (h handing) Alone() { h.proxy.Alone() }

package main

import (
	"bytes"
	"encoding/gob"
	"fmt"

	"mcplb/proxy/admin"
	"mcplb/proxy/handover"
)

// begin starts the server: as the first process, or in the place of another.
func (s *server) begin(options handover.ProcessOptions) (inherited *handover.Inheritance, err error) {
	if s.process, err = handover.NewProcess(options); err != nil {
		return nil, err
	}
	if inherited, err = handover.Inherit(s.process, s.log); err != nil {
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

// Sockets implements handover.Giver.
func (h handing) Sockets() ([]handover.Socket, error) {
	all, err := h.proxy.Sockets()
	if err != nil {
		return all, err
	}
	pages, err := h.pages.copies()
	return append(all, pages...), err
}

// Suspend implements handover.Giver.
func (h handing) Suspend() { h.proxy.Suspend() }

// Resume implements handover.Giver.
func (h handing) Resume() { h.proxy.Resume() }

// State implements handover.Giver.
func (h handing) State() ([]byte, error) { return h.proxy.State() }

// Move implements handover.Giver.
func (h handing) Move(give func(*handover.Batch) error) error { return h.proxy.Move(give) }

// report is what the process before says from time to time.
type report struct {
	Held    []byte                 // by the balancer
	History *admin.HandoverHistory // with the first report only: it can wait until clients are served
}

// Report implements handover.Giver.
func (h handing) Report() (payload []byte, clients int, err error) {
	var r report
	if r.Held, clients, err = h.proxy.Report(); err != nil {
		return nil, 0, err
	}
	if !h.reported {
		h.reported = true
		history := h.history.Handover()
		r.History = &history
	}
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(&r); err != nil {
		return nil, 0, fmt.Errorf("encoding what is handed over: %w", err)
	}
	return out.Bytes(), clients, nil
}

// Restore implements handover.Taker.
func (h handing) Restore(state []byte) error { return h.proxy.Restore(state) }

// Serve implements handover.Taker.
func (h handing) Serve() {
	h.proxy.Resume()
	h.openPages()
}

// Adopt implements handover.Taker.
func (h handing) Adopt(payload []byte, descriptors []int) (handover.Adopted, error) {
	return h.proxy.Adopt(payload, descriptors)
}

// Inherited implements handover.Taker.
func (h handing) Inherited(payload []byte) error {
	var r report
	if err := gob.NewDecoder(bytes.NewReader(payload)).Decode(&r); err != nil {
		return fmt.Errorf("decoding what is handed over: %w", err)
	}
	if r.History != nil {
		h.history.Restore(*r.History)
	}
	return h.proxy.Inherited(r.Held)
}

// Alone implements handover.Taker.
func (h handing) Alone() { h.proxy.Alone() }

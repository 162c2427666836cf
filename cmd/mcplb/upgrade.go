package main

import (
	"mcplb/proxy"
	"mcplb/proxy/handover"
)

// begin starts the server: as the first process, or in place of an old one, of
// which it returns what still has to be received.
func (s *server) begin() (old *oldProcess, err error) {
	receiver, err := handover.Receive(s.process, s.log)
	if err != nil {
		return nil, err
	}
	if err := s.start(receiver); err != nil {
		receiver.Close()
		return nil, err
	}
	receiver.CloseSockets()
	if err := s.commit(); err != nil {
		return nil, err
	}
	if receiver != nil {
		old = &oldProcess{receiver, &handover.New{Balancer: s.handover(), History: s.history, Log: s.log}}
		if err := old.receiver.TakeOver(old.new); err != nil {
			return nil, err
		}
	}
	return old, s.ready()
}

// ready announces that this process serves.
func (s *server) ready() error {
	unwritten, err := s.process.Ready()
	if unwritten != nil {
		s.log.Error("the pid file does not name this process", "err", unwritten)
	}
	return err
}

// oldProcess is the process that this one takes over from: what it hands over, and
// what this process makes of it.
type oldProcess struct {
	receiver *handover.Receiver
	new      *handover.New
}

// handedOver is the server as it is handed over, and takes over: the balancer and
// its pages.
type handedOver struct {
	*proxy.Handover
	server *server
}

func (s *server) handover() handedOver { return handedOver{s.proxy.Handover(), s} }

// Sockets implements handover.OldBalancer.
func (h handedOver) Sockets() ([]handover.Socket, error) {
	all, err := h.Handover.Sockets()
	if err != nil {
		return all, err
	}
	pages, err := h.server.pages.copies()
	return append(all, pages...), err
}

// Resume implements handover.Balancer.
func (h handedOver) Resume() {
	h.Handover.Resume()
	h.server.openPages()
}

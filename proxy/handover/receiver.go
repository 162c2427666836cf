package handover

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// Receiver is the new process's side of the conversation. A nil Receiver is that
// of a process that takes over from none.
type Receiver struct {
	log     *slog.Logger
	channel *Channel
	offer   Offer
	broken  bool // the hand-over broke off before it was settled

	orphaned func() bool                 // Process.Orphaned
	sockets  map[string]*net.TCPListener // by address; those not in use yet
}

// Receive returns what the old process offers; nil if there is no old process.
func Receive(p *Process, log *slog.Logger) (*Receiver, error) {
	channel, err := p.OldProcess()
	if channel == nil || err != nil {
		return nil, err
	}
	r := &Receiver{log: log, orphaned: p.Orphaned, channel: channel, sockets: map[string]*net.TCPListener{}}
	if err := r.receiveOffer(); err != nil {
		r.Close()
		if channelEnded(err) {
			return nil, errors.New("the old process has ended the upgrade: its log says why")
		}
		return nil, err
	}
	return r, nil
}

func (r *Receiver) receiveOffer() error {
	r.channel.SetLimit(answerTime)
	m, err := r.channel.Expect(KindOffer)
	if err != nil {
		return err
	}
	if err := m.Decode(&r.offer); err != nil {
		return err
	}
	for r.offer.Sockets > len(r.sockets) {
		m, err := r.channel.Expect(KindSockets)
		if err != nil {
			return err
		}
		if err := r.keep(m); err != nil {
			return err
		}
	}
	return nil
}

// keep makes listeners of the received descriptors.
func (r *Receiver) keep(m *Message) error {
	defer m.Close()
	var names Sockets
	if err := m.Decode(&names); err != nil {
		return err
	}
	if len(names.Addresses) != len(m.Descriptors) || len(names.Addresses) == 0 {
		return fmt.Errorf("hand-over: %d addresses came with %d sockets", len(names.Addresses), len(m.Descriptors))
	}
	for i, address := range names.Addresses {
		file := os.NewFile(uintptr(m.Descriptors[i]), address)
		m.Descriptors[i] = -1 // it belongs to the file now
		socket, err := net.FileListener(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("inherited socket %s: %w", address, err)
		}
		tcp, ok := socket.(*net.TCPListener)
		if !ok {
			socket.Close()
			return fmt.Errorf("inherited socket %s: it is a %T", address, socket)
		}
		r.sockets[address] = tcp
	}
	return nil
}

// Socket returns the inherited socket of an address, which belongs to the caller
// from then on; nil = none was inherited.
func (r *Receiver) Socket(address string) *net.TCPListener {
	if r == nil {
		return nil
	}
	socket := r.sockets[address]
	delete(r.sockets, address)
	return socket
}

// CloseSockets closes this process's copies of the sockets that are not in use. A
// client could connect to them, and would wait without end, if they outlived the old
// process's.
func (r *Receiver) CloseSockets() {
	if r == nil {
		return
	}
	for _, socket := range r.sockets {
		socket.Close()
	}
	clear(r.sockets)
}

// Close closes the channel and the sockets that are not in use.
func (r *Receiver) Close() {
	if r == nil {
		return
	}
	r.CloseSockets()
	r.channel.Close()
}

// errGivenUp reports that the old process continues to serve.
var errGivenUp = errors.New("the old process has given the upgrade up")

// TakeOver announces that this process is prepared, and receives what the old one
// hands over. When it returns nil, this process serves, whatever happens to the
// old one: the caller calls Process.Ready, and then Follow. On an error the old
// process continues to serve, and this one must end.
func (r *Receiver) TakeOver(n *New) error {
	if err := r.prepare(n); err != nil {
		if !r.orphaned() {
			return fmt.Errorf("%w: %w", errGivenUp, err)
		}
		r.log.Warn("the old process has died, taking its place", "err", err)
	}
	n.Serve()
	if err := r.settle(n); err != nil {
		r.log.Warn("the hand-over broke off, serving what has come", "err", err)
		r.broken = true
		r.channel.Close()
	}
	return nil
}

// prepare announces that this process is prepared, and waits for the state and
// for Begin.
func (r *Receiver) prepare(n *New) error {
	r.channel.SetLimit(answerTime)
	if err := r.channel.SendJSON(KindPrepared, Prepared{Protocol: Protocol, PID: os.Getpid()}); err != nil {
		return err
	}
	for {
		m, err := r.channel.Receive()
		if err != nil {
			return err
		}
		m.Close() // these messages have no descriptors
		switch m.Kind {
		case KindState:
			if err := n.Restore(m.Payload); err != nil {
				return err
			}
		case KindBegin:
			return nil
		default:
			return fmt.Errorf("hand-over: unexpected message %d", m.Kind)
		}
	}
}

// settle receives the connections that can move at once.
func (r *Receiver) settle(n *New) error {
	if err := r.channel.Send(KindServing, nil); err != nil {
		return err
	}
	return r.receive(n, KindSettled, answerTime)
}

// Follow receives the connections that move later, until the old process has
// ended.
func (r *Receiver) Follow(n *New) {
	defer n.Alone()
	defer r.Close()
	if err := r.receive(n, KindEnd, 0); err != nil {
		r.log.Info("the old process has broken the hand-over off", "err", err)
	}
}

// receive handles messages until one of the given kind comes. wait is how long
// each may take; 0 = any time.
func (r *Receiver) receive(n *New, until Kind, wait time.Duration) error {
	for {
		r.channel.SetLimit(wait)
		m, err := r.channel.Receive()
		if err != nil {
			return err
		}
		switch m.Kind {
		case until:
			return nil
		case KindBatch:
			err = r.receiveBatch(n, m)
		case KindReport:
			err = r.receiveReport(n, m)
		default:
			err = fmt.Errorf("hand-over: unexpected message %d", m.Kind)
		}
		m.Close()
		if err != nil {
			return err
		}
	}
}

// receiveReport receives a report and answers what is reserved for the old process.
func (r *Receiver) receiveReport(n *New, m *Message) error {
	reserved, err := n.Update(m.Payload)
	if err != nil {
		return err
	}
	return r.channel.SendJSON(KindReserved, reserved)
}

// receiveBatch receives a batch, and serves it once Yours has come.
func (r *Receiver) receiveBatch(n *New, m *Message) error {
	arrival, err := n.Adopt(m.Payload, m.Descriptors)
	if err != nil {
		return err
	}
	m.Descriptors = nil
	if err := r.channel.SendJSON(KindTaken, arrival.Refused); err != nil {
		arrival.Drop()
		return err
	}
	if _, err := r.channel.Expect(KindYours); err != nil {
		arrival.Drop()
		return err
	}
	arrival.Serve()
	return nil
}

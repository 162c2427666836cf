package handover

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// Taker is a balancer that takes over. Its methods are called one after the
// other, by one goroutine.
type Taker interface {
	// Restore takes the state in, before anything is accepted.
	Restore(state []byte) error
	// Serve begins to accept.
	Serve()
	// Adopt takes a batch in, without touching a connection yet, and returns
	// what begins to serve it. Those that it cannot serve stay with the process
	// before. The descriptors are the Taker's when it returns no error.
	Adopt(payload []byte, descriptors []int) (Adopted, error)
	// Inherited takes in what the process before still holds (Giver.Report).
	Inherited(report []byte) error
	// Alone says that the process before holds nothing any more.
	Alone()
}

// Adopted is a batch that was taken in.
type Adopted interface {
	Refused() []int // those that are not taken, by their numbers in the batch
	Serve()         // the others are ours
	Drop()          // all stay the other's: close the descriptors
}

// Inheritance is the side of the new process.
type Inheritance struct {
	log     *slog.Logger
	channel *Channel
	offer   Offer
	broken  bool // the hand-over broke off before it was settled

	orphaned func() bool                 // Process.Orphaned
	sockets  map[string]*net.TCPListener // by address; those that nobody took yet
}

// Inherit returns what the process before offers, or nil when there is none.
func Inherit(p *Process, log *slog.Logger) (*Inheritance, error) {
	channel, err := p.Before()
	if channel == nil || err != nil {
		return nil, err
	}
	in := &Inheritance{log: log, orphaned: p.Orphaned, channel: channel, sockets: map[string]*net.TCPListener{}}
	if err := in.receiveOffer(); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

func (in *Inheritance) receiveOffer() error {
	in.channel.SetDeadline(answerTime)
	m, err := in.channel.Expect(KindOffer)
	if err != nil {
		return err
	}
	if err := m.Decode(&in.offer); err != nil {
		return err
	}
	for in.offer.Sockets > len(in.sockets) {
		m, err := in.channel.Expect(KindSockets)
		if err != nil {
			return err
		}
		if err := in.keep(m); err != nil {
			return err
		}
	}
	return nil
}

// keep makes listeners of the descriptors that came.
func (in *Inheritance) keep(m *Message) error {
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
		m.Descriptors[i] = -1 // the file's now
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
		in.sockets[address] = tcp
	}
	return nil
}

// Socket returns the inherited socket of an address, which is the caller's from
// then on, or nil. A nil Inheritance has none.
func (in *Inheritance) Socket(address string) *net.TCPListener {
	if in == nil {
		return nil
	}
	socket := in.sockets[address]
	delete(in.sockets, address)
	return socket
}

// Close closes what nobody took. A nil Inheritance has nothing.
func (in *Inheritance) Close() {
	if in == nil {
		return
	}
	for _, socket := range in.sockets {
		socket.Close()
	}
	clear(in.sockets)
	in.channel.Close()
}

// errGivenUp says that the process before serves on by itself.
var errGivenUp = errors.New("the process before has given the upgrade up")

// Take tells the process before that this one is prepared, and takes over. It
// returns when this process serves, and the caller may say Ready: whatever
// becomes of the other from here on, Rest tells. On an error the other process
// goes on, and this one must end.
func (in *Inheritance) Take(t Taker) error {
	if err := in.prepared(t); err != nil {
		if !in.orphaned() {
			return fmt.Errorf("%w: %w", errGivenUp, err)
		}
		in.log.Warn("the process before has died, taking its place", "err", err)
	}
	t.Serve()
	if err := in.settle(t); err != nil {
		in.log.Warn("the hand-over broke off, serving what has come", "err", err)
		in.broken = true
		in.channel.Close()
	}
	return nil
}

// prepared says so, and waits for the state and the word to begin.
func (in *Inheritance) prepared(t Taker) error {
	in.channel.SetDeadline(answerTime)
	if err := in.channel.SendJSON(KindPrepared, Prepared{Protocol: Protocol, PID: os.Getpid()}); err != nil {
		return err
	}
	for {
		m, err := in.channel.Receive()
		if err != nil {
			return err
		}
		m.Close() // these have no descriptors
		switch m.Kind {
		case KindState:
			if err := t.Restore(m.Payload); err != nil {
				return err
			}
		case KindBegin:
			return nil
		default:
			return fmt.Errorf("hand-over: unexpected message %d", m.Kind)
		}
	}
}

// settle takes connections in until those that could move at once have come.
func (in *Inheritance) settle(t Taker) error {
	if err := in.channel.Send(KindServing, nil); err != nil {
		return err
	}
	return in.receive(t, KindSettled, answerTime)
}

// Rest takes in who follows, until the process before has ended.
func (in *Inheritance) Rest(t Taker) {
	defer t.Alone()
	defer in.Close()
	if err := in.receive(t, KindEnd, 0); err != nil {
		in.log.Info("the process before has broken the hand-over off", "err", err)
	}
}

// receive handles what comes until a message of the given kind has; wait is how
// long each may take to come, 0 = any time.
func (in *Inheritance) receive(t Taker, until Kind, wait time.Duration) error {
	for {
		in.channel.SetDeadline(wait)
		m, err := in.channel.Receive()
		if err != nil {
			return err
		}
		switch {
		case m.Kind == until:
			return nil
		case m.Kind == KindBatch:
			err = in.takeBatch(t, m)
		case m.Kind == KindReport:
			err = t.Inherited(m.Payload)
		default:
			err = fmt.Errorf("hand-over: unexpected message %d", m.Kind)
		}
		m.Close()
		if err != nil {
			return err
		}
	}
}

// takeBatch takes a batch in, and serves it once it is ours.
func (in *Inheritance) takeBatch(t Taker, m *Message) error {
	adopted, err := t.Adopt(m.Payload, m.Descriptors)
	if err != nil {
		return err
	}
	m.Descriptors = nil
	if err := in.channel.SendJSON(KindTaken, adopted.Refused()); err != nil {
		adopted.Drop()
		return err
	}
	if _, err := in.channel.Expect(KindYours); err != nil {
		adopted.Drop()
		return err
	}
	adopted.Serve()
	return nil
}

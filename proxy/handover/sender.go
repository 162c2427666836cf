package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// Sender is the old process's side of the conversation.
type Sender struct {
	log     *slog.Logger
	old     *Old
	commit  func() error // Process.commit
	channel *Channel     // may be broken
	result  <-chan error
	new     Prepared
}

// Begin starts a new process and hands the balancer over to it. On success the
// new process serves, and Finish must follow. On any error the new process has
// ended, or is about to, and the balancer serves as before.
func Begin(p *Process, old *Old, version string, log *slog.Logger) (*Sender, error) {
	s := &Sender{log: log, old: old, commit: p.commit}
	var err error
	if s.channel, s.result, err = p.Spawn(); err == nil {
		err = s.begin(version)
	}
	if err != nil {
		p.failed()
		return nil, err
	}
	return s, nil
}

// begin is Begin once the new process is started.
func (s *Sender) begin(version string) error {
	if err := s.offer(version); err != nil {
		return s.refused(err)
	}
	if err := s.commit(); err != nil {
		return s.refused(err)
	}
	s.old.Suspend()
	patience := answerTime
	if err := s.settle(); err != nil {
		s.channel.Close()
		s.log.Warn("the hand-over broke off", "err", err)
		patience = brokenTime
	}
	if err := s.ready(patience); err != nil {
		s.channel.Close()
		s.old.Resume()
		return err
	}
	s.old.Leave()
	return nil
}

// PID is the process ID of the new process.
func (s *Sender) PID() int { return s.new.PID }

// offer sends the sockets and waits until the new process is prepared.
func (s *Sender) offer(version string) error {
	sockets, err := s.old.Balancer.Sockets()
	defer func() {
		for _, socket := range sockets {
			socket.File.Close()
		}
	}()
	if err != nil {
		return err
	}
	offer := Offer{Protocol: Protocol, PID: os.Getpid(), Version: version, Sockets: len(sockets)}
	if err := s.channel.SendJSON(KindOffer, offer); err != nil {
		return err
	}
	for rest := sockets; len(rest) > 0; {
		n := min(len(rest), mostDescriptors)
		if err := s.sendSockets(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	m, err := s.channel.Expect(KindPrepared)
	if err != nil {
		return err
	}
	return m.Decode(&s.new)
}

func (s *Sender) sendSockets(sockets []Socket) error {
	var names Sockets
	var descriptors []int
	for _, socket := range sockets {
		fd, err := descriptorOf(socket.File)
		if err != nil {
			return fmt.Errorf("handing over the socket of %s: %w", socket.Address, err)
		}
		names.Addresses = append(names.Addresses, socket.Address)
		descriptors = append(descriptors, fd)
	}
	return s.channel.SendJSON(KindSockets, names, descriptors...)
}

// descriptorOf returns the file's descriptor. File.Fd would make it blocking, and
// with it the socket itself, on which others accept.
func descriptorOf(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = raw.Control(func(descriptor uintptr) { fd = int(descriptor) })
	return fd, err
}

// refused ends an attempt that failed before anything was suspended. The new
// process's exit explains the failure better than the channel's end, but not better
// than an error of this process, which makes the new one exit.
func (s *Sender) refused(err error) error {
	s.channel.Close()
	select {
	case result := <-s.result:
		if !channelEnded(err) {
			return errors.Join(err, result)
		}
		return result
	case <-time.After(answerTime):
		return s.kill(err)
	}
}

// channelEnded reports whether an error means only that the other process is gone.
func channelEnded(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// kill ends a new process that hangs.
func (s *Sender) kill(err error) error {
	if s.new.PID != 0 {
		kill(s.new.PID)
	}
	// Even if it has become Ready at this moment, it has ended.
	return errors.Join(err, <-s.result)
}

// settle hands over the state, and the connections that can move at once.
func (s *Sender) settle() error {
	s.channel.SetLimit(answerTime)
	if s.understood() {
		state, err := s.old.State()
		if err != nil {
			return err
		}
		if err := s.channel.Send(KindState, state); err != nil {
			return err
		}
	} else {
		s.log.Warn("the new binary speaks another protocol: connections end here", "protocol", Protocol, "its", s.new.Protocol)
	}
	if err := s.channel.Send(KindBegin, nil); err != nil {
		return err
	}
	if _, err := s.channel.Expect(KindServing); err != nil {
		return err
	}
	if err := s.move(); err != nil {
		return err
	}
	return s.channel.Send(KindSettled, nil)
}

func (s *Sender) understood() bool { return s.new.Protocol == Protocol }

// move hands over the connections that can move now.
func (s *Sender) move() error {
	if !s.understood() {
		return nil
	}
	return s.old.Move(s.sendBatch)
}

// sendBatch hands one batch over. Until it has sent Yours the connections are
// this process's.
func (s *Sender) sendBatch(b *Batch) error {
	s.channel.SetLimit(answerTime)
	refused, err := s.tryBatch(b)
	clear(b.Payload) // it has secrets of TLS
	if err != nil {
		b.Back()
		return err
	}
	b.Gone(refused)
	return nil
}

func (s *Sender) tryBatch(b *Batch) (refused []int, err error) {
	if err := s.channel.Send(KindBatch, b.Payload, b.Descriptors...); err != nil {
		return nil, err
	}
	m, err := s.channel.Expect(KindTaken)
	if err != nil {
		return nil, err
	}
	if err := m.Decode(&refused); err != nil {
		return nil, err
	}
	return refused, s.channel.Send(KindYours, nil)
}

// ready waits until the new process reports, by tableflip, that it serves.
func (s *Sender) ready(patience time.Duration) error {
	select {
	case err := <-s.result:
		return err
	case <-time.After(patience):
		return s.kill(errors.New("the new process hangs"))
	}
}

// Finish hands over the connections that become movable, until none is left here
// or ctx ends, and reports whether none is. It ends early if the channel is
// broken, or the new process speaks another protocol: the connections that are
// left end in this process then.
func (s *Sender) Finish(ctx context.Context) (empty bool, err error) {
	defer s.channel.Close()
	if !s.understood() {
		return false, nil
	}
	ticker := time.NewTicker(reportTime)
	defer ticker.Stop()
	for {
		left, err := s.round()
		if err != nil {
			return false, fmt.Errorf("hand-over of the last connections: %w", err)
		}
		if left == 0 {
			return true, s.channel.Send(KindEnd, nil)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// round moves the connections that can move now, and reports what is left.
func (s *Sender) round() (clients int, err error) {
	if err := s.move(); err != nil {
		return 0, err
	}
	report, clients, err := s.old.Report()
	if err != nil {
		return 0, err
	}
	s.channel.SetLimit(answerTime)
	if err := s.channel.Send(KindReport, report); err != nil {
		return 0, err
	}
	m, err := s.channel.Expect(KindReserved)
	if err != nil {
		return 0, err
	}
	var reserved []SlotCount
	if err := m.Decode(&reserved); err != nil {
		return 0, err
	}
	s.old.Extend(reserved)
	return clients, nil
}

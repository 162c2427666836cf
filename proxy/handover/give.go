package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

const (
	// answerTime is how long the other side may be silent while clients wait.
	answerTime = 5 * time.Second
	// brokenTime is how long a new process may take until it is Ready without
	// the channel: it should have nothing to do but to say so.
	brokenTime = 2 * time.Second
	// reportTime is the pause between two looks at who can move by now.
	reportTime = 50 * time.Millisecond
)

// HandOver is the side of the process before, once the new one serves.
type HandOver struct {
	log     *slog.Logger
	giver   Giver
	channel *Channel // broken perhaps
	result  <-chan error
	peer    Prepared
}

// Begin starts a new process and hands the giver over to it. It returns nil
// when the new process serves: Finish must follow. On any error the new process
// has ended, or will, and the giver serves as before.
func Begin(p *Process, g Giver, version string, log *slog.Logger) (*HandOver, error) {
	h := &HandOver{log: log, giver: g}
	var err error
	if h.channel, h.result, err = p.Spawn(); err != nil {
		return nil, err
	}
	if err := h.begin(version); err != nil {
		return nil, err
	}
	return h, nil
}

// begin is Begin once the new process is started.
func (h *HandOver) begin(version string) error {
	if err := h.offer(version); err != nil {
		return h.refused(err)
	}
	h.giver.Suspend()
	patience := answerTime
	if err := h.give(); err != nil {
		h.channel.Close()
		h.log.Warn("the hand-over broke off", "err", err)
		patience = brokenTime
	}
	if err := h.ready(patience); err != nil {
		h.channel.Close()
		h.giver.Resume()
		return err
	}
	return nil
}

// PID is the number of the new process.
func (h *HandOver) PID() int { return h.peer.PID }

// offer sends the sockets and waits until the new process is prepared.
func (h *HandOver) offer(version string) error {
	sockets, err := h.giver.Sockets()
	defer func() {
		for _, s := range sockets {
			s.File.Close()
		}
	}()
	if err != nil {
		return err
	}
	o := Offer{Protocol: Protocol, PID: os.Getpid(), Version: version, Sockets: len(sockets)}
	if err := h.channel.SendJSON(KindOffer, o); err != nil {
		return err
	}
	for rest := sockets; len(rest) > 0; {
		n := min(len(rest), mostDescriptors)
		if err := h.sendSockets(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	m, err := h.channel.Expect(KindPrepared)
	if err != nil {
		return err
	}
	return m.Decode(&h.peer)
}

func (h *HandOver) sendSockets(sockets []Socket) error {
	var names Sockets
	var descriptors []int
	for _, s := range sockets {
		fd, err := descriptorOf(s.File)
		if err != nil {
			return fmt.Errorf("handing over the socket of %s: %w", s.Address, err)
		}
		names.Addresses = append(names.Addresses, s.Address)
		descriptors = append(descriptors, fd)
	}
	return h.channel.SendJSON(KindSockets, names, descriptors...)
}

// descriptorOf is the file's descriptor. File.Fd would make it a blocking one,
// and with it the socket itself, on which others accept.
func descriptorOf(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = raw.Control(func(descriptor uintptr) { fd = int(descriptor) })
	return fd, err
}

// refused ends an attempt that came to nothing: the new process says better
// than the channel why.
func (h *HandOver) refused(err error) error {
	h.channel.Close()
	select {
	case result := <-h.result:
		return result
	case <-time.After(answerTime):
		return h.kill(err)
	}
}

// kill ends a new process that would not end, or go on, by itself.
func (h *HandOver) kill(err error) error {
	if h.peer.PID != 0 {
		End(h.peer.PID)
	}
	// Should it have become Ready in this moment, it is gone all the same.
	return errors.Join(err, <-h.result)
}

// give hands over the state and what can move at once.
func (h *HandOver) give() error {
	h.channel.SetDeadline(answerTime)
	if h.understood() {
		state, err := h.giver.State()
		if err != nil {
			return err
		}
		if err := h.channel.Send(KindState, state); err != nil {
			return err
		}
	} else {
		h.log.Warn("the new binary speaks another protocol: connections end here", "protocol", Protocol, "its", h.peer.Protocol)
	}
	if err := h.channel.Send(KindBegin, nil); err != nil {
		return err
	}
	if _, err := h.channel.Expect(KindServing); err != nil {
		return err
	}
	if err := h.move(); err != nil {
		return err
	}
	return h.channel.Send(KindSettled, nil)
}

func (h *HandOver) understood() bool { return h.peer.Protocol == Protocol }

// move hands over who can move now.
func (h *HandOver) move() error {
	if !h.understood() {
		return nil
	}
	return h.giver.Move(h.giveBatch)
}

// giveBatch hands one batch over. Until it has sent Yours the connections are
// this process's.
func (h *HandOver) giveBatch(b *Batch) error {
	h.channel.SetDeadline(answerTime)
	refused, err := h.tryBatch(b)
	if err != nil {
		b.Back()
		return err
	}
	b.Gone(refused)
	return nil
}

func (h *HandOver) tryBatch(b *Batch) (refused []int, err error) {
	if err := h.channel.Send(KindBatch, b.Payload, b.Descriptors...); err != nil {
		return nil, err
	}
	m, err := h.channel.Expect(KindTaken)
	if err != nil {
		return nil, err
	}
	if err := m.Decode(&refused); err != nil {
		return nil, err
	}
	return refused, h.channel.Send(KindYours, nil)
}

// ready waits for the new process to say, by tableflip, that it serves.
func (h *HandOver) ready(patience time.Duration) error {
	select {
	case err := <-h.result:
		return err
	case <-time.After(patience):
		return h.kill(errors.New("the new process hangs"))
	}
}

// Finish hands over who becomes movable until nobody is left here or ctx ends,
// and tells whether nobody is. It ends early where the channel is broken, or was
// never understood: what is left ends here then.
func (h *HandOver) Finish(ctx context.Context) (empty bool, err error) {
	defer h.channel.Close()
	if !h.understood() {
		return false, nil
	}
	ticker := time.NewTicker(reportTime)
	defer ticker.Stop()
	for {
		left, err := h.round()
		if err != nil {
			return false, fmt.Errorf("hand-over of the last connections: %w", err)
		}
		if left == 0 {
			return true, h.channel.Send(KindEnd, nil)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// round moves who can move and reports what is left.
func (h *HandOver) round() (clients int, err error) {
	if err := h.move(); err != nil {
		return 0, err
	}
	report, clients, err := h.giver.Report()
	if err != nil {
		return 0, err
	}
	h.channel.SetDeadline(answerTime)
	return clients, h.channel.Send(KindReport, report)
}

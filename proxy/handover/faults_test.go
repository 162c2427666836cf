package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire connects two channels: it forwards messages until it is cut.
type wire struct {
	mu     sync.Mutex
	left   int  // guarded by mu: messages until the cut; negative = never
	within bool // cut in the middle of the message
	sides  []*Channel
}

// forward forwards messages from one channel to the other.
func (w *wire) forward(from, to *Channel) {
	for {
		m, err := from.Receive()
		if err != nil {
			w.cut()
			return
		}
		w.mu.Lock()
		w.left--
		over := w.left == -1
		w.mu.Unlock()
		if over {
			if w.within {
				_, _ = to.conn.Write([]byte{byte(m.Kind), 0, 0})
			}
			m.Close()
			w.cut()
			return
		}
		err = to.Send(m.Kind, m.Payload, m.Descriptors...)
		m.Close()
		if err != nil {
			w.cut()
			return
		}
	}
}

func (w *wire) cut() {
	for _, c := range w.sides {
		c.Close()
	}
}

// connect makes a channel for each side, with w between them.
func connect(t *testing.T, w *wire) (old, new *Channel, wait func()) {
	t.Helper()
	ends := make([]*Channel, 4)
	for i := 0; i < 4; i += 2 {
		near, far, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		other, err := NewChannel(far)
		if err != nil {
			t.Fatal(err)
		}
		ends[i], ends[i+1] = near, other
	}
	w.sides = []*Channel{ends[1], ends[2]}
	var forwarding sync.WaitGroup
	forwarding.Go(func() { w.forward(ends[1], ends[2]) })
	forwarding.Go(func() { w.forward(ends[2], ends[1]) })
	return ends[0], ends[3], func() {
		w.cut()
		forwarding.Wait()
	}
}

// outcome is how a hand-over went.
type outcome struct {
	begin  error // of the old side; nil = the new process serves
	finish error
	take   error // of the new side
	ready  bool  // the new side reported it
	empty  bool
}

// run lets both sides converse. With died the new process ends as soon as its
// channel breaks; otherwise it behaves as it should.
func run(t *testing.T, from, to *fixture, w *wire, died bool) (out outcome) {
	t.Helper()
	near, far, wait := connect(t, w)
	defer wait()
	result := make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	sender := &Sender{log: log, old: &Old{Balancer: from, batchSize: batchSize}, channel: near, result: result, commit: func() error { return nil }}
	receiver := &Receiver{log: log, channel: far, sockets: map[string]*net.TCPListener{}, orphaned: func() bool { return false }}
	var working sync.WaitGroup
	working.Go(func() {
		defer receiver.Close()
		n := &New{Balancer: to, Log: log}
		err := receiver.receiveOffer()
		if err == nil {
			err = receiver.TakeOver(n)
		}
		if out.take = err; err != nil || died && receiver.broken {
			result <- errors.New("the new process has ended")
			return
		}
		out.ready = true
		result <- nil
		receiver.Follow(n)
	})
	if out.begin = sender.begin("test"); out.begin == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out.empty, out.finish = sender.Finish(ctx)
	}
	working.Wait()
	return out
}

const (
	number    = 23 // connections
	batchSize = 8  // descriptors: 4 connections, so that there are six batches
)

// The reason why the old process cannot hand over is in its log. Otherwise it shows only
// that the new process has ended, whose log refers to the old one's.
func TestOldSideFails(t *testing.T) {
	t.Parallel()
	from, to := newFixture(t), newFixture(t)
	from.shortage = true
	out := run(t, from, to, &wire{left: -1}, true)
	if !errors.Is(out.begin, unix.EMFILE) {
		t.Errorf("the upgrade failed with %v, want the reason", out.begin)
	}
	if from.left {
		t.Error("the old process has left")
	}
}

// Without faults every connection moves, and both sides know.
func TestHandOver(t *testing.T) {
	t.Parallel()
	from, to := newFixture(t), newFixture(t)
	connections := from.open(number)
	out := run(t, from, to, &wire{left: -2}, false)
	if out.begin != nil || out.finish != nil || out.take != nil || !out.empty {
		t.Errorf("outcome %+v", out)
	}
	if len(from.served()) != 0 || len(to.served()) != number {
		t.Errorf("%d moved, %d stayed", len(to.served()), len(from.served()))
	}
	if !to.alone || to.suspended || !from.suspended || !from.left || to.figures.Peak != from.Figures().Peak || !reflect.DeepEqual(to.names, from.Names()) {
		t.Errorf("the old balancer: %+v; the new one: %+v", from, to)
	}
	if to.oldClients != 0 {
		t.Errorf("%d clients still count as the old process's", to.oldClients)
	}
	to.check()
	from.check()
	checkTraffic(t, connections, to.served())
}

// The channel is cut at every message, between two and within one, and the new
// process survives or dies of it. No connection is ever served by both; the old
// process serves on or the new one does; and every connection is served that is
// not with a process that died.
func TestFaults(t *testing.T) {
	t.Parallel()
	for at := range 2 + 2 + 2 + 3*6 + 3 {
		for _, died := range []bool{false, true} {
			for _, within := range []bool{false, true} {
				t.Run(fmt.Sprintf("message %d, died %v, within %v", at, died, within), func(t *testing.T) {
					t.Parallel()
					checkFault(t, at, died, within)
				})
			}
		}
	}
}

func checkFault(t *testing.T, at int, died, within bool) {
	from, to := newFixture(t), newFixture(t)
	connections := from.open(number)
	out := run(t, from, to, &wire{left: at, within: within}, died)
	here, there := from.served(), to.served()
	for n := range here {
		if there[n] {
			t.Errorf("connection %d is served by both", n)
		}
	}
	switch {
	case out.begin == nil && to.suspended:
		t.Error("no process accepts: the old one has let go, the new one has not begun")
	case out.begin != nil && from.suspended:
		t.Error("no process accepts: the old one waits")
	case out.begin == nil && !out.ready:
		t.Error("the old process has let go of one that never was ready")
	}
	// At most one batch is between the two when its Yours is lost; that is the
	// price of never serving it twice.
	if lost := number - len(here) - len(there); lost > batchSize/2 {
		t.Errorf("%d are lost: %d in the new process, %d in the old one", lost, len(there), len(here))
	}
	from.check()
	checkTraffic(t, connections, here)
	if to.alone {
		to.check()
		checkTraffic(t, connections, there)
	}
	raw, err := from.listener.SyscallConn()
	if err != nil {
		t.Fatalf("the listener is closed: %v", err)
	}
	_ = raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the listener blocks accepts: %v", err)
		}
	})
}

// The new process speaks another protocol: nothing moves, and both continue.
func TestOtherProtocol(t *testing.T) {
	t.Parallel()
	from := newFixture(t)
	connections := from.open(number)
	near, far, wait := connect(t, &wire{left: -2})
	defer wait()
	result := make(chan error, 1)
	sender := &Sender{log: slog.New(slog.DiscardHandler), old: &Old{Balancer: from}, channel: near, result: result, commit: func() error { return nil }}
	var working sync.WaitGroup
	working.Go(func() {
		if _, err := far.Expect(KindOffer); err != nil {
			t.Error(err)
		}
		sockets, err := far.Expect(KindSockets)
		if err != nil {
			t.Error(err)
			return
		}
		sockets.Close()
		_ = far.SendJSON(KindPrepared, Prepared{Protocol: Protocol + 1, PID: 0})
		if _, err := far.Expect(KindBegin); err != nil {
			t.Error(err)
		}
		_ = far.Send(KindServing, nil)
		if _, err := far.Expect(KindSettled); err != nil {
			t.Error(err)
		}
		result <- nil
	})
	if err := sender.begin("test"); err != nil {
		t.Error(err)
	}
	working.Wait()
	if empty, err := sender.Finish(t.Context()); empty || err != nil {
		t.Errorf("Finish: %v, %v; want that the remaining connections end in the old process", empty, err)
	}
	far.Close()
	if n := len(from.served()); n != number {
		t.Errorf("%d are left of %d", n, number)
	}
	from.check()
	checkTraffic(t, connections, from.served())
}

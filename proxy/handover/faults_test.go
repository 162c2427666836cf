package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// things are what is handed over in these tests: numbered connections, of which
// each is to be served by one process, never by two. They are shared by both
// sides, which is what two real processes lack.
type things struct {
	mu     sync.Mutex
	served map[int]map[string]bool // guarded by mu; by whom
	twice  []string                // guarded by mu
}

func (s *things) serve(who string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served[n][who] = true
	if len(s.served[n]) > 1 {
		s.twice = append(s.twice, fmt.Sprint(n))
	}
}

func (s *things) leave(who string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.served[n], who)
}

// by is how many one side serves.
func (s *things) by(who string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, by := range s.served {
		if by[who] {
			n++
		}
	}
	return n
}

// old is a Giver of things; batches of four.
type old struct {
	*things
	t         *testing.T
	mine      []int
	suspended bool
	listener  *net.TCPListener
}

func newOld(t *testing.T, n int) *old {
	o := &old{things: &things{served: map[int]map[string]bool{}}, t: t}
	for i := range n {
		o.served[i] = map[string]bool{}
		o.mine = append(o.mine, i)
		o.serve("old", i)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	o.listener = listener.(*net.TCPListener)
	return o
}

func (o *old) Sockets() ([]Socket, error) {
	file, err := o.listener.File()
	return []Socket{{Address: "here", File: file}}, err
}
func (o *old) Suspend()               { o.suspended = true }
func (o *old) Resume()                { o.suspended = false }
func (o *old) State() ([]byte, error) { return []byte("known"), nil }

func (o *old) Move(give func(*Batch) error) error {
	for len(o.mine) > 0 {
		n := min(4, len(o.mine))
		share := slices.Clone(o.mine[:n])
		payload, _ := json.Marshal(share) // of numbers: never fails
		b := &Batch{Payload: payload}
		for range share {
			fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
			if err != nil {
				o.t.Error(err)
				return err
			}
			b.Descriptors = append(b.Descriptors, fd)
		}
		for _, i := range share {
			o.leave("old", i)
		}
		o.mine = o.mine[n:]
		end := func() {
			for _, fd := range b.Descriptors {
				unix.Close(fd)
			}
		}
		b.Gone = func([]int) { end() }
		b.Back = func() {
			end()
			for _, i := range share {
				o.serve("old", i)
			}
			o.mine = append(o.mine, share...)
		}
		if err := give(b); err != nil {
			return err
		}
	}
	return nil
}

func (o *old) Report() ([]byte, int, error) { return []byte("left"), len(o.mine), nil }

// heir is a Taker of them.
type heir struct {
	*things
	accepts bool
	alone   bool
	state   string
	open    []int
}

func (h *heir) Restore(state []byte) error    { h.state = string(state); return nil }
func (h *heir) Serve()                        { h.accepts = true }
func (h *heir) Inherited(report []byte) error { return nil }
func (h *heir) Alone()                        { h.alone = true }

func (h *heir) Adopt(payload []byte, descriptors []int) (Adopted, error) {
	a := &arrived{heir: h, descriptors: descriptors}
	if err := json.Unmarshal(payload, &a.list); err != nil {
		return nil, err
	}
	if len(a.list) != len(descriptors) {
		return nil, errors.New("not as many descriptors as things")
	}
	return a, nil
}

type arrived struct {
	heir        *heir
	list        []int
	descriptors []int
}

func (a *arrived) Refused() []int { return nil }
func (a *arrived) Serve() {
	for _, i := range a.list {
		a.heir.serve("new", i)
	}
	a.heir.open = append(a.heir.open, a.descriptors...)
}
func (a *arrived) Drop() { closeAll(a.descriptors) }

func (h *heir) end() { closeAll(h.open) }

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		unix.Close(fd)
	}
}

// wire is what stands between the two: it passes messages on until it is cut.
type wire struct {
	left  int // messages until the cut; negative = never
	mu    sync.Mutex
	sides []*Channel
	bytes bool // cut in the middle of the message
}

// pass carries messages from one channel to the other.
func (w *wire) pass(from, to *Channel) {
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
			if w.bytes {
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

// strung makes a channel for each side, with w between them.
func strung(t *testing.T, w *wire) (before, after *Channel, wait func()) {
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
	var passing sync.WaitGroup
	passing.Go(func() { w.pass(ends[1], ends[2]) })
	passing.Go(func() { w.pass(ends[2], ends[1]) })
	return ends[0], ends[3], func() {
		w.cut()
		passing.Wait()
	}
}

// outcome is how it went.
type outcome struct {
	begin  error // of the old side; nil = the new one serves
	finish error
	take   error // of the new side
	ready  bool  // that it said so
	empty  bool
}

// run has both sides talk. died says that the new process dies as soon as its
// channel breaks; else it goes on as it should.
func run(t *testing.T, o *old, h *heir, w *wire, died bool) (out outcome) {
	t.Helper()
	before, after, wait := strung(t, w)
	defer wait()
	result := make(chan error, 1)
	give := &HandOver{log: slog.New(slog.DiscardHandler), giver: o, channel: before, result: result}
	take := &Inheritance{log: give.log, channel: after, sockets: map[string]*net.TCPListener{}, orphaned: func() bool { return false }}
	var working sync.WaitGroup
	working.Go(func() {
		defer take.Close()
		err := take.receiveOffer()
		if err == nil {
			err = take.Take(h)
		}
		if out.take = err; err != nil || died && take.broken {
			result <- errors.New("the new process has ended")
			return
		}
		out.ready = true
		result <- nil
		take.Rest(h)
	})
	if out.begin = give.begin("test"); out.begin == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out.empty, out.finish = give.Finish(ctx)
	}
	working.Wait()
	return out
}

const number = 23 // six batches

// Without faults everything moves, and both sides know.
func TestHandOver(t *testing.T) {
	t.Parallel()
	o := newOld(t, number)
	h := &heir{things: o.things}
	defer h.end()
	out := run(t, o, h, &wire{left: -2}, false)
	if out.begin != nil || out.finish != nil || out.take != nil || !out.empty {
		t.Errorf("outcome %+v", out)
	}
	if o.by("new") != number || o.by("old") != 0 || len(o.twice) > 0 {
		t.Errorf("%d moved, %d stayed, %v were served by two", o.by("new"), o.by("old"), o.twice)
	}
	if !h.alone || !h.accepts || h.state != "known" || !o.suspended {
		t.Errorf("the new side: %+v; suspended %v", h, o.suspended)
	}
}

// The channel is cut at every message, between two and within one, and the new
// process lives or dies of it: nothing is ever served by both, the old process
// serves on or the new one does, and what is not with a process that died is
// served.
func TestFaults(t *testing.T) {
	t.Parallel()
	for at := range 2 + 2 + 2 + 3*6 + 3 {
		for _, died := range []bool{false, true} {
			for _, within := range []bool{false, true} {
				t.Run(fmt.Sprintf("message %d, died %v, within %v", at, died, within), func(t *testing.T) {
					t.Parallel()
					faulty(t, at, died, within)
				})
			}
		}
	}
}

func faulty(t *testing.T, at int, died, within bool) {
	o := newOld(t, number)
	h := &heir{things: o.things}
	defer h.end()
	out := run(t, o, h, &wire{left: at, bytes: within}, died)
	if len(o.twice) > 0 {
		t.Errorf("served by two: %v", o.twice)
	}
	switch {
	case out.begin == nil && !h.accepts:
		t.Error("nobody accepts: the old process has let go, the new one has not begun")
	case out.begin != nil && o.suspended:
		t.Error("nobody accepts: the old process waits")
	case out.begin == nil && !out.ready:
		t.Error("the old process has let go of one that never was ready")
	}
	// One batch at most is between the two when the word that it is the other's
	// is lost; that is the price of never serving it twice.
	if lost := number - o.by("new") - o.by("old"); lost > 4 {
		t.Errorf("%d are lost: %d new, %d old", lost, o.by("new"), o.by("old"))
	}
	raw, err := o.listener.SyscallConn()
	if err != nil {
		t.Fatalf("the listener is closed: %v", err)
	}
	_ = raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the listener blocks whoever accepts on it: %v", err)
		}
	})
}

// Another protocol number: nothing moves, and both go on.
func TestOtherProtocol(t *testing.T) {
	t.Parallel()
	o := newOld(t, number)
	h := &heir{things: o.things}
	before, after, wait := strung(t, &wire{left: -2})
	defer wait()
	result := make(chan error, 1)
	give := &HandOver{log: slog.New(slog.DiscardHandler), giver: o, channel: before, result: result}
	var working sync.WaitGroup
	working.Go(func() {
		if _, err := after.Expect(KindOffer); err != nil {
			t.Error(err)
		}
		sockets, err := after.Expect(KindSockets)
		if err != nil {
			t.Error(err)
			return
		}
		sockets.Close()
		_ = after.SendJSON(KindPrepared, Prepared{Protocol: Protocol + 1, PID: 0})
		if _, err := after.Expect(KindBegin); err != nil {
			t.Error(err)
		}
		_ = after.Send(KindServing, nil)
		if _, err := after.Expect(KindSettled); err != nil {
			t.Error(err)
		}
		result <- nil
	})
	if err := give.begin("test"); err != nil {
		t.Error(err)
	}
	working.Wait()
	if empty, err := give.Finish(t.Context()); empty || err != nil {
		t.Errorf("Finish: %v, %v; want that what is left ends in the old process", empty, err)
	}
	after.Close()
	if o.by("old") != number || h.accepts {
		t.Errorf("%d are left of %d", o.by("old"), number)
	}
}

// A broken message is an error, whatever it is, and nothing stays open.
func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"too long":        {byte(KindBatch), 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"no descriptors":  {byte(KindBatch), 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0},
		"cut in the head": {byte(KindBatch), 0, 0},
		"cut behind it":   {byte(KindBatch), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1},
	} {
		near, far, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write(bytes); err != nil {
			t.Fatal(err)
		}
		far.Close()
		if m, err := near.Receive(); err == nil {
			t.Errorf("%s: received %+v", name, m)
		}
		near.Close()
	}
}

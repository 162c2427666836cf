package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"mcplb/internal/output"
	"mcplb/proxy/handover"

	"golang.org/x/sys/unix"
)

// startOld starts a balancer that will be handed over. When the test ends, it is only
// stopped, and not checked: what began in it may end in the new process.
func startOld(t testing.TB, text string) *running {
	t.Helper()
	p, err := Start(parse(t, text), options())
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, p)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errors.New("the test is over"))
		_ = r.Stop(ctx) // it reports clients that are left, which depends on the test
	})
	return r
}

// newProcess starts the balancer that replaces r, as a new process would, up to the
// point where it serves. No connection is handed over yet.
func (r *running) newProcess(text string) *running {
	r.t.Helper()
	inherited := inheritance{}
	r.old = &handover.Old{Balancer: r.Handover()}
	sockets, err := r.Handover().Sockets()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range sockets {
		socket, err := net.FileListener(s.File)
		s.File.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		inherited[s.Address] = socket.(*net.TCPListener)
	}
	o := options()
	o.Suspended, o.Inherited = true, inherited
	var log output.Output
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	next := r.become(text, o)
	next.log = &log
	return next
}

// become starts the balancer that replaces r, whose old is set, with options.
func (r *running) become(text string, o Options) *running {
	r.t.Helper()
	if r.old == nil {
		r.old = &handover.Old{Balancer: r.Handover()}
	}
	p, err := Start(parse(r.t, text), o)
	if err != nil {
		r.t.Fatal(err)
	}
	h := run(r.t, p)
	h.new = &handover.New{Balancer: p.Handover(), Log: slog.New(slog.DiscardHandler)}
	r.old.Suspend()
	state, err := r.old.State()
	if err == nil {
		err = h.new.Restore(state)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	h.new.Serve()
	return h
}

// handOverTo hands over the connections that can move, and returns the number of sockets.
func (r *running) handOverTo(to *running) (moved int) {
	r.t.Helper()
	err := r.old.Move(func(b *handover.Batch) error {
		arrival, err := to.new.Adopt(b.Payload, duplicates(r.t, b.Descriptors))
		if err != nil {
			return err
		}
		arrival.Serve()
		b.Gone(arrival.Refused)
		moved += len(b.Descriptors)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.report(to)
	return moved
}

// report reports to the new process what is left.
func (r *running) report(to *running) (clients int) {
	r.t.Helper()
	report, clients, err := r.old.Report()
	if err == nil {
		var reserved []handover.SlotCount
		reserved, err = to.new.Update(report)
		r.old.Extend(reserved)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return clients
}

// duplicates returns copies, as a new process would receive them.
func duplicates(t testing.TB, fds []int) (copies []int) {
	t.Helper()
	for _, fd := range fds {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, copied)
	}
	return copies
}

// upgrade hands everything over: the new process serves, no client is left in r,
// and r stops.
func (r *running) upgrade(text string) *running {
	r.t.Helper()
	h := r.newProcess(text)
	r.handOverTo(h)
	r.old.Leave()
	if n := r.Connections(); n != 0 {
		r.t.Fatalf("%d clients are left in the old process", n)
	}
	if r.Snapshot().Process.Draining {
		r.t.Error("a health check would report that new clients are not served, while the new process serves them")
	}
	if _, err := r.Apply(parse(r.t, text)); !errors.Is(err, ErrDraining) {
		r.t.Errorf("applying a configuration: %v, want %v", err, ErrDraining)
	}
	if err := r.stop(); err != nil {
		r.t.Fatal(err)
	}
	h.new.Alone()
	return h
}

package handover

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"
)

// Connections that the new process cannot serve stay in the old one, are not
// offered again, and do not disturb what follows.
func TestRefused(t *testing.T) {
	t.Parallel()
	from, to := newFixture(t), newFixture(t)
	to.lacks = true
	connections := from.open(3)
	old, n := &Old{Balancer: from}, &New{Balancer: to, Log: slog.New(slog.DiscardHandler)}
	old.Suspend()
	state, err := old.State()
	if err == nil {
		err = n.Restore(state)
	}
	if err != nil {
		t.Fatal(err)
	}
	offered := 0
	move := func() {
		err := old.Move(func(b *Batch) error {
			offered++
			arrival, err := n.Adopt(b.Payload, copies(t, b.Descriptors))
			if err != nil {
				return err
			}
			arrival.Serve()
			b.Gone(arrival.Refused)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	move()
	move()
	if offered != 1 || len(from.served()) != 3 || len(to.served()) != 0 {
		t.Errorf("%d batches were offered; %d connections have stayed, %d have moved", offered, len(from.served()), len(to.served()))
	}
	payload, clients, err := old.Report()
	if err == nil {
		_, err = n.Update(payload)
	}
	if err != nil || clients != 3 || to.oldClients != 3 || to.pool.Servers()[0].Conns() != 3 {
		t.Errorf("%d clients are reported, %d arrive, %d slots are reserved: %v", clients, to.oldClients, to.pool.Servers()[0].Conns(), err)
	}
	from.check()
	checkTraffic(t, connections, from.served())
	n.Alone()
	to.check()
}

// copies returns copies of descriptors, as a new process would receive them.
func copies(t *testing.T, fds []int) (all []int) {
	t.Helper()
	for _, fd := range fds {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, copied)
	}
	return all
}

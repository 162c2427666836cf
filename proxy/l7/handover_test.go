package l7

import (
	"testing"

	"mcplb/backend"

	"golang.org/x/sys/unix"
)

// handOver hands the one client over, as if to a new process.
func (b *fixture) handOver() {
	b.Helper()
	var old *client
	b.each(func(c *client) { old = c })
	loop := old.worker.loop
	b.On(loop, func() {
		handover, d, ok := old.Detach()
		if !ok {
			b.Errorf("a client that is %s cannot be handed over", old.Info().State)
			return
		}
		received := d
		for _, fd := range []*int{&received.Client.FD, &received.Server.FD} {
			if *fd < 0 {
				continue
			}
			var err error
			if *fd, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
				b.Error(err)
			}
		}
		held, source := old.Holds()
		slot := *held
		*held, old.Source = backend.Slot{}, nil
		loop.AddLoad(1)
		b.frontend.Adopt(loop, handover, &received, source, slot, b.pool)
		old.Gone(&d)
	})
}

// A request that waits behind a response that is handed over with its connections is
// read by the new process when its turn comes.
func TestPipelinedRequestIsHandedOver(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop, withoutLog)
	client := b.dial()
	server := s.receiveHead(client, get("/1")+get("/2"))
	server.Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfi")
	client.head()
	client.Hear("fi")
	b.handOver()
	server.Say("rst")
	client.Hear("rst")
	if got := server.head().first(); got != "GET /2 HTTP/1.1" {
		t.Errorf("the second request is %q", got)
	}
	server.answer("second")
	client.wantStatus("GET", 200)
}

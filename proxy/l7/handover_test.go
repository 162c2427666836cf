package l7

import (
	"fmt"
	"testing"

	"mcplb/backend"

	"golang.org/x/sys/unix"
)

// handOver hands the one client over, as if to a new process.
func (b *fixture) handOver() {
	b.Helper()
	b.handOverThat(func(*client) bool { return true })
}

// handOverThat hands the one client over that is meant.
func (b *fixture) handOverThat(is func(c *client) bool) {
	b.Helper()
	var old *client
	b.each(func(c *client) {
		if is(c) {
			old = c
		}
	})
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

// A body that is handed over within its trailers ends in the new process as it would
// have in the old: no name of a trailer is lost or doubled, no forbidden one passes.
func TestTrailersAreHandedOver(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]string{"as it comes": "", "rewritten": "Content-Type: text/event-stream\r\n"} {
		for _, split := range []int{3, 9, 12, 17, 21, len("X-One: 1\r\nHost: evil\r\nX-Tw")} {
			t.Run(fmt.Sprint(name, " ", split), func(t *testing.T) {
				t.Parallel()
				const trailers = "X-One: 1\r\nHost: evil\r\nX-Two: 2\r\n\r\n"
				b, s := startServed(t, oneLoop, withoutLog)
				caller := b.dial()
				server := s.receiveHead(caller, get("/"))
				server.Say("HTTP/1.1 200 OK\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n" + chunk(": x\n\n") + "0\r\n" + trailers[:split])
				caller.head()
				caller.Hear(chunk(": x\n\n") + "0\r\n")
				b.Eventually("the trailers were read", func() (read bool) {
					b.each(func(c *client) { read = c.exchange.Response.inTrailers() && !c.exchange.upstream.conn.Readable() })
					return read
				})
				b.handOver()
				server.Say(trailers[split:])
				caller.Hear("X-One: 1\r\nX-Two: 2\r\n\r\n")
				caller.Say(get("/next"))
				server.head()
				server.answer("fine")
				caller.wantStatus("GET", 200)
			})
		}
	}
}

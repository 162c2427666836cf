package l4

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// However many lines one write brings, and of what kind, no more than the burst passes at
// once, and the rest one by one at the rate. If this fails, one client floods the
// servers (issue 12, B1 and B2).
func TestNeverMoreThanTheBurst(t *testing.T) {
	t.Parallel()
	const rate, burst, count = 10, 50, 90
	for name, line := range map[string]string{
		"messages":           "{\"jsonrpc\":\"2.0\"}\n",
		"with CR":            "{}\r\n",
		"blank":              "\n",
		"blank with CR":      "\r\n",
		"white space":        " \n",
		"no JSON":            "x\n",
		"more than one read": strings.Repeat("x", 2000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c, s := startRelay(t, withStoppedTime, messageRate(rate, burst))
			begin := b.Now()
			c.Say(strings.Repeat(line, count))
			s.Hear(strings.Repeat(line, burst))
			passed := burst
			for passed < count {
				n := heardNow(b, s)
				if n%len(line) != 0 {
					t.Fatalf("%d bytes came: lines are torn", n)
				}
				passed += n / len(line)
				if most := burst + int((b.Now()-begin)*rate/int64(time.Second)); passed > most {
					t.Fatalf("%d lines have passed in %v, want at most %d", passed, time.Duration(b.Now()-begin), most)
				}
				if b.Now()-begin > int64(time.Minute) {
					t.Fatalf("%d lines have passed in a minute: the rest is lost", passed)
				}
				b.Advance(20 * time.Millisecond)
			}
			if n := b.frontend.Totals().Delayed; n != count-burst {
				t.Errorf("%d delays were counted, want %d", n, count-burst)
			}
		})
	}
}

// heardNow returns how many bytes the server has received by now.
func heardNow(b *fixture, s *endpoint.Conn) (n int) {
	b.Helper()
	b.Turns(2)
	if err := s.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		b.Fatal(err)
	}
	for {
		if _, err := s.Reader.Peek(1); err != nil {
			break
		}
		k, _ := s.Reader.Discard(s.Reader.Buffered())
		n += k
	}
	if err := s.SetReadDeadline(time.Now().Add(endpoint.Patience)); err != nil {
		b.Fatal(err)
	}
	return n
}

// expectSilence checks that the server receives nothing now.
func (b *fixture) expectSilence(s *endpoint.Conn) {
	b.Helper()
	if n := heardNow(b, s); n > 0 {
		b.Fatalf("the server received %d bytes too early", n)
	}
}

// The burst is one for all connections of a source, and for all sources where the rate
// is global; those that wait take turns.
func TestOneBurstForAllConnections(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*conf.RateLimit){
		"source": func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst = 100, 100 },
		"global": func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst, l.GlobalMessageRate = 1000, 1000, 100 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const connections, each = 4, 100
			a := endpoint.Accept(t)
			b := start(t, []string{a.Address}, withStoppedTime, inMode(conf.ModeMCP), func(s *setup) { limit(&s.Limits) })
			for range connections {
				c, _ := b.relayTo(a)
				c.Say(messagesOf(each))
			}
			passed := func() uint64 { return b.frontend.Totals().MessagesIn }
			b.Eventually("the burst passes", func() bool { return passed() >= 100 })
			b.Turns(3)
			begin := b.Now()
			for b.Now()-begin < 2*int64(time.Second) {
				most := uint64(100 + (b.Now()-begin)/int64(10*time.Millisecond))
				if passed() > most || passed()+10 < most {
					t.Fatalf("after %v %d messages have passed, want %d", time.Duration(b.Now()-begin), passed(), most)
				}
				b.Advance(90 * time.Millisecond)
			}
			b.Eventually("all pass", func() bool { b.Advance(10 * time.Millisecond); return passed() == connections*each })
		})
	}
}

// What is within the burst passes, what is over is rejected at once, with its id, and
// nobody waits; blank lines are swallowed.
func TestRejectNeverDelays(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, rejecting(50, 50))
	c.Say(requests(1, 49) + "\n" + requests(51, 60) + "\n\r\n" + request(63))
	s.Hear(requests(1, 49) + "\n")
	for id := 51; id <= 60; id++ {
		expectRejected(c, id)
	}
	expectRejected(c, 63)
	if b.pausedFor() {
		t.Error("the client waits")
	}
	b.Turns(1)
	totals, served := b.frontend.Totals(), b.pool.Servers()[0].Totals()
	if totals.MessagesIn != 60 || totals.Rejected != 13 || totals.Delayed != 0 || served.MessagesIn != 49 {
		t.Errorf("%d messages, %d rejected, %d delayed, %d for the server, want 60, 13, 0 and 49",
			totals.MessagesIn, totals.Rejected, totals.Delayed, served.MessagesIn)
	}
}

// A line that is cut by the end of a read is charged once, at its first byte.
func TestPiecesOfLinesAreChargedOnce(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, messageRate(1, 3))
	for _, piece := range []string{"on", "e", "\ntwo\n", "thr", "ee", "\nfo", "ur\n"} {
		c.Say(piece)
		b.Turns(2)
	}
	s.Hear("one\ntwo\nthree\n")
	b.expectSilence(s)
	b.Advance(time.Second)
	s.Hear("four\n")
}

// What waits is not lost when its client finishes sending, and is dropped with a client
// that breaks off.
func TestEndsOfThoseWhoWait(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, messageRate(1, 1))
	c.Say("one\ntwo\n")
	c.Finish()
	s.Hear("one\n")
	b.expectSilence(s)
	b.Advance(time.Second)
	s.Hear("two\n")
	s.HearEnd()
	s.Close()
	c.HearEnd()

	b, c, s = startRelay(t, withStoppedTime, messageRate(1, 1))
	c.Say("one\ntwo\n")
	s.Hear("one\n")
	b.Eventually("the second waits", b.pausedFor)
	c.Reset()
	s.HearReset()
	b.expect(session.ClientReset, 1)
}

// A flood that waits holds one read's bytes and no more.
func TestHeldBytesAreBounded(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, messageRate(1, 1))
	b.flood(c)
	s.Hear(request(1))
	b.each(func(s *Session) {
		if n := s.relay.held.Len(); n == 0 || n > reactor.ReadSize {
			t.Errorf("%d bytes are held, want some, and %d at most", n, reactor.ReadSize)
		}
	})
	c.Reset()
}

// handOver hands the one session over, as if to a new process.
func (b *fixture) handOver() {
	b.Helper()
	var old *Session
	b.each(func(s *Session) { old = s })
	b.On(old.loop, func() {
		h, d, ok := old.Detach()
		if !ok {
			b.Error("the session cannot be handed over")
			return
		}
		received := d
		for _, fd := range []*int{&received.Client.FD, &received.Server.FD} {
			var err error
			if *fd, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
				b.Error(err)
			}
		}
		held, source := old.Holds()
		slot := *held
		*held, old.client.Source = backend.Slot{}, nil
		old.loop.AddLoad(1)
		b.frontend.Adopt(old.loop, h, &received, source, slot)
		old.Gone(&d)
	})
}

// What waits moves to a new process, in order, and waits there for the same time.
func TestHeldBytesAreHandedOver(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, messageRate(1, 3), withoutLog)
	var all strings.Builder
	for i := range 6 {
		fmt.Fprintf(&all, "message %d\n", i)
	}
	c.Say(all.String() + "behind")
	s.Hear("message 0\nmessage 1\nmessage 2\n")
	b.handOver()
	c.Say(" them\n")
	b.expectSilence(s)
	for _, line := range []string{"message 3\n", "message 4\n", "message 5\n", "behind them\n"} {
		b.Advance(900 * time.Millisecond)
		b.expectSilence(s)
		b.Advance(90 * time.Millisecond)
		s.Hear(line)
	}
	if n := harness.Sum(b.frontend.Totals().Ended); n != 0 {
		t.Errorf("%d sessions have ended", n)
	}
}

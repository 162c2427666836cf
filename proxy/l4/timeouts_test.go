package l4

import (
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/session"
)

// idleTimes sets timeout_client, timeout_server and timeout_half_closed.
func idleTimes(client, server, halfClosed time.Duration) func(*setup) {
	return func(s *setup) {
		s.frontend.TimeoutClient, s.frontend.TimeoutHalfClosed = client, halfClosed
		s.backend.TimeoutServer = server
	}
}

// A session ends when nothing has moved in either direction for the shorter of
// timeout_client and timeout_server.
func TestIdle(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	tests := []struct {
		name  string
		times func(*setup)
		alive time.Duration // the longest silence that is allowed
	}{
		{"client's", idleTimes(5*minute, 9*minute, minute), 5 * minute},
		{"server's", idleTimes(9*minute, 5*minute, minute), 5 * minute},
		{"client's alone", idleTimes(5*minute, 0, minute), 5 * minute},
		{"server's alone", idleTimes(0, 5*minute, minute), 5 * minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, c, s := startRelay(t, withStoppedTime, test.times)
			for range 3 {
				b.Advance(test.alive - time.Second)
				s.Say("from the server\n")
				c.Hear("from the server\n")
				b.Advance(test.alive - time.Second)
				c.Say("from the client\n")
				s.Hear("from the client\n")
			}
			b.Advance(test.alive)
			b.expect(session.IdleTimeout, 1)
			c.HearReset()
			s.HearReset()
		})
	}
}

func TestNoIdleTime(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, idleTimes(0, 0, 0))
	b.Advance(100 * 24 * time.Hour)
	c.Say("still there?\n")
	s.Hear("still there?\n")
	c.Close()
	s.HearEnd()
	b.Advance(100 * 24 * time.Hour)
	s.Close()
	b.expect(session.ClientClosed, 1)
}

// A half-closed connection has a shorter limit, which starts again whenever bytes move.
func TestHalfClosedTime(t *testing.T) {
	t.Parallel()
	for _, clientEnds := range []bool{true, false} {
		b, first, second := startRelay(t, withStoppedTime, idleTimes(5*time.Minute, 5*time.Minute, time.Minute))
		if !clientEnds {
			first, second = second, first
		}
		first.Finish()
		second.HearEnd()
		for range 3 {
			b.Advance(time.Minute - time.Second)
			second.Say("working\n")
			first.Hear("working\n")
		}
		b.Advance(time.Minute)
		b.expect(session.HalfClosedTimeout, 1)
		first.HearReset()
	}
}

// With timeout_half_closed = 0, the usual limit applies to half-closed connections.
func TestHalfClosedTimeOfNone(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, idleTimes(5*time.Minute, 0, 0))
	c.Finish()
	s.HearEnd()
	b.Advance(5*time.Minute - time.Second)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.Advance(2 * time.Second)
	b.expect(session.HalfClosedTimeout, 1)
}

// Changed timeouts apply to live sessions.
func TestIdleTimeChanges(t *testing.T) {
	t.Parallel()
	b, c, _ := startRelay(t, withStoppedTime, idleTimes(time.Minute, 0, 0))
	settings := *b.frontend.Settings()
	settings.Frontend.TimeoutClient = time.Hour
	b.frontend.Apply(settings)
	b.Advance(59 * time.Minute)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.Advance(time.Minute)
	b.expect(session.IdleTimeout, 1)
	c.HearReset()
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	b := start(t, []string{endpoint.Blackhole(t)}, withStoppedTime, withRetries(0))
	c := b.dial()
	b.Eventually("the balancer connects to the server", func() bool { return b.pool.Servers()[0].Conns() == 1 })
	b.Turns(2)
	b.Advance(b.pool.Config().TimeoutConnect - time.Second)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.Advance(time.Second)
	b.expect(session.ConnectTimeout, 1)
	c.HearReset()
	if n := b.pool.Servers()[0].Totals().ConnectTimeouts; n != 1 {
		t.Errorf("the server has %d connect timeouts, want 1", n)
	}
}

func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	b, first, s := startRelay(t, withStoppedTime, withMaxConn(1))
	second := b.dial()
	b.Eventually("the second waits", func() bool { return b.pool.Queued() == 1 })
	b.Turns(2)
	b.Advance(b.pool.Config().TimeoutQueue)
	b.expect(session.QueueTimeout, 1)
	second.HearReset()
	first.Say("undisturbed\n")
	s.Hear("undisturbed\n")
}

// With timeout_queue = 0, a client waits in the queue without a limit.
func TestNoQueueTimeout(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withStoppedTime, withMaxConn(1), idleTimes(0, 0, 0), func(s *setup) { s.backend.TimeoutQueue = 0 })
	first, _ := b.relayTo(a)
	second := b.dial()
	b.Eventually("the second waits", func() bool { return b.pool.Queued() == 1 })
	b.Advance(24 * time.Hour)
	first.Reset()
	s := a.Next()
	second.Say("at last\n")
	s.Hear("at last\n")
	if queue := b.frontend.Totals().Queue; queue.Count != 1 || queue.Max < 24*time.Hour {
		t.Errorf("the wait was counted as %+v, want one of a day", queue)
	}
}

// A pause for the message rate is not silence: a client that is delayed for longer
// than the idle time is not cut off.
func TestPauseIsNotSilence(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, inMode(conf.ModeMCP), idleTimes(time.Second/2, time.Second/2, time.Second/2), messageRate(1, 1))
	c.Say(messagesOf(4))
	s.Hear(messagesOf(1))
	for range 3 {
		b.Advance(900 * time.Millisecond)
		if n := b.frontend.Current(); n != 1 {
			t.Fatalf("%d sessions, want 1", n)
		}
		b.Advance(100 * time.Millisecond)
		s.Hear(messagesOf(1))
	}
	b.Advance(time.Second / 2)
	b.expect(session.IdleTimeout, 1)
}

// A session whose client dies during a pause ends at once.
func TestDeathInAPause(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		b, c, s := startRelay(t, withStoppedTime, inMode(conf.ModeMCP), messageRate(1, 1), oneLoop)
		burst := messagesOf(200)
		if before { // the client has died before the balancer reads the messages
			b.On(b.Engine.Loops()[0], func() { c.Say(burst); c.Reset() })
		} else {
			c.Say(burst)
			s.Hear(messagesOf(1))
			c.Reset()
		}
		b.expect(session.ClientReset, 1)
		s.HearReset()
	}
}

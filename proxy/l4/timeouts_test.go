//go:build linux

package l4

import (
	"testing"
	"time"

	"mcplb/conf"
)

// idleTimes sets all of them, as the configuration has them.
func idleTimes(client, server, halfClosed time.Duration) func(*setup) {
	return func(s *setup) {
		s.frontend.TimeoutClient, s.frontend.TimeoutHalfClosed = client, halfClosed
		s.backend.TimeoutServer = server
	}
}

// The idle time counts what moves in either direction, and ends the session
// when nothing does.
func TestIdle(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	tests := []struct {
		name  string
		times func(*setup)
		alive time.Duration // the longest silence that is borne
	}{
		{"client's", idleTimes(5*minute, 9*minute, minute), 5 * minute},
		{"server's", idleTimes(9*minute, 5*minute, minute), 5 * minute},
		{"client's alone", idleTimes(5*minute, 0, minute), 5 * minute},
		{"server's alone", idleTimes(0, 5*minute, minute), 5 * minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := accept(t)
			b := begin(t, []string{a.address}, withClock, test.times)
			c, s := b.meet(a)
			for range 3 {
				b.advance(test.alive - time.Second)
				s.say("from the server\n")
				c.hear("from the server\n")
				b.advance(test.alive - time.Second)
				c.say("from the client\n")
				s.hear("from the client\n")
			}
			b.advance(test.alive)
			b.expect(IdleTimeout, 1)
			c.hearReset()
			s.hearReset()
		})
	}
}

func TestNoIdleTime(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withClock, idleTimes(0, 0, 0))
	c, s := b.meet(a)
	b.advance(100 * 24 * time.Hour)
	c.say("still there?\n")
	s.hear("still there?\n")
	c.Close()
	s.hearEnd()
	b.advance(100 * 24 * time.Hour)
	s.Close()
	b.expect(ClientClosed, 1)
}

// A half-closed connection has its own, shorter time, which what still moves
// prolongs.
func TestHalfClosedTime(t *testing.T) {
	t.Parallel()
	for _, clientEnds := range []bool{true, false} {
		a := accept(t)
		b := begin(t, []string{a.address}, withClock, idleTimes(5*time.Minute, 5*time.Minute, time.Minute))
		first, second := b.meet(a)
		if !clientEnds {
			first, second = second, first
		}
		first.finish()
		second.hearEnd()
		for range 3 {
			b.advance(time.Minute - time.Second)
			second.say("working\n")
			first.hear("working\n")
		}
		b.advance(time.Minute)
		b.expect(HalfClosedTimeout, 1)
		first.hearReset()
	}
}

// Of an idle time of 0 for half-closed connections, the usual one is left.
func TestHalfClosedTimeOfNone(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withClock, idleTimes(5*time.Minute, 0, 0))
	c, s := b.meet(a)
	c.finish()
	s.hearEnd()
	b.advance(5*time.Minute - time.Second)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.advance(2 * time.Second)
	b.expect(HalfClosedTimeout, 1)
}

// Settings that change hold for sessions that live.
func TestIdleTimeChanges(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withClock, idleTimes(time.Minute, 0, 0))
	c, _ := b.meet(a)
	settings := *b.frontend.Settings()
	settings.Frontend.TimeoutClient = time.Hour
	b.frontend.Apply(settings)
	b.advance(59 * time.Minute)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.advance(time.Minute)
	b.expect(IdleTimeout, 1)
	c.hearReset()
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	b := begin(t, []string{blackhole(t)}, withClock, withRetries(0))
	c := b.dial()
	b.eventually("the server is being connected to", func() bool { return b.pool.Servers()[0].Conns() == 1 })
	b.turns(2)
	b.advance(b.pool.Config().TimeoutConnect - time.Second)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.advance(time.Second)
	b.expect(ConnectTimeout, 1)
	c.hearReset()
	if n := b.pool.Servers()[0].Totals().ConnectTimeouts; n != 1 {
		t.Errorf("the server has %d connect timeouts, want 1", n)
	}
}

func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withClock, withMaxConn(1))
	first, s := b.meet(a)
	second := b.dial()
	b.eventually("the second waits", func() bool { return b.pool.Queued() == 1 })
	b.turns(2)
	b.advance(b.pool.Config().TimeoutQueue)
	b.expect(QueueTimeout, 1)
	second.hearReset()
	first.say("undisturbed\n")
	s.hear("undisturbed\n")
}

// Whoever waits for the end of a queue without a time limit waits.
func TestNoQueueTimeout(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withClock, withMaxConn(1), idleTimes(0, 0, 0), func(s *setup) { s.backend.TimeoutQueue = 0 })
	first, _ := b.meet(a)
	second := b.dial()
	b.eventually("the second waits", func() bool { return b.pool.Queued() == 1 })
	b.advance(24 * time.Hour)
	reset(first.TCPConn)
	s := a.next()
	second.say("at last\n")
	s.hear("at last\n")
	if queue := b.frontend.Totals().Queue; queue.Count != 1 || queue.Max < 24*time.Hour {
		t.Errorf("the wait was counted as %+v, want one of a day", queue)
	}
}

// A pause for the message rate is no silence: whoever is held back for longer
// than the idle time is not cut off.
func TestPauseIsNoSilence(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withClock, inMode(conf.ModeMCP), idleTimes(time.Minute, time.Minute, time.Minute), messageRate(1, 1))
	c, s := b.meet(a)
	burst := messagesOf(200)
	c.say(burst)
	s.hear(burst) // one read brings it: 199 seconds of debt
	c.say("and one more\n")
	b.advance(3 * time.Minute)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.advance(30 * time.Second)
	s.hear("and one more\n")
	b.advance(2 * time.Second) // the pause that this one causes
	b.advance(time.Minute)
	b.expect(IdleTimeout, 1)
}

// A client that dies during a pause is not waited for.
func TestDeathInAPause(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		a := accept(t)
		b := begin(t, []string{a.address}, withClock, inMode(conf.ModeMCP), messageRate(1, 1), func(s *setup) { s.loops = 1 })
		c, s := b.meet(a)
		burst := messagesOf(200)
		if before { // the pause is learnt of after the death
			b.on(b.engine.Loops()[0], func() { c.say(burst); reset(c.TCPConn) })
		} else {
			c.say(burst)
			s.hear(burst)
			reset(c.TCPConn)
		}
		b.expect(ClientReset, 1)
		s.hearReset()
	}
}

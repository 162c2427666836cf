package l4

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/session"
)

// bothModes runs a test in mode tcp and in mode mcp.
func bothModes(t *testing.T, test func(t *testing.T, mode func(*setup))) {
	t.Parallel()
	for _, mode := range []conf.Mode{conf.ModeTCP, conf.ModeMCP} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			test(t, inMode(mode))
		})
	}
}

// A client that has sent FIN still receives the reply (caddy 8026).
func TestClientFinishesFirst(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := endpoint.Accept(t)
		b := start(t, []string{a.Address}, mode)
		c := b.dial()
		c.Say("question\n")
		c.Finish()
		s := a.Next()
		s.Hear("question\n")
		s.HearEnd()
		reply := strings.Repeat("a long reply\n", 20_000)
		go func() {
			_, _ = io.WriteString(s, reply)
			s.Close()
		}()
		c.Hear(reply)
		c.HearEnd()
		b.expect(session.ClientClosed, 1)
	})
}

func TestServerFinishesFirst(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		b, c, s := startRelay(t, mode)
		s.Say("greeting\n")
		s.Finish()
		c.Hear("greeting\n")
		c.HearEnd()
		text := strings.Repeat("still to be said\n", 20_000)
		go func() {
			_, _ = io.WriteString(c, text)
			c.Close()
		}()
		s.Hear(text)
		s.HearEnd()
		b.expect(session.ServerClosed, 1)
	})
}

// A stream that breaks off must not look complete (envoy 44148).
func TestResetIsPassedOn(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := endpoint.Accept(t)
		b := start(t, []string{a.Address}, mode)
		c := b.dial()
		c.Say("begun\n")
		s := a.Next()
		s.Hear("begun\n")
		c.Reset()
		s.HearReset()
		b.expect(session.ClientReset, 1)

		c = b.dial()
		s = a.Next()
		s.Say("begun\n")
		c.Hear("begun\n")
		s.Reset()
		c.HearReset()
		b.expect(session.ServerReset, 1)

		totals := b.pool.Servers()[0].Totals()
		if totals.Connections != 2 || totals.ClientAborts != 1 || totals.Resets != 1 {
			t.Errorf("the server's counters are %+v, want 2 connections, 1 client abort, 1 reset", totals)
		}
	})
}

// When a server goes down after it has finished, its client still receives the rest of
// what the server sent, and the end.
func TestDownBehindTheEnd(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		b, c, s := startRelay(t, mode)
		text := strings.Repeat("an answer\n", 30_000) // more than the client's kernel takes
		s.Say(text)
		s.Finish()
		b.Eventually("FIN is behind it", func() (ending bool) {
			b.each(func(s *Session) { ending = s.relay.client.FinUnacked() })
			return ending
		})
		b.each(func(s *Session) { s.ServerDown(conf.OnDownClose) })
		b.expect(session.ServerDown, 1)
		c.Hear(text)
		c.HearEnd()
	})
}

// The bytes sent before a reset still arrive, and then the reset.
func TestResetAfterData(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		b, c, s := startRelay(t, mode)
		s.Say("all of this\n")
		s.Reset()
		c.Hear("all of this\n")
		c.HearReset()
		b.expect(session.ServerReset, 1)
	})
}

// When a server replies and closes while the client still sends, the reply arrives, and
// the client learns that the rest was lost.
func TestAnswerBeforeTheQuestionEnds(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := endpoint.Accept(t)
		b := start(t, []string{a.Address}, mode)
		question := bytes.Repeat([]byte("an endless question\n"), 4<<10)
		const times = 8
		for range times {
			c := b.dial()
			sent := make(chan error, 1)
			go func() {
				var err error
				for err == nil {
					_, err = c.Write(question)
				}
				sent <- err
			}()
			s := a.Next()
			s.Hear("an endless question\n")
			answer := strings.Repeat("enough\n", 4000)
			s.Say(answer)
			s.Close() // with unread bytes: RST
			c.Hear(answer)
			if err := endpoint.Receive(t, sent); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("the client's sending ended with %v, want connection reset", err)
			}
		}
		b.expect(session.ServerReset, times)
	})
}

// The bytes left in the sockets when one side finishes are delivered before the end.
func TestLeftoverBeforeTheEnd(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := endpoint.Accept(t)
		b := start(t, []string{a.Address}, mode)
		c := b.dial()
		text := strings.Repeat("0123456789abcde\n", 64<<10) // 1 MB
		go func() {
			_, _ = io.WriteString(c, text)
			_ = c.CloseWrite()
		}()
		s := a.Next()
		b.Eventually("the balancer can send no more", func() bool { return b.Parked() > 0 || b.pool.Servers()[0].Totals().BytesIn == 1<<20 })
		s.Hear(text)
		s.HearEnd()
		s.Finish()
		c.HearEnd()
		b.expect(session.ClientClosed, 1)
	})
}

// When one side dies and the other is silent, the session ends at once, not after a
// timeout (golang/go 67337).
func TestDeadClientOfASilentServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		die  func(c *endpoint.Conn)
	}{
		{"reset", (*endpoint.Conn).Reset},
		{"reset after the end", func(c *endpoint.Conn) { c.Finish(); c.Reset() }},
		{"reset after data", func(c *endpoint.Conn) { c.Say("last words\n"); c.Reset() }},
		{"reset after data and the end", func(c *endpoint.Conn) { c.Say("last words\n"); c.Finish(); c.Reset() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := endpoint.Accept(t)
			b := start(t, []string{a.Address}, oneLoop)
			for _, atOnce := range []bool{false, true} {
				c, s := b.relayTo(a)
				c.Say("hello\n")
				s.Hear("hello\n")
				if atOnce { // the loop receives all of it in one event
					b.On(b.Engine.Loops()[0], func() { test.die(c) })
				} else {
					test.die(c)
				}
			}
			b.expect(session.ClientReset, 2)
		})
	}
}

// When a client finishes and then dies while the server works on its request, the
// server learns that.
func TestDeathAfterTheEndWasPassedOn(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t)
	c.Finish()
	s.HearEnd()
	c.Reset()
	b.expect(session.ClientReset, 1)
	if _, err := s.Write([]byte("answer")); err == nil {
		if _, err = s.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("the server can continue for a client that is dead: %v", err)
		}
	}
}

// lines are 64 KiB of lines, which every mode relays.
var lines = bytes.Repeat([]byte("0123456789abcde\n"), 4<<10)

// A session whose client dies while the server takes no more bytes ends at once.
func TestDeadClientOfABlockedServer(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t)
	b.Fill(c, lines)
	c.Reset()
	b.expect(session.ClientReset, 1)
	s.HearReset()
}

// What a server sent before it broke off stays available to a slow client, but not
// for longer than a half-closed connection may last.
func TestDeadServerOfABlockedClient(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime)
	b.Fill(s, lines)
	s.Reset()
	b.Advance(b.frontend.Settings().Frontend.TimeoutHalfClosed - time.Second)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.Advance(time.Second)
	b.expect(session.HalfClosedTimeout, 1)
	c.HearReset()
}

// However both sides end a session at once, it has one reason and releases one slot.
func TestBothEndAtOnce(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withRetries(0), oneLoop)
	ways := []func(c *endpoint.Conn){
		func(c *endpoint.Conn) { c.Close() },
		(*endpoint.Conn).Finish,
		(*endpoint.Conn).Reset,
		func(c *endpoint.Conn) { c.Say("x"); c.Close() },
		func(c *endpoint.Conn) { c.Say("x"); c.Reset() },
	}
	var sessions uint64
	for _, clientWay := range ways {
		for _, serverWay := range ways {
			c, s := b.relayTo(a)
			b.On(b.Engine.Loops()[0], func() { clientWay(c); serverWay(s) })
			b.Turns(2)
			c.Reset()
			s.Reset()
			sessions++
		}
	}
	b.Eventually("all have ended", func() bool { return b.frontend.Current() == 0 })
	totals := b.frontend.Totals()
	if ended := harness.Sum(totals.Ended) + harness.Sum(totals.Refused); totals.Sessions != sessions || ended != sessions {
		t.Errorf("of %d sessions %d ended: %v, %v", totals.Sessions, ended, harness.Nonzero(totals.Ended), harness.Nonzero(totals.Refused))
	}
}

//go:build linux

package l4

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
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

// A client's FIN must not cost it the reply (caddy 8026).
func TestClientFinishesFirst(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := accept(t)
		b := begin(t, []string{a.address}, mode)
		c := b.dial()
		c.say("question\n")
		c.finish()
		s := a.next()
		s.hear("question\n")
		s.hearEnd()
		reply := strings.Repeat("a long reply\n", 20_000)
		go func() {
			_, _ = io.WriteString(s, reply)
			s.Close()
		}()
		c.hear(reply)
		c.hearEnd()
		b.expect(ClientClosed, 1)
	})
}

func TestServerFinishesFirst(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := accept(t)
		b := begin(t, []string{a.address}, mode)
		c, s := b.meet(a)
		s.say("greeting\n")
		s.finish()
		c.hear("greeting\n")
		c.hearEnd()
		text := strings.Repeat("still to be said\n", 20_000)
		go func() {
			_, _ = io.WriteString(c, text)
			c.Close()
		}()
		s.hear(text)
		s.hearEnd()
		b.expect(ServerClosed, 1)
	})
}

// A broken stream must not look like a whole one (envoy 44148).
func TestResetIsPassedOn(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := accept(t)
		b := begin(t, []string{a.address}, mode)
		c := b.dial()
		c.say("begun\n")
		s := a.next()
		s.hear("begun\n")
		reset(c.TCPConn)
		s.hearReset()
		b.expect(ClientReset, 1)

		c = b.dial()
		s = a.next()
		s.say("begun\n")
		c.hear("begun\n")
		reset(s.TCPConn)
		c.hearReset()
		b.expect(ServerReset, 1)

		totals := b.pool.Servers()[0].Totals()
		if totals.Connections != 2 || totals.ClientAborts != 1 || totals.Resets != 1 {
			t.Errorf("the server's counters are %+v, want 2 connections, 1 client abort, 1 reset", totals)
		}
	})
}

// What was said before the reset still arrives, and then the reset.
func TestResetAfterData(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := accept(t)
		b := begin(t, []string{a.address}, mode)
		c, s := b.meet(a)
		s.say("all of this\n")
		reset(s.TCPConn)
		c.hear("all of this\n")
		c.hearReset()
		b.expect(ServerReset, 1)
	})
}

// A server that answers and closes while the client still sends: the answer
// arrives, and the client learns that the rest went nowhere.
func TestAnswerBeforeTheQuestionEnds(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := accept(t)
		b := begin(t, []string{a.address}, mode)
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
			s := a.next()
			s.hear("an endless question\n")
			answer := strings.Repeat("enough\n", 4000)
			s.say(answer)
			s.Close() // with unread bytes: RST
			c.hear(answer)
			if err := <-sent; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("the client's sending ended with %v, want connection reset", err)
			}
		}
		b.expect(ServerReset, times)
	})
}

// What is left in the sockets when the end comes is delivered before it.
func TestLeftoverBeforeTheEnd(t *testing.T) {
	bothModes(t, func(t *testing.T, mode func(*setup)) {
		a := accept(t)
		b := begin(t, []string{a.address}, mode)
		c := b.dial()
		text := strings.Repeat("0123456789abcde\n", 64<<10) // 1 MB
		go func() {
			_, _ = io.WriteString(c, text)
			_ = c.CloseWrite()
		}()
		s := a.next()
		b.eventually("the balancer can send no more", func() bool { return b.parked() > 0 || b.pool.Servers()[0].Totals().BytesIn == 1<<20 })
		s.hear(text)
		s.hearEnd()
		s.finish()
		c.hearEnd()
		b.expect(ClientClosed, 1)
	})
}

// One side dies, the other is silent: nobody may wait for a timeout
// (golang/go 67337).
func TestDeadClientOfASilentServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		die  func(c *client)
	}{
		{"reset", func(c *client) { reset(c.TCPConn) }},
		{"reset after the end", func(c *client) { c.finish(); reset(c.TCPConn) }},
		{"reset after data", func(c *client) { c.say("last words\n"); reset(c.TCPConn) }},
		{"reset after data and the end", func(c *client) { c.say("last words\n"); c.finish(); reset(c.TCPConn) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := accept(t)
			b := begin(t, []string{a.address}, func(s *setup) { s.loops = 1 })
			for _, atOnce := range []bool{false, true} {
				c, s := b.meet(a)
				c.say("hello\n")
				s.hear("hello\n")
				if atOnce { // the loop learns of all of it in one event
					b.on(b.engine.Loops()[0], func() { test.die(c) })
				} else {
					test.die(c)
				}
			}
			b.expect(ClientReset, 2)
		})
	}
}

// A client that finished and then died while the server works on its question.
func TestDeathAfterTheEndWasPassedOn(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address})
	c, s := b.meet(a)
	c.finish()
	s.hearEnd()
	reset(c.TCPConn)
	b.expect(ClientReset, 1)
	if _, err := s.Write([]byte("answer")); err == nil {
		if _, err = s.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("the server can go on for a client that is dead: %v", err)
		}
	}
}

// A client that dies while the server takes no more is not waited for.
func TestDeadClientOfABlockedServer(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address})
	c, s := b.meet(a)
	fill(t, c.TCPConn)
	reset(c.TCPConn)
	b.expect(ClientReset, 1)
	s.hearReset()
}

// A server that breaks off leaves its client what it said before, however slow
// the client is to read it: for no longer than half-closed connections live.
func TestDeadServerOfABlockedClient(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withClock)
	c, s := b.meet(a)
	fill(t, s.TCPConn)
	reset(s.TCPConn)
	b.advance(b.frontend.Settings().Frontend.TimeoutHalfClosed - time.Second)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.advance(time.Second)
	b.expect(HalfClosedTimeout, 1)
	c.hearReset()
}

// fill writes until nobody takes any more.
func fill(t testing.TB, c *net.TCPConn) {
	t.Helper()
	p := bytes.Repeat([]byte("0123456789abcde\n"), 4<<10)
	for {
		if err := c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Write(p)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever ends a session, and however: one reason, one slot, no more.
func TestBothEndAtOnce(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, withRetries(0), func(s *setup) { s.loops = 1 })
	ways := []func(c *client){
		func(c *client) { c.Close() },
		func(c *client) { c.finish() },
		func(c *client) { reset(c.TCPConn) },
		func(c *client) { c.say("x"); c.Close() },
		func(c *client) { c.say("x"); reset(c.TCPConn) },
	}
	var sessions uint64
	for _, clientWay := range ways {
		for _, serverWay := range ways {
			c, s := b.meet(a)
			b.on(b.engine.Loops()[0], func() { clientWay(c); serverWay(s) })
			b.turns(2)
			reset(c.TCPConn)
			reset(s.TCPConn)
			sessions++
		}
	}
	b.eventually("all have ended", func() bool { return b.frontend.Current() == 0 })
	totals := b.frontend.Totals()
	if ended := sum(totals.Ended) + sum(totals.Refused); totals.Sessions != sessions || ended != sessions {
		t.Errorf("of %d sessions %d ended: %v, %v", totals.Sessions, ended, nonzero(totals.Ended), nonzero(totals.Refused))
	}
}

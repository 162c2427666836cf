package endpoint

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/expectfail"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// pair returns both ends of a connection.
func pair(t testing.TB) (client, server *Conn) {
	t.Helper()
	a := Accept(t)
	return Dial(t, a.Address), a.Next()
}

// TestConn checks that the bytes and the end that are sent are those received.
func TestConn(t *testing.T) {
	t.Parallel()
	c, s := pair(t)
	c.Say("one two\nthree\nrest")
	s.Hear("one ")
	if line := s.Line(); line != "two" {
		t.Errorf("the line is %q", line)
	}
	go func() { _, _ = io.WriteString(s, "answer\n") }()
	if answer := c.Ask("question"); answer != "answer" {
		t.Errorf("the answer is %q", answer)
	}
	s.Hear("three\nrestquestion\n")
	c.Finish()
	s.HearEnd()
	s.Say("late")
	c.Hear("late")
	s.Reset()
	c.HearReset()
}

// TestConnFails checks that unmet expectations fail.
func TestConnFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do     func(*Conn) // done by the other end
		wants  func(*Conn)
		failed string // a part of the failure
	}{
		"other text":      {func(c *Conn) { c.Say("nope") }, func(c *Conn) { c.Hear("what") }, `received "nope", <nil>, want "what"`},
		"less text":       {func(c *Conn) { c.Say("wh"); c.Finish() }, func(c *Conn) { c.Hear("what") }, `received "wh", unexpected EOF, want "what"`},
		"no line":         {func(c *Conn) { c.Say("wh"); c.Finish() }, func(c *Conn) { c.Line() }, `received "wh", EOF, want a line`},
		"no answer":       {(*Conn).Finish, func(c *Conn) { c.Ask("what?") }, `want a line`},
		"reset, not FIN":  {(*Conn).Reset, (*Conn).HearEnd, "want the end"},
		"FIN, not reset":  {(*Conn).Finish, (*Conn).HearReset, "want connection reset"},
		"text before FIN": {func(c *Conn) { c.Say("more"); c.Finish() }, (*Conn).HearEnd, `received "more"`},
		"closed":          {func(*Conn) {}, func(c *Conn) { c.Close(); c.Say("what?") }, `sending "what?"`},
		"ended twice":     {func(*Conn) {}, func(c *Conn) { c.Close(); c.Finish() }, "close"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := expectfail.Failure(t, func(t testing.TB) {
				client, server := pair(t)
				c.do(client)
				c.wants(server)
			})
			if !strings.Contains(got, c.failed) {
				t.Errorf("it fails with %q, want %q in it", got, c.failed)
			}
		})
	}
}

// TestServer checks that a server serves all clients, on one address, except
// while it is shut, and that nothing of a connection is left once it is cut.
func TestServer(t *testing.T) {
	t.Parallel()
	s := Serve(t, Echo)
	for range 2 {
		c := Dial(t, s.Address)
		if answer := c.Ask("who?"); answer != "who?" {
			t.Errorf("the echo is %q", answer)
		}
		if s.Idle() {
			t.Error("it is idle while a client is connected")
		}
		s.Shut()
		TurnedAway(t, s.Address)
		if answer := c.Ask("still?"); answer != "still?" {
			t.Errorf("the echo is %q", answer)
		}
		s.Cut()
		if p, err := io.ReadAll(c); len(p) > 0 { // FIN or RST
			t.Errorf("after the cut came %q, %v", p, err)
		}
		Eventually(t, "it is idle", s.Idle)
		address := s.Address
		if s.Open(); s.Address != address {
			t.Errorf("it has moved from %s to %s", address, s.Address)
		}
	}
	if n := s.Accepted(); n != 2 {
		t.Errorf("%d connections were accepted, want 2", n)
	}
}

// TestServerEnds checks that a test can end with open connections.
func TestServerEnds(t *testing.T) {
	t.Parallel()
	var s *Server
	t.Run("", func(t *testing.T) {
		s = ServeAt(t, "[::1]:0", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
		Dial(t, s.Address)
		Eventually(t, "it is connected", func() bool { return s.Accepted() == 1 })
	})
	if !s.Idle() {
		t.Error("a script is still running")
	}
	TurnedAway(t, s.Address)
}

// TestTurnedAwayFails checks that TurnedAway fails if the client is served.
func TestTurnedAwayFails(t *testing.T) {
	t.Parallel()
	s := Serve(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "welcome") })
	if got := expectfail.Failure(t, func(t testing.TB) { TurnedAway(t, s.Address) }); got == "" {
		t.Error("it accepts a welcome")
	}
}

// TestBind checks that an address refuses until it listens.
func TestBind(t *testing.T) {
	t.Parallel()
	b := Bind(t)
	if _, err := net.Dial("tcp", b.Address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting: %v, want a refusal", err)
	}
	TurnedAway(t, b.Address)
	b.Listen(t, 1)
	Dial(t, b.Address)
}

// TestBlackhole checks that a black hole neither accepts nor refuses.
func TestBlackhole(t *testing.T) {
	t.Parallel()
	hole := Blackhole(t)
	for range 3 {
		var timeout net.Error
		if _, err := net.DialTimeout("tcp", hole, 50*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("connecting: %v, want no answer", err)
		}
	}
}

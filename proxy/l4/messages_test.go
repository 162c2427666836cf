package l4

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
)

// messageRate sets the message rate, with over_message = "delay".
func messageRate(rate, burst int) func(*setup) {
	return func(s *setup) {
		s.frontend.Mode = conf.ModeMCP
		s.Limits.MessageRate, s.Limits.MessageBurst, s.Limits.OverMessage = rate, burst, conf.Delay
	}
}

// rejecting sets the message rate, with over_message = "reject" and without bans.
func rejecting(rate, burst int) func(*setup) {
	return func(s *setup) {
		messageRate(rate, burst)(s)
		s.Limits.OverMessage, s.Limits.BanAfter = conf.Reject, 0
	}
}

// longestMessage sets max_message.
func longestMessage(n int64) func(*setup) {
	return func(s *setup) { s.frontend.Mode, s.frontend.MaxMessage = conf.ModeMCP, n }
}

// messagesOf returns n messages.
func messagesOf(n int) string { return strings.Repeat("{\"jsonrpc\":\"2.0\"}\n", n) }

// request returns a request as a line.
func request(id any) string {
	raw, err := json.Marshal(id)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"ping\"}\n", raw)
}

// requests returns the requests with the ids from first to last.
func requests(first, last int) string {
	var all strings.Builder
	for id := first; id <= last; id++ {
		all.WriteString(request(id))
	}
	return all.String()
}

// rejection is an error that the balancer sends.
type rejection struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    struct {
			RetryAfterMs int64 `json:"retryAfterMs"`
		} `json:"data"`
	} `json:"error"`
}

// expectRejected receives the error for a message over the rate.
func expectRejected(c *endpoint.Conn, id any) {
	c.Helper()
	line := c.Line()
	want, err := json.Marshal(id)
	if err != nil {
		c.Fatal(err)
	}
	var r rejection
	if err := json.Unmarshal([]byte(line), &r); err != nil || string(r.ID) != string(want) ||
		r.Version != "2.0" || r.Error.Code != mcp.CodeRateLimited || r.Error.Data.RetryAfterMs <= 0 {
		c.Fatalf("received %q, %v, want an error for id %s", line, err, want)
	}
}

func TestMessagesAreCounted(t *testing.T) {
	t.Parallel()
	for _, limits := range []func(*setup){inMode(conf.ModeMCP), messageRate(1000, 1000), rejecting(1000, 1000)} {
		b, c, s := startRelay(t, limits, withStoppedTime)
		for _, piece := range []string{"{\"one\":1}\n", "{\"two\"", ":2}\r\n\r\n\n", "three\nfour\nand fi", "ve\n"} {
			c.Say(piece)
			s.Hear(piece)
		}
		for _, piece := range []string{"\n", "{", "}", "\n{}\n"} {
			s.Say(piece)
			c.Hear(piece)
		}
		b.Turns(1)
		totals, served := b.frontend.Totals(), b.pool.Servers()[0].Totals()
		if totals.MessagesIn != 5 || totals.MessagesOut != 2 || served.MessagesIn != 5 || served.MessagesOut != 2 {
			t.Errorf("%d, %d messages in and %d, %d out were counted, want 5 and 2",
				totals.MessagesIn, served.MessagesIn, totals.MessagesOut, served.MessagesOut)
		}
	}
}

// All delayed messages arrive, in order, and never faster than the rate allows.
func TestDelay(t *testing.T) {
	t.Parallel()
	const rate, burst, count = 100, 10, 600
	b, c, s := startRelay(t, withStoppedTime, messageRate(rate, burst))
	padding := strings.Repeat(" ", 900)
	go func() {
		for id := range count {
			if _, err := io.WriteString(c, padding+request(id)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	arrived := make(chan int, count)
	go func() {
		for id := range count {
			line, err := s.Reader.ReadString('\n')
			if err != nil || line != padding+request(id) {
				t.Errorf("message %d arrived as %.40q, %v", id, strings.TrimSpace(line), err)
				return
			}
			arrived <- id
		}
	}()
	begin, received := b.Now(), 0
	passed := func() time.Duration { return time.Duration(b.Now() - begin) }
	for received < count && !t.Failed() {
		b.Eventually("a message arrives, or waits", func() bool { return len(arrived) > 0 || b.pausedFor() || t.Failed() })
		if len(arrived) == 0 {
			b.Advance(10 * time.Millisecond)
			continue
		}
		<-arrived
		received++
		if most := burst + int(passed()*rate/time.Second); received > most {
			t.Fatalf("%d messages arrived within %v, want at most %d", received, passed(), most)
		}
	}
	if received != count {
		t.Fatalf("%d messages arrived, want %d", received, count)
	}
	if least := time.Duration(count-burst) * time.Second / rate; passed() < least {
		t.Errorf("%d messages took %v, want at least %v", count, passed(), least)
	}
	if most := time.Duration(count) * time.Second / rate * 5 / 4; passed() > most {
		t.Errorf("%d messages took %v, want at most %v: the rate is not used", count, passed(), most)
	}
	if n := b.frontend.Totals().Delayed; n == 0 {
		t.Error("no delay was counted")
	}
}

// pausedFor reports whether a session waits for time to pass.
func (b *fixture) pausedFor() (paused bool) {
	b.each(func(s *Session) { paused = paused || s.relay.Resume != 0 })
	return paused
}

// A client does not get a new burst by connecting again, and what it sent in vain is not
// charged.
func TestBucketOutlivesTheConnection(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withStoppedTime, messageRate(10, 5))
	c, s := b.relayTo(a)
	c.Say(messagesOf(105))
	s.Hear(messagesOf(5))
	c.Reset()
	b.expect(session.ClientReset, 1)
	c = b.dial()
	c.Say("hello\n")
	s = a.Next()
	b.Advance(50 * time.Millisecond)
	if n := b.frontend.Totals().MessagesIn; n != 5 {
		t.Fatalf("%d messages were taken, want 5", n)
	}
	b.Advance(50 * time.Millisecond)
	s.Hear("hello\n")
}

// The server's messages are not delayed with its client's.
func TestDelayIsOneWay(t *testing.T) {
	t.Parallel()
	_, c, s := startRelay(t, withStoppedTime, messageRate(1, 1))
	c.Say(messagesOf(100))
	s.Hear(messagesOf(1))
	for range 100 {
		s.Say("notification\n")
		c.Hear("notification\n")
	}
	s.Finish()
	c.HearEnd()
}

// The balancer answers messages over the rate with errors that bear their ids, and
// does not forward them to the server.
func TestReject(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, rejecting(1, 3))
	c.Say(requests(1, 7))
	s.Hear(requests(1, 3))
	for id := 4; id <= 7; id++ {
		expectRejected(c, id)
	}
	// These get no answer.
	c.Say("{\"jsonrpc\":\"2.0\",\"method\":\"notification\"}\n{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}\nnot JSON at all\n")
	c.Say(request("a name") + request(1e15) + "{\"id\":{\"no\":\"id\"},\"method\":\"ping\"}\n" + request("the last"))
	for _, id := range []any{"a name", 1e15, "the last"} {
		expectRejected(c, id)
	}
	b.Advance(time.Second)
	c.Say(request(100))
	s.Hear(request(100))
	s.Say("{\"jsonrpc\":\"2.0\",\"id\":100,\"result\":{}}\n")
	c.Hear("{\"jsonrpc\":\"2.0\",\"id\":100,\"result\":{}}\n")
	b.Turns(1)
	totals, served := b.frontend.Totals(), b.pool.Servers()[0].Totals()
	if totals.MessagesIn != 15 || totals.Rejected != 11 || served.MessagesIn != 4 {
		t.Errorf("%d messages, %d rejected, %d for the server, want 15, 11 and 4", totals.MessagesIn, totals.Rejected, served.MessagesIn)
	}
}

// A change of over_message applies to live sessions, from their next message on.
func TestOverMessageChanges(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	var limits conf.RateLimit
	b := start(t, []string{a.Address}, withStoppedTime, rejecting(1, 1), func(s *setup) { limits = s.Limits })
	apply := func(over conf.OverMessage) {
		limits.OverMessage = over
		b.Limiter.Apply(limits, b.Now())
	}
	c, s := b.relayTo(a)
	c.Say(requests(1, 2))
	s.Hear(request(1))
	expectRejected(c, 2)

	apply(conf.Delay)
	b.Advance(time.Second)
	c.Say(requests(3, 4)) // one too many, which waits
	s.Hear(request(3))
	b.Eventually("the client is delayed", func() bool { return b.frontend.Totals().Delayed == 1 })
	b.Advance(time.Second)
	s.Hear(request(4))
	b.Advance(time.Second)

	c.Say(strings.TrimSuffix(request(5), "\n")) // begun when the limits change
	s.Hear(strings.TrimSuffix(request(5), "\n"))
	apply(conf.Reject)
	c.Say("\n")
	s.Hear("\n")
	b.Advance(time.Second)
	c.Say(requests(6, 7))
	s.Hear(request(6))
	expectRejected(c, 7)
}

// Whether a message is rejected is decided when it begins, for all of it, in whatever
// pieces it comes.
func TestRejectByteByByte(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, rejecting(1, 1))
	for _, letter := range strings.Split(requests(1, 2), "") {
		c.Say(letter)
		b.Turns(1)
	}
	s.Hear(request(1))
	expectRejected(c, 2)
	b.Advance(time.Second)
	c.Say(request(3))
	s.Hear(request(3))
}

// Errors are inserted between the server's messages, never inside one.
func TestRejectWaitsForTheServersMessage(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, rejecting(1, 1))
	c.Say(request(1))
	s.Hear(request(1))
	s.Say("{\"half\":")
	c.Hear("{\"half\":")
	c.Say(requests(2, 4))
	b.Eventually("they are rejected, and counted", func() bool { return b.frontend.Totals().Rejected == 3 })
	s.Say("\"whole\"}\n{\"the next")
	c.Hear("\"whole\"}\n")
	for id := 2; id <= 4; id++ {
		expectRejected(c, id)
	}
	c.Hear("{\"the next")
	s.Say("\"}\n")
	c.Hear("\"}\n")
}

// Errors find their place in the stream of a server that never pauses.
func TestRejectAmidAStream(t *testing.T) {
	t.Parallel()
	_, c, s := startRelay(t, withStoppedTime, rejecting(1, 1))
	c.Say(request(0))
	s.Hear(request(0))
	over := make(chan struct{})
	go func() {
		defer close(over)
		var stream []byte
		for n := 0; ; n++ {
			stream = fmt.Appendf(stream, "{\"n\":%d,\"text\":%q}\n", n, strings.Repeat("x", n%500))
			if len(stream) < 7001 {
				continue
			}
			if _, err := s.Write(stream[:7001]); err != nil { // mostly in the middle of a line
				return
			}
			stream = stream[7001:]
		}
	}()
	answered := 0
	for n := 0; answered < 20; {
		line := c.Line()
		var message struct {
			N  *int `json:"n"`
			ID *int `json:"id"`
		}
		if err := json.Unmarshal([]byte(line), &message); err != nil {
			t.Fatalf("received %q: %v", line, err)
		}
		switch {
		case message.N != nil && *message.N == n:
			if n++; n%200 == 0 {
				c.Say(request(n / 200))
			}
		case message.ID != nil && *message.ID == answered+1:
			answered++
		default:
			t.Fatalf("after message %d and %d errors, received %q", n, answered, line)
		}
	}
	c.Reset()
	<-over
}

// Nothing may follow the server's FIN: the errors are dropped, and messages within the
// rate are still forwarded.
func TestRejectAfterTheServersEnd(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, rejecting(1, 1))
	s.Say("no more to say\n")
	s.Finish()
	c.Hear("no more to say\n")
	c.HearEnd()
	c.Say(requests(1, 9))
	s.Hear(request(1))
	b.Advance(time.Second)
	c.Say(request(10))
	s.Hear(request(10))
	c.Close()
	s.HearEnd()
	b.expect(session.ServerClosed, 1)
}

// A client that floods and does not read costs almost no memory, and receives the error
// for every message in the end. Not parallel: the test measures the process's memory.
func TestRejectFlood(t *testing.T) {
	for name, begun := range map[string]string{"server silent": "", "server in a message": "{\"half\":"} {
		t.Run(name, func(t *testing.T) {
			b, c, s := startRelay(t, rejecting(1, 1))
			c.Say(request(0))
			s.Hear(request(0))
			s.Say(begun)
			c.Hear(begun)
			before := heap()
			sent := b.flood(c)
			checkCost(t, "the flood", before)
			if begun != "" {
				s.Say("\"whole\"}\n")
				c.Hear("\"whole\"}\n")
			}
			passed := 0 // real time passes, so the rate allows some
			for id := 1; id <= sent-60; id++ {
				for line := c.Line(); !strings.HasPrefix(line, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":`, id)); id++ {
					if passed++; passed > 60 {
						t.Fatalf("received %q, want the error for %d", line, id-60)
					}
				}
			}
			c.Reset()
		})
	}
}

// flood sends requests numbered from 1 until no more are taken although the loops
// have taken turns meanwhile. It returns how many were sent completely.
func (b *fixture) flood(c *endpoint.Conn) (sent int) {
	b.Helper()
	var rest []byte
	for id, blocked := 1, 0; blocked < 2; {
		for len(rest) < 32<<10 {
			rest = append(rest, request(id)...)
			id++
		}
		if err := c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			b.Fatal(err)
		}
		n, err := c.Write(rest)
		sent += bytes.Count(rest[:n], []byte("\n"))
		rest = rest[:copy(rest, rest[n:])]
		blocked++
		switch {
		case n > 0:
			blocked = 0
		case !errors.Is(err, os.ErrDeadlineExceeded):
			b.Fatal(err)
		}
		b.Turns(3)
	}
	return sent
}

// expectTooLong receives the error for a message that is too long.
func expectTooLong(c *endpoint.Conn) {
	c.Helper()
	line := c.Line()
	var r rejection
	if err := json.Unmarshal([]byte(line), &r); err != nil || string(r.ID) != "null" || r.Error.Code != mcp.CodeInvalidRequest {
		c.Fatalf("received %q, %v, want an error for a message too long", line, err)
	}
}

func TestMaxMessage(t *testing.T) {
	t.Parallel()
	const limit = 1000
	line := strings.Repeat("x", limit)
	tests := []struct {
		name  string
		said  string // by the server, before
		heard string // by the client, before the error
		pause bool   // within the line
	}{
		{name: "at once"},
		{name: "in pieces", pause: true},
		{name: "between messages", said: "{}\n", heard: "{}\n"},
		{name: "within a message", said: "{}\n{\"half", heard: "{}\n{\"half\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := endpoint.Accept(t)
			b := start(t, []string{a.Address}, longestMessage(limit))
			c := b.dial()
			c.Say(line + "\n")
			s := a.Next()
			s.Hear(line + "\n")
			s.Say(test.said)
			b.Eventually("the client has been sent it", func() bool { return b.frontend.Totals().BytesOut == uint64(len(test.said)) })
			c.Say(line[:1])
			if test.pause {
				s.Hear(line[:1])
			}
			c.Say(line)
			s.HearReset()
			c.Hear(test.heard)
			expectTooLong(c)
			c.HearEnd()
			c.Say("this is discarded\n")
			c.Close()
			b.expect(session.MessageTooLong, 1)
		})
	}
}

// A client that keeps sending after a message that was too long is cut off after a while.
func TestMaxMessageLingers(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, longestMessage(100))
	c.Say(strings.Repeat("x", 101))
	s.HearReset()
	expectTooLong(c)
	c.HearEnd()
	b.Advance(lingerTime - time.Second)
	c.Say("still here")
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.Advance(time.Second)
	b.expect(session.MessageTooLong, 1)
}

// The error for a rejected message precedes the one that ends the session.
func TestMaxMessageAfterARejection(t *testing.T) {
	t.Parallel()
	b, c, s := startRelay(t, withStoppedTime, longestMessage(100), rejecting(1, 1))
	c.Say(request(1))
	s.Hear(request(1))
	s.Say("{\"half")
	c.Hear("{\"half")
	c.Say(request(2))
	b.Eventually("the message is rejected", func() bool { return b.frontend.Totals().Rejected == 1 })
	c.Say(strings.Repeat("x", 101))
	c.Hear("\n")
	expectRejected(c, 2)
	expectTooLong(c)
	c.HearEnd()
}

// A line without end costs almost no memory. Not parallel: the test measures the
// process's memory.
func TestEndlessLine(t *testing.T) {
	size := 64 << 20
	if harness.Long {
		size = 1 << 30
	}
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, longestMessage(16<<20))
	c := b.dial()
	before := heap()
	sent := make(chan error, 1)
	go func() {
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range size / len(piece) {
			if _, err := c.Write(piece); err != nil {
				sent <- err
				return
			}
		}
		sent <- c.CloseWrite()
	}()
	s := a.Next()
	if n, err := io.Copy(io.Discard, s); err == nil || n > 16<<20 {
		t.Errorf("the server received %d bytes and %v, want at most the limit and a reset", n, err)
	}
	expectTooLong(c)
	c.HearEnd()
	report(t, endpoint.Receive(t, sent))
	checkCost(t, "a line without end", before)
	b.expect(session.MessageTooLong, 1)
}

func TestNoMaxMessage(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, longestMessage(0))
	c := b.dial()
	line := strings.Repeat("x", 4<<20) + "\n"
	go func() { _, _ = io.WriteString(c, line) }()
	c.Hear(line)
}

// A client that sends too fast too often is banned: its connections stay, and new ones
// are refused.
func TestBan(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withStoppedTime, rejecting(1, 1), func(s *setup) {
		s.Limits.BanAfter, s.Limits.BanTime = 3, time.Minute
	})
	c, s := b.relayTo(a)
	c.Say(requests(1, 4))
	s.Hear(request(1))
	for id := 2; id <= 4; id++ {
		expectRejected(c, id)
	}
	endpoint.TurnedAway(t, b.Address)
	b.expect(session.Banned, 1)
	b.Advance(time.Second)
	c.Say(request(5))
	s.Hear(request(5))
	b.Advance(time.Minute)
	b.dial().Say(request(6))
	a.Next().Hear(request(6))
}

// ping connects a client, and checks that it is served.
func (b *fixture) ping() *endpoint.Conn {
	b.Helper()
	c := b.dial()
	c.Say("ping\n")
	c.Hear("ping\n")
	return c
}

// Every limit refuses the clients that exceed it, for its own reason.
func TestLimits(t *testing.T) {
	t.Parallel()
	exempt := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	tests := []struct {
		reason session.Reason
		limit  func(*conf.RateLimit)
	}{
		{session.ConnectionRate, func(c *conf.RateLimit) { c.ConnectionRate, c.ConnectionBurst = 1, 2 }},
		{session.SourceConnections, func(c *conf.RateLimit) { c.MaxConnections = 2 }},
		{session.GlobalConnectionRate, func(c *conf.RateLimit) { c.GlobalConnectionRate = 2 }},
	}
	for _, test := range tests {
		for _, mode := range []conf.Mode{conf.ModeTCP, conf.ModeMCP} {
			s := endpoint.Serve(t, endpoint.Echo)
			b := start(t, []string{s.Address}, withStoppedTime, inMode(mode), func(s *setup) { test.limit(&s.Limits) })
			first := b.ping()
			b.ping()
			endpoint.TurnedAway(t, b.Address)
			b.expect(test.reason, 1)
			first.Close()
			b.expect(session.ClientClosed, 1)
			b.Advance(time.Second)
			b.ping()

			b = start(t, []string{s.Address}, withStoppedTime, inMode(mode), func(s *setup) { test.limit(&s.Limits); s.Limits.Exempt = exempt })
			for range 5 {
				b.ping()
			}
		}
	}
}

// Random bytes pass through the filter unharmed.
func TestIntegrityThroughTheFilter(t *testing.T) {
	t.Parallel()
	exchange(t, rejecting(1e6, 1e6), withPipes(8), 30, 256<<10)
}

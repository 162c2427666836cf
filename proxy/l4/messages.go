package l4

import (
	"bytes"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/mcp"

	"golang.org/x/sys/unix"
)

// messages is what mode mcp knows of a session's two streams of lines.
type messages struct {
	client  mcp.Meter
	server  mcp.Meter
	filter  mcp.Filter
	answers []byte        // errors that wait for the end of a message of the server's; nil at rest
	wait    time.Duration // what the limiter told the message refused last
}

// mostAnswers is how many bytes of errors may wait before the client is no
// longer read from.
const mostAnswers = 64 << 10

// lingerTime is how long a client whose message was too long may take to read
// the error before its connection is closed.
const lingerTime = 5 * time.Second

// inspect arranges for the relay to show the session its bytes, in mode mcp.
//
// The client's are always copied: every message counts. The server's are
// spliced where they stream, unless errors may have to be put between them:
// then the end of every message must be seen.
func (s *Session) inspect() {
	if s.frontend.Settings().Frontend.Mode != conf.ModeMCP {
		return
	}
	s.messages = &messages{}
	s.relay.up.flags |= inspected | copied
	s.relay.down.flags |= inspected
	// A client that comes back does not leave behind what its source owes.
	now := s.loop.Now()
	if pause := s.source.Delay(0, now); pause > 0 {
		s.relay.resume = now + int64(pause)
	}
	s.followLimits()
}

// followLimits has messages over the rate be answered or delayed, as the limits
// say by now: between two messages of the client. Where the server's stream was
// spliced, the ends of its messages are not known any more, and no answer can be
// put between them: that client is delayed to its end.
func (s *Session) followLimits() {
	r := &s.relay
	switch rejects := s.rejects(); {
	case rejects == r.answers:
	case rejects && r.down.flags&spliced == 0:
		r.answers = true
		r.down.flags = r.down.flags&^streaming | copied
	case !rejects && len(s.messages.answers) == 0:
		r.answers = false
		if !r.client.HasTransport() && !r.server.HasTransport() {
			r.down.flags &^= copied
		}
	}
}

// rejects tells whether messages over the rate are answered with an error.
func (s *Session) rejects() bool {
	return s.source.Metered() && s.frontend.limiter.OverMessage() == conf.Reject
}

// FromClient implements Owner: it counts the client's messages, holds the
// source to its rate, and forwards.
func (s *Session) FromClient(p []byte) {
	if s.messages.client.AtBoundary() {
		s.followLimits()
	}
	count, over := s.messages.client.Count(p, s.frontend.Settings().Frontend.MaxMessage)
	if over >= 0 {
		s.tooLong()
		return
	}
	if count > 0 {
		s.relay.taken.MessagesIn.Add(uint64(count))
		s.relay.log.Messages(count, 0)
	}
	if s.relay.answers {
		count -= s.filter(p)
	} else {
		s.relay.ToServer(p)
		s.delay(count)
	}
	if count > 0 {
		s.relay.served.MessagesIn.Add(uint64(count))
	}
}

// delay charges messages that were forwarded to the source, and reads on only
// when there is room for more.
func (s *Session) delay(count int) {
	if count == 0 || s.relay.over {
		return
	}
	now := s.loop.Now()
	if pause := s.source.Delay(count, now); pause > 0 {
		s.relay.taken.Delayed.Add(1)
		s.relay.Pause(now + int64(pause))
	}
}

// filter forwards the messages that the limiter lets pass, answers the others,
// and tells how many those are.
func (s *Session) filter(p []byte) (rejected int) {
	m := s.messages
	for len(p) > 0 && !s.relay.over {
		var pass []byte
		var refused bool
		pass, p, refused = m.filter.Next(p, s)
		if len(pass) > 0 {
			s.relay.ToServer(pass)
		}
		if refused {
			rejected++
			if id := m.filter.RefusedID(); id != nil {
				m.answers = mcp.AppendRateLimited(m.answers, id, m.wait)
			}
		}
	}
	s.relay.taken.Rejected.Add(uint64(rejected))
	s.flushAnswers()
	return rejected
}

// Admit implements mcp.Gate: may the message that begins pass?
func (s *Session) Admit() bool {
	ok, wait := s.source.Allow(s.loop.Now())
	s.messages.wait = wait
	return ok
}

// FromServer implements Owner: it counts and forwards the server's messages, and
// puts the errors that wait behind the last one that has ended.
func (s *Session) FromServer(p []byte) {
	if len(s.messages.answers) > 0 {
		end := bytes.LastIndexByte(p, '\n') + 1
		s.toClient(p[:end])
		s.flushAnswers()
		p = p[end:]
	}
	s.toClient(p)
}

// toClient forwards what the server sent.
func (s *Session) toClient(p []byte) {
	if len(p) == 0 || s.relay.over {
		return
	}
	count, _ := s.messages.server.Count(p, 0)
	if count > 0 {
		s.relay.taken.MessagesOut.Add(uint64(count))
		s.relay.served.MessagesOut.Add(uint64(count))
		s.relay.log.Messages(0, count)
	}
	s.relay.ToClient(p)
}

// flushAnswers sends the errors that wait, between two messages of the
// server's. While it cannot and many wait, no more is read from the client.
func (s *Session) flushAnswers() {
	m := s.messages
	if len(m.answers) == 0 || s.relay.over {
		return
	}
	many := len(m.answers) > mostAnswers
	switch {
	case s.relay.down.flags&shut != 0:
		// The server has finished, and the client was told: nothing may follow.
	case m.server.AtBoundary():
		s.relay.ToClient(m.answers)
	default:
		if many {
			s.relay.Pause(forever)
		}
		return
	}
	if many {
		s.relay.Proceed()
	}
	m.answers = nil
}

// tooLong ends a session whose client sent too long a line: the server sees
// RST and so drops what came of it, the client is told, and what it goes on
// sending is thrown away for a while, since a close with unread bytes would
// destroy the error on its way.
func (s *Session) tooLong() {
	s.relay.detach()
	s.relay.server.Reset()
	s.relay.server = nil
	s.release(backend.Aborted)
	s.state = lingering
	s.relay.client.SetHandler(s)
	s.armIn(lingerTime)
	var answer []byte
	if s.relay.down.flags&spliced != 0 || !s.messages.server.AtBoundary() {
		answer = append(answer, '\n') // cut the message that the server may have begun
	}
	answer = append(answer, s.messages.answers...)
	answer = mcp.AppendTooLong(answer, s.frontend.Settings().Frontend.MaxMessage)
	if errno := s.relay.client.Send(answer); errno != 0 {
		s.finish(MessageTooLong)
		return
	}
	s.discard()
}

// discard throws away what a lingering client sends, until it ends.
func (s *Session) discard() {
	c := s.relay.client
	if c.Parked() == 0 {
		c.CloseWrite()
	}
	for range 16 {
		if !c.Readable() {
			return
		}
		if n, errno := c.Read(s.loop.Scratch()); n == 0 && errno != unix.EAGAIN {
			s.finish(MessageTooLong)
			return
		}
	}
	c.Yield()
}

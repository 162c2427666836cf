package l4

import (
	"bytes"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// Messages is what mode mcp knows of a session's two streams of lines. It moves to
// a new process as it is.
type Messages struct {
	Client  mcp.Meter
	Server  mcp.Meter
	Filter  mcp.Filter
	Answers []byte        // errors that wait for the end of a message of the server's; nil at rest
	wait    time.Duration // what the limiter said of the message that it refused last
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
	if s.settings().Frontend.Mode != conf.ModeMCP {
		return
	}
	s.messages = &Messages{}
	s.relay.Up.Flags |= inspected | copied
	s.relay.Down.Flags |= inspected
	// A client that comes back does not leave behind what its source owes.
	now := s.loop.Now()
	if pause := s.client.Source.Delay(0, now); pause > 0 {
		s.relay.Resume = now + int64(pause)
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
	case rejects == r.Answers:
	case rejects && r.Down.Flags&spliced == 0:
		r.Answers = true
		r.Down.Flags = r.Down.Flags&^streaming | copied
	case !rejects && len(s.messages.Answers) == 0:
		r.Answers = false
		if !r.client.HasTransport() && !r.server.HasTransport() {
			r.Down.Flags &^= copied
		}
	}
}

// rejects tells whether messages over the rate are answered with an error.
func (s *Session) rejects() bool {
	return s.client.Source.Metered() && s.frontend.Limiter.OverMessage() == conf.Reject
}

// FromClient implements Owner: it counts the client's messages, holds the
// source to its rate, and forwards.
func (s *Session) FromClient(p []byte) {
	if s.messages.Client.AtBoundary() {
		s.followLimits()
	}
	count, over := s.messages.Client.Count(p, s.settings().Frontend.MaxMessage)
	if over >= 0 {
		s.tooLong()
		return
	}
	if count > 0 {
		s.relay.Taken.MessagesIn.Add(uint64(count))
		s.relay.Log.Messages(count, 0)
	}
	if s.relay.Answers {
		count -= s.filter(p)
	} else {
		s.relay.ToServer(p)
		s.delay(count)
	}
	if count > 0 {
		s.relay.Served.MessagesIn.Add(uint64(count))
	}
}

// delay charges messages that were forwarded to the source, and reads on only
// when there is room for more.
func (s *Session) delay(count int) {
	if count == 0 || s.relay.over {
		return
	}
	now := s.loop.Now()
	if pause := s.client.Source.Delay(count, now); pause > 0 {
		s.relay.Taken.Delayed.Add(1)
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
		pass, p, refused = m.Filter.Next(p, s)
		if len(pass) > 0 {
			s.relay.ToServer(pass)
		}
		if refused {
			rejected++
			if id := m.Filter.RefusedID(); id != nil {
				m.Answers = mcp.AppendRateLimited(m.Answers, id, m.wait)
			}
		}
	}
	s.relay.Taken.Rejected.Add(uint64(rejected))
	s.flushAnswers()
	return rejected
}

// Admit implements mcp.Gate: may the message that begins pass?
func (s *Session) Admit() bool {
	ok, wait := s.client.Source.Allow(s.loop.Now())
	s.messages.wait = wait
	return ok
}

// FromServer implements Owner: it counts and forwards the server's messages, and
// puts the errors that wait behind the last one that has ended.
func (s *Session) FromServer(p []byte) {
	if len(s.messages.Answers) > 0 {
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
	count, _ := s.messages.Server.Count(p, 0)
	if count > 0 {
		s.relay.Taken.MessagesOut.Add(uint64(count))
		s.relay.Served.MessagesOut.Add(uint64(count))
		s.relay.Log.Messages(0, count)
	}
	s.relay.ToClient(p)
}

// flushAnswers sends the errors that wait, between two messages of the
// server's. While it cannot and many wait, no more is read from the client.
func (s *Session) flushAnswers() {
	m := s.messages
	if len(m.Answers) == 0 || s.relay.over {
		return
	}
	many := len(m.Answers) > mostAnswers
	switch {
	case s.relay.Down.Flags&shut != 0:
		// The server has finished, and the client was told: nothing may follow.
	case m.Server.AtBoundary():
		s.relay.ToClient(m.Answers)
	default:
		if many {
			s.relay.Pause(forever)
		}
		return
	}
	if many {
		s.relay.Proceed()
	}
	m.Answers = nil
}

// tooLong ends a session whose client sent too long a line: the server sees
// RST and so drops what came of it, the client is told, and what it goes on
// sending is thrown away for a while, since a close with unread bytes would
// destroy the error on its way.
func (s *Session) tooLong() {
	s.relay.detach()
	s.Disconnect(true)
	s.dispatch.Release(s.loop, backend.Aborted)
	s.state, s.client.Since = lingering, s.loop.Now()
	s.client.Conn.SetHandler(s)
	s.arm()
	var answer []byte
	if s.relay.Down.Flags&spliced != 0 || !s.messages.Server.AtBoundary() {
		answer = append(answer, '\n') // cut the message that the server may have begun
	}
	answer = append(answer, s.messages.Answers...)
	answer = mcp.AppendTooLong(answer, s.settings().Frontend.MaxMessage)
	if errno := s.client.Conn.Send(answer); errno != 0 {
		s.finish(session.MessageTooLong)
		return
	}
	s.discard()
}

// discard throws away what a lingering client sends, until it ends.
func (s *Session) discard() {
	c := s.client.Conn
	if c.Parked() == 0 {
		c.CloseWrite()
	}
	for range 16 {
		if !c.Readable() {
			return
		}
		if n, errno := c.Read(s.loop.Scratch()); n == 0 && errno != unix.EAGAIN {
			s.finish(session.MessageTooLong)
			return
		}
	}
	c.Yield()
}

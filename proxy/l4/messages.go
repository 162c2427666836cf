package l4

import (
	"bytes"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// messages is mode mcp: it sees the lines of a session's relay, whose Owner it is.
type messages struct {
	MessageState
	session *Session
	turn    ratelimit.Turn // among those whose messages wait for the rate
	wait    time.Duration  // what the limiter said of the message that it refused last
}

// MessageState is what mode mcp knows of a session's two streams of lines. It moves
// to a new process as it is.
type MessageState struct {
	Client  mcp.Meter
	Server  mcp.Meter
	Filter  mcp.Filter
	Answers []byte // errors that wait for the end of a message of the server's; nil at rest
}

// mostAnswers is how many bytes of errors may wait before the client is no
// longer read from.
const mostAnswers = 64 << 10

// lingerTime is how long a client whose message was too long may take to read
// the error before its connection is closed.
const lingerTime = 5 * time.Second

// inspect makes the relay pass its bytes through messages, in mode mcp.
//
// The client's are always copied: every message counts. The server's are spliced
// where they stream, unless errors may have to be inserted: then the end of every
// message must be seen.
func (s *Session) inspect() {
	if s.settings().Frontend.Mode != conf.ModeMCP {
		return
	}
	s.messages = &messages{session: s}
	s.relay.Owner = s.messages
	s.relay.Up.Flags |= inspected | copied
	s.relay.Down.Flags |= inspected
	s.messages.followLimits()
}

// Idle implements Owner.
func (m *messages) Idle(halfClosed bool) time.Duration { return m.session.Idle(halfClosed) }

// RelayEnded implements Owner.
func (m *messages) RelayEnded(reason session.Reason) { m.session.finish(reason) }

// Session implements Owner.
func (m *messages) Session() session.Session { return m.session }

// followLimits chooses, between two messages of the client, whether messages over
// the rate are answered or delayed, as the limits say by now. Where the server's
// stream was spliced, the ends of its messages are not known any more, and no
// answer can be put between them: that client is delayed to its end.
func (m *messages) followLimits() {
	s := m.session
	r := &s.relay
	switch rejects := m.rejects(); {
	case rejects == r.Answers:
	case rejects && r.Down.Flags&spliced == 0:
		r.Answers = true
		r.Down.Flags = r.Down.Flags&^streaming | copied
		m.leave()
	case !rejects && len(m.Answers) == 0:
		r.Answers = false
		if !r.client.HasTransport() && !r.server.HasTransport() {
			r.Down.Flags &^= copied
		}
	}
}

// rejects reports whether messages over the rate are answered with an error.
func (m *messages) rejects() bool {
	s := m.session
	return s.client.Source.Metered() && s.frontend.Limiter.OverMessage() == conf.Reject
}

// FromClient implements Owner: it holds the source to its rate, counts the client's
// messages, and forwards them.
func (m *messages) FromClient(p []byte) (taken int) {
	s := m.session
	if m.Client.AtBoundary() {
		m.followLimits()
	}
	if !s.relay.Answers {
		p = m.admitted(p)
	}
	count, over := m.Client.Count(p, s.settings().Frontend.MaxMessage)
	if over >= 0 {
		s.tooLong()
		return len(p)
	}
	if count > 0 {
		s.relay.Taken.MessagesIn.Add(uint64(count))
		s.relay.Log.Messages(count, 0)
	}
	if s.relay.Answers {
		count -= m.filter(p)
	} else {
		s.relay.ToServer(p)
	}
	if count > 0 {
		s.relay.Served.MessagesIn.Add(uint64(count))
	}
	return len(p)
}

// admitted charges the lines that begin in p, and returns the part of p that may
// pass. The rest waits, and the client is not read, until the next line may.
func (m *messages) admitted(p []byte) []byte {
	s := m.session
	begun, waited := m.Client.Begun(p), m.turn.Waits()
	now := s.loop.Now()
	passing, wait := s.client.Source.Take(&m.turn, begun, now)
	if passing == begun {
		return p
	}
	if passing > 0 || !waited {
		s.relay.Taken.Delayed.Add(1)
	}
	s.relay.Pause(now + int64(wait))
	return p[:m.Client.Cut(p, passing)]
}

// leave gives up the client's place among those that wait for the rate.
func (m *messages) leave() {
	if m != nil {
		m.session.client.Source.Leave(&m.turn)
	}
}

// filter forwards the lines that the limiter accepts, answers the others, and
// returns how many of those are messages.
func (m *messages) filter(p []byte) (messages int) {
	s := m.session
	rejected := 0
	for len(p) > 0 && !s.relay.over {
		var pass []byte
		var refused bool
		pass, p, refused = m.Filter.Next(p, m)
		if len(pass) > 0 {
			s.relay.ToServer(pass)
		}
		if refused {
			rejected++
			if !m.Filter.RefusedBlank() {
				messages++
			}
			if id := m.Filter.RefusedID(); id != nil {
				m.Answers = mcp.AppendRateLimited(m.Answers, id, m.wait)
			}
		}
	}
	s.relay.Taken.Rejected.Add(uint64(rejected))
	m.flushAnswers()
	return messages
}

// Admit implements mcp.Admitter: may the line that begins pass?
func (m *messages) Admit() bool {
	s := m.session
	ok, wait := s.client.Source.Allow(s.loop.Now())
	m.wait = wait
	return ok
}

// FromServer implements Owner: it counts and forwards the server's messages, and
// inserts the errors that wait after the last complete one.
func (m *messages) FromServer(p []byte) {
	if len(m.Answers) > 0 {
		end := bytes.LastIndexByte(p, '\n') + 1
		m.toClient(p[:end])
		m.flushAnswers()
		p = p[end:]
	}
	m.toClient(p)
}

// toClient forwards what the server sent.
func (m *messages) toClient(p []byte) {
	s := m.session
	if len(p) == 0 || s.relay.over {
		return
	}
	count, _ := m.Server.Count(p, 0)
	if count > 0 {
		s.relay.Taken.MessagesOut.Add(uint64(count))
		s.relay.Served.MessagesOut.Add(uint64(count))
		s.relay.Log.Messages(0, count)
	}
	s.relay.ToClient(p)
}

// flushAnswers sends the errors that wait, between two messages of the server.
// While that is not possible and many wait, the client is not read.
func (m *messages) flushAnswers() {
	s := m.session
	if len(m.Answers) == 0 || s.relay.over {
		return
	}
	many := len(m.Answers) > mostAnswers
	switch {
	case s.relay.Down.Flags&shut != 0:
		// The server has finished, and FIN was sent to the client: nothing may follow.
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

// tooLong ends a session whose client sent too long a line. The server sees RST, and
// so drops the part that it has. The client gets an error; what it still sends is
// discarded for a while, since a close with unread bytes would destroy the error on
// its way.
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

// discard discards what a lingering client sends, until its end.
func (s *Session) discard() {
	c := s.client.Conn
	if c.Parked() == 0 {
		c.CloseWrite()
	}
	if s.client.Discard() {
		s.finish(session.MessageTooLong)
	}
}

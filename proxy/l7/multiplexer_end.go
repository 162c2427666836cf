package l7

import (
	"mcplb/proxy/http2"
	"mcplb/proxy/session"
)

// leave says that no more requests are taken: those that are under way go on.
func (m *multiplexer) leave() {
	if m.State != muxServing {
		return
	}
	m.State = muxLeaving
	m.goAway()
}

// goAway writes GOAWAY.
func (m *multiplexer) goAway() {
	w := m.worker
	w.frames = m.http2.AppendGoAway(w.frames[:0], http2.NoError, "")
	m.write(w.frames)
}

// fail ends the connection for an error of the client's. GOAWAY is in what is written.
func (m *multiplexer) fail(e *http2.Event) {
	m.counters().StreamsRefused[e.Reason].Add(1)
	m.cutStreams(session.ClientReset)
	m.State, m.failed = muxClosing, true
	m.Since = m.loop().Now()
}

// cutStreams ends all streams.
func (m *multiplexer) cutStreams(reason session.Reason) {
	m.EachStream(func(s session.Session) { s.Abort(reason) })
}

// close ends the connection behind what was sent: see client.close.
func (m *multiplexer) close() {
	m.State, m.Since = muxClosing, m.loop().Now()
	m.loop().Drop(&m.input)
	m.loop().Disarm(&m.Timer)
	m.Conn.Yield()
	m.arm()
}

// discard throws away what a closing client sends, until it ends.
func (m *multiplexer) discard() {
	if m.output.Len() > 0 || m.Conn.Parked() > 0 {
		m.arm()
		return
	}
	if !m.finSent {
		m.finSent = true
		m.Conn.CloseWrite()
		m.Since = m.loop().Now()
	}
	if m.Conn.Parked() == 0 && m.Discard() {
		m.finish(session.ServerClosed)
		return
	}
	m.arm()
}

// gone ends the connection because the client is no longer there.
func (m *multiplexer) gone(reason session.Reason) {
	for _, s := range m.worker.inTurn(m.http2.Streams(), 0) {
		if s.owner == m {
			s.failed = true
			s.client.gone()
		}
	}
	m.finish(reason)
}

// finish ends the connection and releases what it holds, exactly once. No stream is left.
func (m *multiplexer) finish(reason session.Reason) {
	if m.State == muxFinished {
		return
	}
	m.State = muxFinished
	m.loop().Disarm(&m.Timer)
	if m.Conn != nil {
		m.Conn.Close()
	}
	m.loop().Drop(&m.input)
	m.loop().Drop(&m.output)
	m.counters().Taken.Ended[reason].Add(1)
	m.frontend.Leave(m.Source, m.loop())
}

package l7

import (
	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// Abort implements session.Session: each stream that is under way ends with an error.
func (m *multiplexer) Abort(reason session.Reason) {
	if m.State == muxFinished {
		return
	}
	m.running = true
	m.cutStreams(reason)
	m.goAway()
	if m.flush() {
		m.Conn.Cut()
		m.finish(reason)
	}
}

// EachStream implements session.Multiplexer.
func (m *multiplexer) EachStream(visit func(session.Session)) {
	streams := m.http2.Streams()
	all := make([]*stream, len(streams))
	for i, s := range streams {
		all[i] = streamOf(s)
	}
	for _, s := range all {
		if s.owner == m {
			visit(&s.client)
		}
	}
}

// Drain implements session.Session.
func (m *multiplexer) Drain() {
	m.leave()
	m.Conn.Yield()
}

// Info implements session.Session.
func (m *multiplexer) Info() session.Info {
	return session.Info{
		Frontend: m.settings().Frontend.Name, Client: m.From, Since: m.Since, Requests: uint64(m.Requests),
		Protocol: conf.ProtocolHTTP2, Streams: len(m.http2.Streams()),
		State: [...]string{muxServing: "serving", muxLeaving: "leaving", muxClosing: "closing", muxFinished: "finished"}[m.State],
	}
}

// Server implements session.Session: the streams have servers.
func (m *multiplexer) Server() *backend.Server { return nil }

// Holds implements session.Session: the streams have slots.
func (m *multiplexer) Holds() (*backend.Slot, *ratelimit.Source) { return &m.worker.noSlot, m.Source }

// ServerDown implements session.Session: the streams see to it.
func (m *multiplexer) ServerDown(conf.OnDown) {}

// SessionOf implements session.Holder.
func (m *multiplexer) SessionOf(*reactor.Conn) session.Session { return m }

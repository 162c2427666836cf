package l4

import (
	"cmp"

	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// phase is what the access log calls the session's state.
func (s *Session) phase() accesslog.Phase {
	switch s.state {
	case entering:
		return s.client.Stage.Phase()
	case hello:
		return accesslog.PhaseHello
	case dispatching:
		return s.dispatch.Phase()
	}
	return accesslog.PhaseData
}

// beginLog begins the record of a session, if the log is on.
func (f *Frontend) beginLog(loop *reactor.Loop) *accesslog.Record {
	r := f.Log.Buffer(loop.ID()).Begin()
	if r != nil {
		r.Began = loop.Now()
	}
	return r
}

// endLog hands the record over to the log, if there is one. The session still
// holds all that it held, and is in the state that it ends in.
func (s *Session) endLog(reason session.Reason) {
	r := s.relay.Log
	if r == nil {
		return
	}
	s.relay.Log = nil
	settings := s.settings()
	r.Client, r.Frontend, r.Ended = s.client.From, settings.Frontend.Name, s.loop.Now()
	if r.Backend == "" {
		r.Backend = cmp.Or(s.dispatch.Pool, settings.Pool).Name()
	}
	r.Reason, r.Phase, r.Detail = reason.String(), s.phase(), session.CertificateDetail(s.client.Conn, reason)
	r.Identity = s.client.Identity
	r.FrontendConns = int32(s.frontend.Current())
	if server := s.Server(); server != nil {
		r.ServerConns = int32(server.Conns())
	}
	s.frontend.Log.Buffer(s.loop.ID()).End(r)
}

package l4

import "mcplb/proxy/accesslog"

// phases are what the access log calls the states of a session.
var phases = [finished]accesslog.Phase{
	header:     accesslog.PhaseProxy,
	admission:  accesslog.PhaseAdmission,
	securing:   accesslog.PhaseHandshake,
	queued:     accesslog.PhaseQueue,
	connecting: accesslog.PhaseConnect,
	pausing:    accesslog.PhaseConnect,
	relaying:   accesslog.PhaseData,
	lingering:  accesslog.PhaseData,
}

// beginLog begins the session's record, if the log is on.
func (s *Session) beginLog() {
	if r := s.frontend.log.Buffer(s.loop.ID()).Begin(); r != nil {
		r.Began = s.loop.Now()
		s.relay.log = r
	}
}

// endLog hands the record over, if there is one. The session still holds all
// that it held, and is in the state that it ends in.
func (s *Session) endLog(reason Reason) {
	r := s.relay.log
	if r == nil {
		return
	}
	s.relay.log = nil
	settings := s.frontend.Settings()
	r.Client, r.Frontend, r.Ended = s.from, settings.Frontend.Name, s.loop.Now()
	if r.Backend == "" {
		r.Backend = settings.Pool.Name()
	}
	r.Reason, r.Phase = reason.String(), phases[s.state]
	r.FrontendConns = s.frontend.Current()
	if server := s.lease.Server(); server != nil {
		r.ServerConns = server.Conns()
	}
	s.frontend.log.Buffer(s.loop.ID()).End(r)
}

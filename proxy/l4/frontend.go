package l4

import (
	"net/netip"

	"mcplb/backend"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// Frontend is where clients of modes tcp and mcp connect. All loops may use it at
// once.
type Frontend struct {
	session.Frontend[session.Settings, session.Counters]
	names NameCounters
}

// NewFrontend makes a frontend. Its mode stays what it is; everything else may be
// changed by Apply.
func NewFrontend(s session.Settings, shared session.Shared) *Frontend {
	f := &Frontend{}
	f.names.init()
	f.names.bind(s.Names)
	f.Init(s, shared)
	return f
}

// Apply changes the settings for sessions to come and, where they still ask, for live
// ones. A session stays with the backend that was chosen for it.
func (f *Frontend) Apply(s session.Settings) {
	f.names.bind(s.Names)
	f.Frontend.Apply(s)
}

// Names are what is counted for the frontend's routes by SNI.
func (f *Frontend) Names() *NameCounters { return &f.names }

// ClearPeaks restarts every peak with what is now.
func (f *Frontend) ClearPeaks() {
	f.ClearPeak()
	for i := range f.Loops {
		f.Counters(i).ClearPeaks()
	}
}

// Totals sums the frontend's counters.
func (f *Frontend) Totals() session.Totals {
	t := session.NewTotals()
	for i := range f.Loops {
		t.Add(f.Counters(i))
	}
	return t
}

// Accepted implements reactor.AcceptHandler: it begins a session.
func (f *Frontend) Accepted(loop *reactor.Loop, fd int, from netip.AddrPort) {
	counters := f.Counters(loop.ID())
	counters.Sessions.Add(1)
	f.Enter()
	s := &Session{frontend: f, loop: loop}
	s.client.From = from
	s.relay.Service = Service{Owner: s, Taken: counters, Timer: &s.client.Timer, Log: f.beginLog(loop)}
	client, errno := loop.Adopt(fd, s)
	if errno != 0 {
		s.client.Stage = session.StageAdmission
		s.finish(session.NoResources)
		return
	}
	s.client.Conn = client
	client.Watch(f.Settings().Liveness())
	s.entered(s.client.Begin(f.Settings(), f.Limiter))
}

// Adopt continues a session that the old process has detached, on its loop. The
// source and, where it is relaying, the slot are as it held them there. The loop's
// load counts it already. It keeps its mode, whatever the frontend's is now.
func (f *Frontend) Adopt(loop *reactor.Loop, h *Handover, d *session.Detached, source *ratelimit.Source, slot backend.Slot) {
	f.Enter()
	s := &Session{frontend: f, loop: loop}
	s.client.ClientState, s.client.Source, s.name = h.Client, source, h.Name
	s.dispatch.Slot = slot
	s.relay.Service = Service{
		Owner: s, Taken: f.Counters(loop.ID()), Timer: &s.client.Timer, Log: f.Log.Buffer(loop.ID()).Adopt(h.Log),
	}
	if h.Messages != nil {
		s.messages = &messages{MessageState: *h.Messages, session: s}
		s.relay.Owner = s.messages
	}
	if server := slot.Server(); server != nil {
		s.relay.Served = server.Counters(loop.ID())
		s.dispatch.Pool = server.Pool()
	}
	s.resume(h, d)
}

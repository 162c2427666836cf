package l4

import (
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/session"
)

// checkLog checks that every session has one line, with the reason by which it is
// counted, and that the lines add up to the bytes and messages that are counted.
func (b *fixture) checkLog(totals *session.Totals) {
	b.Helper()
	if !b.Logged() {
		return
	}
	var got session.Totals
	reasons := harness.Counts{}
	for _, l := range b.Lines() {
		reasons[l.Reason]++
		got.BytesIn += l.BytesIn
		got.BytesOut += l.BytesOut
		got.MessagesIn += l.MessagesIn
		got.MessagesOut += l.MessagesOut
		if l.Phase == "" || l.Frontend != "f" || l.Client == "" || l.FrontendConns < 1 || l.Total < 0 {
			b.Errorf("the access log has %+v", l)
		}
	}
	harness.CheckLines(b, "reason", reasons, totals.Ended, totals.Refused)
	in, out := got.BytesIn == totals.BytesIn && got.MessagesIn == totals.MessagesIn, got.BytesOut == totals.BytesOut && got.MessagesOut == totals.MessagesOut
	if !in || !out {
		b.Errorf("the lines of the access log add up to %d bytes and %d messages in, %d and %d out; want %d, %d, %d, %d", got.BytesIn, got.MessagesIn,
			got.BytesOut, got.MessagesOut, totals.BytesIn, totals.MessagesIn, totals.BytesOut, totals.MessagesOut)
	}
}

// A line shows how long the queue, the connect and the response took.
func TestLogTimes(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, inMode(conf.ModeMCP), withMaxConn(1), withStoppedTime)
	first, server := b.relayTo(a)
	first.Say(request(1))
	server.Hear(request(1))
	second := b.dial()
	b.Eventually("the second client waits", func() bool { return b.pool.Queued() == 1 })
	b.Advance(2 * time.Second)
	server.Say(request(2))
	first.Hear(request(2))
	b.Advance(time.Second)
	first.Finish()
	server.HearEnd()
	server.Close()
	b.expect(session.ClientClosed, 1)
	a.Next()
	b.Eventually("the second client is relayed", func() bool { return b.pool.Servers()[0].Totals().Connections == 2 })
	b.Advance(time.Second)
	second.Reset()
	b.expect(session.ClientReset, 1)
	lines := b.Lines()
	if len(lines) != 2 {
		t.Fatalf("the log has the lines %+v", lines)
	}
	l := lines[0]
	if l.Queue != nil || l.Connect == nil || *l.Connect != 0 || l.Response == nil || *l.Response < 2000 || *l.Response >= 3000 || l.Total < *l.Response+1000 ||
		l.MessagesIn != 1 || l.MessagesOut != 1 || l.BytesIn == 0 || l.BytesOut != l.BytesIn || l.Server != "s1" || l.Backend != "b" ||
		l.Reason != "client_closed" || l.Phase != "data" || l.Retries != 0 || l.FrontendConns != 2 || l.ServerConns != 1 {
		t.Errorf("first: %+v", l)
	}
	l = lines[1]
	if l.Queue == nil || *l.Queue < 3000 || *l.Queue >= 4000 || l.Connect == nil || l.Response != nil || l.Total < *l.Queue+1000 ||
		l.Reason != "client_reset" || l.Phase != "data" || l.FrontendConns != 1 {
		t.Errorf("second: %+v", l)
	}
}

// A line shows the phase in which the session ended, and the server that was tried.
func TestLogPhases(t *testing.T) {
	t.Parallel()
	nowhere := []string{endpoint.Refuse(t), endpoint.Refuse(t)}
	for name, c := range map[string]struct {
		change func(*setup)
		want   harness.Line
	}{
		"limits": {func(s *setup) {
			withStoppedTime(s)
			s.Loops = 1 // the lines of one loop are in the order of the ends
			s.backend.Retries, s.Limits = 0, conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, TableSize: 10}
		},
			harness.Line{Reason: "connection_rate", Phase: "admission"}},
		"connect":   {func(s *setup) { s.backend.Retries = 0 }, harness.Line{Reason: "connect_refused", Phase: "connect", Server: "s1"}},
		"another":   {func(s *setup) { s.backend.Retries = 1 }, harness.Line{Reason: "connect_refused", Phase: "connect", Server: "s2", Retries: 1}},
		"no server": {func(s *setup) { s.backend.Servers[0].Weight, s.backend.Servers[1].Weight = 0, 0 }, harness.Line{Reason: "no_server", Phase: "queue"}},
		"no proxy":  {func(s *setup) { s.frontend.AcceptProxy = true }, harness.Line{Reason: "untrusted_proxy", Phase: "proxy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, nowhere, c.change)
			if name == "limits" {
				endpoint.TurnedAway(t, b.Address) // for another reason; it takes the only token
			}
			endpoint.TurnedAway(t, b.Address)
			b.Eventually("every session has ended", func() bool { return b.Engine.Load() == 0 })
			lines := b.Lines()
			got := lines[len(lines)-1]
			if got.Reason != c.want.Reason || got.Phase != c.want.Phase || got.Server != c.want.Server || got.Retries != c.want.Retries ||
				got.Backend != "b" || got.Connect != nil || got.Response != nil {
				t.Errorf("the log has the line %+v", got)
			}
		})
	}
}

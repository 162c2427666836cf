package l7

import (
	"strings"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/session"
)

// checkLog checks that every request, every generated response and every refusal has one
// line, and that the lines add up to the reasons and bytes that are counted.
func (b *fixture) checkLog(totals *Totals) {
	b.Helper()
	if !b.Logged() {
		return
	}
	var requests, out uint64
	reasons, classes, details := harness.Counts{}, harness.Counts{}, harness.Counts{}
	for _, l := range b.Lines() {
		reasons[l.Reason]++
		details[l.Detail]++
		out += l.BytesOut
		if l.Status > 0 {
			classes[backend.ClassName(backend.ClassOf(l.Status))]++
		}
		if l.Method != "" {
			requests++
		}
		if l.Phase == "" || l.Frontend != "f" || l.Client == "" || l.FrontendConns < 1 || l.Total < 0 || (l.Method == "") != (l.Path == "") {
			b.Errorf("the access log has %+v", l)
		}
	}
	if requests != totals.Requests || out != totals.BytesOut {
		b.Errorf("the access log has %d requests and %d bytes out, want %d and %d", requests, out, totals.Requests, totals.BytesOut)
	}
	harness.CheckLines(b, "status", classes, totals.Status)
	b.checkReasons(totals, reasons)
	for reason, n := range totals.Malformed {
		if details[reason] < n {
			b.Errorf("the access log has %d lines with detail %s, want %d", details[reason], reason, n)
		}
	}
}

// checkReasons checks how many lines have each reason: every generated response and
// every refusal has one; an end of a client for another reason has one if there was a
// request.
func (b *fixture) checkReasons(totals *Totals, reasons map[string]uint64) {
	b.Helper()
	rest := totals.Requests
	for reason, got := range reasons {
		own, refused, ended := totals.Own[reason], totals.Refused[reason], totals.Ended[reason]+totals.Streams // whose ends are not counted
		switch {
		case reason == completed:
			ended = rest
		case got < own:
			b.Errorf("the access log has %d lines with reason %s, want %d", got, reason, own)
		}
		if got > own+refused+ended {
			b.Errorf("the access log has %d lines with reason %s, want at most %d", got, reason, own+refused+ended)
		}
	}
	for reason, n := range totals.Own {
		if reasons[reason] < n {
			b.Errorf("the access log has %d lines with reason %s, want %d", reasons[reason], reason, n)
		}
	}
	for reason, n := range totals.Refused {
		if reasons[reason] < n {
			b.Errorf("the access log has %d lines with reason %s, want %d", reasons[reason], reason, n)
		}
	}
}

// only returns the only line of the log.
func (b *fixture) only() harness.Line {
	b.Helper()
	b.Eventually("the client has ended", func() bool { return b.Engine.Load() == 0 })
	lines := b.Lines()
	if len(lines) != 1 {
		b.Fatalf("%d lines: %+v", len(lines), lines)
	}
	return lines[0]
}

// A line shows the client, the request, the times and the outcome.
func TestLogLine(t *testing.T) {
	t.Parallel()
	b, first, server := startExchange(t, get("/slow"), oneLoop, withStoppedTime, withMaxConn(1))
	second := b.dial()
	request := rpcPost("1", "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: secret")
	request = strings.Replace(request, "/mcp", "/mcp?token=secret", 1)
	second.Say(request[:30])
	b.Eventually("a part of the request is read", func() bool { return b.pending() == 30 })
	b.Advance(time.Second)
	second.Say(request[30:])
	b.awaitState("queued", 1)
	b.Advance(2 * time.Second)
	server.answer("first")
	first.wantStatus("GET", 200)
	server.request()
	b.Advance(4 * time.Second)
	server.Say("HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\nsec")
	second.Reader.Peek(1)
	b.Advance(8 * time.Second)
	server.Say("ond")
	_, body := second.wantStatus("POST", 201)
	first.Close()
	second.Close()
	b.Eventually("both clients have ended", func() bool { return b.Engine.Load() == 0 })
	lines := b.Lines()
	if len(lines) != 2 {
		t.Fatalf("the log has the lines %+v", lines)
	}
	l := lines[1]
	within := func(d *float64, seconds float64) bool { return d != nil && *d >= seconds*1000 && *d < seconds*1000+500 }
	if !within(l.Request, 1) || !within(l.Queue, 2) || l.Connect != nil || !within(l.Response, 4) || !within(&l.Total, 15) {
		t.Errorf("times: %v %v %v %v %v", l.Request, l.Queue, l.Connect, l.Response, l.Total)
	}
	if l.Method != "POST" || l.Path != "/mcp" || l.Status != 201 || l.Era != "stateless" || l.Call != "tools/call" || l.Reason != completed || l.Phase != "data" ||
		l.Server != "s1" || l.Backend != "b" || l.Retries != 0 || l.FrontendConns < 1 || l.ServerConns != 1 || l.Detail != "" {
		t.Errorf("the log has the line %+v", l)
	}
	if l.BytesIn != uint64(len(request)) || l.BytesOut <= uint64(len(body)) {
		t.Errorf("%d bytes in of %d, %d out", l.BytesIn, len(request), l.BytesOut)
	}
	if l = lines[0]; l.Connect == nil || l.Queue != nil || l.Path != "/slow" || l.Era != "" {
		t.Errorf("the log has the line %+v", l)
	}
}

// A line shows the phase in which a request ended, and the reason.
func TestLogPhases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(*setup)
		run  func(b *fixture, s *server)
		want harness.Line
	}{
		"refused": {func(s *setup) {
			withStoppedTime(s)
			s.Limits = conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, TableSize: 10}
		}, func(b *fixture, s *server) {
			b.dial().Close()
			b.expect(session.ClientClosed, 1)
			endpoint.TurnedAway(b, b.Address)
			b.expect(session.ConnectionRate, 1)
		}, harness.Line{Reason: "connection_rate", Phase: "admission"}},
		"malformed": {nil, func(b *fixture, s *server) {
			c := b.dial()
			c.Say("GET / HTTP/1.1\nHost: x\r\n\r\n")
			c.wantStatus("GET", 400)
			c.Close()
		}, harness.Line{Reason: "bad_request", Detail: "bare_lf", Phase: "request", Status: 400}},
		"half a head": {nil, func(b *fixture, s *server) {
			c := b.dial()
			c.Say("GET / HTTP")
			b.Eventually("the request is read", func() bool { return b.pending() == 10 })
			c.Close()
		}, harness.Line{Reason: "client_closed", Phase: "request", BytesIn: 10}},
		"not allowed": {withFrontend(func(f *conf.Frontend) { f.AllowedOrigins = []string{"http://good"} }), func(b *fixture, s *server) {
			c := b.dial()
			c.Say(get("/x", "Origin: http://bad"))
			c.wantStatus("GET", 403)
			c.Close()
		}, harness.Line{Reason: "origin_refused", Phase: "request", Status: 403, Method: "GET", Path: "/x"}},
		"no server": {func(s *setup) {
			withRetries(0)(s)
			s.backends[0].Servers[0].HTTP = s.backends[0].Servers[1].HTTP
			s.backends[0].Servers = s.backends[0].Servers[:1]
		}, func(b *fixture, s *server) {
			c := b.dial()
			c.Say(get("/x"))
			c.wantStatus("GET", 503)
			c.Close()
		}, harness.Line{Reason: "connect_failed", Phase: "connect", Status: 503, Method: "GET", Path: "/x", Backend: "b", Server: "s1"}},
		"the only one refused, and went down": {withRetries(1), func(b *fixture, s *server) {
			node := b.pool.Servers()[0]
			s.Close()
			b.On(b.Engine.Loops()[0], func() {
				b.pool.Observe(func(*backend.Server, backend.Outcome) { node.SetHealth(backend.Down, "refused", time.Now()) })
			})
			c := b.dial()
			c.Say(get("/x"))
			c.wantStatus("GET", 503)
			c.Close()
		}, harness.Line{Reason: "no_server", Phase: "queue", Status: 503, Method: "GET", Path: "/x", Backend: "b", Server: "s1"}},
		"client leaves in the queue": {withMaxConn(1), func(b *fixture, s *server) {
			other := b.pool
			slot, _ := other.Acquire(&backend.Request{}, nil)
			c := b.dial()
			c.Say(get("/x"))
			b.awaitState("queued", 1)
			c.Reset()
			b.expect(session.ClientGone, 1)
			slot.Release(backend.Completed, 0)
		}, harness.Line{Reason: "client_gone", Phase: "queue", Method: "GET", Path: "/x", Backend: "b"}},
		"server resets before it answers": {withRetries(0), func(b *fixture, s *server) {
			c, server := b.pair(s, post("/x", "1"))
			server.Reset()
			c.wantStatus("POST", 502)
			c.Close()
		}, harness.Line{Reason: "server_gone", Phase: "response", Status: 502, Method: "POST", Path: "/x", Backend: "b", Server: "s1"}},
		"server resets within its answer": {nil, func(b *fixture, s *server) {
			c, server := b.pair(s, get("/x"))
			server.Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx")
			c.Reader.Peek(1)
			server.Reset()
			c.HearCut()
		}, harness.Line{Reason: "server_reset", Phase: "data", Status: 200, Method: "GET", Path: "/x", Backend: "b", Server: "s1"}},
		"malformed answer": {nil, func(b *fixture, s *server) {
			c, server := b.pair(s, get("/x"))
			server.Say("nonsense\r\n\r\n")
			c.wantStatus("GET", 502)
			c.Close()
		}, harness.Line{Reason: "bad_response", Detail: "version", Phase: "response", Status: 502, Method: "GET", Path: "/x", Backend: "b", Server: "s1"}},
		"path that servers read differently": {func(s *setup) { withRouteFile(t, route(`path = "/a"`, `deny = true`))(s) }, func(b *fixture, s *server) {
			c := b.dial()
			c.Say(get("/x%00"))
			c.wantStatus("GET", 400)
			c.Close()
		}, harness.Line{Reason: "bad_request", Detail: "path_control", Phase: "request", Status: 400, Method: "GET", Path: "/x%00"}},
		"101 that does not fit": {nil, func(b *fixture, s *server) {
			c := b.dial()
			s.receiveHead(c, upgrade).Say(strings.Replace(upgraded, accept, "AAAA"+accept[4:], 1))
			c.wantStatus("GET", 502)
			c.Close()
		}, harness.Line{Reason: "bad_response", Detail: "websocket_accept", Phase: "response", Status: 502, Method: "GET", Path: "/ws", Backend: "b", Server: "s1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			set := []func(*setup){oneLoop}
			if c.set != nil {
				set = append(set, c.set)
			}
			servers := []string{s.Address}
			if name == "no server" {
				servers = append(servers, endpoint.Refuse(t))
			}
			b := start(t, servers, set...)
			c.run(b, s)
			got, want := b.only(), c.want
			if got.Reason != want.Reason || got.Detail != want.Detail || got.Phase != want.Phase || got.Status != want.Status ||
				got.Method != want.Method || got.Path != want.Path || got.Backend != want.Backend || got.Server != want.Server ||
				want.BytesIn > 0 && got.BytesIn != want.BytesIn {
				t.Errorf("the log has the line %+v", got)
			}
		})
	}
}

// With the log on, too, a request allocates nothing, once there are as many records as
// are used at a time.
func TestLogAllocatesNothing(t *testing.T) {
	b := start(t, []string{fixed(t, toolsAnswer)}, oneLoop, limited)
	round := pingPong(t, b, toolsCall)
	for range 1000 {
		round()
	}
	b.Eventually("the lines are written", func() bool { return b.AccessLog.Stats().Lines >= 1000 })
	if n := testing.AllocsPerRun(500, round); n >= 1 {
		t.Errorf("a request allocates %v times, want 0", n)
	}
}

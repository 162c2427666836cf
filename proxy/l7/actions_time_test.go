package l7

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"mcplb/proxy/session"
)

// A route's time limits hold apart from each other: for an answer, for a stream, and for
// a WebSocket; where it has none, those of frontend and backend hold (50 s and 80 s).
func TestRouteTimeouts(t *testing.T) {
	t.Parallel()
	routes := route(`path = "/slow"`, `timeout_server = "200s"`) + route(`path = "/quick"`, `timeout_server = "5s"`, `timeout_stream = "300s"`) +
		route(`path = "/ever"`, `timeout_server = 0`, `timeout_stream = 0`) + route(`path = "/ws"`, `timeout_stream = "1h"`)
	stream := func(s *server, client *httpConn, path string) *httpConn {
		server := s.receive(client, get(path))
		server.Say(streamHead + "\r\n")
		client.head()
		return server
	}
	for name, c := range map[string]struct {
		until  func(b *fixture, s *server, client *httpConn) (server *httpConn)
		after  time.Duration
		status int // of the answer; 0: the client is cut
	}{
		"no route":                {func(_ *fixture, s *server, client *httpConn) *httpConn { return s.receive(client, get("/")) }, 80 * time.Second, 504},
		"longer":                  {func(_ *fixture, s *server, client *httpConn) *httpConn { return s.receive(client, get("/slow")) }, 200 * time.Second, 504},
		"shorter":                 {func(_ *fixture, s *server, client *httpConn) *httpConn { return s.receive(client, get("/quick")) }, 5 * time.Second, 504},
		"a stream":                {func(_ *fixture, s *server, client *httpConn) *httpConn { return stream(s, client, "/") }, 50 * time.Second, 0},
		"of timeout_server alone": {func(_ *fixture, s *server, client *httpConn) *httpConn { return stream(s, client, "/slow") }, 50 * time.Second, 0},
		"a long stream":           {func(_ *fixture, s *server, client *httpConn) *httpConn { return stream(s, client, "/quick") }, 300 * time.Second, 0},
		"a long stream, idle again": {func(b *fixture, s *server, client *httpConn) *httpConn {
			server := stream(s, client, "/quick")
			b.Advance(200 * time.Second)
			server.Say("data: x\n\n")
			client.Hear(chunk("data: x\n\n"))
			return server
		}, 300 * time.Second, 0},
		"within an answer": {func(b *fixture, s *server, client *httpConn) *httpConn {
			server := s.receive(client, get("/quick"))
			server.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
			client.head()
			client.Hear("part")
			return server
		}, 5 * time.Second, 0},
		"a WebSocket": {func(b *fixture, s *server, client *httpConn) *httpConn {
			server := s.receiveHead(client, upgrade)
			server.Say(upgraded)
			client.head()
			return server
		}, time.Hour, 0},
		"a WebSocket, half closed": {func(b *fixture, s *server, client *httpConn) *httpConn {
			server := s.receiveHead(client, upgrade)
			server.Say(upgraded)
			client.head()
			client.CloseWrite()
			server.HearEnd()
			return server
		}, 60 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, withRouteFile(t, routes), times)
			client := b.dial()
			server := c.until(b, s, client)
			b.Turns(3)
			b.silence(c.after)
			if c.status != 0 {
				client.wantStatus("GET", c.status)
			} else {
				client.HearCut()
			}
			client.Close()
			server.Close()
		})
	}
	b, s := startServed(t, withRouteFile(t, routes), times)
	waits, streams := b.dial(), b.dial()
	server := s.receive(waits, get("/ever"))
	other := stream(s, streams, "/ever")
	b.Advance(24 * time.Hour)
	server.answer("at last")
	waits.wantStatus("GET", 200)
	other.Say("data: x\n\n")
	streams.Hear(chunk("data: x\n\n"))
	streams.Reset()
	other.HearReset()
}

// A reload does not change what a request under way may take; the next request has the
// new limit. A request that was handed over with its stream keeps its limit, too.
func TestOpenExchangesKeepTheirRoute(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withRouteFile(t, route(`timeout_server = "200s"`, `timeout_stream = "300s"`, `set_response_headers = { "X-Route" = "old {path}" }`)), times, oneLoop, withoutLog)
	client := b.dial()
	server := s.receive(client, get("/x"))
	changed := &setup{}
	changed.frontend = b.frontend.Settings().Frontend
	withRouteFile(t, route(`timeout_server = "2s"`, `timeout_stream = "3s"`, `set_response_headers = { "X-Route" = "new" }`))(changed)
	b.frontend.Apply(NewSettings(changed.frontend, NewDirectory(b.poolOf)))
	b.Advance(150 * time.Second)
	server.Say(streamHead + "\r\n")
	if h := client.head(); h.get(t, "X-Route") != "old /x" {
		t.Errorf("the response has %q", h)
	}
	b.handOver()
	b.Advance(250 * time.Second)
	server.Say("data: x\n\n")
	client.Hear(chunk("data: x\n\n"))
	b.silence(300 * time.Second)
	client.HearCut()
	b.expect(session.IdleTimeout, 1)
	next := b.dial()
	late := s.receive(next, get("/y"))
	b.Advance(2 * time.Second)
	if r, _ := next.wantStatus("GET", 504); r.Header.Get("X-Route") != "new" {
		t.Errorf("the next response has %v", r.Header)
	}
	late.Close()
	server.Close()
}

// A WebSocket that is handed over keeps its limit.
func TestTunnelTimeoutIsHandedOver(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withRouteFile(t, route(`timeout_stream = "300s"`)), times, oneLoop, withoutLog)
	client, server := tunnelled(b, s)
	changed := b.frontend.Settings().Frontend
	changed.Routes = nil
	b.frontend.Apply(NewSettings(changed, NewDirectory(b.poolOf)))
	b.handOver()
	b.silence(300 * time.Second)
	client.HearCut()
	b.expect(session.IdleTimeout, 1)
	server.Close()
}

// A request has one id, which the server, the client and the log see: that of a trusted
// proxy if it is one, otherwise one that differs for each.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile("^[0-9a-f]{32}$")
	ids := withRouteFile(t, route(`path = "/"`, `set_request_headers = { "X-Request-ID" = "{request_id}" }`, `set_response_headers = { "X-Request-ID" = "{request_id}" }`)+
		route(`path = "/denied"`, `deny = true`))
	seen := map[string]bool{}
	for name, c := range map[string]struct {
		trusted bool
		fields  []string
		want    string // "" = one that is made
	}{
		"none":                {true, nil, ""},
		"trusted":             {true, []string{"X-Request-Id: 0af7651916cd-43dd_8448.eb=+/:~@Z"}, "0af7651916cd-43dd_8448.eb=+/:~@Z"},
		"the longest":         {true, []string{"x-request-id: " + strings.Repeat("a", longestID)}, strings.Repeat("a", longestID)},
		"not trusted":         {false, []string{"X-Request-ID: forged"}, ""},
		"too long":            {true, []string{"X-Request-ID: " + strings.Repeat("a", longestID+1)}, ""},
		"twice":               {true, []string{"X-Request-ID: a", "X-Request-ID: b"}, ""},
		"empty":               {true, []string{"X-Request-ID:"}, ""},
		"with a space":        {true, []string{"X-Request-ID: a b"}, ""},
		"with a quote":        {true, []string{`X-Request-ID: a"b`}, ""},
		"not of ASCII":        {true, []string{"X-Request-ID: \xc3\xa4"}, ""},
		"as somebody else's":  {true, []string{"X_Request_ID: a"}, ""},
		"two, named the same": {true, []string{"X-Request-ID: a", "x-request-ID: a"}, ""},
	} {
		set := []func(*setup){ids, oneLoop}
		if c.trusted {
			set = append(set, trusting)
		}
		b, s := startServed(t, set...)
		client := b.dial()
		client.Say(get("/x", c.fields...))
		server := s.next()
		r, _ := server.request()
		server.answer("fine")
		answer, _ := client.wantStatus("GET", 200)
		client.Close()
		line, sent := b.only(), strings.Join(r.Header.Values("X-Request-Id"), ",")
		if c.want != "" && sent != c.want || c.want == "" && (!made.MatchString(sent) || seen[sent]) {
			t.Errorf("%s: the server received the id %q", name, sent)
		}
		if seen[sent] = true; answer.Header.Get("X-Request-Id") != sent || line.RequestID != sent || r.Header.Get("X_Request_ID") != "" {
			t.Errorf("%s: the client received %q and the log %q, want %q", name, answer.Header.Get("X-Request-Id"), line.RequestID, sent)
		}
	}
	b := start(t, []string{"127.0.0.1:1"}, ids, oneLoop)
	client := b.dial()
	client.Say(get("/denied"))
	client.wantStatus("GET", 403)
	client.Close()
	if line := b.only(); !made.MatchString(line.RequestID) {
		t.Errorf("a request that is refused is logged as %+v", line)
	}
}

// Frontends whose routes use no id log none.
func TestNoRequestIDs(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withRouteFile(t, route(`set_request_headers = { "X-A" = "{path}" }`)), oneLoop, trusting)
	client := b.dial()
	client.Say(get("/", "X-Request-ID: theirs"))
	server := s.next()
	if r, _ := server.request(); r.Header.Get("X-Request-Id") != "theirs" {
		t.Errorf("the server received %v", r.Header)
	}
	server.answer("fine")
	client.wantStatus("GET", 200)
	client.Close()
	if line := b.only(); line.RequestID != "" {
		t.Errorf("the log has %+v", line)
	}
}

// Preflights of a page are answered before a maintenance page and a redirect, which
// browsers would take for a failure; but not where the request is denied.
func TestPreflightsAndRoutes(t *testing.T) {
	t.Parallel()
	b := start(t, []string{"127.0.0.1:1"}, withRouteFile(t, "allowed_origins = [\"https://app.example\"]\ncors.preflight = true\n"+route(`path = "/"`, `respond = { status = 503, body = "later" }`)+
		route(`path = "/old"`, `redirect = { to = "/new" }`)+route(`path = "/denied"`, `deny = true`)))
	client := b.dial()
	for _, c := range []struct {
		path, origin string
		status       int
	}{
		{"/", "https://app.example", 204}, {"/old", "https://app.example", 204}, {"/denied", "https://app.example", 403}, {"/", "https://evil.example", 403},
	} {
		client.Say("OPTIONS " + c.path + " HTTP/1.1\r\nHost: x\r\nOrigin: " + c.origin + "\r\nAccess-Control-Request-Method: POST\r\n\r\n")
		client.wantStatus("OPTIONS", c.status)
	}
	client.Say(get("/", "Origin: https://app.example"))
	if r, body := client.wantStatus("GET", 503); r.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || body != "later" {
		t.Errorf("the page: %v %q", r.Header, body)
	}
}

// What routes do to requests at rest allocates nothing: headers with and without names,
// prefixes, ids, time limits, and a frontend without routes.
func TestRoutesAllocateNothing(t *testing.T) {
	for name, routes := range map[string]string{
		"none":     "",
		"backend":  route(`path = "/mcp"`, `endpoint = "sse"`),
		"fixed":    route(`set_request_headers = { "X-A" = "b" }`, `set_response_headers = { "Strict-Transport-Security" = "max-age=1" }`, `remove_response_headers = ["Server"]`),
		"names":    route(`set_request_headers = { "X-A" = "{client_ip} {path} {server}" }`, `add_response_headers = { "X-B" = "{host} {server}" }`),
		"ids":      route(`set_request_headers = { "X-Request-ID" = "{request_id}" }`),
		"prefixes": route(`path = "/mcp"`, `strip_prefix = "/mcp"`, `add_prefix = "/x"`),
		"limits":   route(`timeout_server = "1m"`, `timeout_stream = "1h"`, `max_body = "1m"`, `compress = ["text/csv"]`),
	} {
		b := start(t, []string{fixed(t, toolsAnswer)}, oneLoop, limited, withRouteFile(t, routes), func(s *setup) { s.backends[0].Servers[0].SSE = s.backends[0].Servers[0].HTTP })
		round := pingPong(t, b, toolsCall)
		for range 300 {
			round()
		}
		b.Eventually("the lines are written", func() bool { return b.AccessLog.Stats().Lines >= 300 })
		if n := testing.AllocsPerRun(300, round); n >= 1 {
			t.Errorf("%s: a request allocates %v times", name, n)
		}
	}
}

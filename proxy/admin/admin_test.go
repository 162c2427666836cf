package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/internal/golden"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fixed is a Source whose Snapshots build makes. It counts the calls.
type fixed struct {
	build func() Snapshot
	asked atomic.Int64
}

func (f *fixed) Snapshot() Snapshot {
	f.asked.Add(1)
	return f.build()
}

// edited returns a Source of the example with a change.
func edited(edit func(*Snapshot)) *fixed {
	return &fixed{build: func() Snapshot {
		s := example()
		edit(&s)
		return s
	}}
}

func unedited(*Snapshot) {}

var exampleTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// example returns a Snapshot in which every member has a different value.
func example() Snapshot {
	return Snapshot{
		Time: exampleTime,
		Process: Process{
			Version: "1.2.3", GoVersion: "go1.26.0", PID: 4711,
			StartTime:   exampleTime.Add(-90 * time.Minute),
			ConfigPath:  "/etc/mcplb/lb.toml",
			Threads:     2,
			Connections: Connections{Current: 30, Peak: 45, Total: 1000, Limit: 100000},
			OpenFiles:   OpenFiles{Used: 80, Limit: 200100},
			Resident:    12345678,
			Reload:      Reload{Time: exampleTime.Add(-time.Minute), Success: true},
			AccessLog:   &AccessLog{Path: "/var/log/mcplb/access.log", Lines: 5900, Dropped: 12, Error: "no space left on device"},
		},
		Loops: []Loop{
			{Connections: 33, Turns: 5000, LongestTurnSeconds: 0.002},
			{Connections: 29, Turns: 4000, LongestTurnSeconds: 0.001},
		},
		Frontends: []Frontend{exampleFrontend(), exampleHTTP()},
		Backends:  []Backend{exampleBackend()},
		Fleet: &Fleet{
			Redis: "redis://:***@10.0.0.9:6379/0", Name: "mcplb", Instance: "lb1/127.0.0.1:8404", Shares: []string{"sticky", "bans", "rates"},
			Connected: true, Since: exampleTime.Add(-time.Hour), LagSeconds: 0.08, RoundTripSeconds: 0.0007, Waiting: 3, Errors: 2,
			Sent:     map[string]uint64{"sticky": 14, "bans": 3, "rates": 90_210},
			Received: map[string]uint64{"sticky": 9, "bans": 2, "rates": 81_007},
			Lost:     map[string]uint64{"sticky": 0, "bans": 0, "rates": 12},
			Invalid:  map[string]uint64{"sticky": 0, "bans": 0, "rates": 0},
			Balancers: []FleetBalancer{
				{Instance: "lb1/127.0.0.1:8404", Self: true, State: "serving", Connections: 30, MessagesPerSecond: 12.5, Version: "1.2.3", Admin: "127.0.0.1:8404", StartTime: exampleTime.Add(-time.Hour)},
				{Instance: "lb2/127.0.0.1:8404", State: "draining", Connections: 4, MessagesPerSecond: 1, Version: "1.2.2", Admin: "127.0.0.1:8404", StartTime: exampleTime.Add(-2 * time.Hour), AgeSeconds: 0.5},
			},
		},
		RateLimit: RateLimit{
			SourcesRemembered: 77, SourcesForgotten: 3, TableSize: 1000000,
			Refused:         map[string]uint64{"banned": 4, "connection_rate": 5},
			MessagesDelayed: 9, MessagesRejected: 8,
			Throttled:  []Throttled{{Source: "192.0.2.7", ForSeconds: 90, Delayed: 9, Rejected: 8, Refused: 7}},
			BansActive: 1, BansImposed: 2,
			Bans: []Ban{{Source: "192.0.2.7/32", Reason: "connection_rate", RemainingSeconds: 123.5}},
		},
	}
}

func exampleFrontend() Frontend {
	return Frontend{
		Name: "tcp", Mode: "mcp", Listen: []string{"0.0.0.0:8000", "[::]:8000"},
		Backends: []string{"nodes"}, State: FrontendOpen,
		Connections:      Connections{Current: 30, Peak: 45, Total: 1000},
		Traffic:          Traffic{BytesIn: 200000, BytesOut: 300000, MessagesIn: 1500, MessagesOut: 1600},
		MessagesDelayed:  6,
		MessagesRejected: 7,
		Refused:          map[string]uint64{"no_server": 0, "banned": 4, "connection_rate": 5},
		SessionsEnded:    map[string]uint64{"client_closed": 900, "server_reset": 1},
		SNIRoutes:        map[string]uint64{"a.example.com": 12, "default": 3},
		Connect:          Timing{Count: 991, SumSeconds: 0.75, MaxSeconds: 0.01},
		Queue:            Timing{Count: 2, SumSeconds: 0.5, MaxSeconds: 0.4},
	}
}

func exampleHTTP() Frontend {
	return Frontend{
		Name: "http", Mode: "http", Listen: []string{"127.0.0.1:8080"}, Backends: []string{"nodes"}, State: FrontendPaused,
		Connections: Connections{Current: 3, Peak: 4, Total: 500},
		HTTP: &HTTP{
			Requests:     5000,
			Responses:    map[string]uint64{"1xx": 3, "2xx": 4900, "3xx": 0, "4xx": 90, "5xx": 10},
			OwnResponses: map[string]uint64{"bad_request": 2, "no_server": 8},
			Malformed:    map[string]uint64{"bare_lf": 1, "host": 1},
			Compressed:   55, Tunnels: 3, BadFrames: 1,
			HTTP2Connections: 7, HTTP2Streams: 120, HTTP2Current: 2, HTTP2Refused: map[string]uint64{"reset_flood": 1},
			Eras:            map[string]uint64{"session": 3000, "stateless": 1000},
			Methods:         map[string]uint64{"tools/call": 990, "other": 10},
			SessionRequests: 2900, SessionsOpened: 41, TaskRequests: 17, TasksOpened: 3,
			Routes: map[string]uint64{"default": 3000, `/mcp tools/call delete_*`: 17},
			Tools: map[string]*Tool{
				"echo":       {Requests: 900, Errors: 3, Duration: Latency{Count: 900, SumSeconds: 4.5, P50Seconds: 0.004, P95Seconds: 0.009, P99Seconds: 0.02}},
				"a\"b\\c\nd": {Requests: 1},
			},
			Limits: []RouteLimit{{Route: "/mcp", Key: "header:X-API-Key", Refused: 12, Delayed: 5}},
		},
	}
}

func exampleLatency(scale uint64) Latency {
	l := Latency{Count: 17 * scale, SumSeconds: 1.5 * float64(scale), P50Seconds: 0.01, P95Seconds: 0.5, P99Seconds: 2}
	for i := range LatencyBounds {
		l.Below = append(l.Below, uint64(i)*scale)
	}
	return l
}

func exampleBackend() Backend {
	return Backend{
		Name: "nodes", Balance: "source",
		QueueCurrent: 1, QueuePeak: 8, StickySources: 12, Retries: 13, Redispatches: 14,
		Discovery: &Discovery{
			Kind: "kubernetes", Target: "default/mcp", Servers: 2, Answered: exampleTime.Add(-30 * time.Second), AgeSeconds: 30,
			Changed: exampleTime.Add(-time.Hour), Updates: 6, Errors: 1,
		},
		Servers: []Server{
			{
				Name:      "node1",
				Addresses: map[string]string{"tcp": "127.0.0.11:9001", "http": "127.0.0.11:8080"},
				Source:    "discover",
				State:     ServerUp, Admin: AdminReady, Usable: true,
				Reason: "L4OK connected", Since: exampleTime.Add(-time.Hour),
				Weight: 100, InitialWeight: 90, EffectiveWeight: 100,
				Connections: Connections{Current: 21, Peak: 40, Total: 700, Limit: 25000},
				Traffic:     Traffic{BytesIn: 150000, BytesOut: 250000, MessagesIn: 1000, MessagesOut: 1100},
				Errors:      map[string]uint64{"connect_refused": 0, "reset": 1},
				Retries:     5, Redispatches: 6,
				Responses: map[string]uint64{"1xx": 1, "2xx": 600, "3xx": 2, "4xx": 30, "5xx": 4},
				TLS:       &ServerHandshakes{Handshakes: map[string]uint64{"full": 3, "resumed": 40}, Failed: map[string]uint64{"expired": 2}},
				Queued:    1, Streams: 5, Tunnels: 4,
				Idle: 9, Connect: exampleLatency(1), Response: exampleLatency(2),
				Check: Check{Type: "tcp", Checks: 1200, Failures: 1, Observed: 2, Code: "L4OK", Text: "connected",
					Time: exampleTime.Add(-time.Second), LatencySeconds: 0.0005},
				Names: []Name{{Name: "node1.test", Family: "any", Address: "127.0.0.11", Since: exampleTime.Add(-time.Hour), Addresses: 2,
					Answered: exampleTime.Add(-12 * time.Second), Next: exampleTime.Add(8 * time.Second), Lookups: 90, Failures: 3}},
			},
			{
				Name:      "node2",
				Addresses: map[string]string{"tcp": "127.0.0.12:9002"},
				State:     ServerDown, Admin: AdminDrain, Suspect: true,
				Reason: "L4CON connection refused", Since: exampleTime.Add(-5 * time.Second),
				Downs: 2, DowntimeSeconds: 185, LastDown: exampleTime.Add(-5 * time.Second),
				Weight: 50, InitialWeight: 40, EffectiveWeight: 25,
				Connections: Connections{Current: 7, Peak: 39, Total: 300},
				Errors:      map[string]uint64{"connect_refused": 9, "reset": 0},
				Check: Check{Type: "tcp", Checks: 1201, Failures: 3, Progress: "1/2 up", Code: "L4CON",
					Text: "connection refused", Time: exampleTime.Add(-time.Second)},
			},
			{
				Name: "node3", State: ServerUnchecked, Admin: AdminReady, Usable: true, Since: exampleTime,
				Weight: 300, InitialWeight: 310, EffectiveWeight: 300,
				Check: Check{Type: "tcp"},
				Names: []Name{{Name: "node3.test", Family: "ipv4", Error: "no such host", ErrorTime: exampleTime.Add(-time.Second), Lookups: 5, Failures: 5}},
			},
		},
	}
}

// request returns the response of handler.
func request(handler http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "localhost:8404"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRouting(t *testing.T) {
	t.Parallel()
	admin := NewAdminHandler(Options{Source: edited(unedited)})
	public := NewHealthHandler(edited(unedited))
	tests := []struct {
		name         string
		handler      http.Handler
		method, path string
		status       int
	}{
		{"admin", admin, "GET", "/", 200},
		{"admin", admin, "GET", "/stats", 200},
		{"admin", admin, "GET", "/stats;csv", 200},
		{"admin", admin, "GET", "/;csv", 200},
		{"admin", admin, "GET", "/assets/page.html", 404},
		{"admin", admin, "GET", "/api/v1/bans", 404}, // without a Control
		{"admin", admin, "GET", "/api/v1/status", 200},
		{"admin", admin, "GET", "/metrics", 200},
		{"admin", admin, "GET", "/health", 200},
		{"admin", admin, "GET", "/nginx_status", 200},
		{"admin", admin, "HEAD", "/api/v1/status", 200},
		{"admin", admin, "GET", "/api/v1", 404},
		{"admin", admin, "GET", "/api/v1/status/", 404},
		{"admin", admin, "GET", "/debug/pprof/", 404},
		{"admin", admin, "POST", "/", 405},
		{"admin", admin, "POST", "/api/v1/status", 405},
		{"admin", admin, "DELETE", "/metrics", 405},
		{"admin", admin, "OPTIONS", "/health", 405},
		{"public", public, "GET", "/health", 200},
		{"public", public, "HEAD", "/health", 200},
		{"public", public, "GET", "/nginx_status", 200},
		{"public", public, "PUT", "/health", 405},
		{"public", public, "GET", "/", 404},
		{"public", public, "GET", "/metrics", 404},
		{"public", public, "GET", "/api/v1/status", 404},
	}
	for _, test := range tests {
		t.Run(test.name+" "+test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			response := request(test.handler, test.method, test.path)
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			if allow := response.Header.Get("Allow"); test.status == 405 && allow != "GET, HEAD" {
				t.Errorf("Allow: %q", allow)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	source := edited(unedited)
	response := request(NewAdminHandler(Options{Source: source}), "GET", "/api/v1/status")
	if contentType := response.Header.Get("Content-Type"); contentType != "application/json" {
		t.Errorf("Content-Type: %s", contentType)
	}
	text := body(t, response)
	var got any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "status.json", string(indented)+"\n")
	if n := source.asked.Load(); n != 1 {
		t.Errorf("took %d snapshots for one response", n)
	}
}

// Readers of the status can iterate over lists and maps without a check for null.
func TestStatusOfNothing(t *testing.T) {
	t.Parallel()
	source := &fixed{build: func() Snapshot {
		return Snapshot{Frontends: []Frontend{{}}, Backends: []Backend{{Servers: []Server{{}}}, {}}}
	}}
	text := body(t, request(NewAdminHandler(Options{Source: source}), "GET", "/api/v1/status"))
	if strings.Contains(text, "null") {
		t.Errorf("null in %s", text)
	}
	source.build = func() Snapshot { return Snapshot{} }
	text = body(t, request(NewAdminHandler(Options{Source: source}), "GET", "/api/v1/status"))
	if strings.Contains(text, "null") {
		t.Errorf("null in %s", text)
	}
}

// The names are a contract: every member has one, in lower case with underscores and
// with its unit.
func TestStatusNames(t *testing.T) {
	t.Parallel()
	checkNames(t, reflect.TypeFor[Snapshot]())
}

func checkNames(t *testing.T, typ reflect.Type) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Slice, reflect.Pointer:
		checkNames(t, typ.Elem())
		return
	case reflect.Struct:
		if typ == reflect.TypeFor[time.Time]() {
			return
		}
	default:
		return
	}
	for field := range typ.Fields() {
		if !field.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if !field.Anonymous && !regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`).MatchString(name) {
			t.Errorf("%s.%s is called %q", typ.Name(), field.Name, name)
		}
		if strings.HasSuffix(field.Name, "Seconds") != strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s.%s is called %q", typ.Name(), field.Name, name)
		}
		checkNames(t, field.Type)
	}
}

func TestDerived(t *testing.T) {
	t.Parallel()
	s := snapshotOf(edited(unedited))
	if s.Process.UptimeSeconds != 5400 {
		t.Errorf("uptime %v s", s.Process.UptimeSeconds)
	}
	b := s.Backends[0]
	if b.ServersUsable != 2 || b.ServersTotal != 3 {
		t.Errorf("%d of %d servers usable", b.ServersUsable, b.ServersTotal)
	}
	want := []struct{ share, fair float64 }{{0.75, 0.25}, {0.25, 0}, {0, 0.75}}
	for i, server := range b.Servers {
		if server.Share != want[i].share || server.FairShare != want[i].fair {
			t.Errorf("%s: share %v of fair %v, want %v", server.Name, server.Share, server.FairShare, want[i])
		}
	}
}

func TestNginxStatus(t *testing.T) {
	t.Parallel()
	response := request(NewHealthHandler(edited(unedited)), "GET", "/nginx_status")
	if contentType := response.Header.Get("Content-Type"); contentType != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type: %s", contentType)
	}
	golden.Compare(t, "nginx_status.txt", body(t, response))
	empty := &fixed{build: func() Snapshot { return Snapshot{} }}
	golden.Compare(t, "nginx_status_empty.txt", body(t, request(NewHealthHandler(empty), "GET", "/nginx_status")))
}

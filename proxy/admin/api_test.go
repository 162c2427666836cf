package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorder is a Control that records its calls.
type recorder struct{ asked []string }

func (c *recorder) note(format string, args ...any) {
	c.asked = append(c.asked, fmt.Sprintf(format, args...))
}

func (c *recorder) PutServer(backend, server string, keys ServerKeys) (bool, []Change, error) {
	text, _ := json.Marshal(keys)
	c.note("put %s/%s %s", backend, server, text)
	if server == "infile" {
		return false, nil, fmt.Errorf("%w: it is in the file", ErrConflict)
	}
	if server == "known" {
		return false, []Change{{"weight", "1", "2"}}, nil
	}
	return true, nil, nil
}

func (c *recorder) RemoveServer(backend, server string) error {
	c.note("remove %s/%s", backend, server)
	if server == "missing" {
		return ErrNotFound
	}
	return nil
}

func (c *recorder) SetServer(backend, server string, change ServerChange) ([]Change, error) {
	text, _ := json.Marshal(change)
	c.note("set %s/%s %s", backend, server, text)
	if server == "missing" {
		return nil, fmt.Errorf("%w: there is no server %q", ErrNotFound, server)
	}
	return []Change{{"admin", "ready", "drain"}}, nil
}

func (c *recorder) ListConnections(_ context.Context, filter ConnectionFilter, most int) (ConnectionList, error) {
	c.note("list %+v %d", filter, most)
	return ConnectionList{Total: 1, Connections: []Connection{{ID: "0-1f", Frontend: "tcp", Client: "192.0.2.7:4242", Backend: "nodes", Server: "node1", State: "relaying", IdleSeconds: 1.5, Requests: 3}}}, nil
}

func (c *recorder) Kill(_ context.Context, filter ConnectionFilter) (int, error) {
	c.note("kill %+v", filter)
	return 7, nil
}

func (c *recorder) KillOne(_ context.Context, id string) error {
	c.note("kill one %s", id)
	if id != "0-1f" {
		return fmt.Errorf("%w: there is no connection %q", ErrNotFound, id)
	}
	return nil
}

func (c *recorder) Bans(int) []Ban { return example().RateLimit.Bans }

func (c *recorder) Ban(source netip.Prefix, d time.Duration) (Ban, error) {
	c.note("ban %s %s", source, d)
	return Ban{Source: source.String(), Reason: "manual", RemainingSeconds: d.Seconds()}, nil
}

func (c *recorder) Route(asked RouteRequest) (RouteAnswer, error) {
	c.note("route %s %s", asked.Method, asked.URL)
	return RouteAnswer{Frontend: "web", Outcome: "denied", Status: 403, Route: "route[0]", Why: "its conditions hold: path"}, nil
}

func (c *recorder) Unban(source netip.Prefix) error {
	c.note("unban %s", source)
	if source != netip.MustParsePrefix("192.0.2.7/32") {
		return fmt.Errorf("%w: %s is not banned", ErrNotFound, source)
	}
	return nil
}

func (c *recorder) Sticky(backend string, source netip.Addr, most int) ([]StickyEntry, error) {
	c.note("sticky %s %s %d", backend, source, most)
	return []StickyEntry{{Source: "192.0.2.7", Server: "node1", Refuge: "node2", Connections: 2, IdleSeconds: 0.5}}, nil
}

func (c *recorder) ClearPeaks() { c.note("clear peaks") }

// desk is an admin handler under test and its dependencies.
type desk struct {
	handler http.Handler
	control *recorder
	access  *Access
	log     bytes.Buffer
}

func newDesk(source Source) *desk {
	d := &desk{control: &recorder{}, access: &Access{}}
	d.handler = NewAdminHandler(Options{
		Source: source, Control: d.control, Access: d.access, Log: slog.New(slog.NewTextHandler(&d.log, nil)),
		Reload: func(context.Context) (string, error) { return "~global.maxconn 0 -> 5", nil },
	})
	return d
}

// ask sends a request like curl on this machine, with changes of the head: name,
// value, ...; "from" is the client's address.
func (d *desk) ask(method, path, text string, head ...string) *http.Response {
	r := httptest.NewRequest(method, "http://127.0.0.1:8404"+path, strings.NewReader(text))
	r.RemoteAddr = "127.0.0.1:50000"
	r.Header.Set(CommandHeader, "1")
	if text != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(head); i += 2 {
		switch head[i] {
		case "from":
			r.RemoteAddr = head[i+1]
		case "Host":
			r.Host = head[i+1]
		case "proto":
			r.Proto, r.ProtoMajor, r.ProtoMinor = head[i+1], 1, 0
		default:
			r.Header.Set(head[i], head[i+1])
		}
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	const server = "/api/v1/backends/nodes/servers/node1"
	for _, test := range []struct {
		method, path, body string
		status             int
		asked, answer      string // "" = the control is not called
	}{
		{"PATCH", server, `{"admin":"drain"}`, 200, `set nodes/node1 {"admin":"drain","reason":"by 127.0.0.1:50000"}`, `"new":"drain"`},
		{"PATCH", server, `{"weight":5,"maxconn":0,"reason":"repair"}`, 200, `set nodes/node1 {"weight":5,"maxconn":0,"reason":"repair, by 127.0.0.1:50000"}`, `"target":"nodes/node1"`},
		{"PATCH", "/api/v1/backends/nodes/servers/missing", `{"weight":5}`, 404, `set nodes/missing {"weight":5,"reason":"by 127.0.0.1:50000"}`, "no server"},
		{"PATCH", server, `{}`, 400, "", "name what is to change"},
		{"PATCH", server, `{"weight":5,"reason":"\u001b[2J"}`, 400, "", "one line"},
		{"PATCH", server, `{"wieght":5}`, 400, "", "wieght"},
		{"PATCH", server, `{"weight":"5"}`, 400, "", "weight"},
		{"GET", "/api/v1/connections?backend=nodes&server=node1", "", 200, "list {Backend:nodes Server:node1 Client:invalid Prefix} 100", `"id":"0-1f"`},
		{"GET", "/api/v1/connections?client=::ffff:192.0.2.7&limit=9", "", 200, "list {Backend: Server: Client:192.0.2.7/32} 9", `"total":1`},
		{"GET", "/api/v1/connections?server=node1", "", 400, "", "backend"},
		{"GET", "/api/v1/connections?limit=0", "", 400, "", "limit"},
		{"DELETE", "/api/v1/connections?backend=nodes", "", 200, "kill {Backend:nodes Server: Client:invalid Prefix}", `"ended":7`},
		{"DELETE", "/api/v1/connections", "", 400, "", "name a backend"},
		{"DELETE", "/api/v1/connections?backend=nodes&clinet=192.0.2.7", "", 400, "", "no parameter \\\"clinet\\\""},
		{"DELETE", "/api/v1/connections?backend=nodes&client=%zz", "", 400, "", "cannot be read"},
		{"DELETE", "/api/v1/connections?client=192.0.2.7&client=192.0.2.8", "", 400, "", "stands twice"},
		{"GET", "/api/v1/bans?most=5", "", 400, "", "it has limit"},
		{"POST", "/api/v1/counters/clear?all=1", `{}`, 400, "", "takes no parameters"},
		{"DELETE", "/api/v1/connections/0-1f", "", 200, "kill one 0-1f", `"ended":1`},
		{"DELETE", "/api/v1/connections/9-9", "", 404, "kill one 9-9", "no connection"},
		{"GET", "/api/v1/bans", "", 200, "", `"192.0.2.7/32"`},
		{"POST", "/api/v1/bans", `{"source":"192.0.2.9","seconds":60}`, 200, "ban 192.0.2.9/32 1m0s", `"manual"`},
		{"POST", "/api/v1/bans", `{"source":"10.0.0.0/8"}`, 200, "ban 10.0.0.0/8 0s", `"10.0.0.0/8"`},
		{"POST", "/api/v1/bans", `{"source":"::ffff:10.0.0.0/104"}`, 200, "ban 10.0.0.0/8 0s", `"10.0.0.0/8"`},
		{"POST", "/api/v1/bans", `{"source":"2001:db8::7"}`, 200, "ban 2001:db8::/64 0s", `"manual"`},
		{"POST", "/api/v1/bans", `{"source":"2001:db8::7/64"}`, 200, "ban 2001:db8::/64 0s", `"manual"`},
		{"POST", "/api/v1/bans", `{"source":"2001:db8::/29"}`, 200, "ban 2001:db8::/29 0s", `"manual"`},
		{"POST", "/api/v1/bans", `{"source":"2001:db8::7/128"}`, 200, "ban 2001:db8::7/128 0s", `"manual"`},
		{"POST", "/api/v1/bans", `{"source":"10.1.2.3/8"}`, 400, "", "write 10.0.0.0/8 for the network, or 10.1.2.3 for the address"},
		{"POST", "/api/v1/bans", `{"source":"0.0.0.0/0"}`, 400, "", "would refuse every client"},
		{"POST", "/api/v1/bans", `{"source":"::/0"}`, 400, "", "would refuse every client"},
		{"POST", "/api/v1/bans", `{"source":"::ffff:0:0/96"}`, 400, "", "would refuse every client"},
		{"POST", "/api/v1/bans", `{"source":"10.0.0.0/33"}`, 400, "", "or a CIDR, such as 10.0.0.0/8"},
		{"POST", "/api/v1/bans", `{"source":"node1"}`, 400, "", "source must be an address"},
		{"POST", "/api/v1/bans", `{"source":"192.0.2.9","seconds":-1}`, 400, "", "seconds"},
		{"DELETE", "/api/v1/bans/192.0.2.7/32", "", 200, "unban 192.0.2.7/32", `"old":"banned"`},
		{"DELETE", "/api/v1/bans/2001:db8::/64", "", 404, "unban 2001:db8::/64", "not banned"},
		{"DELETE", "/api/v1/bans/10.0.0.0/8", "", 404, "unban 10.0.0.0/8", "not banned"},
		{"DELETE", "/api/v1/connections?client=10.0.0.0/8", "", 200, "kill {Backend: Server: Client:10.0.0.0/8}", `"ended":7`},
		{"GET", "/api/v1/backends/nodes/sticky?limit=5", "", 200, "sticky nodes invalid IP 5", `"refuge":"node2"`},
		{"POST", "/api/v1/counters/clear", `{}`, 200, "clear peaks", "peaks"},
		{"POST", "/api/v1/reload", `{}`, 200, "", "~global.maxconn 0 -"},
		{"POST", "/api/v1/reload", "", 415, "", "application/json"},
		{"POST", server, `{}`, 405, "", ""},
		{"PUT", "/api/v1/backends/nodes/servers/node9", `{"tcp":"192.0.2.9:1","maxconn":5}`, 201, `put nodes/node9 {"maxconn":5,"tcp":"192.0.2.9:1"}`, `"created":true`},
		{"PUT", "/api/v1/backends/nodes/servers/known", `{"tcp":"192.0.2.9:1"}`, 200, `put nodes/known {"tcp":"192.0.2.9:1"}`, `"created":false,"changes":[{"what":"weight","old":"1","new":"2"}]`},
		{"PUT", "/api/v1/backends/nodes/servers/infile", `{}`, 409, "put nodes/infile {}", "it is in the file"},
		{"DELETE", "/api/v1/backends/nodes/servers/10.0.0.1:9", "", 200, "remove nodes/10.0.0.1:9", `"new":"removed"`},
		{"DELETE", "/api/v1/backends/nodes/servers/missing", "", 404, "remove nodes/missing", "not found"},
	} {
		t.Run(test.method+" "+test.path+" "+test.body, func(t *testing.T) {
			t.Parallel()
			d := newDesk(edited(unedited))
			response := d.ask(test.method, test.path, test.body)
			text := body(t, response)
			if response.StatusCode != test.status || !strings.Contains(text, test.answer) {
				t.Errorf("%d %s, want %d with %s", response.StatusCode, text, test.status, test.answer)
			}
			if asked := strings.Join(d.control.asked, "; "); asked != test.asked {
				t.Errorf("calls %q, want %q", asked, test.asked)
			}
			changes := test.method != "GET" && test.status < 300
			if logged := strings.Contains(d.log.String(), "by=127.0.0.1:50000"); logged != changes {
				t.Errorf("logged %q", d.log.String())
			}
		})
	}
}

// Who may use commands, and attempts to bypass the check.
func TestAccess(t *testing.T) {
	t.Parallel()
	const token = "correct horse battery staple"
	for _, test := range []struct {
		name   string
		token  bool
		head   []string
		status int
	}{
		{"loopback", false, nil, 200},
		{"loopback of IPv6", false, []string{"from", "[::1]:9"}, 200},
		{"loopback mapped", false, []string{"from", "[::ffff:127.0.0.1]:9"}, 200},
		{"localhost", false, []string{"Host", "localhost:8404"}, 200},
		{"its own page", false, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8404"}, 200},
		{"another machine", false, []string{"from", "192.0.2.1:9"}, 403},
		{"rebound name", false, []string{"Host", "evil.example:8404"}, 403},
		{"rebound name, its own page", false, []string{"Host", "evil.example", "Sec-Fetch-Site", "same-origin"}, 403},
		{"cross-site", false, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"same-site", false, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", false, []string{"Origin", "http://evil.example"}, 403},
		{"another port", false, []string{"Origin", "http://127.0.0.1:9999"}, 403},
		{"a form", false, []string{"Content-Type", "text/plain"}, 415},
		{"through a proxy", false, []string{"X-Forwarded-For", "192.0.2.1"}, 403},
		{"through a proxy that says so otherwise", false, []string{"Forwarded", "for=192.0.2.1"}, 403},
		{"through a proxy with an empty header", false, []string{"Via", ""}, 403},
		{"through a proxy that names the host", false, []string{"X-Forwarded-Host", "lb.example"}, 403},
		{"through a proxy that names the client", false, []string{"X-Real-IP", "127.0.0.1"}, 403},
		{"through a proxy of another kind", false, []string{"CF-Connecting-IP", "192.0.2.1"}, 403},
		{"through a content network", false, []string{"CDN-Loop", "cdn"}, 403},
		{"through Envoy", false, []string{"X-Envoy-Expected-Rq-Timeout-Ms", "15000"}, 403},
		{"through nginx as it is by default", false, []string{"proto", "HTTP/1.0", "Connection", "close"}, 403},
		{"through a proxy that keeps the host, an address", false, []string{"Host", "192.0.2.80"}, 403},
		{"the page through nginx or HAProxy as they are by default", false, []string{"Origin", "http://lb.example", "Sec-Fetch-Site", "same-origin"}, 403},
		{"without the header, as a proxy's client", false, []string{CommandHeader, ""}, 403},
		{"with another value of the header", false, []string{CommandHeader, "0"}, 403},
		{"a name of admin.hosts", false, []string{"Host", "LB.internal.:8404"}, 200},
		{"a name of admin.hosts, its own page", false, []string{"Host", "lb.internal", "Sec-Fetch-Site", "same-origin", "Origin", "http://lb.internal"}, 200},
		{"token without the header, through a proxy", true, []string{CommandHeader, "", "X-Forwarded-For", "192.0.2.1", "proto", "HTTP/1.0", "Authorization", "Bearer secret-of-sixteen"}, 200},
		{"header instead of the token", true, []string{CommandHeader, "1"}, 401},
		{"token", true, []string{"from", "192.0.2.1:9", "Host", "lb.example:8404", "Authorization", "Bearer secret-of-sixteen"}, 200},
		{"token, scheme in small letters", true, []string{"Authorization", "bearer secret-of-sixteen"}, 200},
		{"no token", true, nil, 401},
		{"wrong token", true, []string{"Authorization", "Bearer " + token}, 401},
		{"wrong scheme", true, []string{"Authorization", "Basic secret-of-sixteen"}, 401},
		{"token as a browser's password", true, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("ops:secret-of-sixteen"))}, 200},
		{"wrong password", true, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("secret-of-sixteen:x"))}, 401},
		{"password cross-site", true, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("ops:secret-of-sixteen")), "Sec-Fetch-Site", "cross-site"}, 403},
		{"token cross-site", true, []string{"Authorization", "Bearer secret-of-sixteen", "Sec-Fetch-Site", "cross-site"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(edited(unedited))
			d.access.UseHosts([]string{"lb.internal"})
			if test.token {
				if _, err := d.access.UseFile(writeToken(t, "secret-of-sixteen\n", 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			response := d.ask("POST", "/api/v1/counters/clear", "{}", test.head...)
			if response.StatusCode != test.status {
				t.Errorf("%d %s, want %d", response.StatusCode, body(t, response), test.status)
			}
			if done := len(d.control.asked) > 0; done != (test.status == 200) {
				t.Errorf("executed: %v", done)
			}
			if test.status == 401 && response.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 does not say how to authenticate")
			}
			var may AccessAnswer
			if err := json.Unmarshal([]byte(body(t, d.ask("GET", "/api/v1/access", "", test.head...))), &may); err != nil {
				t.Fatal(err)
			}
			if guarded := test.status == 401 || test.status == 403; may.May == guarded && !isUnsafeOnly(test.head) && !foreign(test.head) {
				t.Errorf("/api/v1/access says %+v", may)
			}
			if list := d.ask("GET", "/api/v1/connections", "", test.head...); strings.HasPrefix(test.name, "through") && list.StatusCode != 403 {
				t.Errorf("the list of clients gets %d", list.StatusCode) // who asks a proxy may be anybody
			}
			if strings.Contains(d.log.String(), "secret") {
				t.Errorf("the token is in the log: %s", d.log.String())
			}
		})
	}
}

// isUnsafeOnly reports whether only requests that change something are refused, which
// is so for a foreign Origin.
func isUnsafeOnly(head []string) bool {
	return len(head) > 0 && (head[0] == "Origin" || head[0] == CommandHeader)
}

// foreign reports whether the request is under a name that has no API at all.
func foreign(head []string) bool { return len(head) > 1 && strings.HasPrefix(head[1], "evil.") }

// Page and API are not for pages of other sites whose name leads here (DNS rebinding);
// monitoring is for every name.
func TestHosts(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(unedited))
	d.access.UseHosts([]string{"lb.example.com", "lb"})
	for host, want := range map[string]int{
		"127.0.0.1:8404": 200, "192.0.2.1": 200, "[::1]:8404": 200, "[2001:db8::1]": 200, "localhost": 200, "LocalHost:8404": 200, "localhost.:1": 200,
		"lb.example.com:8404": 200, "LB.Example.Com.": 200, "lb": 200, "": 200,
		"evil.example": 403, "x.lb.example.com": 403, "lb.example.com.evil.example": 403, "localhost.evil.example:8404": 403,
		"127.0.0.1.evil.example": 403, "evil.localhost": 403, "0x7f000001.": 403, "lb.example.com:8404:1": 403,
	} {
		for _, path := range []string{"/", "/stats", "/stats;csv", "/api/v1/status", "/api/v1/openapi.json", "/api/v1/access", "/assets/page.js", "/metrics", "/health", "/nginx_status"} {
			want := want
			if path == "/metrics" || path == "/health" || path == "/nginx_status" {
				want = 200
			}
			answer := d.ask("GET", path, "", "Host", host)
			text := body(t, answer)
			if answer.StatusCode != want || want == 403 && !strings.Contains(text, "admin.hosts = [") {
				t.Errorf("Host %q: %s has status %d, want %d: %s", host, path, answer.StatusCode, want, text)
			}
		}
	}
}

func writeToken(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	var a Access
	for _, test := range []struct {
		text, warning, err string
		mode               os.FileMode
	}{
		{"0123456789abcdef\n", "", "", 0o600},
		{"0123456789abcdef\n", "", "", 0o640},
		{"0123456789abcdef\n", "every user", "", 0o644},
		{"\ufeff0123456789abcdef\r\n", "", "", 0o600},
		{"short", "shorter", "", 0o600},
		{"", "", "one word", 0o600},
		{"two words", "", "one word", 0o600},
	} {
		warning, err := a.UseFile(writeToken(t, test.text, test.mode))
		if !strings.Contains(warning, test.warning) || (warning != "") != (test.warning != "") {
			t.Errorf("%q: warning %q, want %q", test.text, warning, test.warning)
		}
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: %v, want %q", test.text, err, test.err)
		}
	}
	if _, err := a.UseFile(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := a.UseFile(writeToken(t, "\ufeff0123456789abcdef\r\n", 0o600)); err != nil || *a.digest.Load() != sha256.Sum256([]byte("0123456789abcdef")) {
		t.Errorf("the byte order mark of an editor is part of the token, or %v", err)
	}
	if a.digest.Load() == nil {
		t.Error("an unreadable file removed the token")
	}
	if _, err := a.UseFile(""); err != nil || a.digest.Load() != nil {
		t.Errorf("no file: %v", err)
	}
}

// A cleared counter starts at 0 in the status, but not in /metrics.
func TestClearCounters(t *testing.T) {
	t.Parallel()
	grown := uint64(0)
	d := newDesk(edited(func(s *Snapshot) {
		f, server := &s.Frontends[0], &s.Backends[0].Servers[0]
		f.BytesIn += grown
		f.Refused["banned"] += grown
		server.Check.Checks += grown
		server.Response = Latency{Count: 100 + grown, SumSeconds: float64(100 + grown), Below: make([]uint64, len(LatencyBounds))}
		server.Response.Below[len(LatencyBounds)-1] = 100 + grown
	}))
	d.ask("POST", "/api/v1/counters/clear", `{"all":true}`)
	grown = 5
	var s Snapshot
	if err := json.Unmarshal([]byte(body(t, d.ask("GET", "/api/v1/status", ""))), &s); err != nil {
		t.Fatal(err)
	}
	f, server := s.Frontends[0], s.Backends[0].Servers[0]
	if f.BytesIn != 5 || f.Refused["banned"] != 5 || f.BytesOut != 0 || server.Check.Checks != 5 || server.Response.Count != 5 ||
		server.Response.SumSeconds != 5 || server.Response.P99Seconds < 30 {
		t.Errorf("after clearing: %+v; %+v", f, server)
	}
	if f.Connections.Current != 30 || s.Process.Resident != 12345678 || server.Weight != 100 {
		t.Errorf("clearing changed something that is not a counter: %+v", f.Connections)
	}
	if metrics := body(t, d.ask("GET", "/metrics", "")); !strings.Contains(metrics, "mcplb_frontend_bytes_in_total{frontend=\"tcp\"} 200005\n") {
		t.Error("/metrics was cleared")
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	below := make([]uint64, len(LatencyBounds))
	for i := 2; i < len(below); i++ {
		below[i] = 100 // all are between 0.5 and 1 ms
	}
	for part, want := range map[float64]float64{0.5: 0.00075, 0.99: 0.000995} {
		if got := quantile(below, 100, part); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%v: %v, want %v", part, got, want)
		}
	}
	if got := quantile(make([]uint64, len(LatencyBounds)), 100, 0.5); got != 60 {
		t.Errorf("durations above all bounds: %v", got)
	}
	if got := quantile(nil, 0, 0.5); got != 0 {
		t.Errorf("without durations: %v", got)
	}
}

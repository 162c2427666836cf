package proxy

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
)

// The status shows what happened.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := start(t, "[global]\nthreads = 2\nmaxconn = 77\n"+frontendText("f", anyPort, "mcp", "b")+
		backendText("b", nil)+serverText("b", "node", s.Address, "maxconn = 5", "weight = 42"))
	r.eventually("the server was checked", func() bool { return r.server("node").State == admin.ServerUp })
	c := dial(t, r.address("f"))
	c.Ask("{\"id\":1}")
	c.Ask("{\"id\":2}")
	traffic := admin.Traffic{BytesIn: 18, BytesOut: 18, MessagesIn: 2, MessagesOut: 2}
	r.eventually("the messages are counted", func() bool { return r.server("node").Traffic == traffic && r.frontend("f").Traffic == traffic })

	shown := r.Snapshot()
	p := shown.Process
	if p.Version != "test" || p.PID != os.Getpid() || p.ConfigPath != "lb.toml" || p.Threads != 2 || p.Draining || p.AcceptPaused ||
		p.OpenFiles.Limit != 10_000 || p.OpenFiles.Used < 5 || p.Resident < 1<<20 || time.Since(p.StartTime) > time.Hour {
		t.Errorf("the process is %+v", p)
	}
	if want := (admin.Connections{Current: 1, Peak: 1, Total: 1, Limit: 77}); p.Connections != want {
		t.Errorf("the connections are %+v, want %+v", p.Connections, want)
	}
	if n := len(shown.Loops); n != 2 || shown.Loops[0].Connections+shown.Loops[1].Connections != 1 {
		t.Errorf("the loops are %+v, want two with one connection", shown.Loops)
	}
	f := shown.Frontends[0]
	if f.Name != "f" || f.Mode != "mcp" || f.State != admin.FrontendOpen || f.Traffic != traffic || f.Connect.Count != 1 {
		t.Errorf("the frontend is %+v", f)
	}
	node := shown.Backends[0].Servers[0]
	if node.Name != "node" || node.Addresses["tcp"] != s.Address || node.Weight != 42 || !node.Usable || node.Traffic != traffic {
		t.Errorf("the server is %+v", node)
	}
	if want := (admin.Connections{Current: 1, Peak: 1, Total: 1, Limit: 5}); node.Connections != want {
		t.Errorf("the server's connections are %+v, want %+v", node.Connections, want)
	}
	if check := node.Check; check.Type != "tcp" || check.Checks == 0 || check.Failures != 0 {
		t.Errorf("the check is %+v", check)
	}
}

// Bans are listed with their remaining time, and refusals by reason.
func TestSnapshotOfLimits(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := startFrozen(t, "[ratelimit]\nconnection_rate = 1\nconnection_burst = 1\nban_after = 2\nban_time = \"1h\"\n"+
		frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{s.Address}))
	dial(t, r.address("f")).Ask("hello")
	for range 3 {
		endpoint.TurnedAway(t, r.address("f"))
	}
	r.ended("f", "connection_rate", 2)
	r.ended("f", "banned", 1)
	limits := r.Snapshot().RateLimit
	if limits.Refused["connection_rate"] != 2 || limits.Refused["banned"] != 1 || limits.BansActive != 1 || limits.BansImposed != 1 || limits.SourcesRemembered != 1 {
		t.Errorf("the limits show %+v", limits)
	}
	if len(limits.Bans) != 1 || limits.Bans[0].Source != "127.0.0.1/32" || limits.Bans[0].RemainingSeconds <= 3500 || limits.Bans[0].RemainingSeconds > 3600 {
		t.Errorf("the bans are %+v", limits.Bans)
	}
}

// Servers may be configured by host name.
func TestServerByName(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := start(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{strings.Replace(s.Address, "127.0.0.1", "localhost", 1)}))
	dial(t, r.address("f")).Ask("hello")
	if got := r.server("s1").Addresses["tcp"]; got != s.Address {
		t.Errorf("localhost was resolved to %s, want %s", got, s.Address)
	}
}

// Requests are shown by kind and outcome, servers by their responses and latency.
func TestSnapshotOfRequests(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Mcp-Session-Id", "session")
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(web.Close)
	r := start(t, frontendText("f", anyPort, "http", "b")+backendText("b", nil)+
		"[[backend.b.server]]\nname = \"node\"\nhttp = \""+strings.TrimPrefix(web.URL, "http://")+"\"\n")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := http.Client{Transport: transport, Timeout: 30 * time.Second}
	for _, version := range []string{"2025-11-25", "2025-11-25", "2026-07-28"} {
		request, err := http.NewRequest("POST", "http://"+r.address("f")+"/mcp", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("MCP-Protocol-Version", version)
		request.Header.Set("Mcp-Method", "tools/list")
		response, err := client.Do(request)
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Fatal(response, err)
		}
		response.Body.Close()
	}
	odd := dial(t, r.address("f"))
	odd.Ask("nonsense")
	odd.Close()
	transport.CloseIdleConnections()
	// A response may be with its client before it is counted; a client ends after that.
	r.eventually("the clients have gone", func() bool { return r.frontend("f").Connections.Current == 0 })

	shown := r.frontend("f").HTTP
	if shown.Requests != 3 || shown.Responses["2xx"] != 3 || shown.Responses["4xx"] != 1 || shown.OwnResponses["bad_request"] != 1 || shown.Malformed["bare_lf"] != 1 {
		t.Errorf("the requests are %+v", shown)
	}
	if shown.Eras["session"] != 2 || shown.Eras["stateless"] != 1 || shown.Methods["tools/list"] != 3 || shown.SessionsOpened != 2 {
		t.Errorf("the eras are %+v", shown)
	}
	node := r.server("node")
	if node.Responses["2xx"] != 3 || node.Response.Count != 3 || node.Response.P99Seconds <= 0 || node.Connect.Count != 1 || node.Idle != 1 || node.Connect.Below[16] != 1 {
		t.Errorf("the server is %+v", node)
	}
}

// No idle connection is kept to a server that a reload removes, although its idle
// time has not passed.
func TestRemovedServerKeepsNoConnection(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	configured := func(server string) *conf.Config {
		return parse(t, frontendText("f", anyPort, "http", "b")+backendText("b", nil)+
			"[[backend.b.server]]\nname = \""+server+"\"\nhttp = \""+strings.TrimPrefix(web.URL, "http://")+"\"\n")
	}
	p, err := Start(configured("node"), frozen())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Proxy: p, t: t}
	t.Cleanup(r.end)
	gone := r.backends["b"].Servers()[0]
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 30 * time.Second}
	response, err := client.Get("http://" + r.address("f"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	r.eventually("a connection is kept", func() bool { return r.workers.Idle(gone) == 1 })
	if _, err := r.Apply(configured("other")); err != nil {
		t.Fatal(err)
	}
	r.eventually("none is kept", func() bool { return r.workers.Idle(gone) == 0 })
}

package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/admin"
)

// checkedByHTTP are backend lines for servers of mode mcp that an agent speaks for, at
// another port.
func checkedByHTTP(agent *httptest.Server, more string) string {
	_, port, _ := strings.Cut(agent.Listener.Addr().String(), ":")
	return fmt.Sprintf(`check = { type = "http", port = %s, interval = "50ms", fast_interval = "50ms", timeout = "10s"%s }`, port, more)
}

// serving serves an HTTP handler.
func serving(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// A server that asks to be drained gets no new client, and keeps those it has; it takes
// clients again by itself. The operator's own drain is apart from that, and every view of
// the server shows both. Otherwise clients are lost with every node that is replaced.
func TestServerAsksToBeDrained(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(200)
	agent := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	one := endpoint.Serve(t, name("one"))
	text := frontendText("f", anyPort, "mcp", "b") + backendText("b", []string{one.Address}, checkedByHTTP(agent, `, drain_on = [503, "4xx"]`))
	r := start(t, text)
	r.eventually("it is up", func() bool { return r.server("s1").State == admin.ServerUp })
	kept := dial(t, r.address("f"))
	kept.Ask("who?")

	status.Store(503)
	r.eventually("it asks to be drained", func() bool { return !r.server("s1").Usable })
	s := r.server("s1")
	if s.State != admin.ServerUp || s.Admin != admin.AdminReady || s.DrainRequest != "HTTP status 503 asks to be drained" || s.DrainRequestSince.IsZero() || s.Check.Code != "L7OKC" || s.Check.Failures != 0 {
		t.Errorf("%+v", s)
	}
	if who := kept.Ask("who?"); who != "one" {
		t.Errorf("its client is answered by %s", who)
	}
	if refused, err := net.Dial("tcp", r.address("f")); err == nil { // else it was reset already
		defer refused.Close()
	}
	r.eventually("a new client finds no server", func() bool { return harness.Sum(r.frontend("f").Refused) == 1 })
	r.setAdmin(admin.AdminDrain)
	status.Store(200)
	r.eventually("it asks no more", func() bool { return r.server("s1").DrainRequest == "" })
	if s := r.server("s1"); s.Usable || s.Admin != admin.AdminDrain {
		t.Errorf("the operator's drain: %+v", s)
	}
	r.setAdmin(admin.AdminReady)
	if who := dial(t, r.address("f")).Ask("who?"); who != "one" {
		t.Errorf("a new client is answered by %s", who)
	}
}

// setAdmin is an operator's command for server b/s1.
func (r *running) setAdmin(state admin.AdminState) {
	r.t.Helper()
	if _, err := r.SetServer("b", "s1", admin.ServerChange{Admin: &state, Reason: "by ann"}); err != nil {
		r.t.Fatal(err)
	}
}

// An upgrade knows which servers have asked to be drained: the new process would give them
// clients until its first check.
func TestUpgradeKeepsDrainRequests(t *testing.T) {
	t.Parallel()
	var hangs atomic.Bool
	done := make(chan struct{})
	agent := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		if hangs.Load() {
			<-done
		}
		w.WriteHeader(503)
	})
	t.Cleanup(func() { close(done) })
	one := endpoint.Serve(t, name("one"))
	text := frontendText("f", anyPort, "mcp", "b") + backendText("b", []string{one.Address}, checkedByHTTP(agent, `, drain_on = [503]`))
	r := startOld(t, text)
	r.eventually("it asks to be drained", func() bool { return r.server("s1").DrainRequest != "" })
	since := r.server("s1").DrainRequestSince
	hangs.Store(true)
	h := r.upgrade(text)
	t.Cleanup(func() { _ = h.stop() })
	if s := h.server("s1"); s.Usable || s.State != admin.ServerUp || s.DrainRequest == "" || !s.DrainRequestSince.Equal(since) {
		t.Errorf("after the upgrade: %+v", s)
	}
}

// A reload changes what checks ask: a server that refuses its own address as Host comes up
// with check.host, without a start.
func TestCheckHostByReload(t *testing.T) {
	t.Parallel()
	agent := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "mcp.example.com" || r.Header.Get("X-Check") != "1" {
			http.Error(w, "Host not allowed", http.StatusForbidden)
			return
		}
		io.WriteString(w, `{"status":"ok"}`)
	})
	one := endpoint.Serve(t, name("one"))
	text := func(more string) string {
		return frontendText("f", anyPort, "mcp", "b") + backendText("b", []string{one.Address}, checkedByHTTP(agent, more))
	}
	r := start(t, text(""))
	r.eventually("it is down", func() bool { return r.server("s1").State == admin.ServerDown })
	if reason := r.server("s1").Reason; !strings.Contains(reason, "check.host sets another") {
		t.Errorf("reason %q", reason)
	}
	r.apply(text(`, host = "mcp.example.com", headers = { X-Check = "1" }, expect_body = "\"ok\""`))
	r.eventually("it is up", func() bool { return r.server("s1").State == admin.ServerUp })
	r.apply(text(`, host = "mcp.example.com", headers = { X-Check = "1" }, expect_body = "other"`))
	r.eventually("it is down by its body", func() bool { return strings.Contains(r.server("s1").Reason, "lacks") })
	r.apply(text(`, host = "mcp.example.com", headers = { X-Check = "1" }, expect = [403, "2xx"]`))
	r.eventually("it is up by its status", func() bool { return r.server("s1").State == admin.ServerUp })
}

package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/internal/endpoint"
	"mcplb/proxy/handover"
)

// The new process enforces the limits, counting the clients that the old one still
// has.
func TestHandOverKeepsLimits(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	s := endpoint.Serve(t, func(c *net.TCPConn) {
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		if request.URL.Path == "/slow" {
			<-slow
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	answerAll := sync.OnceFunc(func() { close(slow) })
	defer answerAll()
	text := "[global]\nmaxconn = 3\n[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\nmax_connections = 10\nban_after = 0\n" +
		frontendText("f", anyPort, "http", "b") + "[backend.b]\n[[backend.b.server]]\nname = 's1'\nhttp = '" + s.Address + "'\nmaxconn = 2\n"
	r := startOld(t, text)
	get := func(path string) *client {
		c := dial(t, r.address("f"))
		c.Say("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		return c
	}
	first := get("/slow")
	r.eventually("it is under way", func() bool { return r.server("s1").Connections.Current == 1 })
	h := r.newProcess(text)
	if n := h.server("s1").Connections.Current; n != 1 {
		t.Errorf("%d slots are taken in the new process, want the one of the old process", n)
	}
	r.handOverTo(h)
	if n := r.Connections(); n != 1 {
		t.Errorf("%d clients stay, want the one whose request is under way", n)
	}
	second, third := get("/slow"), get("/slow")
	h.eventually("one more is under way, and one waits", func() bool {
		return h.server("s1").Connections.Current == 2 && h.Snapshot().Backends[0].QueueCurrent == 1
	})
	fourth := dial(t, r.address("f")) // one more than maxconn
	fourth.silent()
	if n := h.Connections(); n != 2 {
		t.Errorf("the new process has %d clients, want 2: one is in the old process", n)
	}
	answerAll()
	for _, c := range []*client{first, second, third} {
		response, err := http.ReadResponse(c.Reader, nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("answer: %v, %v", response, err)
		}
		_, _ = io.ReadAll(response.Body)
	}
	r.eventually("the last one has moved", func() bool { r.handOverTo(h); return r.Connections() == 0 })
	h.new.Alone()
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("%d slots are taken", n)
	}
	first.Say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, err := http.ReadResponse(first.Reader, nil); err != nil {
		t.Errorf("the client that moved last is not served: %v", err)
	}
	for _, c := range []*client{first, second, third} {
		c.Close()
	}
	fourth.get("/", "ok") // now it is accepted
	fourth.Close()
	r.old.Leave()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	t.Cleanup(h.end)
}

// When the hand-over fails, every client is served as before, and those that waited
// are accepted.
func TestHandOverFails(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address}) +
		frontendText("m", "127.0.0.2:0", "mcp", "b")
	r := start(t, text)
	var clients []*client
	for i := range 300 {
		c := dial(t, r.address([]string{"f", "m"}[i%2]))
		c.Ask("hello")
		clients = append(clients, c)
	}
	r.old = &handover.Old{Balancer: r.Handover()}
	r.old.Suspend()
	waiting := dial(t, r.address("f"))
	waiting.silent()
	if _, err := r.old.State(); err != nil {
		t.Fatal(err)
	}
	broken, batches := errors.New("broken"), 0
	err := r.old.Move(func(b *handover.Batch) error {
		if batches++; batches < 2 {
			b.Back()
			return nil
		}
		b.Back()
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("Move: %v", err)
	}
	r.old.Resume()
	waiting.Ask("accepted")
	for _, c := range append(clients, waiting) {
		c.Ask("still here")
		c.Close()
	}
}

// A frontend that the new configuration lacks continues as after a reload; clients
// of one with another mode there continue in their own.
func TestHandOverToOtherConfiguration(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	servers := backendText("b", []string{s.Address})
	r := startOld(t, frontendText("f", anyPort, "tcp", "b")+frontendText("g", "127.0.0.2:0", "tcp", "b")+
		frontendText("m", "127.0.0.3:0", "mcp", "b")+servers)
	all := []*client{dial(t, r.address("g")), dial(t, r.address("f")), dial(t, r.address("m"))}
	for _, c := range all {
		c.Ask("hello")
	}
	h := r.newProcess(frontendText("f", anyPort, "tcp", "b") + frontendText("m", "127.0.0.3:0", "tcp", "b") + servers)
	r.handOverTo(h)
	if n := r.Connections(); n != 0 {
		t.Errorf("%d stay", n)
	}
	for _, c := range all {
		c.Ask("still here")
	}
	if got := h.Snapshot().Leaving.Frontends; len(got) != 1 || got[0].Name != "g" || got[0].Connections != 1 {
		t.Errorf("shown as leaving: %+v", got)
	}
	h.new.Alone()
	h.eventually("the counters have arrived", func() bool { return h.Snapshot().Process.Connections.Total == 3 })
	for _, c := range all {
		c.Close()
	}
	h.eventually("they have ended", func() bool { return h.Connections() == 0 })
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("%d slots are taken", n)
	}
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}

// Clients of a removed frontend, backend or server, or of the former address of a
// server, move as well, any number of times, and are counted where they were.
func TestHandOverOfWhatIsLeaving(t *testing.T) {
	t.Parallel()
	one, two, three, four := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two")), endpoint.Serve(t, name("three")), endpoint.Serve(t, name("four"))
	web := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	b := func(servers ...string) string { return backendText("b", servers, "balance = 'roundrobin'") }
	f := frontendText("f", anyPort, "tcp", "b")
	r := startOld(t, f+b(one.Address, two.Address)+frontendText("g", "127.0.0.2:0", "tcp", "c")+backendText("c", []string{three.Address})+
		frontendText("h", "127.0.0.3:0", "http", "d")+strings.ReplaceAll(httpBackend(web), "backend.b", "backend.d"))
	clients := map[string]*client{}
	for _, at := range []string{"f", "f", "g"} {
		c := dial(t, r.address(at))
		clients[c.Ask("?")] = c
	}
	kept := dial(t, r.address("h"))
	kept.get("/", "ok")
	r.engine.Barrier() // it waits for its next request
	text := f + b(four.Address)
	r.apply(text) // s1 has another address, s2 is removed
	h := r.upgrade(text).upgrade(text)
	t.Cleanup(func() { _ = h.stop() })
	for who, c := range clients {
		if got := c.Ask("?"); got != who {
			t.Errorf("the client of %s is answered by %s", who, got)
		}
	}
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("server s1 has %d connections, which belong to its former address", n)
	}
	shown := h.Snapshot()
	leaving := map[string]int64{}
	for _, server := range shown.Leaving.Servers {
		leaving[server.Backend+" "+server.Addresses["tcp"]] += server.Connections
	}
	if len(leaving) != 3 || leaving["b "+one.Address] != 1 || leaving["b "+two.Address] != 1 || leaving["c "+three.Address] != 1 {
		t.Errorf("shown as leaving: %+v", shown.Leaving.Servers)
	}
	h.eventually("the counters have arrived", func() bool { return h.Snapshot().Process.Connections.Total == 4 })
	if len(shown.Leaving.Frontends) != 2 {
		t.Errorf("shown as leaving: %+v", shown.Leaving.Frontends)
	}
	kept.get("/", "ok") // this response announces the end
	if _, err := kept.Reader.ReadByte(); err != io.EOF {
		t.Errorf("a kept-alive client of a removed frontend: %v, want the end", err)
	}
	if who := dial(t, h.address("f")).Ask("?"); who != "four" {
		t.Errorf("a new client reaches %s", who)
	}
	for _, c := range clients {
		c.Close()
	}
	h.eventually("nothing is leaving any more", func() bool {
		shown := h.Snapshot().Leaving
		return len(shown.Servers)+len(shown.Frontends) == 0
	})
}

// A server that the new configuration lacks loses its connections if on_removed says
// so; a server that an earlier reload removed keeps those that it has.
func TestHandOverRemoves(t *testing.T) {
	t.Parallel()
	one, two, three := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two")), endpoint.Serve(t, name("three"))
	text := func(policy string, servers ...string) string {
		return frontendText("f", anyPort, "tcp", "b") + "[backend.b]\nbalance = 'roundrobin'\non_removed = '" + policy + "'\n" + strings.Join(servers, "")
	}
	s1, s2, s3 := serverText("b", "s1", one.Address), serverText("b", "s2", two.Address), serverText("b", "s3", three.Address)
	r := startOld(t, text("keep", s1, s2, s3))
	clients := map[string]*client{}
	for range 3 {
		c := dial(t, r.address("f"))
		clients[c.Ask("?")] = c
	}
	r.apply(text("keep", s2, s3))
	h := r.upgrade(text("close", s3))
	t.Cleanup(func() { _ = h.stop() })
	clients["two"].HearReset()
	h.ended("f", "server_removed", 1)
	for _, who := range []string{"one", "three"} {
		if got := clients[who].Ask("?"); got != who {
			t.Errorf("the client of %s is answered by %s", who, got)
		}
		clients[who].Close()
	}
}

// A client about to lose its connection, because its server was lost a moment
// before, does not escape to the new process.
func TestHandOverWhileDisconnecting(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	r := startOld(t, text)
	c := dial(t, r.address("f"))
	c.Ask("hello")
	// The loops notify it only after the hand-over has begun.
	begun, looked := make(chan struct{}), make(chan struct{})
	r.disconnector.mu.Lock()
	r.disconnector.passing = true
	r.disconnector.mu.Unlock()
	go func() {
		defer close(looked)
		<-begun
		endpoint.Await(r.connections.closed.Load)
		for range 300 { // turns
			r.engine.Barrier()
		}
		r.disconnector.pass()
	}()
	b := r.backends["b"]
	b.Servers()[0].SetHealth(backend.Down, "test", time.Now())
	close(begun)
	h := r.newProcess(text)
	t.Cleanup(h.end)
	if n := r.handOverTo(h); n != 0 {
		t.Errorf("%d descriptors have moved", n)
	}
	c.HearReset()
	endpoint.Receive(t, looked)
	r.old.Leave()
}

// Bans, sticky sources, server states and counters move along.
func TestHandOverState(t *testing.T) {
	t.Parallel()
	a, b := endpoint.Serve(t, name("a")), endpoint.Serve(t, name("b"))
	text := "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" + frontendText("f", anyPort, "mcp", "b") +
		backendText("b", []string{a.Address, b.Address}, "balance = 'source'")
	r := startOld(t, text)
	r.eventually("the servers are checked", func() bool { return r.server("s1").State == "up" && r.server("s2").State == "up" })
	servers := r.servedBy(40)
	r.limiter.Ban(netip.MustParseAddr("192.0.2.1"), time.Hour, r.engine.Now())
	since := r.server("s1").Since
	r.eventually("every client has gone", func() bool { return r.Connections() == 0 })
	before := r.frontend("f") // what is sent is counted a moment later
	h := r.upgrade(text)
	t.Cleanup(func() { _ = h.stop() })
	if s := h.server("s1"); s.State != "up" || !s.Since.Equal(since) {
		t.Errorf("server s1 is %s since %v, want up since %v", s.State, s.Since, since)
	}
	if n := len(h.Snapshot().RateLimit.Bans); n != 1 {
		t.Errorf("%d bans, want 1", n)
	}
	h.eventually("the counters have arrived", func() bool { return h.frontend("f").Connections.Total == before.Connections.Total })
	if now := h.frontend("f"); now.Traffic != before.Traffic || now.Connections.Peak != before.Connections.Peak {
		t.Errorf("frontend %+v, want %+v", now, before)
	}
	for source, server := range h.servedBy(40) {
		if servers[source] != server {
			t.Errorf("source %s went to %s, and now goes to %s", source, servers[source], server)
		}
	}
}

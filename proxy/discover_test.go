package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/kubeapi"
	"mcplb/proxy/admin"
)

// replaceFile replaces a file as a whole.
func replaceFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// listed is a file of servers: NAME, ADDRESS, NAME, ADDRESS, ...
func listed(pairs ...string) string {
	text := "servers = ["
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("{ name = %q, tcp = %q },", pairs[i], pairs[i+1])
	}
	return text + "]\n"
}

// byFile is a configuration whose servers stand in a file.
func byFile(path string, more ...string) string {
	return frontendText("f", anyPort, "tcp", "b") + "[backend.b]\nbalance = 'roundrobin'\n" + strings.Join(more, "\n") + fmt.Sprintf("\n[backend.b.discover]\nfile = %q\n", path)
}

// names returns the servers in force, each with where it comes from.
func (r *running) names() string {
	var all []string
	for _, s := range r.Snapshot().Backends[0].Servers {
		one := s.Name + ":" + s.Source
		if s.Withdrawn {
			one += "!"
		}
		all = append(all, one)
	}
	return strings.Join(all, " ")
}

func (r *running) awaitNames(want string) {
	r.t.Helper()
	var got string
	if !endpoint.Await(func() bool { got = r.names(); return got == want }) {
		r.t.Fatalf("servers are %q, want %q", got, want)
	}
}

// Servers that are found serve from the start, those that stay keep their clients and
// counters when others come and go, and those that go leave by on_removed. Otherwise
// every change of a cluster disturbs all of its clients.
func TestFoundServersComeAndGo(t *testing.T) {
	t.Parallel()
	one, two, three := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two")), endpoint.Serve(t, name("three"))
	path := filepath.Join(t.TempDir(), "servers.toml")
	replaceFile(t, path, listed("s1", one.Address, "s2", two.Address))
	r := start(t, byFile(path, "on_removed = 'close'"))
	r.awaitNames("s1:discover s2:discover") // at once: the start has waited for them
	clients := map[string]*client{}
	for range 2 {
		c := dial(t, r.address("f"))
		clients[c.Ask("?")] = c
	}
	replaceFile(t, path, listed("s3", three.Address, "s2", two.Address))
	r.awaitNames("s2:discover s3:discover")
	clients["one"].HearReset()
	r.ended("f", "server_removed", 1)
	if clients["two"].Ask("?") != "two" || r.server("s2").Connections.Total != 1 {
		t.Error("the server that stays has lost its client or its counters")
	}
	found := r.Snapshot().Backends[0].Discovery
	if found == nil || found.Kind != "file" || found.Target != path || found.Servers != 2 || found.Updates != 2 || found.Error != "" || found.Answered.IsZero() {
		t.Errorf("the status shows %+v", found)
	}
	replaceFile(t, path, "servers = 7\n")
	r.eventually("the error is shown", func() bool { return strings.Contains(r.Snapshot().Backends[0].Discovery.Error, "array of tables") })
	if r.apply(byFile(path, "on_removed = 'close'")); r.names() != "s2:discover s3:discover" {
		t.Errorf("a reload with a broken file leaves %q", r.names())
	}
	r.apply(byFile(path, "on_removed = 'close'", "[[backend.b.server]]\nname = 'w'\ntcp = '"+one.Address+"'"))
	r.awaitNames("w:file s2:discover s3:discover")
	if clients["two"].Ask("?") != "two" {
		t.Error("a reload has cost a client")
	}
}

// What was found and what was added survive an upgrade, also when the source says
// nothing to the new process; clients move with their servers.
func TestExtraServersSurviveUpgrade(t *testing.T) {
	t.Parallel()
	one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
	path := filepath.Join(t.TempDir(), "servers.toml")
	replaceFile(t, path, listed("s1", one.Address))
	text := byFile(path)
	old := startOld(t, text)
	if created, _, err := old.PutServer("b", "added", admin.ServerKeys{"tcp": two.Address}); !created || err != nil {
		t.Fatal(created, err)
	}
	old.awaitNames("added:runtime s1:discover")
	clients := map[string]*client{}
	for range 2 {
		c := dial(t, old.address("f"))
		clients[c.Ask("?")] = c
	}
	os.Remove(path)
	next := old.upgrade(text)
	t.Cleanup(next.end)
	next.awaitNames("added:runtime s1:discover")
	for _, who := range []string{"one", "two"} {
		if got := clients[who].Ask("?"); got != who {
			t.Errorf("the client of %s hears %s", who, got)
		}
		clients[who].Close()
	}
	next.eventually("the new process reports what is wrong", func() bool { return next.Snapshot().Backends[0].Discovery.Error != "" })
	next.awaitNames("added:runtime s1:discover")
	if err := next.RemoveServer("b", "added"); err != nil {
		t.Error(err)
	}
	replaceFile(t, path, listed("s2", two.Address))
	next.awaitNames("s2:discover")
}

// Servers are added, changed and removed by command; those of the file and found ones
// are not touched by that, and the file's word counts in the end.
func TestRuntimeServers(t *testing.T) {
	t.Parallel()
	one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
	text := frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" + serverText("b", "s1", one.Address)
	r := start(t, text)
	put := func(name string, keys admin.ServerKeys, wantCreated bool, says string) []admin.Change {
		t.Helper()
		created, changes, err := r.PutServer("b", name, keys)
		if created != wantCreated || (err != nil) != (says != "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s %v: created %t, %v, %v; want %q", name, keys, created, changes, err, says)
		}
		return changes
	}
	put("new", admin.ServerKeys{"tcp": two.Address, "weight": json.Number("50")}, true, "")
	r.awaitNames("s1:file new:runtime")
	if s := r.server("new"); s.Weight != 50 || s.Connections.Limit != 25_000 {
		t.Errorf("weight %d, maxconn %d", s.Weight, s.Connections.Limit)
	}
	changes := put("new", admin.ServerKeys{"tcp": two.Address, "weight": json.Number("60")}, false, "")
	if len(changes) != 1 || changes[0] != (admin.Change{What: "weight", Old: "50", New: "60"}) || r.server("new").Weight != 60 {
		t.Errorf("changes %v, weight %d", changes, r.server("new").Weight)
	}
	for _, test := range []struct {
		name string
		keys admin.ServerKeys
		says string
	}{
		{"s1", admin.ServerKeys{"tcp": two.Address}, "is in the file"},
		{"x", admin.ServerKeys{}, "has no address"},
		{"x", admin.ServerKeys{"tcp": two.Address}, `is an address of server "new" already`},
		{"x", admin.ServerKeys{"tcp": "nowhere", "weight": json.Number("1001"), "maxconn": "7", "wieght": true}, `tcp: "nowhere" has no port`},
		{"x", admin.ServerKeys{"tcp": "nowhere", "weight": json.Number("1001"), "maxconn": "7", "wieght": true}, `weight: must be a whole number from 0 to 1000, not 1001; wieght: is no key of [[backend.NAME.server]]; did you mean "weight"?`},
		{"x", admin.ServerKeys{"tcp": "10.0.0.1:1", "name": "y"}, "leave it out"},
		{"x", admin.ServerKeys{"tcp": nil}, "not null"},
		{"a b", admin.ServerKeys{"tcp": "10.0.0.1:1"}, "is not a valid name"},
		{"x", admin.ServerKeys{"http": "10.0.0.1:1"}, "tcp: is missing"},
	} {
		put(test.name, test.keys, false, test.says)
	}
	r.apply(text)
	r.awaitNames("s1:file new:runtime")
	if err := r.RemoveServer("b", "s1"); !errors.Is(err, admin.ErrConflict) {
		t.Errorf("removing a server of the file: %v", err)
	}
	r.apply(text + serverText("b", "new", two.Address))
	r.awaitNames("s1:file new:file")
	r.apply(text)
	r.awaitNames("s1:file")
	put("again", admin.ServerKeys{"tcp": two.Address, "weight": json.Number("1e2")}, true, "")
	r.set("again", admin.ServerChange{Weight: new(9)})
	changes = put("again", admin.ServerKeys{"tcp": two.Address}, false, "")
	if len(changes) != 1 || changes[0] != (admin.Change{What: "weight", Old: "9", New: "100"}) || r.server("again").Weight != 100 {
		t.Errorf("after another command set the weight: changes %v, weight %d", changes, r.server("again").Weight)
	}
	r.apply(text + serverText("b", "other", two.Address)) // takes its address, and so its place
	r.awaitNames("s1:file other:file")
	if err := r.RemoveServer("b", "again"); err != nil {
		t.Error(err)
	}
	if err := r.RemoveServer("b", "again"); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("removing it again: %v", err)
	}
	r.apply(text)
	r.awaitNames("s1:file")
}

// webPod is a pod that speaks HTTP, and ends as a well-behaved one does: it serves what
// has begun.
type webPod struct {
	server   http.Server
	requests atomic.Int64
}

func startPod(t *testing.T, address string) *webPod {
	t.Helper()
	p := &webPod{}
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		_, _ = io.WriteString(w, address)
	})
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.server.Serve(l) }()
	t.Cleanup(func() { p.server.Close() })
	return p
}

func (p *webPod) end(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), endpoint.Patience)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// pods is a Deployment as the Kubernetes API shows it.
type pods struct {
	api  *kubeapi.API
	list []kubeapi.Endpoint
	port int
}

func (p *pods) set(pod string, change func(*kubeapi.Endpoint)) {
	for i := range p.list {
		if p.list[i].Pod == pod {
			change(&p.list[i])
		}
	}
	p.publish()
}

func (p *pods) publish() {
	p.api.Set(kubeapi.Slice("mcp-abcde", p.port, p.list...))
}

func (p *pods) remove(pod string) {
	var left []kubeapi.Endpoint
	for _, e := range p.list {
		if e.Pod != pod {
			left = append(left, e)
		}
	}
	p.list = left
	p.publish()
}

// A Deployment of four pods is replaced pod by pod, as Kubernetes does it, while
// clients send requests: none fails, and the watch ends and expires meanwhile.
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	d := &pods{api: kubeapi.Start(t), port: endpoint.FreePort(t, "127.44.0.1")}
	address := func(n int) string { return fmt.Sprintf("127.44.0.%d", n) }
	running := map[int]*webPod{}
	launch := func(n int) {
		running[n] = startPod(t, net.JoinHostPort(address(n), fmt.Sprint(d.port)))
		d.list = append(d.list, kubeapi.Endpoint{Pod: fmt.Sprintf("web-%d", n), Address: address(n), NotReady: true})
		d.publish()
		d.set(fmt.Sprintf("web-%d", n), func(e *kubeapi.Endpoint) { e.NotReady = false })
	}
	for n := 1; n <= 4; n++ {
		launch(n)
	}
	k := d.api.Settings()
	r := start(t, frontendText("f", anyPort, "http", "b")+fmt.Sprintf(`[backend.b]
balance = "leastconn"
[backend.b.check]
interval = "500ms"
[backend.b.discover.kubernetes]
service = "mcp"
api = %q
token_file = %q
ca = %q
ports = { http = "mcp" }
`, k.API, k.TokenFile, k.CA))
	r.awaitNames("web-1:discover web-2:discover web-3:discover web-4:discover")

	var clients sync.WaitGroup
	var served, failed atomic.Int64
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() { askAlways(t, "http://"+r.address("f")+"/", stop, &served, &failed) })
	}
	for n := 1; n <= 4; n++ {
		launch(n + 4)
		r.eventually("the new pod serves", func() bool { return running[n+4].requests.Load() > 0 })
		old := fmt.Sprintf("web-%d", n)
		d.set(old, func(e *kubeapi.Endpoint) { e.NotReady, e.Serving, e.Terminating = true, true, true })
		switch n {
		case 2:
			d.api.CloseWatches()
		case 3:
			d.api.Forget()
			d.api.CloseWatches()
		}
		r.eventually("the old pod gets nobody new", func() bool { return strings.Contains(r.names(), old+":discover!") })
		r.eventually("the old pod has served its last", func() bool { return r.server(old).Connections.Current == 0 })
		running[n].end(t)
		d.remove(old)
		r.eventually("the old pod has gone", func() bool { return !strings.Contains(r.names(), old+":") })
	}
	close(stop)
	clients.Wait()
	if failed.Load() > 0 || served.Load() < 100 {
		t.Errorf("%d requests were served, %d failed", served.Load(), failed.Load())
	}
	r.awaitNames("web-5:discover web-6:discover web-7:discover web-8:discover")
}

// askAlways sends one request after the other until stop is closed.
func askAlways(t *testing.T, url string, stop chan struct{}, served, failed *atomic.Int64) {
	c := &http.Client{Transport: &http.Transport{}, Timeout: endpoint.Patience}
	defer c.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return
		default:
		}
		response, err := c.Post(url, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				err = errors.New(response.Status)
			}
		}
		if err != nil {
			failed.Add(1)
			t.Log(err)
			continue
		}
		served.Add(1)
	}
}

// A server that its source withdraws keeps the clients that it has, and is cut only
// when it has gone, if on_removed says so.
func TestTerminatingPod(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, name("one"))
	other := endpoint.Serve(t, name("two"))
	a := kubeapi.Start(t)
	port := func(s *endpoint.Server) int {
		address, _ := net.ResolveTCPAddr("tcp", s.Address)
		return address.Port
	}
	a.Set(kubeapi.Slice("mcp-1", port(s), kubeapi.Pod("web-1", "127.0.0.1")))
	k := a.Settings()
	r := start(t, frontendText("f", anyPort, "tcp", "b")+fmt.Sprintf("[backend.b]\non_removed = 'close'\n[backend.b.discover.kubernetes]\nservice = 'mcp'\napi = %q\ntoken_file = %q\nca = %q\nports = { tcp = 'mcp' }\n",
		k.API, k.TokenFile, k.CA))
	c := dial(t, r.address("f"))
	c.Ask("?")
	a.Set(kubeapi.Slice("mcp-2", port(other), kubeapi.Pod("web-2", "127.0.0.1")))
	a.Set(kubeapi.Slice("mcp-1", port(s), kubeapi.Endpoint{Pod: "web-1", Address: "127.0.0.1", NotReady: true, Serving: true, Terminating: true}))
	r.awaitNames("web-1:discover! web-2:discover")
	for range 3 {
		fresh := dial(t, r.address("f"))
		if got := fresh.Ask("?"); got != "two" {
			t.Errorf("a new client reaches %s", got)
		}
		fresh.Close()
	}
	time.Sleep(2 * time.Second) // longer than a pod that has gone is waited for
	if c.Ask("?") != "one" {
		t.Error("the client of a terminating pod got another answer")
	}
	a.Delete("mcp-1")
	c.HearReset()
	r.awaitNames("web-2:discover")
}

// A thousand servers that change at once take no more than a millisecond of a loop's
// turn: clients of other servers would feel it. Processor time is measured, and of
// several rounds the best one counts, since other work shares the processors; a slow
// processor has three times the limit.
func TestThousandServersChange(t *testing.T) {
	s := endpoint.Serve(t, name("one"))
	path := filepath.Join(t.TempDir(), "servers.toml")
	many := func(round int) string {
		text := fmt.Sprintf("[[server]]\nname = 'stays'\ntcp = %q\nweight = 100\n", s.Address)
		for i := range 999 {
			text += fmt.Sprintf("[[server]]\nname = 'r%d-%d'\ntcp = '127.44.%d.%d:9'\n", round, i, 1+i/250, 1+i%250)
		}
		return text
	}
	replaceFile(t, path, many(0))
	r := start(t, byFile(path, "[backend.b.check]\ninterval = '60s'")+"weight = 0\n")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c := dial(t, r.address("f"))
				c.Ask("?")
				c.Close()
			}
		}
	})
	best := time.Hour
	rounds := 8
	if raceEnabled {
		rounds = 2 // nothing is measured
	}
	for round := 1; round <= rounds && best > time.Millisecond; round++ {
		replaceFile(t, path, many(round))
		stalls := r.watchLoops()
		r.eventually("the servers have changed", func() bool {
			return r.Snapshot().Backends[0].Servers[7].Name[1] == byte('0'+round)
		})
		best = min(best, stalls())
	}
	close(stop)
	clients.Wait()
	t.Logf("longest turn of a loop in the best round: %v of processor time", best)
	if best > 3*time.Millisecond && !raceEnabled {
		t.Errorf("a turn of a loop took %v of processor time", best)
	}
}

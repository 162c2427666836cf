package proxy

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
)

// essence is the part of a balancer's status that its configuration determines.
func (r *running) essence() string {
	var text strings.Builder
	shown := r.Snapshot()
	fmt.Fprintf(&text, "maxconn %d, table %d\n", shown.Process.Connections.Limit, shown.RateLimit.TableSize)
	for _, f := range shown.Frontends {
		fmt.Fprintf(&text, "frontend %s %s %v -> %v, %s\n", f.Name, f.Mode, f.Listen, f.Backends, f.State)
	}
	for _, b := range shown.Backends {
		fmt.Fprintf(&text, "backend %s %s\n", b.Name, b.Balance)
		for _, s := range b.Servers {
			fmt.Fprintf(&text, "server %s %v weight %d maxconn %d\n", s.Name, s.Addresses, s.Weight, s.Connections.Limit)
		}
	}
	return text.String()
}

// Frontends come and go; connected clients stay.
func TestApplyFrontends(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	f, g := frontendText("f", anyPort, "tcp", "b"), frontendText("g", "127.0.0.2:0", "mcp", "b")
	b := backendText("b", []string{s.Address})
	r := start(t, f+b)
	atF := r.address("f")
	first := dial(t, atF)
	first.Ask("hello")

	if summary := r.apply(f + g + b); summary != "+frontend g" {
		t.Errorf("the change is described as %q", summary)
	}
	if now := r.address("f"); now != atF {
		t.Errorf("frontend f has moved from %s to %s", atF, now)
	}
	atG := r.address("g")
	second := dial(t, atG)
	second.Ask("hello")

	r.apply(g + b)
	endpoint.TurnedAway(t, atF)
	if first.Ask("still here") != "still here" || second.Ask("still here") != "still here" {
		t.Error("a connection got a wrong answer")
	}
	dial(t, atG).Ask("hello")
	first.Close()
	r.eventually("the client of the removed frontend has gone", func() bool { return r.Connections() == 2 })
}

// A kept-alive connection of a removed http frontend ends with its next response.
func TestApplyEndsKeptConnections(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }))
	t.Cleanup(server.Close)
	backend := "[backend.b]\n[[backend.b.server]]\nname = \"s1\"\nhttp = \"" + strings.TrimPrefix(server.URL, "http://") + "\"\n"
	f, g := frontendText("f", anyPort, "http", "b"), frontendText("g", "127.0.0.2:0", "http", "b")
	r := start(t, f+g+backend)
	client := dial(t, r.address("f"))
	ask := func() *http.Response {
		t.Helper()
		if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 {
			t.Fatalf("%v, %v", answer.Status, err)
		}
		return answer
	}
	if ask().Close {
		t.Error("the connection ends at once")
	}
	r.apply(g + backend)
	if !ask().Close {
		t.Error("the client of the removed frontend is not notified that its connection ends")
	}
}

// A listener that moves to another frontend keeps its socket: no client that
// connects meanwhile is refused.
func TestApplyHandsListenersOver(t *testing.T) {
	t.Parallel()
	one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
	backends := backendText("b1", []string{one.Address}) + backendText("b2", []string{two.Address})
	r := start(t, frontendText("f", anyPort, "tcp", "b1")+backends)
	address := r.address("f")
	old := dial(t, address)
	old.Ask("who?")
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for !closed(stop) {
				c := dial(t, address)
				c.Ask("who?")
				c.Close()
			}
		})
	}
	for i := range 20 {
		frontend, backend := fmt.Sprintf("f%d", i%3), fmt.Sprintf("b%d", i%2+1)
		r.apply(frontendText(frontend, anyPort, []string{"tcp", "mcp"}[i%2], backend) + backends)
		if now := r.address(frontend); now != address {
			t.Errorf("the listener has moved from %s to %s", address, now)
		}
	}
	close(stop)
	all.Wait()
	if who := old.Ask("who?"); who != "one" {
		t.Errorf("the old connection is answered by %s", who)
	}
	if who := dial(t, address).Ask("who?"); who != "two" {
		t.Errorf("a new connection is answered by %s, want two", who)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A frontend of the same name changes its mode, its backend, its policy.
func TestApplyChangesFrontends(t *testing.T) {
	t.Parallel()
	one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
	backends := backendText("b1", []string{one.Address}) + backendText("b2", []string{two.Address})
	r := start(t, frontendText("f", anyPort, "tcp", "b1")+backends)
	old := dial(t, r.address("f"))
	old.Ask("who?")
	r.apply(frontendText("f", anyPort, "mcp", "b2", "max_message = 100") + backends)
	c := dial(t, r.address("f"))
	if who := c.Ask("who?"); who != "two" {
		t.Errorf("a new connection is answered by %s, want two", who)
	}
	c.Say(strings.Repeat("x", 200))
	if _, err := c.Reader.ReadString('\n'); err != nil {
		t.Errorf("no error for a message too long: %v", err)
	}
	c.Close()
	r.ended("f", "message_too_long", 1)
	if who := old.Ask(strings.Repeat("x", 200)); who != "one" {
		t.Errorf("the old connection is answered by %s", who)
	}
}

// Servers come, go and change their weights; connections stay where they are.
func TestApplyServers(t *testing.T) {
	t.Parallel()
	servers := map[string]*endpoint.Server{}
	for _, who := range []string{"one", "two", "three"} {
		servers[who] = endpoint.Serve(t, name(who))
	}
	f := frontendText("f", anyPort, "tcp", "b")
	text := func(weights map[string]int) string {
		backend := "[backend.b]\nbalance = \"roundrobin\"\n"
		for _, who := range []string{"one", "two", "three"} {
			if weight, ok := weights[who]; ok {
				backend += serverText("b", who, servers[who].Address, fmt.Sprintf("weight = %d", weight))
			}
		}
		return f + backend
	}
	answers := func(r *running) map[string]int {
		counts := map[string]int{}
		for range 12 {
			c := dial(t, r.address("f"))
			counts[c.Ask("who?")]++
			c.Close()
		}
		return counts
	}
	r := start(t, text(map[string]int{"one": 100, "two": 100}))
	if got := answers(r); got["one"] != 6 || got["two"] != 6 {
		t.Errorf("answers are %v, want 6 of each", got)
	}
	old := dial(t, r.address("f"))
	who := old.Ask("who?")

	r.apply(text(map[string]int{"one": 100, "two": 100, "three": 100}))
	if got := answers(r); got["one"] != 4 || got["two"] != 4 || got["three"] != 4 {
		t.Errorf("answers are %v, want 4 of each", got)
	}
	r.apply(text(map[string]int{"one": 200, "two": 100, "three": 0}))
	if got := answers(r); got["one"] != 8 || got["two"] != 4 {
		t.Errorf("answers are %v, want 8 of one and 4 of two", got)
	}
	r.apply(text(map[string]int{"three": 100}))
	if got := answers(r); got["three"] != 12 {
		t.Errorf("answers are %v, want all of three", got)
	}
	if again := old.Ask("who?"); again != who {
		t.Errorf("the old connection is answered by %s, before by %s", again, who)
	}
	old.Close()
	r.ended("f", "client_closed", 12*4+1)
}

// A server that keeps its name and address keeps its counters over a reload.
func TestApplyKeepsCounters(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + "[backend.b]\nretries = %d\n" + serverText("b", "s1", s.Address, "weight = %d")
	r := start(t, fmt.Sprintf(text, 1, 10))
	for i := range 3 {
		c := dial(t, r.address("f"))
		c.Ask("hello")
		c.Close()
		r.ended("f", "client_closed", uint64(i+1))
		r.apply(fmt.Sprintf(text, i+2, i+20))
		if s := r.server("s1"); s.Connections.Total != uint64(i+1) || s.Traffic.BytesIn != uint64(6*(i+1)) || s.Weight != i+20 {
			t.Errorf("after %d connections the server shows %+v", i+1, s)
		}
	}
}

// Changed limits take effect at once.
func TestApplyLimits(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	limits := func(most int) string {
		return fmt.Sprintf("[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\nmax_connections = %d\n", most)
	}
	r := start(t, limits(1)+text)
	dial(t, r.address("f")).Ask("hello")
	endpoint.TurnedAway(t, r.address("f"))
	r.apply(limits(2) + text)
	dial(t, r.address("f")).Ask("hello")
	endpoint.TurnedAway(t, r.address("f"))
	r.ended("f", "source_connections", 2)
}

// A configuration that cannot be applied changes nothing.
func TestApplyFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := endpoint.Serve(t, endpoint.Echo)
	f := frontendText("f", anyPort, "tcp", "b")
	r := start(t, f+backendText("b", []string{s.Address}))
	c := dial(t, r.address("f"))
	c.Ask("hello")
	before := r.essence()
	free := reserved(t)
	changes := "[ratelimit]\ntable_size = 5\n" + frontendText("f", anyPort, "mcp", "other") + frontendText("new", free, "tcp", "b") +
		backendText("other", []string{endpoint.Refuse(t)}) + "[backend.b]\nbalance = \"random\"\n" + serverText("b", "s1", s.Address, "weight = 7", "maxconn = 7")
	for want, text := range map[string]string{
		"address already in use":    frontendText("bad", taken.Addr().String(), "tcp", "b"),
		"global.maxconn = 10000000": "[global]\nmaxconn = 10000000\n",
	} {
		_, err := r.Apply(parse(t, changes+text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q in it", err, want)
		}
		if now := r.essence(); now != before {
			t.Errorf("%s: it has changed from\n%sto\n%s", want, before, now)
		}
		if reload := r.Snapshot().Process.Reload; reload.Success || !strings.Contains(reload.Error, want) || time.Since(reload.Time) > endpoint.Patience {
			t.Errorf("the status shows the reload as %+v", reload)
		}
		endpoint.TurnedAway(t, free) // no listener was left there
		c.Ask("still here")
		dial(t, r.address("f")).Ask("hello")
	}
	r.apply(f + backendText("b", []string{s.Address}, "retries = 1"))
	if reload := r.Snapshot().Process.Reload; !reload.Success || reload.Error != "" {
		t.Errorf("the status shows the reload that succeeded as %+v", reload)
	}
}

// reserved returns an address with a port that was free a moment ago, of a host on
// which no other test listens.
func reserved(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.77.77.77:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Settings that only a new process can change stay as they are.
func TestApplyLeavesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	r := start(t, "[global]\nthreads = 1\n"+text)
	summary := r.apply("[global]\nthreads = 2\n" + text)
	if want := "~global.threads 1 -> 2"; summary != want {
		t.Errorf("the summary is %q, want %q", summary, want)
	}
	if n := r.Snapshot().Process.Threads; n != 1 {
		t.Errorf("there are %d threads, want 1", n)
	}
	if summary := r.apply("[global]\nthreads = 2\n" + text); summary != "nothing changed" {
		t.Errorf("the summary of no change is %q", summary)
	}
}

// A configuration that could not be read is shown, too.
func TestNote(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := start(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{s.Address}))
	if reload := r.Snapshot().Process.Reload; !reload.Success || reload.Time.IsZero() {
		t.Errorf("the start is shown as %+v", reload)
	}
	r.Note(fmt.Errorf("lb.toml:1: nonsense"))
	if reload := r.Snapshot().Process.Reload; reload.Success || reload.Error != "lb.toml:1: nonsense" {
		t.Errorf("the failure is shown as %+v", reload)
	}
}

// Connections survive reloads, and new ones reach a server, whatever is changed.
func TestReloadsUnderTraffic(t *testing.T) {
	t.Parallel()
	servers := []*endpoint.Server{endpoint.Serve(t, endpoint.Echo), endpoint.Serve(t, endpoint.Echo), endpoint.Serve(t, endpoint.Echo)}
	text := func(n int) string {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		backend := fmt.Sprintf("[backend.b]\nbalance = %q\nretries = %d\ncheck = { interval = \"%dms\", fast_interval = \"50ms\" }\n",
			[]string{"source", "leastconn", "roundrobin", "random"}[n%4], 1+rng.IntN(5), 50+rng.IntN(1000))
		for i, s := range servers {
			if n%3 != i { // one of them is gone each time
				backend += serverText("b", fmt.Sprintf("s%d", i), s.Address, fmt.Sprintf("weight = %d", 1+rng.IntN(200)))
			}
		}
		frontends := frontendText("f", anyPort, "tcp", "b", fmt.Sprintf("timeout_client = \"%ds\"", 100+n))
		if n%2 == 0 {
			frontends += frontendText("g", "127.0.0.2:0", "mcp", "b")
		}
		return frontends + backend
	}
	r := start(t, text(0))
	address := r.address("f")
	stop := make(chan struct{})
	var all sync.WaitGroup
	var asked, connected atomic.Int64
	for range 8 {
		all.Go(func() {
			for c := dial(t, address); !closed(stop); asked.Add(1) {
				question := fmt.Sprintf("question %d", asked.Load())
				if answer := c.Ask(question); answer != question {
					t.Errorf("%q was answered by %q", question, answer)
					return
				}
			}
		})
	}
	all.Go(func() {
		for !closed(stop) {
			c := dial(t, address)
			c.Ask("hello")
			c.Close()
			connected.Add(1)
		}
	})
	for n := 1; n <= 50; n++ {
		r.apply(text(n))
		seen, made := asked.Load(), connected.Load()
		r.eventually("there is traffic", func() bool { return asked.Load() > seen+8 && connected.Load() > made })
	}
	close(stop)
	all.Wait()
	if n := r.frontend("f").SessionsEnded["server_down"] + harness.Sum(r.frontend("f").Refused); n != 0 {
		t.Errorf("%d connections were lost: %v", n, r.frontend("f").SessionsEnded)
	}
}

package proxy

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/internal/leak"
	"mcplb/internal/output"
	"mcplb/proxy/admin"
	"mcplb/proxy/handover"
	"mcplb/proxy/reactor"
)

func TestMain(m *testing.M) { leak.Main(m) }

// parse reads a configuration. It is without rate limits unless it sets them itself, and
// no check times out because the machine is busy, which would take servers down.
func parse(t testing.TB, text string) *conf.Config {
	t.Helper()
	if !strings.Contains(text, "[ratelimit]") {
		text = "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" + text
	}
	c, err := conf.Parse("lb.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Backends {
		if check := &c.Backends[i].Check; check.Timeout == 3*time.Second { // the default
			check.Timeout = endpoint.Patience
		}
	}
	return c
}

// frontendText and backendText return parts of a configuration; more are further
// lines.
func frontendText(name, listen, mode, backend string, more ...string) string {
	return fmt.Sprintf("[frontend.%s]\nlisten = %q\nmode = %q\nbackend = %q\n%s\n", name, listen, mode, backend, strings.Join(more, "\n"))
}

func backendText(name string, servers []string, more ...string) string {
	text := fmt.Sprintf("[backend.%s]\n%s\n", name, strings.Join(more, "\n"))
	for i, address := range servers {
		text += serverText(name, fmt.Sprintf("s%d", i+1), address)
	}
	return text
}

func serverText(backend, name, address string, more ...string) string {
	return fmt.Sprintf("[[backend.%s.server]]\nname = %q\ntcp = %q\n%s\n", backend, name, address, strings.Join(more, "\n"))
}

const anyPort = "127.0.0.1:0"

// options are those of every test.
func options() Options {
	return Options{Version: "test", Log: slog.New(slog.DiscardHandler), FileLimit: 10_000, System: reactor.Kernel()}
}

// frozen are options of a balancer for which no time passes: however busy the machine,
// two clients come within the same second.
func frozen() Options {
	o := options()
	now := o.System.Now()
	o.System.Now = func() int64 { return now }
	return o
}

// running is a balancer under test.
type running struct {
	*Proxy
	admin.Control
	t testing.TB

	log *output.Output // of one that newProcess has started
	old *handover.Old  // the balancer as the old process of an upgrade
	new *handover.New  // the balancer as the new process
}

// run wraps a balancer.
func run(t testing.TB, p *Proxy) *running {
	return &running{Proxy: p, Control: p.Control(), t: t}
}

// start runs a configuration. When the test ends, every client must have gone and
// every slot must be free.
func start(t testing.TB, text string) *running {
	t.Helper()
	return startWith(t, text, options())
}

// startFrozen is start for a balancer for which no time passes.
func startFrozen(t testing.TB, text string) *running {
	t.Helper()
	return startWith(t, text, frozen())
}

func startWith(t testing.TB, text string, o Options) *running {
	t.Helper()
	p, err := Start(parse(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, p)
	t.Cleanup(r.end)
	return r
}

// end checks that no client has left anything behind, and stops the balancer.
func (r *running) end() {
	r.empty()
	if err := r.stop(); err != nil {
		r.t.Errorf("stopping: %v", err)
	}
}

func (r *running) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), endpoint.Patience)
	defer cancel()
	return r.Stop(ctx)
}

// empty waits until no client is connected, and checks that every slot is free, and
// that every session has ended for one reason.
func (r *running) empty() {
	r.t.Helper()
	r.eventually("every client has gone", func() bool { return r.Connections() == 0 })
	shown := r.Snapshot()
	for _, f := range shown.Frontends {
		if ended := harness.Sum(f.Refused) + harness.Sum(f.SessionsEnded); f.Connections.Current != 0 || f.Connections.Total != ended {
			r.t.Errorf("frontend %s: %d connections left, and of %d only %d have ended: %v, %v",
				f.Name, f.Connections.Current, f.Connections.Total, ended, f.Refused, f.SessionsEnded)
		}
	}
	for _, b := range shown.Backends {
		if b.QueueCurrent != 0 {
			r.t.Errorf("backend %s: %d left in the queue", b.Name, b.QueueCurrent)
		}
		for _, s := range b.Servers {
			if s.Connections.Current != 0 {
				r.t.Errorf("server %s: %d slots are left taken", s.Name, s.Connections.Current)
			}
		}
	}
}

// frontend returns a frontend's status.
func (r *running) frontend(name string) admin.Frontend {
	r.t.Helper()
	for _, f := range r.Snapshot().Frontends {
		if f.Name == name {
			return f
		}
	}
	r.t.Fatalf("there is no frontend %s", name)
	return admin.Frontend{}
}

// checkedEvery is the line of a backend for checks at an interval. At "1h" clients'
// connections alone show that a server is down, and no check is overdue on a busy
// machine, which would move clients.
func checkedEvery(interval string) string {
	return fmt.Sprintf("check = { interval = %q, fast_interval = %[1]q }", interval)
}

// trusted waits until no check of a server is overdue.
func (r *running) trusted() {
	r.t.Helper()
	r.eventually("no check is overdue", func() bool {
		return !slices.ContainsFunc(r.Snapshot().Backends[0].Servers, func(s admin.Server) bool { return s.Suspect })
	})
}

// server returns a server's status.
func (r *running) server(name string) admin.Server {
	r.t.Helper()
	for _, b := range r.Snapshot().Backends {
		for _, s := range b.Servers {
			if s.Name == name {
				return s
			}
		}
	}
	r.t.Fatalf("there is no server %s", name)
	return admin.Server{}
}

// address returns the first address that a frontend listens on.
func (r *running) address(frontend string) string {
	r.t.Helper()
	listen := r.frontend(frontend).Listen
	if len(listen) == 0 {
		r.t.Fatalf("frontend %s does not listen", frontend)
	}
	return listen[0]
}

// apply changes the configuration.
func (r *running) apply(text string) string {
	r.t.Helper()
	summary, err := r.Apply(parse(r.t, text))
	if err != nil {
		r.t.Fatal(err)
	}
	return summary
}

// ended waits until n clients have ended for a reason.
func (r *running) ended(frontend, reason string, n uint64) {
	r.t.Helper()
	harness.Expect(r.t, func() (ended, refused harness.Counts) {
		f := r.frontend(frontend)
		return f.SessionsEnded, f.Refused
	}, reason, n)
}

func (r *running) eventually(what string, done func() bool) {
	r.t.Helper()
	endpoint.Eventually(r.t, what, done)
}

// name is a server that answers every line with its name.
func name(who string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if _, err := fmt.Fprintln(c, who); err != nil {
				return
			}
		}
	}
}

// client is a test's connection to the balancer.
type client struct{ *endpoint.Conn }

// dial connects.
func dial(t testing.TB, address string) *client {
	t.Helper()
	return &client{endpoint.Dial(t, address)}
}

package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"

	"golang.org/x/sys/unix"
)

// Clients connect to an address without a pause while reloads remove it and add it
// again: each is either served or refused, none is reset.
func TestApplyResetsNoClient(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	address := freeAddress(t)
	always := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	r := start(t, always)
	stop := make(chan struct{})
	var served, refused int
	var connecting sync.WaitGroup
	connecting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			switch err := askOnce(address); {
			case err == nil:
				served++
			case errors.Is(err, unix.ECONNREFUSED), isTimeout(err):
				refused++
			default:
				t.Errorf("after %d that were served and %d refused: %v", served, refused, err)
				return
			}
		}
	})
	for range 60 {
		r.apply(always + frontendText("g", address, "tcp", "b"))
		dial(t, address).Ask("hello")
		r.apply(always)
	}
	close(stop)
	connecting.Wait()
	t.Logf("%d were served, %d refused", served, refused)
}

// askOnce connects, which must not take long, and sends a line to be answered.
func askOnce(address string) error {
	c, err := net.DialTimeout("tcp", address, 20*time.Millisecond)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(endpoint.Patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 5))
	return err
}

func isTimeout(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && failed.Op == "dial" && failed.Timeout()
}

// freeAddress returns an address to listen on that no other test uses: its port is
// bound to another address until the test ends.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), listener.Addr().(*net.TCPAddr).AddrPort().Port()).String()
}

// An address is replaced by one that overlaps it, in both directions, without a
// moment in which no socket listens.
func TestApplyOverlappingAddresses(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	port := endpoint.FreePort(t, "")
	wide, narrow := fmt.Sprintf(":%d", port), fmt.Sprintf("127.0.0.1:%d", port)
	text := func(address string) string {
		return frontendText("f", address, "tcp", "b") + backendText("b", []string{s.Address})
	}
	r := start(t, text(wide))
	for _, address := range []string{narrow, wide, narrow, wide} {
		r.apply(text(address))
		if got := r.address("f"); got != address {
			t.Errorf("it listens on %s, want %s", got, address)
		}
		dial(t, narrow).Ask("hello")
	}
	// An overlap with another program's socket remains an error.
	other, err := net.Listen("tcp", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := r.Apply(parse(t, text(other.Addr().String()))); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("an address that another program uses: %v", err)
	}
	dial(t, narrow).Ask("hello")
}

// Port 0 is a different port for every frontend.
func TestApplyManyAnyPorts(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := backendText("b", []string{s.Address})
	r := start(t, frontendText("f", anyPort, "tcp", "b")+frontendText("g", anyPort, "mcp", "b")+b)
	f, g := r.address("f"), r.address("g")
	if f == g {
		t.Fatalf("both listen on %s", f)
	}
	dial(t, f).Ask("hello")
	dial(t, g).Ask("hello")
	r.apply(frontendText("g", anyPort, "mcp", "b") + frontendText("h", anyPort, "mcp", "b") + frontendText("i", anyPort, "mcp", "b") + b)
	if now := r.address("g"); now != g {
		t.Errorf("g moved from %s to %s", g, now)
	}
	for _, name := range []string{"g", "h", "i"} {
		dial(t, r.address(name)).Ask("hello")
	}
}

// A frontend whose mode changes remains the same frontend: its address, clients and
// counters stay.
func TestApplyChangesTheMode(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := backendText("b", []string{s.Address}) + "http = \"127.0.0.1:9\"\n"
	address := freeAddress(t)
	r := start(t, frontendText("f", address, "tcp", "b")+b)
	old := dial(t, address)
	old.Ask("hello")
	for i, mode := range []string{"mcp", "http", "tcp", "http", "mcp"} {
		r.apply(frontendText("f", address, mode, "b") + b)
		f := r.frontend("f")
		if f.Mode != mode || f.Connections.Total != uint64(i+1) || f.BytesIn == 0 {
			t.Errorf("mode %s: %d connections, %d bytes in mode %s; want %d", mode, f.Connections.Total, f.BytesIn, f.Mode, i+1)
		}
		next := dial(t, address)
		if mode == "http" {
			if _, err := io.WriteString(next, "nonsense\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if answer, _ := io.ReadAll(next); !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
				t.Errorf("mode http answers %q", answer)
			}
		} else {
			next.Ask("hello\n")
		}
		next.Close()
		old.Ask("still here")
	}
}

// A removed server gets no new clients, and is counted until the present ones have
// gone; on_removed says whether they are disconnected.
func TestApplyRemovesServers(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"keep", "close"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
			f := frontendText("f", anyPort, "tcp", "b")
			text := func(servers ...string) string {
				return f + "[backend.b]\nbalance = 'roundrobin'\non_removed = '" + policy + "'\n" + strings.Join(servers, "")
			}
			s1, s2 := serverText("b", "s1", one.Address), serverText("b", "s2", two.Address)
			r := start(t, text(s1, s2))
			clients := map[string]*client{}
			for range 2 {
				c := dial(t, r.address("f"))
				clients[c.Ask("?")] = c
			}
			r.apply(text(s2))
			for range 4 {
				if who := dial(t, r.address("f")).Ask("?"); who != "two" {
					t.Errorf("a new client reaches %s", who)
				}
			}
			if clients["two"].Ask("?") != "two" {
				t.Error("the client of a server that stays got another answer")
			}
			if policy == "close" {
				clients["one"].HearReset()
				r.ended("f", "server_removed", 1)
			} else {
				if clients["one"].Ask("?") != "one" {
					t.Error("the client of the removed server got another answer")
				}
				want := admin.LeavingServer{Backend: "b", Name: "s1", Connections: 1}
				if got := r.Snapshot().Leaving.Servers; len(got) != 1 || got[0].Name != want.Name || got[0].Connections != 1 {
					t.Errorf("leaving are %+v, want %+v", got, want)
				}
				clients["one"].Close()
			}
			r.eventually("nothing is leaving any more", func() bool { return len(r.Snapshot().Leaving.Servers) == 0 })
		})
	}
}

// A removed frontend and a removed backend are counted until their last client has
// gone; sums over everything never decrease.
func TestApplyRemovesFrontends(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	f := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	g := frontendText("g", anyPort, "tcp", "c") + backendText("c", []string{s.Address})
	r := start(t, f+g)
	c := dial(t, r.address("g"))
	c.Ask("hello")
	check := func(frontends, servers int) {
		t.Helper()
		shown := r.Snapshot()
		if l := shown.Leaving; len(l.Frontends) != frontends || len(l.Servers) != servers {
			t.Errorf("leaving are %+v", l)
		}
		if n := shown.Process.Connections.Total; n != 1 {
			t.Errorf("%d connections in all, want 1", n)
		}
	}
	check(0, 0)
	r.apply(f)
	check(1, 1)
	c.Ask("still here")
	r.apply(f + g) // it returns
	if n := r.frontend("g").Connections; n.Total != 1 || n.Current != 1 {
		t.Errorf("the frontend that has returned shows %+v", n)
	}
	r.apply(f)
	c.Close()
	r.eventually("the client has gone", func() bool { return r.Connections() == 0 })
	check(0, 0)
	r.apply(f)
	check(0, 0)
}

// The clients of servers that are lost together are notified together.
func TestEvictions(t *testing.T) {
	t.Parallel()
	const servers = 40
	var addresses []string
	for range servers {
		addresses = append(addresses, endpoint.Serve(t, endpoint.Echo).Address)
	}
	r := start(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", addresses, "balance = 'roundrobin'"))
	var clients []*client
	for range 2 * servers {
		c := dial(t, r.address("f"))
		c.Ask("hello")
		clients = append(clients, c)
	}
	b := r.backends["b"]
	var losing sync.WaitGroup
	for _, server := range b.Servers() {
		losing.Go(func() { server.SetHealth(backend.Down, "test", time.Now()) })
	}
	losing.Wait()
	for _, c := range clients {
		c.HearReset()
	}
	r.ended("f", "server_down", 2*servers)
}

// A changed timeout_tcp_user applies to clients accepted from then on, also on a
// listener that stays.
func TestApplyUserTimeout(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := func(d string) string {
		return frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address}, "timeout_tcp_user = '"+d+"'")
	}
	r := start(t, text("30s"))
	r.apply(text("7s"))
	file, err := r.listeners.active[0].File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got, err := unix.GetsockoptInt(int(file.Fd()), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || got != 7000 {
		t.Errorf("the listener has %d ms, %v", got, err)
	}
}

package proxy

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"mcplb/internal/endpoint"
)

// lastPort numbers the ports that widePort has tried. They are below those that the
// kernel gives to clients, which would be in the way of a socket for every address.
var lastPort atomic.Uint32

// widePort is a port that nobody uses on any address, as text.
func widePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := fmt.Sprint(10_000 + (uint32(os.Getpid())*37+lastPort.Add(1))%20_000)
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestChangedAddress changes where a frontend listens in ways in which the new socket and
// the old one are in each other's way, by a reload and by an upgrade. If one of the two
// refused what the other takes, an operator whose file is valid would be left with an
// upgrade that fails, "address already in use", by his own balancer.
func TestChangedAddress(t *testing.T) {
	newFamilies(t) // skips where there is no IPv6
	s := endpoint.Serve(t, endpoint.Echo)
	for name, test := range map[string]struct{ before, after, ask string }{ // P and Q are ports
		"every address to one":     {"':P'", "'127.0.0.1:P'", "127.0.0.1:P"},
		"one to every address":     {"'127.0.0.1:P'", "':P'", "127.0.0.2:P"},
		"every address to IPv4":    {"':P'", "'0.0.0.0:P'", "127.0.0.1:P"},
		"IPv4 to every address":    {"'0.0.0.0:P'", "':P'", "[::1]:P"},
		"IPv4 to IPv6":             {"'0.0.0.0:P'", "'[::]:P'", "[::1]:P"},
		"IPv6 to IPv4":             {"'[::]:P'", "'0.0.0.0:P'", "127.0.0.1:P"},
		"both to both in one":      {"['0.0.0.0:P', '[::]:P']", "':P'", "127.0.0.1:P"},
		"one to another":           {"'127.0.0.1:P'", "'127.0.0.2:P'", "127.0.0.2:P"},
		"one to that and another":  {"'127.0.0.1:P'", "['127.0.0.1:P', '127.0.0.2:P']", "127.0.0.2:P"},
		"several to every address": {"['127.0.0.1:P', '127.0.0.2:P', '[::1]:P']", "':P'", "127.0.0.3:P"},
		"every address to several": {"':P'", "['127.0.0.1:P', '127.0.0.2:P', '[::1]:P']", "[::1]:P"},
		"another port":             {"':P'", "':Q'", "127.0.0.1:Q"},
		"a name to its address":    {"'localhost:P'", "'127.0.0.1:P'", "127.0.0.1:P"},
		"an address to its name":   {"'[::1]:P'", "'localhost:P'", "localhost:P"},
	} {
		for how, change := range map[string]func(*testing.T, *running, string) *running{
			"reload":  func(_ *testing.T, r *running, text string) *running { r.apply(text); return r },
			"upgrade": replacing,
		} {
			t.Run(name+" by "+how, func(t *testing.T) {
				t.Parallel()
				ports := strings.NewReplacer("P", widePort(t), "Q", widePort(t))
				text := func(listen string) string {
					return backendText("b", []string{s.Address}) + "[frontend.f]\nlisten = " + ports.Replace(listen) + "\nmode = 'tcp'\nbackend = 'b'\n"
				}
				r := start(t, text(test.before))
				change(t, r, text(test.after))
				dial(t, ports.Replace(test.ask)).Ask("hello") // a client that finds the old socket retiring comes again within a second
			})
		}
	}
}

// replacing starts the process that replaces r, with another configuration, and ends r.
func replacing(t *testing.T, r *running, text string) *running {
	t.Helper()
	inherited := inheriting(t, r)
	p, err := Start(parse(t, text), inherited)
	if err != nil {
		t.Fatal(err)
	}
	next := run(t, p)
	t.Cleanup(next.end)
	inherited.Inherited.(inheritance).close()
	r.closeListeners()
	p.Handover().Resume()
	return next
}

// TestForeignAddress listens where another program does: that must fail, although this
// process has sockets of the same port that it shares.
func TestForeignAddress(t *testing.T) {
	s := endpoint.Serve(t, endpoint.Echo)
	port := widePort(t)
	foreign, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	text := func(listen string) string {
		return backendText("b", []string{s.Address}) + frontendText("f", listen, "tcp", "b")
	}
	r := start(t, text("127.0.0.1:"+port))
	for _, taken := range []string{"127.0.0.2:" + port, ":" + port} {
		if _, err := r.Apply(parse(t, text(taken))); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("a reload that listens on %s, where another program does: %v", taken, err)
		}
		if p, err := Start(parse(t, text(taken)), inheriting(t, r)); err == nil {
			p.closeListeners()
			t.Errorf("an upgrade listens on %s, where another program does", taken)
		}
	}
	dial(t, "127.0.0.1:"+port).Ask("hello")
}

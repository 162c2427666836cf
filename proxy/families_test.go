package proxy

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"mcplb/internal/endpoint"
	"mcplb/proxy/handover"
)

// families is a port that is unused on every address, with the addresses that mean
// every one of a family.
type families struct{ v4, v6, ask4, ask6 string }

func newFamilies(t *testing.T) families {
	t.Helper()
	any, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Skip("this machine has no IPv6: ", err)
	}
	defer any.Close()
	port := any.Addr().(*net.TCPAddr).Port
	at := func(host string) string { return net.JoinHostPort(host, fmt.Sprint(port)) }
	return families{at("0.0.0.0"), at("::"), at("127.0.0.1"), at("::1")}
}

// text is a configuration that listens on addresses, each with its own frontend.
func (families) text(server string, addresses ...string) string {
	text := backendText("b", []string{server})
	for i, address := range addresses {
		text += frontendText(fmt.Sprintf("f%d", i), address, "tcp", "b")
	}
	return text
}

// answers checks which families are served.
func (f families) answers(t *testing.T, v4, v6 bool) {
	t.Helper()
	for address, want := range map[string]bool{f.ask4: v4, f.ask6: v6} {
		if !want {
			if c, err := net.Dial("tcp", address); err == nil {
				c.Close()
				t.Errorf("%s is served", address)
			}
			continue
		}
		dial(t, address).Ask("hello")
	}
}

// TestBothFamilies listens on 0.0.0.0 and [::] of one port, as many files of HAProxy
// and nginx do, and reloads with one of them added and removed, and upgrades.
// Otherwise such a file cannot be used: the second address is in use.
func TestBothFamilies(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short")
	}
	s := endpoint.Serve(t, endpoint.Echo)
	for _, v6First := range []bool{false, true} {
		f := newFamilies(t)
		listen := []string{f.v4, f.v6}
		if v6First {
			slices.Reverse(listen)
		}
		r := start(t, f.text(s.Address, listen...))
		f.answers(t, true, true)
		if got := r.address("f0"); got != listen[0] {
			t.Errorf("it shows %s for %s", got, listen[0])
		}
		// [::] alone is both families; beside 0.0.0.0 it becomes IPv6 alone, without a
		// moment in which either is refused.
		for range 3 {
			r.apply(f.text(s.Address, f.v6))
			f.answers(t, true, true)
			r.apply(f.text(s.Address, f.v6, f.v4))
			f.answers(t, true, true)
			r.apply(f.text(s.Address, f.v4, f.v6))
			f.answers(t, true, true)
		}
		r.apply(f.text(s.Address, f.v4))
		r.eventually("only IPv4 is served", func() bool { return !connects(f.ask6) })
		f.answers(t, true, false)
		r.apply(f.text(s.Address, f.v4, f.v6))
		f.answers(t, true, true)
	}
}

func connects(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// TestBothFamiliesInherited upgrades with the addresses unchanged, and with one of
// them added or removed in the file since the last reload: the new process cannot
// change the families of a socket that it inherits, and opens another beside it.
func TestBothFamiliesInherited(t *testing.T) {
	s := endpoint.Serve(t, endpoint.Echo)
	for name, choose := range map[string]func(f families) (before, after []string){
		"unchanged":    func(f families) (_, _ []string) { return []string{f.v4, f.v6}, []string{f.v4, f.v6} },
		"IPv4 added":   func(f families) (_, _ []string) { return []string{f.v6}, []string{f.v4, f.v6} },
		"IPv4 removed": func(f families) (_, _ []string) { return []string{f.v4, f.v6}, []string{f.v6} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFamilies(t)
			var c struct{ before, after []string }
			c.before, c.after = choose(f)
			old := start(t, f.text(s.Address, c.before...))
			inherited := inheriting(t, old)
			p, err := Start(parse(t, f.text(s.Address, c.after...)), inherited)
			if err != nil {
				t.Fatal(err)
			}
			inherited.Inherited.(inheritance).close()
			r := run(t, p)
			t.Cleanup(r.end)
			old.closeListeners()
			p.Handover().Resume()
			f.answers(t, true, true)
			want := map[string]bool{}
			for i := range c.after {
				want[r.address(fmt.Sprintf("f%d", i))] = true
			}
			if len(want) != len(c.after) {
				t.Errorf("it listens on %v, want %v", want, c.after)
			}
		})
	}
}

// inheritance is the sockets of an old process, by address.
type inheritance map[string]*net.TCPListener

func (i inheritance) Socket(address string) *net.TCPListener {
	socket := i[address]
	delete(i, address)
	return socket
}

func (i inheritance) Share(port string) (found bool) {
	for _, socket := range i {
		found = handover.SharePort(socket, port) || found
	}
	return found
}

// close closes the sockets that nobody has taken, as handover.Receiver.CloseSockets does.
func (i inheritance) close() {
	for _, socket := range i {
		socket.Close()
	}
	clear(i)
}

// inheriting are the options of a process that inherits the sockets of old.
func inheriting(t *testing.T, old *running) Options {
	t.Helper()
	sockets, err := old.Proxy.Handover().Sockets()
	if err != nil {
		t.Fatal(err)
	}
	inherited := inheritance{}
	for _, socket := range sockets {
		l, err := net.FileListener(socket.File)
		socket.File.Close()
		if err != nil {
			t.Fatal(err)
		}
		inherited[socket.Address] = l.(*net.TCPListener)
		t.Cleanup(func() { l.Close() })
	}
	o := options()
	o.Suspended = true
	o.Inherited = inherited
	return o
}

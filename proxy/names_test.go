package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/nameserver"
)

// resolverText is a configuration that asks a name server of the test.
func resolverText(s *nameserver.Server, more ...string) string {
	return fmt.Sprintf("[resolver]\nnameservers = [%q]\nmax_ttl = \"1s\"\n%s\n", s.Address, strings.Join(more, "\n"))
}

func at(host, address string) string {
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(host, port)
}

// twins are servers at two addresses of one port, each answering with its name.
func twins(t *testing.T, one, two string) (first, second *endpoint.Server) {
	first = endpoint.ServeAt(t, net.JoinHostPort(one, "0"), name("one"))
	return first, endpoint.ServeAt(t, at(two, first.Address), name("two"))
}

// TestUnresolvedServer starts with a server whose name does not resolve: the others
// serve, the status says why it is down, and it comes in by itself. Otherwise one
// missing name refuses a start or a reload of everything.
func TestUnresolvedServer(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
	text := resolverText(z) + frontendText("f", anyPort, "tcp", "b") + "[backend.b]\nbalance = \"roundrobin\"\n" +
		serverText("b", "s1", at("late.test.", one.Address)) + serverText("b", "s2", two.Address)
	r := start(t, text)
	down := func() {
		t.Helper()
		s := r.server("s1")
		if s.State != "down" || s.Usable || s.Reason != "unresolved: late.test.: no such host" || len(s.Addresses) != 0 {
			t.Errorf("the unresolved server is shown as %s, usable %t, for %q at %v", s.State, s.Usable, s.Reason, s.Addresses)
		}
		if len(s.Names) != 1 || s.Names[0].Name != "late.test." || s.Names[0].Error != "no such host" || s.Names[0].Address != "" {
			t.Errorf("its names: %+v", s.Names)
		}
		for range 4 {
			if got := dial(t, r.address("f")).Ask("who\n"); got != "two" {
				t.Errorf("%q answers", got)
			}
		}
	}
	down()
	r.apply(text + frontendText("g", anyPort, "tcp", "b")) // a reload is not refused either
	down()
	z.Behave("late.test", nameserver.Behaviour{Rcode: "SERVFAIL"})
	r.eventually("the reason is the present one", func() bool { return strings.HasSuffix(r.server("s1").Reason, "answers SERVFAIL") })
	z.Behave("late.test", nameserver.Behaviour{})
	z.Set("late.test", "A 127.0.0.1")
	r.eventually("the server comes in", func() bool { return r.server("s1").Addresses["tcp"] == one.Address })
	r.eventually("the server is up", func() bool { return r.server("s1").State == "up" })
	if n := r.server("s1").Names[0]; n.Error != "" || n.Address != "127.0.0.1" || n.Answered.IsZero() || n.Addresses != 1 {
		t.Errorf("its name: %+v", n)
	}
}

// TestUnresolvedReason gives a server that does not resolve another name, and lets
// that resolve to where nobody answers: the status has the present reason. Otherwise
// an operator looks for a name that is not in the file any more, or that resolves.
func TestUnresolvedReason(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	text := func(host string) string {
		return resolverText(z) + frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" + serverText("b", "s1", host+":1")
	}
	r := start(t, text("old.test."))
	since := r.server("s1").Since
	r.apply(text("new.test."))
	if got := r.server("s1"); got.State != "down" || got.Reason != "unresolved: new.test.: no such host" || !got.Since.Equal(since) {
		t.Errorf("after the reload it is %s since %v, for %q, want down since %v", got.State, got.Since, got.Reason, since)
	}
	z.Set("new.test", "A 127.0.0.1")
	r.eventually("the reason is not the name", func() bool { return !strings.Contains(r.server("s1").Reason, "unresolved") })
}

// TestUnresolvedEndpoints checks every kind of address: a server is down until all of
// its names resolve.
func TestUnresolvedEndpoints(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tcp", "http", "ws", "sse"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			z := nameserver.Serve(t)
			s := endpoint.Serve(t, endpoint.Echo)
			lines := map[string]string{"tcp": "127.0.0.1:1", "http": "127.0.0.1:2", "ws": "127.0.0.1:3", "sse": "127.0.0.1:4"}
			lines[kind] = at("late.test.", s.Address)
			text := resolverText(z) + frontendText("f", anyPort, "tcp", "b") + "[[backend.b.server]]\nname = \"s1\"\n"
			for key, value := range lines {
				text += key + " = \"" + value + "\"\n"
			}
			r := start(t, text)
			if shown := r.server("s1"); shown.State != "down" || !strings.HasPrefix(shown.Reason, "unresolved: late.test.: ") || shown.Addresses[kind] != "" {
				t.Errorf("it is %s, %q, at %v", shown.State, shown.Reason, shown.Addresses)
			}
			z.Set("late.test", "A 127.0.0.1")
			r.eventually("it resolves", func() bool { return r.server("s1").Addresses[kind] == s.Address })
		})
	}
}

// TestReloadKeepsAddresses reloads an unchanged file six times while the name server
// rotates its answer, is away, or has another address: only the last moves the server.
// Otherwise an unchanged file moves servers to other machines.
func TestReloadKeepsAddresses(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	z.Set("a.test", "AAAA 2001:db8::1", "A 127.0.0.5", "A 127.0.0.6")
	text := resolverText(z) + frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{"a.test.:9"})
	r := start(t, text)
	is := func(want string) {
		t.Helper()
		if got := r.server("s1"); got.Addresses["tcp"] != want || strings.HasPrefix(got.Reason, "unresolved") {
			t.Errorf("the server is at %v, %q, want %s", got.Addresses, got.Reason, want)
		}
	}
	z.Set("a.test", "A 127.0.0.6", "A 127.0.0.5", "A 127.0.0.4", "AAAA 2001:db8::1")
	for range 6 {
		if summary := r.apply(text); summary != "nothing changed" {
			t.Errorf("a reload changes: %s", summary)
		}
		is("127.0.0.5:9")
	}
	z.Remove("a.test")
	r.apply(text)
	is("127.0.0.5:9")
	z.Set("a.test", "A 127.0.0.7")
	if summary := r.apply(text); !strings.Contains(summary, "~server b/s1 tcp a.test.:9: 127.0.0.5:9 -> 127.0.0.7:9") {
		t.Errorf("a reload with another address: %s", summary)
	}
	is("127.0.0.7:9")
	z.Remove("a.test")
	r.apply(text)
	is("127.0.0.7:9")
}

// TestNameMoves lets a name with a TTL of one second move while clients are
// connected: new ones go to the new address, and on_down says what those do that are
// there. Otherwise clients stay with a machine that is not the server any more.
func TestNameMoves(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"close", "keep"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			z := nameserver.Serve(t)
			one, _ := twins(t, "127.77.1.1", "127.77.1.2")
			z.Set("a.test", "1 CNAME b.test.")
			z.Set("b.test", "300 A 127.77.1.1")
			r := start(t, resolverText(z, "min_ttl = 0")+frontendText("f", anyPort, "tcp", "b")+
				backendText("b", []string{at("a.test.", one.Address)}, fmt.Sprintf("on_down = %q", policy), "on_removed = \"keep\""))
			before := dial(t, r.address("f"))
			if got := before.Ask("who\n"); got != "one" {
				t.Fatalf("%q answers", got)
			}
			z.Set("b.test", "300 A 127.77.1.2")
			r.eventually("the server moves", func() bool { return r.server("s1").Addresses["tcp"] == at("127.77.1.2", one.Address) })
			if got := dial(t, r.address("f")).Ask("who\n"); got != "two" {
				t.Errorf("%q answers a new client", got)
			}
			if policy == "keep" {
				if got := before.Ask("who\n"); got != "one" {
					t.Errorf("%q answers the client that was there", got)
				}
				return
			}
			before.HearReset()
			r.ended("f", "server_removed", 1)
		})
	}
}

// TestNameVanishes lets one of four names vanish: its server is kept for hold, through
// a reload, then it is down, and comes back by itself. The others serve throughout.
func TestNameVanishes(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	text := frontendText("f", anyPort, "tcp", "b") + "[backend.b]\nbalance = \"roundrobin\"\n"
	for i := range 4 {
		s := endpoint.Serve(t, name(fmt.Sprint("n", i)))
		host := fmt.Sprintf("n%d.test.", i)
		z.Set(host, "1 A 127.0.0.1")
		text += serverText("b", fmt.Sprint("s", i), at(host, s.Address))
	}
	r := start(t, resolverText(z, "hold = \"1h\"")+text)
	ask := func(servers string) {
		t.Helper()
		for _, who := range strings.Fields(servers) {
			r.eventually(who+" answers", func() bool { return dial(t, r.address("f")).Ask("who\n") == who })
		}
	}
	ask("n0 n1 n2 n3")
	z.Remove("n3.test")
	r.eventually("it is held", func() bool { return r.server("s3").Names[0].Error != "" })
	if s := r.server("s3"); s.State == "down" || s.Names[0].Address != "127.0.0.1" || s.Names[0].HeldUntil.IsZero() {
		t.Errorf("held: %s, %+v", s.State, s.Names)
	}
	r.apply(resolverText(z, "hold = \"1h\"", "timeout = \"3s\"") + text) // an unrelated reload
	ask("n0 n1 n2 n3")

	cold := start(t, resolverText(z)+text)
	if s := cold.server("s3"); s.State != "down" || s.Reason != "unresolved: n3.test.: no such host" {
		t.Errorf("after a cold start: %s, %s", s.State, s.Reason)
	}
	r = cold
	ask("n0 n1 n2")
	z.Set("n3.test", "1 A 127.0.0.1")
	ask("n0 n1 n2 n3")
}

// TestHoldEnds takes a server down when its name has failed for hold, ends its
// connections by on_down, and brings it in again.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	s := endpoint.Serve(t, name("one"))
	z.Set("a.test", "1 A 127.0.0.1")
	r := start(t, resolverText(z, "hold = \"1s\"")+frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{at("a.test.", s.Address)}))
	c := dial(t, r.address("f"))
	c.Ask("who\n")
	z.Set("a.test") // it exists, without an address
	r.eventually("it is down", func() bool { return r.server("s1").State == "down" })
	if got := r.server("s1"); got.Reason != "unresolved: a.test.: the name exists, but has no address" || got.Downs != 1 {
		t.Errorf("it is down for %q, %d times", got.Reason, got.Downs)
	}
	c.HearReset()
	z.Set("a.test", "1 A 127.0.0.1")
	r.eventually("it is up", func() bool { return r.server("s1").State == "up" })
}

// TestFamily uses the addresses of a family.
func TestFamily(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	z.Set("a.test", "A 127.0.0.5", "AAAA ::1")
	text := resolverText(z) + frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" +
		serverText("b", "any", "a.test.:8") + serverText("b", "four", "a.test.:9", "family = \"ipv4\"") + serverText("b", "six", "a.test.:9", "family = \"ipv6\"")
	r := start(t, text)
	for server, want := range map[string]string{"any": "127.0.0.5:8", "four": "127.0.0.5:9", "six": "[::1]:9"} {
		if got := r.server(server).Addresses["tcp"]; got != want {
			t.Errorf("%s is at %s, want %s", server, got, want)
		}
	}
	r.apply(strings.Replace(text, "a.test.:8", "a.test.:8\"\nfamily = \"ipv6", 1))
	if got := r.server("any").Addresses["tcp"]; got != "[::1]:8" {
		t.Errorf("after the reload it is at %s", got)
	}
}

// TestDetour starts with a name whose first addresses do not connect: the server is
// served at one that does, and stays there. Otherwise a server is down that can be
// reached.
func TestDetour(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	s := endpoint.ServeAt(t, "127.77.2.9:0", name("one"))
	z.Set("a.test", "A 127.77.2.1", "A 127.77.2.2", "A 127.77.2.9", "AAAA ::1")
	check := "[backend.b.check]\ninterval = \"200ms\"\nfast_interval = \"100ms\"\n"
	text := resolverText(z) + frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{at("a.test.", s.Address)}) + check
	r := start(t, text)
	r.eventually("the server is up", func() bool { return r.server("s1").State == "up" })
	if got := r.server("s1").Addresses["tcp"]; got != s.Address {
		t.Errorf("it is at %s, want %s", got, s.Address)
	}
	r.apply(text)
	if got := dial(t, r.address("f")).Ask("who\n"); got != "one" {
		t.Errorf("%q answers", got)
	}
	s.Shut() // now none connects: it stays
	r.eventually("the server is down", func() bool { return r.server("s1").State == "down" })
	if got := r.server("s1").Addresses["tcp"]; got != s.Address {
		t.Errorf("it has moved to %s", got)
	}
}

// TestSlowNameServer starts and reloads while the name server does not answer: that
// takes no longer than the limit for all names together, and the server comes in.
func TestSlowNameServer(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	s := endpoint.Serve(t, name("one"))
	z.Set("a.test", "A 127.0.0.1")
	z.Behave(".", nameserver.Behaviour{Drop: []string{"*"}})
	text := resolverText(z, "timeout = \"1h\"") + frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" + serverText("b", "s0", s.Address)
	for i := range 40 {
		text += serverText("b", fmt.Sprintf("s%d", i+1), at(fmt.Sprintf("a%d.test.", i), s.Address))
	}
	r := start(t, text)
	if got := r.server("s1"); got.State != "down" || !strings.HasPrefix(got.Reason, "unresolved: a0.test.: no answer yet") {
		t.Errorf("it is %s, %q", got.State, got.Reason)
	}
	if got := dial(t, r.address("f")).Ask("who\n"); got != "one" {
		t.Errorf("%q answers", got)
	}
}

// TestUpgradeWithoutNameServer upgrades while the name server is away: the new process
// takes the addresses that the old one has. Otherwise an upgrade takes servers down,
// or is refused.
func TestUpgradeWithoutNameServer(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	s := endpoint.Serve(t, name("one"))
	z.Set("a.test", "A 127.0.0.1")
	text := resolverText(z) + frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" + serverText("b", "s1", at("a.test.", s.Address)) + serverText("b", "s2", "never.test.:1")
	old := startOld(t, text)
	old.eventually("the server is up", func() bool { return old.server("s1").State == "up" })
	c := dial(t, old.address("f"))
	c.Ask("who\n")
	z.Remove("a.test")
	old.eventually("it is held", func() bool { return old.server("s1").Names[0].Error != "" })
	held := old.server("s1").Names[0]
	next := old.upgrade(text)
	t.Cleanup(next.end)
	got := next.server("s1")
	if got.Addresses["tcp"] != s.Address || got.State != "up" {
		t.Errorf("after the upgrade the server is %s, %q, at %v", got.State, got.Reason, got.Addresses)
	}
	if n := got.Names[0]; n.HeldUntil.Sub(held.HeldUntil).Abs() > time.Second || n.Answered.Sub(held.Answered).Abs() > time.Second {
		t.Errorf("it is held until %v since %v, was until %v since %v", n.HeldUntil, n.Answered, held.HeldUntil, held.Answered)
	}
	if line := "server b/s1 is DOWN"; strings.Contains(next.log.String(), line) {
		t.Errorf("the new process logs %q of a server that is up in the old one and after it", line)
	}
	if answer := c.Ask("who\n"); answer != "one" {
		t.Errorf("%q answers the client that moved", answer)
	}
	c.Close()
	if got := next.server("s2"); got.State != "down" || got.Reason != "unresolved: never.test.: no such host" {
		t.Errorf("after the upgrade the unresolved server is %s, %q", got.State, got.Reason)
	}
}

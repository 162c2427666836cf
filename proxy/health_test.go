package proxy

import (
	"testing"

	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/admin"
)

// A server that refuses connections is taken out of rotation at once, by observing
// clients' connections, and no client fails while another server is up.
func TestRefusingServerIsOutAtOnce(t *testing.T) {
	t.Parallel()
	one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
	r := start(t, frontendText("f", anyPort, "tcp", "b")+
		backendText("b", []string{one.Address, two.Address}, `balance = "roundrobin"`, `check = { interval = "1h", fast_interval = "1h" }`))
	r.eventually("both were checked", func() bool {
		return r.server("s1").State == admin.ServerUp && r.server("s2").State == admin.ServerUp
	})
	lost, kept := dial(t, r.address("f")), dial(t, r.address("f"))
	if lost.Ask("who?") == "two" {
		lost, kept = kept, lost
	}
	kept.Ask("who?")
	lost.Ask("who?")
	one.Shut()
	one.Cut()
	for range 30 {
		c := dial(t, r.address("f"))
		if who := c.Ask("who?"); who != "two" {
			t.Fatalf("%s answers although it is dead", who)
		}
		c.Close()
	}
	r.eventually("the dead one is down", func() bool { return r.server("s1").State == admin.ServerDown })
	if who := kept.Ask("who?"); who != "two" {
		t.Errorf("the other's connection is answered by %s", who)
	}
	if n := harness.Sum(r.frontend("f").Refused); n != 0 {
		t.Errorf("%d clients were refused: %v", n, r.frontend("f").Refused)
	}
}

// A server that goes down loses its connections, if that is the policy, and no
// other server does. When it is up again, it is used again.
func TestOnDown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode, policy string
		ended        func(*client)
	}{
		{"mcp", "close", (*client).HearEnd}, // its last line may be incomplete
		{"tcp", "close", (*client).HearReset},
		{"mcp", "keep", nil},
	} {
		one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
		text := func(interval string) string {
			return frontendText("f", anyPort, c.mode, "b") +
				backendText("b", []string{one.Address, two.Address}, `balance = "roundrobin"`, `on_down = "`+c.policy+`"`, checkedEvery(interval))
		}
		r := start(t, text("1h"))
		var ones, twos []*client
		for range 6 {
			client := dial(t, r.address("f"))
			if client.Ask("who?") == "one" {
				ones = append(ones, client)
			} else {
				twos = append(twos, client)
			}
		}
		if len(ones) != 3 || len(twos) != 3 {
			t.Fatalf("%d and %d connections, want 3 and 3", len(ones), len(twos))
		}
		one.Shut() // its connections stay
		r.apply(text("50ms"))
		r.eventually("it is down", func() bool { return r.server("s1").State == admin.ServerDown })
		for _, client := range ones {
			if c.ended != nil {
				c.ended(client)
			} else if who := client.Ask("who?"); who != "one" {
				t.Errorf("a connection that was to be kept is answered by %s", who)
			}
		}
		for _, client := range twos {
			if who := client.Ask("who?"); who != "two" {
				t.Errorf("a connection to the other is answered by %s", who)
			}
		}
		if c.ended != nil {
			r.ended("f", "server_down", 3)
		}
		one.Open()
		r.eventually("it is up again", func() bool { return r.server("s1").State == admin.ServerUp })
		r.apply(text("1h"))
		r.trusted()
		first, second := dial(t, r.address("f")).Ask("who?"), dial(t, r.address("f")).Ask("who?")
		if first == second {
			t.Errorf("it gets no connections although it is up again: two in a row are answered by %s", first)
		}
	}
}

// While no server is up, clients are refused; when the first is up, they are served
// again.
func TestAllDown(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := start(t, frontendText("f", anyPort, "tcp", "b")+
		backendText("b", []string{s.Address, endpoint.Refuse(t)}, `check = { interval = "20ms", fast_interval = "20ms" }`))
	s.Shut()
	r.eventually("both are down", func() bool {
		return r.server("s1").State == admin.ServerDown && r.server("s2").State == admin.ServerDown
	})
	endpoint.TurnedAway(t, r.address("f"))
	r.ended("f", "no_server", 1)
	s.Open()
	r.eventually("one is up", func() bool { return r.server("s1").State == admin.ServerUp })
	dial(t, r.address("f")).Ask("hello")
}

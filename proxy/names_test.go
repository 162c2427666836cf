package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/internal/endpoint"
)

// zone is a name server under test.
type zone struct {
	mu    sync.Mutex
	hosts map[string][]string // guarded by mu; "hang" = it does not answer
	asked map[string]int      // guarded by mu
}

func newZone() *zone { return &zone{hosts: map[string][]string{}, asked: map[string]int{}} }

func (z *zone) set(host string, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[host] = addresses
}

func (z *zone) lookup(ctx context.Context, host string) (all []netip.Addr, err error) {
	z.mu.Lock()
	z.asked[host]++
	addresses := z.hosts[host]
	z.mu.Unlock()
	if slices.Contains(addresses, "hang") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, a := range addresses {
		all = append(all, netip.MustParseAddr(a))
	}
	if len(all) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, nil
}

// start starts a balancer that asks the name server.
func (z *zone) start(t *testing.T, text string) *running {
	t.Helper()
	o := options()
	o.Lookup = z.lookup
	p, err := Start(parse(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, p)
	t.Cleanup(r.end)
	return r
}

func at(host, address string) string {
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(host, port)
}

// TestUnresolvedServer starts with a server whose name does not resolve: the others
// serve, the status says why it is down, and it comes in by itself. Otherwise one
// missing name refuses a start or a reload of everything.
func TestUnresolvedServer(t *testing.T) {
	t.Parallel()
	z := newZone()
	one, two := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two"))
	text := frontendText("f", anyPort, "tcp", "b") + "[backend.b]\nbalance = \"roundrobin\"\n" +
		serverText("b", "s1", at("late.test", one.Address)) + serverText("b", "s2", two.Address)
	r := z.start(t, text)
	down := func() {
		t.Helper()
		s := r.server("s1")
		if s.State != "down" || s.Usable || s.Reason != "unresolved: late.test: no such host" || len(s.Addresses) != 0 {
			t.Errorf("the unresolved server is shown as %s, usable %t, for %q at %v", s.State, s.Usable, s.Reason, s.Addresses)
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
	z.set("late.test", "127.0.0.1")
	r.eventually("the server comes in", func() bool { return r.server("s1").Addresses["tcp"] == one.Address })
	r.eventually("the server is up", func() bool { return r.server("s1").State == "up" })
}

// TestUnresolvedReason gives a server that does not resolve another name, and lets
// that resolve to where nobody answers: the status has the present reason. Otherwise
// an operator looks for a name that is not in the file any more, or that resolves.
func TestUnresolvedReason(t *testing.T) {
	t.Parallel()
	z := newZone()
	text := func(host string) string {
		return frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" + serverText("b", "s1", host+":1")
	}
	r := z.start(t, text("old.test"))
	since := r.server("s1").Since
	r.apply(text("new.test"))
	if got := r.server("s1"); got.State != "down" || got.Reason != "unresolved: new.test: no such host" || !got.Since.Equal(since) {
		t.Errorf("after the reload it is %s since %v, for %q, want down since %v", got.State, got.Since, got.Reason, since)
	}
	z.set("new.test", "127.0.0.1")
	r.eventually("the reason is not the name", func() bool { return !strings.Contains(r.server("s1").Reason, "unresolved") })
}

// TestUnresolvedEndpoints checks every kind of address: a server is down until all of
// its names resolve.
func TestUnresolvedEndpoints(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tcp", "http", "ws", "sse"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			z := newZone()
			s := endpoint.Serve(t, endpoint.Echo)
			lines := map[string]string{"tcp": "127.0.0.1:1", "http": "127.0.0.1:2", "ws": "127.0.0.1:3", "sse": "127.0.0.1:4"}
			lines[kind] = at("late.test.", s.Address)
			text := frontendText("f", anyPort, "tcp", "b") + "[[backend.b.server]]\nname = \"s1\"\n"
			for key, value := range lines {
				text += key + " = \"" + value + "\"\n"
			}
			r := z.start(t, text)
			if shown := r.server("s1"); shown.State != "down" || !strings.HasPrefix(shown.Reason, "unresolved: late.test.: ") || shown.Addresses[kind] != "" {
				t.Errorf("it is %s, %q, at %v", shown.State, shown.Reason, shown.Addresses)
			}
			z.set("late.test.", "127.0.0.1")
			r.eventually("it resolves", func() bool { return r.server("s1").Addresses[kind] == s.Address })
		})
	}
}

// TestReloadKeepsAddresses reloads while the name server is away, answers in another
// order, or has another address: only the last moves the server. Otherwise an
// unchanged file takes servers down.
func TestReloadKeepsAddresses(t *testing.T) {
	t.Parallel()
	z := newZone()
	z.set("a.test", "2001:db8::1", "127.0.0.5", "127.0.0.6")
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{"a.test:9"})
	r := z.start(t, text)
	for _, step := range []struct {
		answer []string
		want   string
	}{
		{[]string{"127.0.0.6", "127.0.0.5"}, "127.0.0.5:9"}, {nil, "127.0.0.5:9"}, {[]string{"127.0.0.7"}, "127.0.0.7:9"}, {nil, "127.0.0.7:9"},
	} {
		z.set("a.test", step.answer...)
		r.apply(text)
		if got := r.server("s1"); got.Addresses["tcp"] != step.want || strings.HasPrefix(got.Reason, "unresolved") {
			t.Errorf("answer %v: the server is at %v, %q, want %s", step.answer, got.Addresses, got.Reason, step.want)
		}
	}
}

// TestSlowNameServer starts and reloads while the name server does not answer: that
// takes no longer than the limit for all names together.
func TestSlowNameServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		var hosts []string
		for _, letter := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
			z.set(letter, "hang")
			hosts = append(hosts, letter)
		}
		hosts = append(hosts, "127.0.0.1")
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), resolveTimeout)
		defer cancel()
		found := lookUp(ctx, z.lookup, hosts)
		if took := time.Since(begin); took != resolveTimeout || len(found) != len(hosts) {
			t.Errorf("%d of %d answers after %v", len(found), len(hosts), took)
		}
		for host, a := range found {
			if host != "127.0.0.1" && explainLookup(a.err) != "no answer yet" {
				t.Errorf("%s: %v", host, a.err)
			}
		}
	})
}

// TestNamesBackOff checks when a name that does not resolve is looked up again: after
// one second, and then after twice as long each time, up to a minute.
func TestNamesBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex // guards at and accept: a sleep does not synchronize the test with the look-ups after it
		var at []time.Duration
		accept := false
		n := newNames(func(context.Context, string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(begin))
			if len(at) < 9 {
				return nil, errors.New("away")
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}, func(a answers) bool {
			mu.Lock()
			defer mu.Unlock()
			return accept && len(a) == 1
		})
		defer n.close()
		n.want(answers{"a": {err: errors.New("away")}, "b": {}})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		mu.Lock()
		s := time.Second
		if want := []time.Duration{1 * s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 123 * s, 183 * s, 243 * s}; !slices.Equal(at, want) {
			t.Errorf("looked up at %v, want %v", at, want)
		}
		// What cannot be taken now is asked for again; then it is over.
		accept = true
		mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(at) != 10 {
			t.Errorf("looked up %d times, want 10", len(at))
		}
	})
}

// TestUpgradeWithoutNameServer upgrades while the name server is away: the new process
// takes the addresses that the old one has. Otherwise an upgrade takes servers down,
// or is refused.
func TestUpgradeWithoutNameServer(t *testing.T) {
	t.Parallel()
	z := newZone()
	s := endpoint.Serve(t, name("one"))
	z.set("a.test", "127.0.0.1")
	text := frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" + serverText("b", "s1", at("a.test", s.Address)) + serverText("b", "s2", "never.test:1")
	old := z.start(t, text)
	old.eventually("the server is up", func() bool { return old.server("s1").State == "up" })
	z.set("a.test")
	o := inheriting(t, old)
	o.Lookup = z.lookup
	next := old.become(text, o)
	t.Cleanup(next.end)
	if got := next.server("s1"); got.Addresses["tcp"] != s.Address || got.State != "up" {
		t.Errorf("after the upgrade the server is %s, %q, at %v", got.State, got.Reason, got.Addresses)
	}
	if got := next.server("s2"); got.State != "down" || got.Reason != "unresolved: never.test: no such host" {
		t.Errorf("after the upgrade the unresolved server is %s, %q", got.State, got.Reason)
	}
}

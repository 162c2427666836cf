package backend

import (
	"fmt"
	"testing"
	"time"

	"mcplb/conf"
)

// Backup servers take clients only while no other server is usable, all of them then,
// whatever the policy, and clients that are bound to one keep it. Were they used
// before, what is kept for emergencies would serve; were they not, an outage of the
// others would be one of the service.
func TestBackup(t *testing.T) {
	t.Parallel()
	for _, policy := range allPolicies {
		for name, set := range outs {
			c := backendOf(4, balance(policy))
			c.Servers[2].Backup, c.Servers[3].Backup = true, true
			p := newPool(t, c)
			s := p.Servers()
			fill := func(when string, n int, want ...*Server) []Slot {
				t.Helper()
				var slots []Slot
				on := map[*Server]int{}
				for i := range n {
					slots = append(slots, acquire(t, p, Request{Source: addr(i), Endpoint: conf.EndpointTCP, Now: 1}))
					on[slots[i].Server()]++
				}
				for _, server := range want {
					if on[server] == 0 {
						t.Fatalf("%s, %s, %s: %s got no client", policy, name, when, server.Name())
					}
					delete(on, server)
				}
				if len(on) > 0 {
					t.Fatalf("%s, %s, %s: other servers got clients", policy, name, when)
				}
				return slots
			}
			release := func(slots []Slot) {
				for i := range slots {
					slots[i].Release(Completed, 1)
				}
			}
			release(fill("all in use", 100, s[0], s[1]))
			set(s[0], true)
			release(fill("one out of use", 100, s[1]))
			set(s[1], true)
			held := fill("both out of use", 100, s[2], s[3])
			bound := held[0].Server()
			set(s[0], false)
			release(fill("one is back", 100, s[0]))
			l := acquire(t, p, Request{Source: addr(1), Bound: bound, Now: 1})
			if l.Server() != bound {
				t.Fatalf("%s: a client bound to %s got %s", policy, bound.Name(), l.Server().Name())
			}
			l.Release(Completed, 1)
			release(held)
			if n := p.Usable(); n != 3 {
				t.Errorf("%d servers are usable, want 3", n)
			}
			checkCounts(t, p)
		}
	}
}

// Full servers queue: a backup server is not used for what the others have no slot
// for. Once they are out of use, those who wait get the backup's slots, and when they
// are back, what is freed there goes to no one.
func TestBackupAndQueue(t *testing.T) {
	t.Parallel()
	for _, policy := range allPolicies {
		c := backendOf(2, balance(policy), maxConn(1))
		c.Servers[1].Backup = true
		p := newPool(t, c)
		s := p.Servers()
		held := acquire(t, p, Request{Source: addr(1)})
		waits := queued(t, p, Request{Source: addr(2), Tried: s[:1]})
		more := queued(t, p, Request{Source: addr(3)})
		if s[1].Conns() != 0 {
			t.Fatalf("%s: the backup server is used while the other is merely full", policy)
		}
		s[0].SetHealth(Down, "x", time.Now())
		slot := waits.slot(t)
		if slot.Server() != s[1] {
			t.Fatalf("%s: %s, want the backup server", policy, slot.Server().Name())
		}
		s[0].SetHealth(Up, "", time.Now())
		slot.Release(Completed, 2)
		more.waits(t)
		held.Release(Completed, 3)
		if got := more.slot(t); got.Server() != s[0] {
			t.Fatalf("%s: %s, want the server that is back", policy, got.Server().Name())
		}
	}
}

// A backup server with the only address of a kind serves it: a backend is looked at by
// endpoint.
func TestBackupByEndpoint(t *testing.T) {
	t.Parallel()
	c := backendOf(2)
	c.Servers[0].SSE, c.Servers[1].Backup = "", true
	p := newPool(t, c)
	for endpoint, want := range map[conf.Endpoint]int{conf.EndpointSSE: 1, conf.EndpointHTTP: 0, "": 0} {
		if l := acquire(t, p, Request{Source: addr(1), Endpoint: endpoint}); l.Server() != p.Servers()[want] {
			t.Errorf("endpoint %q is served by %s", endpoint, l.Server().Name())
		}
	}
}

// disabled is the file's first word: the operator's command survives a reload of an
// unchanged file, a change of the file goes before it, and a server that appears
// starts as it says. Otherwise a reload would put a server into service that is
// being worked on, or take one out that was made ready.
func TestDisabled(t *testing.T) {
	t.Parallel()
	file := func(disabled bool) conf.Backend {
		c := backendOf(2)
		c.Servers[0].Disabled = disabled
		return c
	}
	p := newPool(t, file(true))
	var seen []string
	p.OnChange(func(s *Server, old, new State) {
		seen = append(seen, fmt.Sprint(s.Name(), " ", old.Admin, " ", new.Admin))
	})
	s := p.Servers()[0]
	expect := func(when string, want Admin) {
		t.Helper()
		if st := p.Servers()[0].State(); st.Admin != want || (want == Maint) == p.Servers()[0].Usable() || st.AdminReason == "" {
			t.Errorf("%s: %v, reason %q", when, st.Admin, st.AdminReason)
		}
	}
	expect("at the start", Maint)
	s.SetAdmin(Ready, "by hand", time.Now())
	mustApply(t, p, file(true))
	expect("ready by command, the file is unchanged", Ready)
	moved := file(true)
	moved.Servers[0].TCP = "127.0.8.8:1"
	mustApply(t, p, moved)
	expect("ready by command, another address", Ready)
	mustApply(t, p, file(true))
	mustApply(t, p, file(false))
	expect("the file enables what is ready", Ready)
	mustApply(t, p, file(true))
	expect("the file disables it", Maint)
	mustApply(t, p, file(false))
	expect("the file enables it", Ready)
	p.Servers()[0].SetAdmin(Drain, "by hand", time.Now())
	mustApply(t, p, file(true))
	mustApply(t, p, backendOf(0, func(c *conf.Backend) { c.Servers = file(true).Servers[1:] }))
	mustApply(t, p, file(true))
	expect("a server that was not there", Maint)
	want := []string{"node1 maint ready", "node1 ready maint", "node1 maint ready", "node1 ready drain", "node1 drain maint"}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("observers saw %q, want %q", seen, want)
	}
}

// The same over an upgrade, whose new binary reads the file again.
func TestDisabledAndUpgrade(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		before, after bool
		command, want Admin
	}{
		{true, true, Ready, Ready}, {true, true, Maint, Maint}, {false, true, Ready, Maint}, {true, false, Maint, Ready},
		{false, false, Maint, Maint}, {true, false, Drain, Drain}, {true, true, Drain, Drain},
	} {
		file := func(disabled bool) conf.Backend {
			c := backendOf(2)
			c.Servers[0].Disabled = disabled
			return c
		}
		p := newPool(t, file(tc.before))
		p.Servers()[0].SetAdmin(tc.command, "by hand", time.Now())
		q, _ := handOver(t, p, file(tc.after), nil, 1)
		if got := q.Servers()[0].State().Admin; got != tc.want {
			t.Errorf("disabled %v, then %v, by command %v: %v, want %v", tc.before, tc.after, tc.command, got, tc.want)
		}
	}
}

package backend

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"mcplb/conf"
)

var resolver = netip.ParseAddrPort

func TestStateTable(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		health     Health
		admin      Admin
		new, bound bool
	}{
		{Unchecked, Ready, true, true}, {Up, Ready, true, true}, {Down, Ready, false, false},
		{Unchecked, Drain, false, true}, {Up, Drain, false, true}, {Down, Drain, false, false},
		{Unchecked, Maint, false, false}, {Up, Maint, false, false}, {Down, Maint, false, false},
	} {
		p := newPool(t, backendOf(1))
		s := p.Servers()[0]
		s.SetHealth(tc.health, "checked", time.Now())
		s.SetAdmin(tc.admin, "ops", time.Now())
		if _, result := p.Acquire(&Request{}, nil); (result == Granted) != tc.new || s.Usable() != tc.new {
			t.Errorf("%v, %v: a new client is %v, usable is %v", tc.health, tc.admin, result, s.Usable())
		}
		if _, result := p.Acquire(&Request{Bound: s}, nil); (result == Granted) != tc.bound {
			t.Errorf("%v, %v: a bound client is %v", tc.health, tc.admin, result)
		}
	}
}

// A server that asks to be drained gets nobody new and keeps those bound to it, whatever
// the operator's will; both are there when the other one ends, also in a new process.
// Otherwise a node that shuts down gets clients which it is about to lose.
func TestDrainRequest(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(1))
	s := p.Servers()[0]
	begin := time.Now()
	takes := func(what string, s *Server, new, bound bool) {
		t.Helper()
		if state := s.State(); state.TakesNew() != new || s.Usable() != new || state.TakesBound() != bound {
			t.Errorf("%s: takes new clients: %v, bound ones: %v", what, state.TakesNew(), state.TakesBound())
		}
	}
	s.SetHealth(Up, "connected", begin)
	s.SetDrainRequest("HTTP status 503", begin)
	takes("asks", s, false, true)
	s.SetDrainRequest("HTTP status 429", begin.Add(time.Second))
	if state := s.State(); state.DrainRequest != "HTTP status 429" || !state.DrainRequestSince.Equal(begin) || state.Admin != Ready || state.Health != Up {
		t.Errorf("%+v", state)
	}
	other := newPool(t, backendOf(1))
	other.Restore(p.Handover(0), 0)
	takes("asks, in the new process", other.Servers()[0], false, true)
	s.SetAdmin(Maint, "ann", begin)
	takes("asks, in maintenance", s, false, false)
	s.SetAdmin(Ready, "ann", begin)
	takes("asks, taken back by the operator", s, false, true)
	s.SetAdmin(Drain, "ann", begin)
	s.SetDrainRequest("", begin.Add(time.Minute))
	takes("asks no more, drained by the operator", s, false, true)
	s.SetAdmin(Ready, "ann", begin)
	takes("ready", s, true, true)
	s.SetDrainRequest("HTTP status 503", begin)
	s.SetHealth(Down, "refused", begin)
	takes("asks, down", s, false, false)
}

// Health and admin are separate inputs. Only what changes is committed, and
// observers are notified of it in order.
func TestCommit(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(2))
	s := p.Servers()[0]
	var seen []string
	p.OnChange(func(s *Server, old, new State) {
		seen = append(seen, fmt.Sprintf("%s %v/%v>%v/%v", s.Name(), old.Health, old.Admin, new.Health, new.Admin))
	})
	t1, t2 := time.Now(), time.Now().Add(time.Hour)
	s.SetHealth(Down, "refused", t1)
	s.SetHealth(Down, "timeout", t2)
	s.SetAdmin(Drain, "ann: kernel", t2)
	s.SetDegraded(false, "")
	s.SetDegraded(true, "no answer for 4 s")
	want := State{Health: Down, Admin: Drain, Degraded: true, Reason: "no answer for 4 s", AdminReason: "ann: kernel", Since: t1, AdminSince: t2, Outages: Outages{Count: 1, Last: t1}}
	if got := s.State(); got != want {
		t.Errorf("state %+v, want %+v", got, want)
	}
	if want := []string{"node1 unchecked/ready>down/ready", "node1 down/ready>down/drain", "node1 down/drain>down/drain"}; !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
	s.SetDegraded(false, "check answered")
	if got := s.State().Reason; got != "check answered" {
		t.Errorf("the reason is %q once the check has answered", got)
	}
	s.SetDegraded(true, "no answer for 5 s")
	s.SetHealth(Up, "connected", t2)
	s.SetDegraded(false, "the server is up")
	if got := s.State().Reason; got != "connected" {
		t.Errorf("the end of degradation changed the verdict's reason to %q", got)
	}
}

// Outages and downtime are counted, the present outage included; they move to the new process.
// Operators plan by them, and would otherwise see a flapping server as one that is well.
func TestOutages(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(1))
	s := p.Servers()[0]
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	s.SetHealth(Down, "refused", at(0))
	s.SetHealth(Down, "refused again", at(5))
	if got := s.State().Downtime(at(7)); got != 7*time.Second {
		t.Errorf("during the outage, the downtime is %v", got)
	}
	s.SetHealth(Up, "connected", at(10))
	s.SetHealth(Down, "refused", at(60))
	s.SetDegraded(true, "late")
	s.SetHealth(Up, "connected", at(63))
	s.SetAdmin(Maint, "ann", at(70))
	other := newPool(t, backendOf(1))
	other.Restore(p.Handover(0), 0)
	for name, server := range map[string]*Server{"here": s, "after the hand-over": other.Servers()[0]} {
		state := server.State()
		if got := state.Outages; got.Count != 2 || !got.Last.Equal(at(60)) || state.Downtime(at(100)) != 13*time.Second {
			t.Errorf("%s: %+v, downtime %v", name, got, state.Downtime(at(100)))
		}
	}
}

// An observer may change states itself; every observer sees the changes in the
// order in which they were made.
func TestOnChangeMayCommit(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(1, maxConn(1)))
	s := p.Servers()[0]
	slot := acquire(t, p, Request{})
	p.Observe(func(s *Server, o Outcome) { s.SetHealth(Up, o.String(), time.Now()) })
	var first, second []Health
	p.OnChange(func(s *Server, _, new State) {
		first = append(first, new.Health)
		if new.Health == Down {
			slot.Release(Aborted, 1) // as on_down = "close" does
		}
	})
	p.OnChange(func(_ *Server, _, new State) { second = append(second, new.Health) })
	s.SetHealth(Down, "x", time.Now())
	if want := []Health{Down, Up}; !slices.Equal(first, want) || !slices.Equal(second, want) {
		t.Errorf("observers saw %v and %v, want %v", first, second, want)
	}
	if s.State().Reason != "aborted" || s.Conns() != 0 {
		t.Errorf("state %+v, %d connections", s.State(), s.Conns())
	}
}

func TestOnChangeConcurrently(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(1))
	s := p.Servers()[0]
	last, n := s.State(), 0
	p.OnChange(func(_ *Server, old, new State) { // one at a time: no lock here
		if old != last {
			t.Errorf("observed a change from %v, the last was to %v", old, last)
		}
		last = new
		n++
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				s.SetHealth(Health(i%3), "x", time.Now())
			}
		})
	}
	wg.Wait()
	if last != s.State() || n == 0 {
		t.Errorf("the last of %d changes observed is to %v, the state is %v", n, last, s.State())
	}
}

// The observer of outcomes is called before the slot is free: a server that
// refused can be out of use before a waiter gets it.
func TestObserveComesBeforeGrant(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(2, maxConn(1)))
	p.Observe(func(s *Server, o Outcome) {
		if o == Refused {
			s.SetHealth(Down, o.String(), time.Now())
		}
	})
	held := fill(t, p)
	w := queued(t, p, Request{Source: addr(1)})
	dead := held[0].Server()
	held[0].Release(Refused, 1)
	w.waits(t)
	held[1].Release(Completed, 1)
	if l := w.slot(t); l.Server() == dead {
		t.Error("the waiter was granted the server that had just refused")
	}
}

func TestApplyKeepsByIdentity(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4, maxConn(100)))
	before := p.Servers()
	slot := acquire(t, p, Request{Source: addr(1), Bound: before[0]})
	orphan := acquire(t, p, Request{Source: addr(2), Bound: before[3]})
	before[0].Counters(1).BytesIn.Add(5)
	before[0].Counters(0).BytesIn.Add(2)
	before[0].SetHealth(Up, "ok", time.Now())
	before[1].SetAdmin(Drain, "ops", time.Now())
	before[0].SetWeight(7)
	before[1].SetMaxConn(9)

	c := backendOf(5, maxConn(100))
	c.Servers[0], c.Servers[1] = c.Servers[1], c.Servers[0] // the order changes
	c.Servers[2].HTTP = "127.0.5.5:80"                      // node3: another address
	c.Servers[0].MaxConn = 50                               // node2
	c.Servers = slices.Delete(c.Servers, 3, 4)              // node4
	c.StickyTime = time.Hour
	gone := mustApply(t, p, c)

	after := p.Servers()
	if names(gone) != "node3 node4" || gone[0] != before[2] || names(after) != "node2 node1 node3 node5" {
		t.Fatalf("removed %s, servers %s", names(gone), names(after))
	}
	if after[1] != before[0] || after[0] != before[1] || after[2] == before[2] {
		t.Fatal("servers of the same identity must stay the same")
	}
	s := after[1]
	if s.Conns() != 1 || s.Totals().BytesIn != 7 || s.State().Health != Up || s.Weight() != 7 || s.MaxConn() != 100 {
		t.Errorf("node1: %d connections, %+v, %+v, weight %d, maxconn %d", s.Conns(), s.Totals(), s.State(), s.Weight(), s.MaxConn())
	}
	if after[0].State().Admin != Drain || after[0].MaxConn() != 50 {
		t.Errorf("node2: %+v, maxconn %d", after[0].State(), after[0].MaxConn())
	}
	if got := p.Config(); got.StickyTime != time.Hour || len(got.Servers) != 4 {
		t.Errorf("configuration in force: %+v", got)
	}
	gone[1].SetHealth(Down, "x", time.Now()) // still possible, without effect on the pool
	if _, result := p.Acquire(&Request{Bound: gone[1]}, nil); result != Granted {
		t.Errorf("a client bound to a removed server: %v, want another server", result)
	}
	orphan.Release(Completed, 1)
	slot.Release(Completed, 1)
	if gone[1].Conns() != 0 || s.Conns() != 0 {
		t.Errorf("connections left: %d and %d", gone[1].Conns(), s.Conns())
	}
	checkCounts(t, p)
}

func names(servers []*Server) string {
	var n []string
	for _, s := range servers {
		n = append(n, s.Name())
	}
	return strings.Join(n, " ")
}

// Members of removed servers are used again once no source is remembered for them.
func TestApplyReusesMembers(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	now := int64(1)
	for round := range 20 {
		c := backendOf(4)
		for i := range c.Servers {
			c.Servers[i].Name = fmt.Sprint("round", round, "-", i)
		}
		mustApply(t, p, c)
		for i := range 100 {
			l := acquire(t, p, Request{Source: addr(round*100 + i), Now: now})
			l.Release(Completed, now)
		}
		checkCounts(t, p)
		now += int64(time.Hour)
		for range 100 {
			l := acquire(t, p, Request{Source: addr(round * 100), Now: now})
			l.Release(Completed, now)
		}
	}
	if n := len(p.balancer.members.all); n > 12 {
		t.Errorf("%d members for 4 servers", n)
	}
}

func TestApplyChangesAllOrNothing(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(2))
	fail := func(hostport string) (netip.AddrPort, error) {
		if strings.HasSuffix(hostport, "2:8081") {
			return netip.AddrPort{}, errors.New("no such host")
		}
		return netip.ParseAddrPort(hostport)
	}
	before := p.Servers()
	_, err := p.Apply(backendOf(3, maxConn(5)), fail)
	if want := "backend nodes: server node1: resolving 127.0.0.2:8081: no such host"; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	twice := backendOf(2)
	twice.Servers[1].Name = "node1"
	_, err = p.Apply(twice, resolver)
	if want := "backend nodes: server node1: two servers have this name"; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if !slices.Equal(p.Servers(), before) || before[0].MaxConn() != 0 {
		t.Error("a failed Apply changed something")
	}
	if _, err := NewPool(backendOf(2), 2, fail); err == nil {
		t.Error("NewPool with an address that cannot be resolved succeeded")
	}
	if _, err := NewPool(backendOf(2), 0, resolver); err == nil {
		t.Error("NewPool without event loops succeeded")
	}
}

func TestServerAccessors(t *testing.T) {
	t.Parallel()
	c := backendOf(1)
	c.Servers[0].SSE = ""
	p := newPool(t, c)
	s := p.Servers()[0]
	if got := s.Addr(conf.EndpointTCP).String(); got != "127.0.0.2:9000" || s.Addr(conf.EndpointSSE).IsValid() || s.Addr("").IsValid() {
		t.Errorf("addresses: tcp %s, sse %v", got, s.Addr(conf.EndpointSSE))
	}
	if p.Name() != "nodes" || s.Backend() != "nodes" || s.Name() != "node1" {
		t.Errorf("names %s, %s, %s", p.Name(), s.Backend(), s.Name())
	}
	if size := unsafe.Sizeof(Slot{}); size > 32 {
		t.Errorf("a slot is %d bytes", size)
	}
	if size := unsafe.Sizeof(member{}); size != 64 {
		t.Errorf("a member is %d bytes, not a cache line", size)
	}
	if size := unsafe.Sizeof(entry{}); size > 64 {
		t.Errorf("an entry of the sticky memory is %d bytes", size)
	}
	if size := unsafe.Sizeof(Counters{}); size%64 != 0 {
		t.Errorf("counters are %d bytes, not a number of cache lines", size)
	}
	for i, want := range []string{"completed", "refused", "connect timeout", "unreachable", "server reset", "server timeout", "client abort", "aborted", "unknown(8)"} {
		if got := Outcome(i).String(); got != want {
			t.Errorf("outcome %d is %q, want %q", i, got, want)
		}
	}
}

// A server whose address changes stays the same for operators, statistics and
// sources; for checks and connections it is another one.
func TestApplyMovesAServer(t *testing.T) {
	t.Parallel()
	c := backendOf(2, maxConn(100))
	p := newPool(t, c)
	old := p.Servers()[0]
	slot := acquire(t, p, Request{Source: addr(1), Bound: old})
	old.Counters(1).BytesIn.Add(5)
	old.SetHealth(Down, "dead", time.Now())
	old.SetAdmin(Drain, "ops", time.Now())
	old.SetWeight(7)
	old.SetMaxConn(9)
	c.Servers = slices.Clone(c.Servers)
	c.Servers[0].HTTP = "127.0.5.5:80"
	if gone := mustApply(t, p, c); len(gone) != 1 || gone[0] != old {
		t.Fatalf("removed: %s", names(gone))
	}
	now := p.Servers()[0]
	if now == old || now.Name() != old.Name() || !old.Removed() || now.Removed() {
		t.Fatal("want another server of the same name")
	}
	if st := now.State(); st.Health != Unchecked || st.Admin != Drain || st.AdminReason != "ops" || now.Weight() != 7 || now.MaxConn() != 9 {
		t.Errorf("%+v, weight %d, maxconn %d", st, now.Weight(), now.MaxConn())
	}
	old.Counters(0).BytesIn.Add(2)
	if n := now.Totals().BytesIn; n != 7 || now.Conns() != 0 {
		t.Errorf("%d bytes, %d connections; want those of both, and none", n, now.Conns())
	}
	if leaving := p.Leaving(); len(leaving) != 1 || leaving[0] != old || old.Conns() != 1 {
		t.Errorf("%s are leaving", names(leaving))
	}
	slot.Release(Completed, 1)
	if leaving := p.Leaving(); len(leaving) != 0 {
		t.Errorf("%s are leaving without connections", names(leaving))
	}

	// Values that the configuration changes are set, also together with the address.
	c.Servers = slices.Clone(c.Servers)
	c.Servers[0].HTTP, c.Servers[0].Weight = "127.0.6.6:80", 30
	mustApply(t, p, c)
	if now = p.Servers()[0]; now.Weight() != 30 || now.MaxConn() != 9 || now.State().Admin != Drain {
		t.Errorf("weight %d, maxconn %d, %+v", now.Weight(), now.MaxConn(), now.State())
	}
}

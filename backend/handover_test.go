package backend

import (
	"bytes"
	"encoding/gob"
	"testing"
	"time"

	"mcplb/conf"
)

// handOver hands p over, encoded, to a new pool configured by c, which it returns
// with the slots there.
func handOver(t *testing.T, p *Pool, c conf.Backend, slots []Slot, now int64) (*Pool, []Slot) {
	t.Helper()
	var wire bytes.Buffer
	if err := gob.NewEncoder(&wire).Encode(p.Handover(now)); err != nil {
		t.Fatal(err)
	}
	var decoded Handover
	if err := gob.NewDecoder(&wire).Decode(&decoded); err != nil {
		t.Fatal(err)
	}
	q := newPool(t, c)
	entries := q.Restore(decoded, now)
	var moved []Slot
	for _, l := range slots {
		moved = append(moved, q.Reinstate(serverNamed(t, q, l.Server().Name()), entries[l.Entry()]))
	}
	return q, moved
}

// The new pool knows what the old one knew: which slots are in use, where sources
// belong and for how long yet, and the servers' states.
func TestHandOver(t *testing.T) {
	t.Parallel()
	c := backendOf(4)
	p := newPool(t, c)
	var slots []Slot
	sources := 60
	for i := range 3000 {
		slots = append(slots, acquire(t, p, Request{Source: addr(i % sources), Now: int64(i)}))
	}
	for i := range 200 { // some places are free, some sources have left
		slots[i].Release(Completed, 4000)
	}
	slots = slots[200:]
	since := time.Now().Add(-time.Hour)
	serverNamed(t, p, "node2").SetHealth(Down, "it is gone", since)
	serverNamed(t, p, "node3").SetAdmin(Drain, "by hand", since)
	serverNamed(t, p, "node4").SetWeight(7)

	q, moved := handOver(t, p, c, slots, 10_000)
	checkCounts(t, q)
	for name, n := range perServer(p) {
		if got := perServer(q)[name]; got != n {
			t.Errorf("%s has %d connections, want %d", name, got, n)
		}
	}
	for _, s := range p.Servers() {
		other := serverNamed(t, q, s.Name())
		if a, b := s.State(), other.State(); !a.Since.Equal(b.Since) || !a.AdminSince.Equal(b.AdminSince) || a.Health != b.Health || a.Admin != b.Admin || a.Reason != b.Reason {
			t.Errorf("%s is %+v, want %+v", s.Name(), b, a)
		}
		if s.Weight() != other.Weight() || s.Peak() != other.Peak() {
			t.Errorf("%s has weight %d and peak %d, want %d and %d", s.Name(), other.Weight(), other.Peak(), s.Weight(), s.Peak())
		}
	}
	if p.Remembered() != q.Remembered() {
		t.Errorf("%d sources are remembered, want %d", q.Remembered(), p.Remembered())
	}
	for i := range sources {
		r := Request{Source: addr(i), Now: 10_000}
		a := acquire(t, p, r)
		b := acquire(t, q, r)
		if a.Server().Name() != b.Server().Name() {
			t.Errorf("source %d goes to %s, want %s", i, b.Server().Name(), a.Server().Name())
		}
		b.Release(Completed, 10_000)
	}
	for i := range moved {
		moved[i].Release(Completed, 20_000)
	}
	checkCounts(t, q)
	for name, n := range perServer(q) {
		if n != 0 {
			t.Errorf("%s has %d connections after all have ended", name, n)
		}
	}
}

// A source's server is remembered exactly as long as without a hand-over.
func TestHandOverKeepsTimes(t *testing.T) {
	t.Parallel()
	c := backendOf(4)
	p := newPool(t, c)
	displacedTo(t, p, addr(1), elsewhere(t, p, addr(1)), 0)
	q, _ := handOver(t, p, c, nil, int64(29*time.Minute))
	if q.Remembered() != 1 {
		t.Fatalf("%d sources are remembered, want 1", q.Remembered())
	}
	again := acquire(t, q, Request{Source: addr(2), Now: int64(31 * time.Minute)})
	if n := q.Remembered(); n != 1 {
		t.Errorf("%d sources are remembered, want the new one only", n)
	}
	again.Release(Completed, 0)
}

// A slow start that is under way continues where it was.
func TestHandOverKeepsSlowStart(t *testing.T) {
	t.Parallel()
	c := backendOf(2)
	c.SlowStart = 10 * time.Second
	p := newPool(t, c)
	s := serverNamed(t, p, "node1")
	s.SetHealth(Down, "gone", time.Now())
	s.SetHealth(Up, "back", time.Now())
	now := int64(1e9)
	l := acquire(t, p, Request{Source: addr(1), Now: now})
	defer l.Release(Completed, now)
	q, _ := handOver(t, p, c, nil, now+4e9)
	now += 4e9
	for _, step := range []struct {
		after int64
		want  float64
	}{{0, 40}, {3e9, 70}, {6e9, 100}} {
		l := acquire(t, q, Request{Source: addr(1), Now: now + step.after})
		defer l.Release(Completed, now)
		if got := serverNamed(t, q, "node1").EffectiveWeight(); got != step.want {
			t.Errorf("%v after it the weight is %v, want %v", time.Duration(step.after), got, step.want)
		}
	}
	if n := serverNamed(t, q, "node2").EffectiveWeight(); n != 100 || q.balancer.slowStart.underWay != 0 {
		t.Errorf("the other has weight %v, and %d members ramp", n, q.balancer.slowStart.underWay)
	}
}

// A time in the future, as clocks read on two processors may give, counts as now.
func TestHandOverFromTheFuture(t *testing.T) {
	t.Parallel()
	c := backendOf(2)
	c.SlowStart = 10 * time.Second
	p := newPool(t, c)
	s := serverNamed(t, p, "node1")
	s.SetHealth(Down, "gone", time.Now())
	s.SetHealth(Up, "back", time.Now())
	const now = int64(time.Hour)
	l := acquire(t, p, Request{Source: addr(2), Now: now + 1e9})
	l.Release(Completed, now+1e9)
	displacedTo(t, p, addr(1), "node2", now+1e9)
	q := newPool(t, c)
	q.Restore(p.Handover(now), now)
	if got := serverNamed(t, q, "node1").EffectiveWeight(); got != 1 {
		t.Errorf("effective weight %v, want 1 at the start", got)
	}
	line := q.StickyOf(addr(1), now+5e9)
	if len(line) != 1 || line[0].Idle != 5*time.Second {
		t.Errorf("remembered is %+v, want idle for 5 s", line)
	}
	checkCounts(t, q)
}

// Placements that refer to no server, as no pool hands over, are left out.
func TestRestoreRefusesUnknownServers(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(2))
	entries := p.Restore(Handover{Names: []string{"node1", "other"}, Sticky: []HandoverEntry{
		{Ref: 1, Placement: Placement{Source: addr(1).As16(), Server: 2}},
		{Ref: 2, Placement: Placement{Source: addr(2).As16(), Server: -1}},
		{Ref: 3, Placement: Placement{Source: addr(3).As16(), Server: 1}},
		{Ref: 4, Placement: Placement{Source: addr(4).As16(), Server: 0, Displaced: true}},
	}}, 1)
	if len(entries) != 1 || entries[4] == 0 || p.Remembered() != 1 {
		t.Errorf("entries %v, %d sources are remembered; want the last one", entries, p.Remembered())
	}
	checkCounts(t, p)
}

// A server with another address is another server: it starts unchecked, but its
// sources keep it.
func TestHandOverToOtherServers(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	serverNamed(t, p, "node1").SetHealth(Down, "gone", time.Now())
	acquire(t, p, Request{Source: addr(1)})
	changed := backendOf(4)
	changed.Servers[0].TCP = "127.9.9.9:9"
	changed.Servers = changed.Servers[:3]
	q, _ := handOver(t, p, changed, nil, 0)
	if h := serverNamed(t, q, "node1").State().Health; h != Unchecked {
		t.Errorf("a server of another address is %v", h)
	}
	checkCounts(t, q)
}

// While a pool is suspended no slot is granted, every request waits, and released
// slots stay free. Afterwards the waiters are served in their order.
func TestSuspend(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(2, maxConn(1)))
	l := acquire(t, p, Request{Source: addr(1)})
	most := p.Suspend(1)
	first := queued(t, p, Request{Source: addr(2)})
	bound := queued(t, p, Request{Source: addr(3), Bound: l.Server()})
	l.Release(Completed, 1)
	if perServer(p)["node1"]+perServer(p)["node2"] != 0 {
		t.Errorf("slots are in use: %v", perServer(p))
	}
	for server, n := range most {
		if n != 1 {
			t.Errorf("%d slots of %s may be used, want 1", n, server.Name())
		}
	}
	for range 2 { // the one released, the one reserved
		stays := acquire(t, p, Request{Source: addr(5), Stay: true})
		defer stays.Release(Completed, 2)
	}
	if _, result := p.Acquire(&Request{Source: addr(6), Stay: true}, nil); result != Full {
		t.Errorf("beyond what was reserved: %v", result)
	}
	for _, s := range p.Servers() {
		s.SetAdmin(Maint, "", time.Now())
	}
	if _, result := p.Acquire(&Request{Source: addr(4)}, nil); result != NoServer {
		t.Errorf("without servers the result is %v", result)
	}
	for _, s := range p.Servers() {
		s.SetAdmin(Ready, "", time.Now())
	}
	if p.Queued() != 2 {
		t.Errorf("%d wait, want 2", p.Queued())
	}
	for _, s := range p.Servers() {
		s.SetMaxConn(2)
	}
	p.Resume()
	first.slot(t)
	bound.slot(t)
	checkCounts(t, p)
}

// Who cannot move gets what is released in the old process, and what the new process
// reserves; a slot that has moved is the new process's. Otherwise clients with TLS
// would wait in the old process until timeout_queue, or more clients than maxconn
// would be on a server.
func TestSuspendedQueue(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(1, maxConn(3)))
	server := p.Servers()[0]
	held := fill(t, p)
	movable, staying := queued(t, p, Request{Source: addr(1)}), queued(t, p, Request{Source: addr(2), Stay: true})
	p.Suspend(1)
	held[0].Moved(1)
	staying.waits(t) // the slot is in use in the new process
	if most := p.Suspend(1); most[server] != 2 {
		t.Errorf("%d slots may be used here, want 2", most[server])
	}
	server.SetMaxConn(10)
	staying.waits(t) // the new process decides now
	held[1].Release(Completed, 2)
	slot := staying.slot(t)
	if w := p.Waiting(); len(w) != 1 || w[0] != (Waiting{Count: 1}) {
		t.Errorf("waiting are %+v, want the movable one", w)
	}
	if !p.Extend(server) || p.Extend(server) {
		t.Error("one slot was to be granted, to the one who waits")
	}
	further := movable.slot(t)
	if most := p.Suspend(0); most[server] != 3 || server.Conns() != 3 {
		t.Errorf("%d slots may be used here, and %d are, want 3", most[server], server.Conns())
	}
	slot.Release(Completed, 3)
	further.Release(Completed, 3)
	held[2].Release(Completed, 3)
	if most := p.Suspend(0); most[server] != 0 {
		t.Errorf("%d slots may be used here, want none", most[server])
	}
	p.Resume()
	checkCounts(t, p)
	if n := len(fill(t, p)); n != 10 {
		t.Errorf("%d slots after Resume, want 10", n)
	}
}

package backend

import (
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

// withoutFailback is a change of a backend for backendOf.
func withoutFailback(c *conf.Backend) { c.Failback = false }

// serverOfSource opens a connection of a source, ends it, and returns the name of
// its server.
func serverOfSource(t testing.TB, p *Pool, r Request) string {
	t.Helper()
	l := acquire(t, p, r)
	defer l.Release(Completed, r.Now)
	return l.Server().Name()
}

// TestFailback has the server of 400 sources out of use, in every way in which one
// can be, and back. With failback they return, without they stay on the server that
// took over, for sticky_time. Otherwise clients lose the sessions that they opened there,
// too, or, with failback, a server that was away stays empty. Other sources stay where they
// are.
func TestFailback(t *testing.T) {
	t.Parallel()
	const sources = 400
	ways := map[string]struct{ leave, back func(*Server) }{
		"down": {
			func(s *Server) { s.SetHealth(Down, "refused", time.Now()) },
			func(s *Server) { s.SetHealth(Up, "passed", time.Now()) },
		},
		"maintenance": {
			func(s *Server) { s.SetAdmin(Maint, "", time.Now()) },
			func(s *Server) { s.SetAdmin(Ready, "", time.Now()) },
		},
		"drained":  {func(s *Server) { s.SetAdmin(Drain, "", time.Now()) }, func(s *Server) { s.SetAdmin(Ready, "", time.Now()) }},
		"weight 0": {func(s *Server) { s.SetWeight(0) }, func(s *Server) { s.SetWeight(100) }},
	}
	for way, do := range ways {
		for _, failback := range []bool{true, false} {
			p := newPool(t, backendOf(4, func(c *conf.Backend) { c.Failback = failback }))
			var first, meanwhile [sources]string
			for i := range sources {
				first[i] = serverOfSource(t, p, Request{Source: addr(i), Now: 1})
			}
			server := p.Servers()[0]
			do.leave(server)
			took := map[string]int{}
			for i := range sources {
				meanwhile[i] = serverOfSource(t, p, Request{Source: addr(i), Now: 2})
				if own := first[i] == server.Name(); own == (meanwhile[i] == first[i]) {
					t.Fatalf("%s: source %d was on %s, and is on %s meanwhile", way, i, first[i], meanwhile[i])
				} else if own {
					took[meanwhile[i]]++
				}
			}
			if len(took) != 3 {
				t.Errorf("%s: the sources went to %v, want all other servers", way, took)
			}
			do.back(server)
			want := meanwhile
			if failback {
				want = first
			}
			for i := range sources {
				if got := serverOfSource(t, p, Request{Source: addr(i), Now: 3}); got != want[i] {
					t.Fatalf("%s, failback %v: source %d was on %s, then on %s, now on %s", way, failback, i, first[i], meanwhile[i], got)
				}
			}
			late := 4 + int64(31*time.Minute)
			for i := range sources {
				if got := serverOfSource(t, p, Request{Source: addr(i), Now: late}); got != first[i] {
					t.Fatalf("%s, failback %v: source %d is on %s after sticky_time, want %s", way, failback, i, got, first[i])
				}
			}
			checkCounts(t, p)
		}
	}
}

// TestFailbackOfRefused has a server refuse a source whose checks have not noticed yet,
// and then each that took over. The source stays on the last that served it.
func TestFailbackOfRefused(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4, withoutFailback))
	serverNamed := func(name string) *Server {
		return p.Servers()[slices.IndexFunc(p.Servers(), func(s *Server) bool { return s.Name() == name })]
	}
	last := serverOfSource(t, p, Request{Source: addr(1), Now: 1})
	for now := int64(2); now < 10; now += 2 {
		refused := serverNamed(last)
		took := serverOfSource(t, p, Request{Source: addr(1), Tried: []*Server{refused}, Now: now})
		if took == last {
			t.Fatal("the server that has failed was chosen again")
		}
		if got := serverOfSource(t, p, Request{Source: addr(1), Now: now + 1}); got != took {
			t.Errorf("the source is on %s, want %s, which took over", got, took)
		}
		last = took
	}
	if got := p.StickyOf(addr(1), 10); len(got) > 1 {
		t.Errorf("the source is remembered on %v, want one server at most", got)
	}
	checkCounts(t, p)
}

// TestFailbackOfConnected has a drained server keep a connection of a source whose next ones
// go elsewhere: they stay there when it is ready again, though one is still on the first.
func TestFailbackOfConnected(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4, withoutFailback))
	held := acquire(t, p, Request{Source: addr(1), Now: 1})
	held.Server().SetAdmin(Drain, "", time.Now())
	next := acquire(t, p, Request{Source: addr(1), Now: 2})
	if next.Server() == held.Server() {
		t.Fatal("a drained server got a connection")
	}
	held.Server().SetAdmin(Ready, "", time.Now())
	took := next.Server().Name()
	if got := serverOfSource(t, p, Request{Source: addr(1), Now: 3}); got != took {
		t.Errorf("the source is on %s, want %s", got, took)
	}
	next.Release(Completed, 4)
	held.Release(Completed, 4)
	if got := serverOfSource(t, p, Request{Source: addr(1), Now: 5}); got != took {
		t.Errorf("the source is on %s without connections, want %s", got, took)
	}
	checkCounts(t, p)
}

// TestFailbackOfAll has every server out of use: a source has none, and its own when it is
// back; with all but one tried, it goes to that.
func TestFailbackOfAll(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(3, withoutFailback))
	first := serverOfSource(t, p, Request{Source: addr(1), Now: 1})
	for _, s := range p.Servers() {
		s.SetHealth(Down, "refused", time.Now())
	}
	if _, result := p.Acquire(&Request{Source: addr(1), Now: 2}, nil); result != NoServer {
		t.Errorf("result %v without a server, want NoServer", result)
	}
	for _, s := range p.Servers() {
		s.SetHealth(Up, "passed", time.Now())
	}
	if got := serverOfSource(t, p, Request{Source: addr(1), Now: 3}); got != first {
		t.Errorf("the source is on %s, want %s: nobody took over", got, first)
	}
	tried := p.Servers()[:2]
	if got := serverOfSource(t, p, Request{Source: addr(2), Tried: tried, Now: 4}); got != p.Servers()[2].Name() {
		t.Errorf("the source is on %s, want the one that it has not tried", got)
	}
	if got := serverOfSource(t, p, Request{Source: addr(3), Tried: p.Servers(), Now: 4}); got == "" {
		t.Error("a source that has tried all servers gets none")
	}
	checkCounts(t, p)
}

package l4

import (
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/session"
)

// byName gives the frontend a route by SNI, to its own backend.
func byName(s *setup) { s.frontend.Routes = []conf.Route{{SNI: []string{"a.example.com"}}} }

// useNames puts the routes in force.
func (b *fixture) useNames() {
	settings := *b.frontend.Settings()
	settings.Names = session.NewNameRoutes(&settings.Frontend, func(string) *backend.Pool { return b.pool })
	b.frontend.Apply(settings)
}

// A client that waits for its server to speak first is served after 10 seconds, and so is
// one whose hello never ends; neither sooner.
func TestHelloIsAwaited(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, byName, withStoppedTime)
	b.useNames()
	silent, slow := b.dial(), b.dial()
	slow.Say("\x16\x03\x01\x02")
	waiting := func() (n int) {
		b.each(func(s *Session) {
			if info := s.Info(); info.State == "hello" {
				n++
			}
		})
		return n
	}
	b.Eventually("both are waited for", func() bool { return waiting() == 2 })
	b.Advance(helloTime - time.Second)
	slow.Say("\x00")
	b.Turns(3)
	if n := waiting(); n != 2 {
		t.Fatalf("%d are waited for after %v, want 2", n, helloTime-time.Second)
	}
	b.Advance(time.Second)
	b.Eventually("both are served", func() bool { return b.pool.Servers()[0].Totals().Connections == 2 })
	slow.Hear("\x16\x03\x01\x02\x00")
	silent.Say("hello")
	silent.Hear("hello")
	silent.Finish()
	slow.Finish()
	b.expect(session.ClientClosed, 2)
	if taken := b.frontend.Names().Totals(); taken[session.NoNameRoute] != 2 || taken["a.example.com"] != 0 {
		t.Errorf("the routes are counted %v", taken)
	}
}

// A reload that takes the routes away while a hello is awaited lets the client go on.
func TestHelloWithoutRoutes(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, byName)
	b.useNames()
	c := b.dial()
	c.Say("\x16\x03")
	b.Eventually("it is waited for", func() (found bool) {
		b.each(func(s *Session) { found = s.Info().State == "hello" })
		return found
	})
	settings := *b.frontend.Settings()
	settings.Names = nil
	b.frontend.Apply(settings)
	c.Say("\x01")
	c.Hear("\x16\x03\x01")
}

// Names that look alike must not lead to the same backend.
func TestNameRoutesFind(t *testing.T) {
	t.Parallel()
	f := conf.Frontend{Mode: conf.ModeTCP, Backend: "rest", Routes: []conf.Route{
		{SNI: []string{"*.example.com"}, Backend: "wild"}, {SNI: []string{"a.example.com"}, Backend: "exact"}, {SNI: []string{"*.com"}, Backend: "com"},
	}}
	asked := map[*backend.Pool]string{}
	n := session.NewNameRoutes(&f, func(name string) *backend.Pool {
		p := new(backend.Pool)
		asked[p] = name
		return p
	})
	for name, want := range map[string]string{
		"a.example.com": "exact", "A.EXAMPLE.COM.": "exact", "b.example.com": "wild", "b.a.example.com": "wild", "example.com": "com", "com": "rest",
		".example.com": "com", ".com": "rest", "": "rest", ".": "rest", "..": "rest", "x..com": "com", "a.example.com..": "rest", "a.example.com\x00": "rest", "a.example.net": "rest",
	} {
		if got := asked[n.Find(name).Pool]; got != want {
			t.Errorf("%q leads to %s, want %s", name, got, want)
		}
	}
	if session.NewNameRoutes(&conf.Frontend{Mode: conf.ModeTCP}, nil) != nil {
		t.Error("a frontend without routes has some")
	}
}

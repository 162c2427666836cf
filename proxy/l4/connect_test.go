package l4

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// Servers that refuse are skipped before the client's first byte is forwarded: no
// client fails while another server accepts, and no server is tried twice for a client.
func TestRedispatch(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	dead := []string{endpoint.Refuse(t), endpoint.Refuse(t), endpoint.Refuse(t)}
	b := start(t, append(dead, s.Address), withStoppedTime) // no time passes, so a retry would never come
	const clients = 40
	for i := range clients {
		c := b.dial()
		c.Say(fmt.Sprintf("client %d\n", i))
		c.Hear(fmt.Sprintf("client %d\n", i))
	}
	var failed, left uint64
	for _, server := range b.pool.Servers()[:3] {
		totals := server.Totals()
		failed += totals.ConnectErrors
		left += totals.Redispatches
		if totals.ConnectErrors > clients || totals.Retries != 0 || totals.Connections != 0 {
			t.Errorf("server %s: %+v, want at most one failed attempt per client and no retries", server.Name(), totals)
		}
	}
	if failed == 0 || left != failed {
		t.Errorf("%d attempts failed, %d were followed by another server", failed, left)
	}
	if n := s.Accepted(); n != clients {
		t.Errorf("the server that serves was connected to %d times, want %d", n, clients)
	}
}

// The only server is tried again after a pause, as often as retries says.
func TestRetryOfTheOnlyServer(t *testing.T) {
	t.Parallel()
	dead := endpoint.Refuse(t)
	b := start(t, []string{dead}, withStoppedTime, withRetries(2))
	totals := func() backend.Totals { return b.pool.Servers()[0].Totals() }
	c := b.dial()
	for attempt := range uint64(3) {
		b.Eventually("an attempt fails", func() bool { return totals().ConnectErrors == attempt+1 })
		b.Turns(2)
		if n := totals().ConnectErrors; n != attempt+1 {
			t.Fatalf("%d attempts without a pause, want %d", n, attempt+1)
		}
		if attempt < 2 {
			b.Advance(session.RetryPause)
		}
	}
	b.expect(session.ConnectRefused, 1)
	c.HearReset()
	if n := totals().Retries; n != 2 {
		t.Errorf("%d retries were counted, want 2", n)
	}
}

func TestRetrySucceeds(t *testing.T) {
	t.Parallel()
	s := endpoint.Bind(t)
	b := start(t, []string{s.Address}, withStoppedTime)
	c := b.dial()
	b.Eventually("an attempt fails", func() bool { return b.pool.Servers()[0].Totals().ConnectErrors == 1 })
	b.Turns(2)
	s.Listen(t, 8)
	b.Advance(session.RetryPause)
	b.Eventually("the server is connected", func() bool { return b.pool.Servers()[0].Totals().Connections == 1 })
	c.Close()
	fd, _, err := unix.Accept(s.FD)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	b.expect(session.ClientClosed, 1)
}

func TestNoRetries(t *testing.T) {
	t.Parallel()
	b := start(t, []string{endpoint.Refuse(t)}, withRetries(0))
	endpoint.TurnedAway(t, b.Address)
	b.expect(session.ConnectRefused, 1)
}

// Bytes that the client sent before it had a server are not lost when it is
// redispatched.
func TestEarlyBytesSurviveARedispatch(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{endpoint.Blackhole(t), a.Address}, withStoppedTime)
	hole, other := b.pool.Servers()[0], b.pool.Servers()[1]
	other.SetHealth(backend.Down, "so that the hole is chosen", time.Now())
	c := b.dial()
	c.Say("early\n")
	c.Finish()
	b.Eventually("it is being connected to the hole", func() bool { return hole.Conns() == 1 })
	b.Turns(2)
	other.SetHealth(backend.Up, "", time.Now())
	b.Advance(b.pool.Config().TimeoutConnect)
	s := a.Next()
	s.Hear("early\n")
	s.HearEnd()
	s.Say("late\n")
	s.Close()
	c.Hear("late\n")
	c.HearEnd()
	if n := hole.Totals().ConnectTimeouts; n != 1 {
		t.Errorf("%d connects timed out, want 1", n)
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address})
	b.pool.Servers()[0].SetHealth(backend.Down, "for the test", time.Now())
	endpoint.TurnedAway(t, b.Address)
	b.expect(session.NoServer, 1)
}

// When a server goes down while a client is being connected to it, the client gets
// another server at once.
func TestServerDownWhileConnecting(t *testing.T) {
	t.Parallel()
	for _, policy := range []conf.OnDown{conf.OnDownClose, conf.OnDownKeep} {
		s := endpoint.Serve(t, endpoint.Echo)
		b := start(t, []string{endpoint.Blackhole(t), s.Address}, withStoppedTime)
		hole := b.pool.Servers()[0]
		first, second := b.dial(), b.dial()
		b.Eventually("one of them is being connected to the hole", func() bool { return hole.Conns() == 1 })
		b.down(hole, policy)
		for _, c := range []*endpoint.Conn{first, second} {
			c.Say("hello\n")
			c.Hear("hello\n")
		}
		if n := hole.Conns(); n != 0 {
			t.Errorf("%s: %d slots are still taken", policy, n)
		}
	}
}

// down marks a server down and notifies its sessions, as package proxy does.
func (b *fixture) down(server *backend.Server, policy conf.OnDown) {
	server.SetHealth(backend.Down, "for the test", time.Now())
	b.each(func(s *Session) {
		if s.Server() == server {
			s.ServerDown(policy)
		}
	})
}

// When a server goes down, its own sessions end if that is the policy, and no others.
func TestServerDown(t *testing.T) {
	t.Parallel()
	for _, policy := range []conf.OnDown{conf.OnDownClose, conf.OnDownKeep} {
		s1, s2 := endpoint.Accept(t), endpoint.Accept(t)
		b := start(t, []string{s1.Address, s2.Address})
		c1, c2 := b.dial(), b.dial()
		p1, p2 := s1.Next(), s2.Next()
		c1.Say("who?\n")
		c2.Say("who?\n")
		p1.Hear("who?\n")
		p2.Hear("who?\n")
		p1.Say("one\n")
		p2.Say("two\n")
		if c1.Line() == "two" {
			c1, c2 = c2, c1
			c1.Hear("one\n")
		} else {
			c2.Hear("two\n")
		}
		b.down(b.pool.Servers()[0], policy)
		c2.Say("still here\n")
		p2.Hear("still here\n")
		if policy == conf.OnDownClose {
			c1.HearReset()
			p1.HearReset()
			b.expect(session.ServerDown, 1)
			continue
		}
		c1.Say("still here\n")
		p1.Hear("still here\n")
	}
}

// The clients that wait for a slot are served in the order in which they came.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withMaxConn(1))
	var clients []*endpoint.Conn
	for i := range 6 {
		c := b.dial()
		c.Say(fmt.Sprintf("client %d\n", i))
		clients = append(clients, c)
		b.Eventually("it waits", func() bool { return b.pool.Servers()[0].Conns() == 1 && b.pool.Queued() == i })
	}
	for i := range clients {
		s := a.Next()
		s.Hear(fmt.Sprintf("client %d\n", i))
		s.Close()
		clients[i].HearEnd()
		clients[i].Close()
	}
	b.expect(session.ServerClosed, 6)
	if n := b.frontend.Totals().Queue.Count; n != 5 {
		t.Errorf("%d clients waited in the queue, want 5", n)
	}
}

func TestMaxConnIsHard(t *testing.T) {
	t.Parallel()
	const limit, clients = 4, 150
	var now, most atomic.Int64
	s := endpoint.Serve(t, func(c *net.TCPConn) {
		for n := now.Add(1); ; {
			peak := most.Load()
			if n <= peak || most.CompareAndSwap(peak, n) {
				break
			}
		}
		_, _ = io.ReadFull(c, make([]byte, 4))
		now.Add(-1) // before another client can have the slot
	})
	b := start(t, []string{s.Address}, withMaxConn(limit))
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			c := b.dial()
			c.Say("ping")
			c.HearEnd()
			c.Close()
		})
	}
	all.Wait()
	if peak := most.Load(); peak > limit {
		t.Errorf("the server had %d connections at once, want at most %d", peak, limit)
	}
	b.expect(session.ServerClosed, clients)
}

// A client that breaks off while it waits leaves the queue.
func TestLeavingTheQueue(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withMaxConn(1))
	first := b.dial()
	s := a.Next()
	leaving := b.dial()
	b.Eventually("it waits", func() bool { return b.pool.Queued() == 1 })
	staying := b.dial()
	b.Eventually("it waits, too", func() bool { return b.pool.Queued() == 2 })
	leaving.Reset()
	b.expect(session.ClientGone, 1)
	if n := b.pool.Queued(); n != 1 {
		t.Errorf("%d wait, want 1", n)
	}
	first.Close()
	s.Close()
	staying.Say("me\n")
	a.Next().Hear("me\n")
}

// Grants, ends and timeouts cross each other: every slot is released.
func TestGrantsCrossEnds(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, withMaxConn(2), func(s *setup) { s.backend.TimeoutQueue = 10 * time.Millisecond })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for range 60 {
				c, err := net.DialTimeout("tcp", b.Address, endpoint.Patience)
				if err != nil {
					continue // its time in the queue ended first
				}
				if rng.IntN(2) == 0 {
					_, _ = c.Write([]byte("x"))
					_, _ = c.Read(make([]byte, 1))
				}
				if rng.IntN(2) == 0 {
					endpoint.Reset(c.(*net.TCPConn))
				}
				c.Close()
			}
		})
	}
	all.Wait()
	b.Eventually("all have ended", func() bool { return b.frontend.Current() == 0 })
	if n := b.pool.Servers()[0].Peak(); n > 2 {
		t.Errorf("the server had %d connections at once, want at most 2", n)
	}
}

// A slot granted to a session that has ended goes to the next in the queue.
func TestGrantComesTooLate(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withMaxConn(1), oneLoop)
	for range 5 {
		holding, _ := b.relayTo(a)
		waiting := b.dial()
		b.Eventually("it waits", func() bool { return b.pool.Queued() == 1 })
		b.On(b.Engine.Loops()[0], func() { // the grant is on its way when the waiting client goes
			holding.Reset()
			waiting.Reset()
		})
		b.Eventually("both have gone", func() bool { return b.frontend.Current() == 0 })
	}
	b.expect(session.ClientGone, 5)
}

// fromSources makes the backend connect from these addresses.
func fromSources(addresses ...string) func(*setup) {
	return func(s *setup) {
		for _, address := range addresses {
			s.backend.Source = append(s.backend.Source, netip.MustParseAddr(address))
		}
	}
}

// Every source address is used for every server.
func TestSourceAddresses(t *testing.T) {
	t.Parallel()
	s1, s2 := endpoint.Accept(t), endpoint.Accept(t)
	sources := []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"}
	b := start(t, []string{s1.Address, s2.Address}, fromSources(sources...), oneLoop)
	seen := map[string]map[string]bool{s1.Address: {}, s2.Address: {}}
	const clients = 128
	for range clients {
		b.dial()
	}
	for range clients / 2 {
		for _, a := range []*endpoint.Acceptor{s1, s2} {
			seen[a.Address][a.Next().RemoteAddr().(*net.TCPAddr).IP.String()] = true
		}
	}
	for address, used := range seen {
		for _, source := range sources {
			if !used[source] {
				t.Errorf("%s was never connected to from %s", address, source)
			}
		}
	}
}

// When a source address cannot be used, the next one is.
func TestNextSourceAddress(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, fromSources("198.51.100.1", "127.0.0.9", "2001:db8::1"))
	for range 20 {
		b.dial()
		if ip := a.Next().RemoteAddr().(*net.TCPAddr).IP.String(); ip != "127.0.0.9" {
			t.Errorf("connected from %s, want 127.0.0.9", ip)
		}
	}
}

func TestNoSourceAddressLeft(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, fromSources("198.51.100.1", "198.51.100.2"))
	endpoint.TurnedAway(t, b.Address)
	b.expect(session.NoResources, 1)
	if totals := b.pool.Servers()[0].Totals(); totals.ConnectErrors != 0 || totals.Aborts != 1 {
		t.Errorf("the server counts the failure as its own: %+v", totals)
	}
}

// When the balancer has no descriptors, clients are refused for that reason, and served
// again as soon as it has some.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	var short atomic.Bool
	tests := map[string]func(system *reactor.System){
		"for the server": func(system *reactor.System) {
			socket := system.Socket
			system.Socket = func(family int) (int, unix.Errno) {
				if short.Load() {
					return -1, unix.EMFILE
				}
				return socket(family)
			}
		},
		"to wait for the client": func(system *reactor.System) {
			add := system.EpollAdd
			system.EpollAdd = func(epoll, fd int, event unix.EpollEvent) unix.Errno {
				if short.Load() {
					return unix.ENOSPC
				}
				return add(epoll, fd, event)
			}
		},
	}
	for _, exhaust := range tests {
		b := start(t, []string{s.Address}, func(s *setup) { exhaust(s.System) })
		short.Store(true)
		endpoint.TurnedAway(t, b.Address)
		b.expect(session.NoResources, 1)
		short.Store(false)
		c := b.dial()
		c.Say("again\n")
		c.Hear("again\n")
	}
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	s := endpoint.ServeAt(t, "[::1]:0", endpoint.Echo)
	b := start(t, []string{s.Address}, fromSources("::1"), func(s *setup) { s.frontend.Listen = []string{"[::1]:0"} })
	c := b.dial()
	c.Say("six\n")
	c.Hear("six\n")
}

// A listener on all addresses accepts clients of both families, and the PROXY header
// shows each in its own family.
func TestDualStack(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, func(s *setup) {
		s.frontend.Listen = []string{":0"}
		s.backend.SendProxy = conf.SendProxyV1
	})
	_, port, err := net.SplitHostPort(b.Address)
	if err != nil {
		t.Fatal(err)
	}
	for host, family := range map[string]string{"127.0.0.1": "TCP4", "::1": "TCP6"} {
		c := endpoint.Dial(b, net.JoinHostPort(host, port))
		from := c.LocalAddr().(*net.TCPAddr)
		s := a.Next()
		s.Hear(fmt.Sprintf("PROXY %s %s %s %d %s\r\n", family, from.IP, host, from.Port, port))
		s.Say("welcome\n")
		c.Hear("welcome\n")
	}
}

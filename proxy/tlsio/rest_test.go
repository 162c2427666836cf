package tlsio

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"

	"mcplb/proxy/reactor"
)

// visit looks at all connections in use, as is done every restAfter, and returns how
// many are in use afterwards, and how many directions have expanded keys.
func (b *fixture) visit() (listed, expanded int) {
	for i, loop := range b.engine.Loops() {
		loop.Do(func() {
			u := &b.workers.loops[i].inUse
			u.next = len(u.layers)
			for done := false; !done; {
				done = u.next <= visitsPerStep
				u.Expired(&u.timer)
			}
			listed += len(u.layers)
			loop.SweepFrom(0, func(c *reactor.Conn) bool {
				if transport, ok := c.Transport().(*Transport); ok && transport.layer != nil {
					for _, d := range []*direction{&transport.layer.in, &transport.layer.out} {
						if d.keys != nil {
							expanded++
						}
					}
				}
				return true
			})
		})
	}
	return listed, expanded
}

// TestRest has connections that rest: they give their keys up, and go on when something
// comes. Those in use keep theirs.
func TestRest(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	resting, busy := b.attacker(), b.attacker()
	expect := func(when string, listed, expanded int) {
		t.Helper()
		if l, e := b.visit(); l != listed || e != expanded {
			t.Errorf("%s: %d connections in use with %d keys, want %d with %d", when, l, e, listed, expanded)
		}
	}
	for range 3 {
		resting.say(t, "hello")
		busy.say(t, "hello")
		expect("after a message of each", 2, 4)
		busy.say(t, "hello")
		expect("after another of one", 1, 2)
		expect("after none", 0, 0)
	}
	busy.say(t, "hello")
	busy.Close()
	resting.Close()
	b.eventually("closed connections are not listed", func() bool { return b.engine.Load() == 0 })
	expect("at the end", 0, 0)
}

// TestRestDirection sends to a client that says nothing: only the keys that are used stay.
func TestRestDirection(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	a := b.attacker()
	a.say(t, "hello")
	b.visit()
	for _, loop := range b.engine.Loops() {
		loop.Do(func() {
			loop.SweepFrom(0, func(c *reactor.Conn) bool {
				if _, ok := c.Transport().(*Transport); ok {
					_ = c.Send([]byte("news"))
				}
				return true
			})
		})
	}
	if _, content := a.hear(t); string(content) != "news" {
		t.Errorf("%q came", content)
	}
	if listed, expanded := b.visit(); listed != 1 || expanded != 1 {
		t.Errorf("%d connections with %d keys, want 1 with 1", listed, expanded)
	}
	a.Close()
}

// The list of connections in use stays right whatever comes and goes between two steps
// of a visit: otherwise keys would never be given up, or those of another connection.
func TestInUse(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	loop, u := b.engine.Loops()[0], &b.workers.loops[0].inUse
	loop.Do(func() {
		all := make([]layer, 3*visitsPerStep)
		for i := range all {
			u.add(&all[i])
		}
		for range 20_000 {
			switch l := &all[rand.IntN(len(all))]; rand.IntN(50) {
			case 0:
				u.Expired(&u.timer)
			case 1, 2, 3:
				u.remove(l)
				l.in.keys = nil
			default:
				u.add(l)
				l.in.used, l.in.keys = true, &keys{}
			}
			if u.next > len(u.layers)+visitsPerStep {
				t.Fatalf("%d of %d are to be visited", u.next, len(u.layers))
			}
			for i, l := range u.layers {
				if l.place != int32(i+1) {
					t.Fatalf("the connection at place %d believes that it is at %d", i+1, l.place)
				}
			}
		}
		for range 20 { // all rest now
			u.Expired(&u.timer)
		}
		for i := range all {
			if all[i].in.keys != nil {
				t.Fatalf("connection %d rests, and has keys", i)
			}
		}
		if len(u.layers) > 0 {
			t.Errorf("%d are in use at the end", len(u.layers))
		}
	})
}

// What a connection at rest holds of the heap: if this fails, something of crypto/tls or
// of the keys is kept, 1 to 10 KB for each of the clients that a balancer has.
func TestMemoryAtRest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory, too")
	}
	b := begin(t, reactor.Kernel(), usual(t))
	b.held(50) // what stays after the first ones: buffers of loops, certificates
	if each := b.held(200); each > 1500 {
		t.Errorf("a connection at rest holds %d bytes, want 1,500 at most", each)
	} else {
		t.Logf("%d bytes each, the test's socket included", each)
	}
}

// held returns the bytes of heap that each of n connections at rest holds, with the
// test's socket.
func (b *fixture) held(n int) int {
	b.Helper()
	before, sockets := heap(), make([]net.Conn, n)
	for i := range sockets {
		var conn *tls.Conn
		conn, sockets[i] = dialed(b)
		if _, err := io.WriteString(conn, "hello"); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			b.Fatal(err)
		}
	}
	b.visit()
	if listed, _ := b.visit(); listed > 0 {
		b.Errorf("%d connections are in use", listed)
	}
	each := (heap() - before) / n
	for _, socket := range sockets {
		socket.Close()
	}
	b.eventually("they are closed", func() bool { return b.engine.Load() == 0 })
	return each
}

func dialed(b *fixture) (*tls.Conn, net.Conn) {
	conn, raw := b.dial(b.client())
	return conn, raw
}

// heap is what is reachable: twice, since pools keep their contents for one cycle.
func heap() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

package proxy

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/harness"

	"golang.org/x/sys/unix"
)

// churn is how many connections are opened and closed, and how many clients do so
// at a time.
func churn() (connections, workers int) {
	if harness.Long {
		return 200_000, 100
	}
	return 660, 110
}

// endings are the ways in which a connection ends: the client's part, and the
// server's part, which the first byte selects.
var endings = []struct {
	name           string
	client, server func(c *net.TCPConn)
	reasons        []string // one of these
}{
	{"client closes", func(c *net.TCPConn) { pingPong(c); c.Close() }, endpoint.Echo, []string{"client_closed"}},
	{"server closes", func(c *net.TCPConn) { pingPong(c); toEnd(c); c.Close() }, pong, []string{"server_closed"}},
	{"client resets", func(c *net.TCPConn) { pingPong(c); endpoint.Reset(c) }, endpoint.Echo, []string{"client_reset"}},
	{"server resets", func(c *net.TCPConn) { pingPong(c); toEnd(c); c.Close() }, func(c *net.TCPConn) { pong(c); endpoint.Reset(c) }, []string{"server_reset"}},
	{"client half-closes", func(c *net.TCPConn) { ping(c); _ = c.CloseWrite(); toEnd(c); c.Close() }, endpoint.Echo, []string{"client_closed"}},
	{"server half-closes", func(c *net.TCPConn) { pingPong(c); toEnd(c); ping(c); c.Close() }, func(c *net.TCPConn) { pong(c); _ = c.CloseWrite(); toEnd(c) }, []string{"server_closed"}},
	{"client says nothing", func(c *net.TCPConn) { c.Close() }, nil, []string{"client_closed"}},
	{"client resets at once", func(c *net.TCPConn) { endpoint.Reset(c) }, nil, []string{"client_reset", "client_gone"}},
	{"silence", func(c *net.TCPConn) { ping(c); toEnd(c); c.Close() }, toEnd, []string{"idle_timeout"}},
	{"silence of half a connection", func(c *net.TCPConn) { ping(c); _ = c.CloseWrite(); toEnd(c); c.Close() }, func(c *net.TCPConn) { toEnd(c); toReset(c) }, []string{"half_closed_timeout"}},
	{"both reset", func(c *net.TCPConn) { ping(c); endpoint.Reset(c) }, endpoint.Reset, []string{"client_reset", "server_reset", "client_gone"}},
}

func ping(c *net.TCPConn)     { _, _ = c.Write([]byte("ping")) }
func pong(c *net.TCPConn)     { _, _ = io.CopyN(struct{ io.Writer }{c}, struct{ io.Reader }{c}, 4) }
func pingPong(c *net.TCPConn) { ping(c); _, _ = io.ReadFull(c, make([]byte, 4)) }
func toEnd(c *net.TCPConn)    { _, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) }

// toReset waits until the connection is broken, which no read reports after the
// end of the stream.
func toReset(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		broken := []unix.PollFd{{Fd: int32(fd)}}
		for err := error(unix.EINTR); err == unix.EINTR; { // the runtime's signals end it, too
			_, err = unix.Poll(broken, int(endpoint.Patience/time.Millisecond))
		}
	})
}

// Connections are opened, used and closed in every way: each is counted once, and
// afterwards descriptors, goroutines and memory are back where they were. Not
// parallel: the test inspects the entire process.
func TestChurn(t *testing.T) {
	script := func(c *net.TCPConn) {
		var kind [1]byte
		if _, err := io.ReadFull(c, kind[:]); err != nil || int(kind[0]) >= len(endings) {
			return
		}
		endings[kind[0]].server(c)
	}
	servers := []*endpoint.Server{endpoint.Serve(t, script), endpoint.Serve(t, script), endpoint.Serve(t, script)}
	more := []string{`balance = "random"`, `timeout_server = "4s"`, "retries = 0", "check = { observe = false }"}
	if harness.Long {
		more = append(more, `source = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"]`)
	}
	r := start(t, frontendText("f", anyPort, "tcp", "b", `timeout_half_closed = "4s"`)+
		frontendText("m", "127.0.0.2:0", "mcp", "b", `timeout_half_closed = "4s"`)+
		backendText("b", []string{servers[0].Address, servers[1].Address, servers[2].Address}, more...))
	connections, workers := churn()
	r.churn(connections/5, workers) // lets pools and tables grow to their size
	before := usage()
	expected := r.churn(connections, workers)
	after := usage()
	for range 100 { // a health check may be under way
		if !after.exceeds(before) {
			break
		}
		after = usage()
	}
	if after.exceeds(before) {
		t.Errorf("%d descriptors and %d goroutines before, %d and %d after", before.descriptors, before.goroutines, after.descriptors, after.goroutines)
	}
	if grown := int64(after.heap) - int64(before.heap); grown > 512<<10 {
		t.Errorf("the memory in use has grown by %d bytes", grown)
	}
	t.Logf("%d connections: %v", connections, expected)
}

// churn opens and closes connections and returns how many of each kind. It
// checks that they were counted by the right reasons.
func (r *running) churn(connections, workers int) map[string]int {
	before, endedBefore := r.reasons(), r.allEnded()
	addresses := []string{r.address("f"), r.address("m")}
	kinds := make([]int, len(endings))
	var mu sync.Mutex // guards kinds
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range connections / workers {
				kind := rng.IntN(len(endings))
				r.one(addresses[i%2], byte(kind), w)
				mu.Lock()
				kinds[kind]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.eventually("every client was accepted", func() bool { // a client that leaves at once may still wait to be accepted
		return r.allEnded()-endedBefore >= uint64(connections/workers*workers)
	})
	r.empty()
	r.compare(before, kinds)
	shown := map[string]int{}
	for kind, n := range kinds {
		shown[endings[kind].name] = n
	}
	return shown
}

// one opens, uses and closes one connection.
func (r *running) one(address string, kind byte, worker int) {
	d := net.Dialer{Timeout: endpoint.Patience}
	if harness.Long { // one source address has too few ports
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 1, byte(worker), 1)}
	}
	c, err := d.Dial("tcp", address)
	if err != nil {
		r.t.Errorf("connecting: %v", err)
		return
	}
	if endings[kind].server != nil {
		_, _ = c.Write([]byte{kind})
	}
	endings[kind].client(c.(*net.TCPConn))
}

// allEnded returns how many connections of both frontends have ended.
func (r *running) allEnded() (n uint64) {
	for _, f := range r.Snapshot().Frontends {
		n += harness.Sum(f.SessionsEnded) + harness.Sum(f.Refused)
	}
	return n
}

// reasons returns how many connections of both frontends have ended for each reason.
func (r *running) reasons() map[string]int {
	counts := map[string]int{}
	for _, f := range r.Snapshot().Frontends {
		for reason, n := range f.SessionsEnded {
			counts[reason] += int(n)
		}
		for reason, n := range f.Refused {
			counts[reason] += int(n)
		}
	}
	return counts
}

// compare checks the counts of reasons: at least the connections that can only
// have ended for it, at most those that can have.
func (r *running) compare(before map[string]int, kinds []int) {
	least, most := map[string]int{}, map[string]int{}
	for kind, end := range endings {
		for _, reason := range end.reasons {
			most[reason] += kinds[kind]
			if len(end.reasons) == 1 {
				least[reason] += kinds[kind]
			}
		}
	}
	for reason, n := range r.reasons() {
		if n -= before[reason]; n < least[reason] || n > most[reason] {
			r.t.Errorf("%d have ended by %s, want %d to %d", n, reason, least[reason], most[reason])
		}
	}
}

type used struct {
	descriptors, goroutines int
	heap                    uint64
}

// exceeds reports whether more is open or running than before.
func (u used) exceeds(before used) bool {
	return u.descriptors > before.descriptors || u.goroutines > before.goroutines
}

// usage measures what the process uses, once everything that is ending has ended.
func usage() used {
	var u used
	last := -1
	endpoint.Await(func() bool { // until nothing more ends
		entries, _ := os.ReadDir("/proc/self/fd")
		u.descriptors, u.goroutines = len(entries), runtime.NumGoroutine()
		settled := last == u.descriptors+u.goroutines
		last = u.descriptors + u.goroutines
		return settled
	})
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	u.heap = stats.HeapAlloc
	return u
}

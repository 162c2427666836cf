package l4

import (
	"net"
	"runtime"
	"testing"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/internal/proxyheaders"

	"golang.org/x/sys/unix"
)

// paths are the ways that a small message may take through the balancer.
var paths = []struct {
	name   string
	change []func(*setup)
}{
	{"tcp", []func(*setup){inMode(conf.ModeTCP)}},
	{"tcp, PROXY header", []func(*setup){func(s *setup) { s.backend.SendProxy = conf.SendProxyV2 }}},
	{"mcp", []func(*setup){inMode(conf.ModeMCP)}},
	{"mcp, no access log", []func(*setup){inMode(conf.ModeMCP), withoutLog}},
	{"mcp, delay", []func(*setup){messageRate(1e8, 1e8)}},
	{"mcp, reject", []func(*setup){rejecting(1e8, 1e8)}},
}

// pingPong returns a function that sends a message and waits for its echo,
// through the balancer, by raw system calls that allocate nothing.
func pingPong(t testing.TB, change ...func(*setup)) func() {
	t.Helper()
	s := endpoint.Serve(t, func(c *net.TCPConn) { onSocket(t, c, rawEcho) })
	b := start(t, []string{s.Address}, append(change, oneLoop)...)
	c := b.dial()
	file, err := c.File() // a blocking copy
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	fd := int(file.Fd())
	message, answer := []byte(request(12345)), make([]byte, 512)
	got := len(message)
	if b.pool.Config().SendProxy != conf.SendProxyOff {
		got += len(proxyheaders.V2(0x21, 0x11, proxyheaders.IPv4))
	}
	return func() {
		if _, err := unix.Write(fd, message); err != nil {
			t.Fatal(err)
		}
		for got > 0 {
			n, err := unix.Read(fd, answer)
			if err != nil || n == 0 {
				t.Fatal("the echo breaks off", err)
			}
			got -= n
		}
		got = len(message)
	}
}

// onSocket runs f on a blocking copy of c's descriptor.
func onSocket(t testing.TB, c *net.TCPConn, f func(fd int)) {
	file, err := c.File()
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	f(int(file.Fd()))
}

func rawEcho(fd int) {
	p := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, p)
		if err != nil || n <= 0 {
			return
		}
		if _, err := unix.Write(fd, p[:n]); err != nil {
			return
		}
	}
}

// A relayed message allocates nothing, with the access log on or off. Not parallel:
// the test counts the allocations of the process.
func TestMessagesAllocateNothing(t *testing.T) {
	messages := 5000
	if harness.Long {
		messages = 200_000
	}
	for _, way := range paths {
		t.Run(way.name, func(t *testing.T) {
			send := pingPong(t, way.change...)
			for range 100 {
				send()
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range messages {
				send()
			}
			runtime.ReadMemStats(&after)
			if n := after.Mallocs - before.Mallocs; n > uint64(messages)/100 {
				t.Errorf("%d messages and their replies allocated %d times, want 0", messages, n)
			}
		})
	}
}

// BenchmarkMessage measures one message and its echo, including the system calls of
// both ends.
func BenchmarkMessage(b *testing.B) {
	for _, way := range paths {
		b.Run(way.name, func(b *testing.B) {
			send := pingPong(b, way.change...)
			send()
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}

// BenchmarkConnection measures a connection from accept to its end, with one message.
func BenchmarkConnection(b *testing.B) {
	s := endpoint.Serve(b, endpoint.Echo)
	balancer := start(b, []string{s.Address})
	p := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", balancer.Address)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(p); err != nil {
			b.Fatal(err)
		}
		endpoint.Reset(c.(*net.TCPConn))
	}
}

package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to an address, until it is a black hole: then it takes
// bytes and connections, and nothing comes back, as where a firewall or a cable is cut.
type Proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	open  *sync.Cond // signalled when lost ends
	lost  bool
	ended bool
	conns []net.Conn
	tasks sync.WaitGroup
}

// NewProxy starts a proxy, which ends with the test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, to: to}
	p.open = sync.NewCond(&p.mu)
	p.tasks.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// URL is the address for fleet.redis.
func (p *Proxy) URL() string { return "redis://" + p.listener.Addr().String() + "/0" }

// Lose makes the proxy a black hole, or a proxy again.
func (p *Proxy) Lose(lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = lost
	p.open.Broadcast()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.tasks.Go(func() { p.relay(client, server) })
		p.tasks.Go(func() { p.relay(server, client) })
	}
}

// relay passes one direction on.
func (p *Proxy) relay(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.lost && !p.ended {
			p.open.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_, _ = io.Copy(io.Discard, from)
			return
		}
	}
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.ended = true
	p.open.Broadcast()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.tasks.Wait()
}

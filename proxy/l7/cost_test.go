package l7

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// script stands in for the kernel: a client and a server exchange the same request and
// response again and again, at no cost, so that only the balancer's cost is measured.
type script struct {
	request, answer []byte
	client, server  unix.EpollEvent // their events; Events 0: not added yet
	turn            int
	rounds          atomic.Int64
	most            atomic.Int64
}

const (
	scriptClient = 1 << 20 // descriptors that the kernel does not use
	scriptServer = scriptClient + 1
)

// replace replaces the kernel's functions for the script's two descriptors.
func (s *script) replace(system *reactor.System) {
	kernel := *system
	system.Read = func(fd int, p []byte) (int, unix.Errno) {
		switch fd {
		case scriptClient:
			return copy(p, s.request), 0
		case scriptServer:
			return copy(p, s.answer), 0
		}
		return kernel.Read(fd, p)
	}
	system.Write = func(fd int, p []byte) (int, unix.Errno) {
		if fd >= scriptClient {
			return len(p), 0
		}
		return kernel.Write(fd, p)
	}
	system.Peek = func(fd int, p []byte) (int, unix.Errno) { return 0, unix.EAGAIN }
	system.Socket = func(int) (int, unix.Errno) { return scriptServer, 0 }
	system.SetOption = func(int, int, int, int) unix.Errno { return 0 }
	system.Connect = func(int, netip.AddrPort) unix.Errno { return unix.EINPROGRESS }
	system.Reset = func(int) unix.Errno { return 0 }
	system.Close = func(fd int) unix.Errno {
		if fd >= scriptClient {
			return 0
		}
		return kernel.Close(fd)
	}
	system.EpollAdd = func(epoll, fd int, event unix.EpollEvent) unix.Errno {
		event.Events = unix.EPOLLIN | unix.EPOLLOUT
		switch fd {
		case scriptClient:
			s.client = event
		case scriptServer:
			s.server = event
			s.server.Events = unix.EPOLLOUT // connected
		default:
			return kernel.EpollAdd(epoll, fd, event)
		}
		return 0
	}
	system.EpollWait = func(epoll int, events []unix.EpollEvent, millis int) int {
		if s.client.Events == 0 || s.rounds.Load() >= s.most.Load() {
			return kernel.EpollWait(epoll, events, millis)
		}
		s.turn++
		if s.turn%2 == 1 {
			events[0] = s.client
			return 1
		}
		events[0] = s.server
		if s.server.Events&unix.EPOLLIN == 0 {
			s.server.Events |= unix.EPOLLIN
			s.turn-- // the response comes next
			return 1
		}
		s.rounds.Add(1)
		return 1
	}
}

// BenchmarkWithoutKernel measures a request and its response on kept-alive connections,
// as BenchmarkRequest does, but without the kernel's work: of a session that the
// balancer has tagged, and of one without a tag.
func BenchmarkWithoutKernel(b *testing.B) {
	b.Run("tagged", func(b *testing.B) { withoutKernel(b, toolsCall) })
	b.Run("untagged", func(b *testing.B) {
		withoutKernel(b, strings.Replace(toolsCall, "."+mcp.TagOf("s1").String(), "", 1))
	})
}

func withoutKernel(b *testing.B, request string) {
	s := &script{request: []byte(request), answer: []byte(toolsAnswer)}
	balancer := start(b, []string{"127.0.0.1:1"}, oneLoop, withoutLog, limited, func(x *setup) { s.replace(x.System) })
	loop := balancer.Engine.Loops()[0]
	balancer.On(loop, func() {
		loop.AddLoad(1)
		balancer.frontend.Accepted(loop, scriptClient, netip.MustParseAddrPort("127.0.0.1:5000"))
	})
	run := func(n int) {
		s.most.Add(int64(n))
		balancer.Eventually("every request is answered", func() bool {
			balancer.On(loop, func() {})
			return s.rounds.Load() >= s.most.Load()
		})
	}
	run(100)
	b.ReportAllocs()
	b.ResetTimer()
	run(b.N)
	b.StopTimer()
	if n := balancer.frontend.Totals().Status["2xx"]; n < uint64(b.N) {
		b.Errorf("%d requests were answered, want %d", n, b.N)
	}
	balancer.each(func(c *client) { c.Abort(session.Stopped) })
}

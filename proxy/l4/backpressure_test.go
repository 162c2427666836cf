//go:build linux

package l4

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/reactor"
)

// offered is how much a sender wants to send to one who does not read: more
// than the kernel takes for all the sockets on the way.
func offered() int {
	if long {
		return 1 << 30
	}
	return 80 << 20
}

// A slow reader behind a big sender costs next to nothing, and gets all of it
// in the end. Not parallel: it looks at the process's memory.
func TestSlowReader(t *testing.T) {
	for _, test := range []struct {
		mode      conf.Mode
		pipes     int
		direction byte
	}{
		{conf.ModeTCP, 0, upward},
		{conf.ModeTCP, 8, upward},
		{conf.ModeTCP, 8, downward},
		{conf.ModeMCP, 8, upward}, // never spliced
		{conf.ModeMCP, 8, downward},
	} {
		t.Run(fmt.Sprintf("%s, %d pipes, %c", test.mode, test.pipes, test.direction), func(t *testing.T) {
			slowReader(t, test.direction, inMode(test.mode), withPipes(test.pipes))
		})
	}
}

func slowReader(t *testing.T, direction byte, change ...func(*setup)) {
	a := accept(t)
	b := begin(t, []string{a.address}, change...)
	c, s := b.meet(a)
	sender, reader := s, c
	if direction == upward {
		sender, reader = c, s
	}
	p := plan{seed: 7}
	if err := reader.SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
	before := heap()
	stuck, sent := make(chan struct{}), make(chan error, 1)
	go func() { sent <- p.sendStuck(sender.TCPConn, direction, offered(), stuck) }()
	<-stuck
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("a reader that does not read costs %d bytes, want less than 1 MB", grown)
	}
	if n := b.parked(); n > reactor.ReadSize {
		t.Errorf("%d bytes are parked for it, want at most %d", n, reactor.ReadSize)
	}
	report(t, p.receive(reader, direction, offered()))
	report(t, <-sent)
	c.Close()
	s.Close()
}

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// sendStuck sends n bytes and then FIN. It closes stuck when it could not go
// on for a while.
func (p plan) sendStuck(c *net.TCPConn, direction byte, n int, stuck chan<- struct{}) error {
	stream := p.stream(direction)
	piece := make([]byte, 64<<10)
	told := false
	for n > 0 {
		part := piece[:min(n, len(piece))]
		if _, err := io.ReadFull(stream, part); err != nil {
			return err
		}
		n -= len(part)
		for len(part) > 0 {
			deadline := time.Now().Add(patience)
			if !told {
				deadline = time.Now().Add(100 * time.Millisecond)
			}
			if err := c.SetWriteDeadline(deadline); err != nil {
				return err
			}
			written, err := c.Write(part)
			part = part[written:]
			if !told && errors.Is(err, os.ErrDeadlineExceeded) {
				close(stuck)
				told = true
				continue
			}
			if err != nil {
				return err
			}
		}
	}
	if !told {
		close(stuck)
		return errors.New("everything was taken although nobody read")
	}
	return c.CloseWrite()
}

// While one connection is stuck, others on the same loop are served.
func TestStuckConnectionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, func(s *setup) { s.loops = 1 })
	stuck := b.dial()
	a.next()
	fill(t, stuck.TCPConn)
	for range 50 {
		c, s := b.meet(a)
		c.say("ping\n")
		s.hear("ping\n")
		s.say("pong\n")
		c.hear("pong\n")
		c.Close()
		s.Close()
	}
	reset(stuck.TCPConn)
	a.listener.Close()
	b.each(func(s *Session) { s.Abort(Stopped) }) // the server of the stuck one is silent
}

// Whoever sends without end does not keep others on its loop from their turn.
func TestBulkIsShared(t *testing.T) {
	t.Parallel()
	for _, pipes := range []int{0, 8} {
		t.Run(fmt.Sprintf("%d pipes", pipes), func(t *testing.T) {
			t.Parallel()
			s := serve(t, echo)
			b := begin(t, []string{s.address}, func(s *setup) { s.loops = 1 }, withPipes(pipes))
			bulk := b.dial()
			done := make(chan struct{})
			go func() { defer close(done); _, _ = io.Copy(bulk, endless{}) }()
			go func() { _, _ = io.Copy(io.Discard, bulk) }()
			c := b.dial()
			for range 50 {
				c.say("ping\n")
				c.hear("ping\n")
			}
			reset(bulk.TCPConn)
			<-done
		})
	}
}

// endless is a stream that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

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
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// offered returns how much a sender offers to a receiver that does not read: more
// bytes than the kernel takes for all sockets on the way.
func offered() int {
	if harness.Long {
		return 1 << 30
	}
	return 80 << 20
}

// A receiver that is slower than its sender costs almost no memory, and receives
// everything in the end. Not parallel: the test measures the process's memory.
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
	b, c, s := startRelay(t, change...)
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
	endpoint.Receive(t, stuck)
	checkCost(t, "a reader that does not read", before)
	if n := b.Parked(); n > reactor.ReadSize {
		t.Errorf("%d bytes are parked for it, want at most %d", n, reactor.ReadSize)
	}
	report(t, p.receive(reader, direction, offered()))
	report(t, endpoint.Receive(t, sent))
	c.Close()
	s.Close()
}

// checkCost checks that less than 1 MB of memory is in use for something, given the
// heap before it. What is allocated while the garbage collector runs counts as in
// use until its next run, so the smallest of several measurements counts.
func checkCost(t *testing.T, something string, before uint64) {
	t.Helper()
	var grown int64
	if !endpoint.Await(func() bool {
		grown = int64(heap()) - int64(before)
		return grown <= 1<<20
	}) {
		t.Errorf("%s costs %d bytes, want less than 1 MB", something, grown)
	}
}

// heap returns how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// sendStuck sends n bytes and then FIN. It closes stuck when nothing more is taken for
// a while.
func (p plan) sendStuck(c *net.TCPConn, direction byte, n int, stuck chan<- struct{}) error {
	stream := p.stream(direction)
	piece := make([]byte, 64<<10)
	wasStuck := false
	for n > 0 {
		part := piece[:min(n, len(piece))]
		if _, err := io.ReadFull(stream, part); err != nil {
			return err
		}
		n -= len(part)
		for len(part) > 0 {
			deadline := time.Now().Add(endpoint.Patience)
			if !wasStuck {
				deadline = time.Now().Add(100 * time.Millisecond)
			}
			if err := c.SetWriteDeadline(deadline); err != nil {
				return err
			}
			written, err := c.Write(part)
			part = part[written:]
			if !wasStuck && errors.Is(err, os.ErrDeadlineExceeded) {
				close(stuck)
				wasStuck = true
				continue
			}
			if err != nil {
				return err
			}
		}
	}
	if !wasStuck {
		close(stuck)
		return errors.New("all bytes were taken although the receiver read none")
	}
	return c.CloseWrite()
}

// While one connection is stuck, others on the same loop are served.
func TestStuckConnectionDelaysNoOther(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, oneLoop)
	stuck := b.dial()
	a.Next()
	b.Fill(stuck, lines)
	for range 50 {
		c, s := b.relayTo(a)
		c.Say("ping\n")
		s.Hear("ping\n")
		s.Say("pong\n")
		c.Hear("pong\n")
		c.Close()
		s.Close()
	}
	stuck.Reset()
	a.Close()
	b.each(func(s *Session) { s.Abort(session.Stopped) }) // the server of the stuck client is silent
}

// A client that sends without end has a share of bytes moved at a time, and then
// others have their turn.
func TestBulkIsShared(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	for _, pipes := range []int{0, 8} {
		t.Run(fmt.Sprintf("%d pipes", pipes), func(t *testing.T) {
			t.Parallel()
			b, c, s := startRelay(t, oneLoop, withPipes(pipes))
			moved := make(chan uint64, size/1000)
			seen := uint64(0) // used on the loop only
			var record func()
			record = func() { // runs once per turn
				if n := b.frontend.Totals().BytesIn; n > seen {
					seen = n
					moved <- n
				}
				if seen < size {
					b.Engine.Loops()[0].Post(record)
				}
			}
			b.On(b.Engine.Loops()[0], record)
			go func() { _, _ = c.Write(make([]byte, size)) }()
			if _, err := io.CopyN(io.Discard, s, size); err != nil {
				t.Fatal(err)
			}
			const most = 2 * (reactor.Budget + reactor.ReadSize) // both ends may have an event
			for last := uint64(0); last < size; {
				n := endpoint.Receive(t, moved)
				if n-last > most {
					t.Errorf("%d bytes were moved in one turn, want at most %d", n-last, most)
				}
				last = n
			}
		})
	}
}

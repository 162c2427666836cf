package reactor

import (
	"bytes"
	"io"
	"testing"
)

// keeper is a handler that keeps the bytes it reads.
type keeper struct{ got bytes.Buffer }

func (k *keeper) Ready(c *Conn) {
	for c.Readable() {
		p := c.Loop().Scratch()
		n, errno := c.Read(p)
		if errno != 0 || n == 0 {
			return
		}
		k.got.Write(p[:n])
	}
}

// TestDetach moves a connection from one loop to another, with bytes parked,
// with bytes unread, and with bytes that arrive in between.
func TestDetach(t *testing.T) {
	t.Parallel()
	first, second := newStepped(t, steppedSystem()), newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	c := adopt(t, first, near, ignore)
	settle(t, first, c)
	sent := parkMuch(t, c)
	write(t, far, "unread, ")
	if !c.Detachable() {
		t.Fatal("an open connection is not detachable")
	}
	detached := c.Detach()
	if !c.Closed() || len(detached.Parked) == 0 || detached.FD != near {
		t.Fatalf("closed %v, %d bytes parked, descriptor %d", c.Closed(), len(detached.Parked), detached.FD)
	}
	first.turn0(t)
	if first.Conns() != 0 {
		t.Errorf("the first loop still has %d connections", first.Conns())
	}
	write(t, far, "on the way, ")
	k := &keeper{}
	c, errno := second.Attach(detached, k)
	if errno != 0 {
		t.Fatal(errno)
	}
	write(t, far, "after")
	read := make(chan []byte, 1)
	go func() {
		p := make([]byte, len(sent))
		n, _ := io.ReadFull(far, p)
		read <- p[:n]
	}()
	until(t, second, "all bytes have arrived", func() bool {
		return k.got.String() == "unread, on the way, after" && c.Parked() == 0
	})
	if got := <-read; !bytes.Equal(got, sent) {
		t.Errorf("the peer got %d bytes of %d, or different ones", len(got), len(sent))
	}
}

// parkMuch sends until bytes are parked, and returns all it has sent.
func parkMuch(t *testing.T, c *Conn) (sent []byte) {
	t.Helper()
	for i := byte(0); c.Parked() == 0; i++ {
		p := bytes.Repeat([]byte{i}, 60_000)
		if errno := c.Send(p); errno != 0 {
			t.Fatal(errno)
		}
		sent = append(sent, p...)
	}
	return sent
}

// turn0 runs one turn without waiting for events.
func (l *Loop) turn0(t *testing.T) {
	t.Helper()
	l.Post(func() {})
	l.turn()
}

// TestDetachable checks that a connection stays if its state would be lost.
func TestDetachable(t *testing.T) {
	t.Parallel()
	l, c, far := connected(t, steppedSystem())
	far.SetLinger(0)
	far.Close()
	until(t, l, "the end is known", func() bool { return c.Failed() })
	if c.Detachable() {
		t.Error("a broken connection is detachable")
	}
	c.Close()
	dialed, _ := dial(t, l, DialOptions{To: fullBacklog(t)})
	if dialed.Detachable() {
		t.Error("a connecting connection is detachable")
	}
}

// TestSweepFrom visits every connection once, in pieces.
func TestSweepFrom(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	want := map[*Conn]int{}
	for range 5 {
		near, _ := socketPair(t)
		want[adopt(t, l, near, ignore)]++
	}
	got := map[*Conn]int{}
	rounds := 0
	for next := -1; next != 0; rounds++ {
		seen := 0
		next = l.SweepFrom(max(next, 0), func(c *Conn) bool {
			got[c]++
			seen++
			return seen < 2
		})
	}
	for c := range want {
		if got[c] != 1 {
			t.Errorf("a connection was visited %d times", got[c])
		}
	}
	if len(got) != len(want) || rounds != 3 {
		t.Errorf("%d connections in %d rounds, want %d in 3", len(got), rounds, len(want))
	}
}

// TestParkPipe detaches a connection with the bytes of a pipe.
func TestParkPipe(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	l.pipes.limit = 1
	near, far := tcpPair(t)
	from, other := tcpPair(t)
	c, source := adopt(t, l, near, ignore), adopt(t, l, from, ignore)
	settle(t, l, c)
	settle(t, l, source)
	write(t, other, "in the pipe")
	pipe := l.Pipe()
	until(t, l, "the bytes have arrived", func() bool { return source.Readable() })
	if n, errno := source.SpliceIn(pipe); n != len("in the pipe") || errno != 0 {
		t.Fatalf("SpliceIn: %d, %v", n, errno)
	}
	if errno := c.ParkPipe(pipe); errno != 0 {
		t.Fatal(errno)
	}
	if errno := c.ParkPipe(nil); errno != 0 {
		t.Fatal(errno)
	}
	if c.Parked() != len("in the pipe") || l.Pipe() != pipe {
		t.Errorf("%d bytes are parked, or the pipe was not returned empty", c.Parked())
	}
	if detached := c.Detach(); string(detached.Parked) != "in the pipe" {
		t.Errorf("%q is parked", detached.Parked)
	}
	kernelClose(near)
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("the peer got bytes")
	}
}

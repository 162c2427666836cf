package reactor

import (
	"bytes"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// spliceRelay moves everything from one connection to another through a pipe,
// as a relay does.
type spliceRelay struct {
	from, to *Conn
	pipe     *Pipe
	waited   int // how often bytes had to stay in the pipe
	ended    bool
	errno    unix.Errno
}

func (r *spliceRelay) Ready(*Conn) {
	for !r.ended && !r.to.Blocked() {
		if r.pipe.Held() > 0 {
			r.fail(r.to.SpliceOut(r.pipe))
			if r.pipe.Held() > 0 {
				r.waited++
				return
			}
		}
		if !r.from.Readable() {
			return
		}
		n, errno := r.from.SpliceIn(r.pipe)
		if errno == unix.EAGAIN {
			return
		}
		r.fail(errno)
		if n == 0 && errno == 0 {
			r.ended = true
			r.to.CloseWrite()
		}
	}
}

func (r *spliceRelay) fail(errno unix.Errno) {
	if errno != 0 {
		r.errno, r.ended = errno, true
	}
}

// newSpliceRelay puts a relay between two TCP peers on l.
func newSpliceRelay(t *testing.T, l *Loop) (r *spliceRelay, source, sink io.ReadWriteCloser) {
	t.Helper()
	in, source := tcpPair(t)
	out, sink := tcpPair(t)
	r = &spliceRelay{}
	r.from, r.to = adopt(t, l, in, ignore), adopt(t, l, out, ignore)
	if r.pipe = l.Pipe(); r.pipe == nil {
		t.Fatal("no pipe")
	}
	settle(t, l, r.to)
	r.from.SetHandler(r)
	r.to.SetHandler(r)
	r.from.Yield()
	return r, source, sink
}

// TestSpliceMovesEveryByte sends 8 MB through a pipe to a reader that takes
// them in pieces of many sizes.
func TestSpliceMovesEveryByte(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	r, source, sink := newSpliceRelay(t, l)
	want := take(noise(), 8<<20+4711)
	sent := make(chan error, 1)
	go func() {
		_, err := source.Write(want)
		source.Close()
		sent <- err
	}()
	received := make(chan []byte, 1)
	var readErr error
	go func() {
		var got []byte
		p := make([]byte, 300<<10)
		for readErr == nil {
			var n int
			n, readErr = sink.Read(p[:1+len(got)*7919%len(p)])
			got = append(got, p[:n]...)
		}
		received <- got
	}()
	got := receive(t, l, "everything is through", received)
	if err := <-sent; err != nil || readErr != io.EOF || r.errno != 0 {
		t.Errorf("writing: %v; reading: %v; relay: %v", err, readErr, r.errno)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out, want %d, the same", len(got), len(want))
	}
	if r.pipe.Held() != 0 {
		t.Errorf("%d bytes left in the pipe", r.pipe.Held())
	}
}

// TestSpliceKeepsUntakenBytes has a reader that reads nothing until bytes wait
// in the pipe.
func TestSpliceKeepsUntakenBytes(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	r, source, sink := newSpliceRelay(t, l)
	total := make(chan int, 1)
	stop := make(chan struct{})
	go func() {
		n, piece := 0, make([]byte, 64<<10)
		for {
			select {
			case <-stop:
				source.Close()
				total <- n
				return
			default:
				w, _ := source.Write(piece)
				n += w
			}
		}
	}()
	until(t, l, "bytes wait in the pipe", func() bool { return r.waited > 0 })
	if !r.to.Blocked() || r.to.Parked() != 0 {
		t.Errorf("blocked %v, %d bytes parked; want true, 0: they wait in the pipe", r.to.Blocked(), r.to.Parked())
	}
	close(stop)
	got := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, sink)
		got <- n
	}()
	n := receive(t, l, "the rest is through", got)
	if want := <-total; n != int64(want) {
		t.Errorf("%d bytes came out, want %d", n, want)
	}
}

func TestSpliceMeetsReset(t *testing.T) {
	t.Parallel()
	l, c, far := connected(t, steppedSystem())
	reset(t, far)
	until(t, l, "the reset is known", c.Failed)
	pipe := l.Pipe()
	if n, errno := c.SpliceIn(pipe); n != 0 || errno != unix.ECONNRESET {
		t.Errorf("SpliceIn: %d, %v; want ECONNRESET", n, errno)
	}
	l.ReturnPipe(pipe)
}

// TestSpliceOutFails loses the bytes in the pipe: the connection is broken from
// then on, and the pipe is not lent again.
func TestSpliceOutFails(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		n     int
		errno unix.Errno
		want  unix.Errno
	}{
		"reset":       {errno: unix.ECONNRESET, want: unix.ECONNRESET},
		"broken pipe": {errno: unix.EPIPE, want: unix.EPIPE},
		"no progress": {want: unix.EIO},
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := steppedSystem()
			l, c, far := paired(t, system)
			sendAll(t, far, []byte("some bytes"))
			pipe := l.Pipe()
			if n, errno := c.SpliceIn(pipe); n != 10 || errno != 0 || pipe.Held() != 10 {
				t.Fatalf("SpliceIn: %d, %v; %d held", n, errno, pipe.Held())
			}
			system.Splice = func(int, int, int) (int, unix.Errno) { return fault.n, fault.errno }
			if errno := c.SpliceOut(pipe); errno != fault.want {
				t.Errorf("SpliceOut: %v, want %v", errno, fault.want)
			}
			if errno := c.Send([]byte("x")); errno != fault.want || !c.Failed() {
				t.Errorf("then Send: %v, failed %v; want the same error", errno, c.Failed())
			}
			l.ReturnPipe(pipe)
			if len(l.pipes.made) != 0 {
				t.Error("a pipe with bytes in it was kept")
			}
		})
	}
}

// TestSpliceOutInPieces has a peer that takes the bytes of a pipe in pieces.
func TestSpliceOutInPieces(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	l, c, far := paired(t, system)
	sendAll(t, far, []byte("0123456789"))
	pipe := l.Pipe()
	if _, errno := c.SpliceIn(pipe); errno != 0 {
		t.Fatal(errno)
	}
	splice, calls := system.Splice, 0
	system.Splice = func(from, to, n int) (int, unix.Errno) {
		if calls++; calls%2 == 0 {
			return 0, unix.EAGAIN
		}
		return splice(from, to, min(n, 3))
	}
	for held := 7; held > 0; held -= 3 {
		if errno := c.SpliceOut(pipe); errno != 0 || pipe.Held() != held || !c.Blocked() {
			t.Fatalf("SpliceOut: %v, %d held, blocked %v; want 0, %d, true", errno, pipe.Held(), c.Blocked(), held)
		}
	}
	if errno := c.SpliceOut(pipe); errno != 0 || pipe.Held() != 0 {
		t.Fatalf("the last one: %v, %d held", errno, pipe.Held())
	}
	if got := string(receiveAll(t, far)); got != "0123456789" {
		t.Errorf("%q came out", got)
	}
}

// TestSpliceInOnlyStopsAtEAGAIN reads a few bytes: more may follow.
func TestSpliceInOnlyStopsAtEAGAIN(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	c := adopt(t, l, near, ignore)
	if _, err := far.Write([]byte("little")); err != nil {
		t.Fatal(err)
	}
	until(t, l, "the bytes have arrived", c.Readable)
	pipe := l.Pipe()
	if n, errno := c.SpliceIn(pipe); n != 6 || errno != 0 || !c.Readable() {
		t.Errorf("SpliceIn: %d, %v, readable %v; want 6, 0, true", n, errno, c.Readable())
	}
	l.ReturnPipe(pipe)
	pipe = l.Pipe()
	if n, errno := c.SpliceIn(pipe); n != 0 || errno != unix.EAGAIN || c.Readable() {
		t.Errorf("SpliceIn: %d, %v, readable %v; want 0, EAGAIN, false", n, errno, c.Readable())
	}
	far.Close()
	until(t, l, "the end has come", c.Readable)
	if n, errno := c.SpliceIn(pipe); n != 0 || errno != 0 || pipe.Held() != 0 {
		t.Errorf("SpliceIn: %d, %v; want the end", n, errno)
	}
	l.ReturnPipe(pipe)
}

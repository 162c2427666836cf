package reactor

import (
	"bytes"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// mirror is a transport of frames: a length byte, then that many bytes, each
// with all its bits inverted. A frame of length 0 says that no more follow.
type mirror struct {
	in       []byte // read from the socket, not yet a complete frame or not yet requested
	ended    bool
	said     bool
	closed   int
	resets   int
	lastWord []byte
}

func (m *mirror) Read(c *Conn, p []byte) (n int, more bool, errno unix.Errno) {
	for {
		if m.ended {
			return 0, true, 0
		}
		if n := m.open(p); n > 0 {
			return n, len(m.in) > 0, 0
		}
		if m.ended {
			continue
		}
		raw := make([]byte, 64)
		n, errno := c.RawRead(raw)
		if errno != 0 {
			return 0, false, errno
		}
		if n == 0 {
			return 0, false, unix.ECONNRESET // cut
		}
		m.in = append(m.in, raw[:n]...)
	}
}

// open removes one frame, if it is complete and fits into p.
func (m *mirror) open(p []byte) int {
	if len(m.in) == 0 || len(m.in) <= int(m.in[0]) {
		return 0
	}
	n := int(m.in[0])
	m.ended = n == 0
	copy(p, mirrored(m.in[1:1+n]))
	m.in = m.in[1+n:]
	return n
}

func (m *mirror) Send(c *Conn, p []byte) unix.Errno {
	for len(p) > 0 {
		n := min(len(p), 200)
		if errno := c.RawSend(append([]byte{byte(n)}, mirrored(p[:n])...)); errno != 0 {
			return errno
		}
		p = p[n:]
	}
	return 0
}

func (m *mirror) CloseWrite(c *Conn) {
	if !m.said {
		m.said = true
		c.RawSend([]byte{0})
	}
}

func (m *mirror) Close(c *Conn, reset bool) {
	m.closed++
	if reset {
		m.resets++
		return
	}
	c.RawTrySend(m.lastWord)
}

// Rest implements Transport.

// Detachable implements Transport: between two frames.
func (m *mirror) Detachable() bool { return !m.ended }

// Detach implements Transport.
func (m *mirror) Detach() Suspended { return m }

// Resume implements Suspended.
func (m *mirror) Resume(c *Conn) (readable bool) {
	c.SetTransport(m)
	return len(m.in) > int(append(m.in, 0)[0])
}

// Forget implements Suspended.
func (m *mirror) Forget() { m.in = nil }

func mirrored(p []byte) []byte {
	out := bytes.Clone(p)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}

// TestTransportReads receives frames in pieces and several at once: Readable
// stays true exactly while the transport holds a frame.
func TestTransportReads(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := socketPair(t)
	var got []byte
	end := false
	c := adopt(t, l, near, handlerFunc(func(c *Conn) {
		for c.Readable() && !end {
			p := make([]byte, 300)
			n, errno := c.Read(p)
			if errno == unix.EAGAIN {
				continue
			}
			if errno != 0 {
				t.Fatal(errno)
			}
			got = append(got, p[:n]...)
			end = n == 0
		}
	}))
	c.SetTransport(&mirror{})
	if !c.HasTransport() {
		t.Error("no transport")
	}
	frames := []byte{3, ^byte('a'), ^byte('b'), ^byte('c'), 1, ^byte('d')}
	for _, b := range frames[:2] {
		sendAll(t, far, []byte{b})
		l.turn()
	}
	if len(got) != 0 {
		t.Fatalf("%q of half a frame", got)
	}
	sendAll(t, far, frames[2:])
	until(t, l, "both frames are read", func() bool { return string(got) == "abcd" })
	sendAll(t, far, []byte{0})
	until(t, l, "the end is read", func() bool { return end })
	if !c.Readable() {
		t.Error("an end can be read again")
	}
}

// TestTransportEndsBehindParked has a slow reader: the transport's closing
// message and FIN follow the parked bytes, and nothing is lost.
func TestTransportEndsBehindParked(t *testing.T) {
	t.Parallel()
	l, c, far := connected(t, steppedSystem())
	m := &mirror{}
	c.SetTransport(m)
	sent := park(t, c)
	c.CloseWrite()
	c.CloseWrite()
	var got []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, _ = io.ReadAll(far) // checked below
	}()
	until(t, l, "the peer has read to the end", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	frames := (sent + 199) / 200
	if len(got) != sent+frames+1 || got[len(got)-1] != 0 {
		t.Errorf("%d bytes arrived, want %d in %d frames, and a closing message", len(got), sent, frames)
	}
	c.Close()
	if m.closed != 1 || m.resets != 0 {
		t.Errorf("closed %d times, %d by reset", m.closed, m.resets)
	}
}

// TestTransportClosingMessage checks that a transport's closing message reaches
// the peer, except behind parked bytes and before a reset.
func TestTransportClosingMessage(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	meet := func() (*Conn, *mirror, io.Reader) {
		near, far := tcpPair(t)
		c := adopt(t, l, near, ignore)
		settle(t, l, c)
		m := &mirror{lastWord: []byte("bye")}
		c.SetTransport(m)
		return c, m, far
	}
	c, m, far := meet()
	c.Close()
	c.Close()
	if got, err := io.ReadAll(far); err != nil || string(got) != "bye" || m.closed != 1 {
		t.Errorf("%q, %v, closed %d times", got, err, m.closed)
	}
	c, m, far = meet()
	c.Reset()
	if got, err := io.ReadAll(far); err == nil || len(got) != 0 || m.closed != 1 || m.resets != 1 {
		t.Errorf("reset: %q, %v, closed %d times, %d by reset", got, err, m.closed, m.resets)
	}
	c, m, far = meet()
	park(t, c)
	c.Close()
	if got, err := io.ReadAll(far); err == nil || bytes.HasSuffix(got, []byte("bye")) || m.closed != 1 {
		t.Errorf("parked: %v, closed %d times", err, m.closed)
	}
}

// TestTransportClosedByStop checks that a loop that stops closes its
// transports.
func TestTransportClosedByStop(t *testing.T) {
	t.Parallel()
	e, err := Start(1, 0, Kernel())
	if err != nil {
		t.Fatal(err)
	}
	near, _ := socketPair(t)
	m := &mirror{}
	posted := make(chan struct{})
	e.Loops()[0].Post(func() {
		defer close(posted)
		c, errno := e.Loops()[0].Adopt(near, ignore)
		if errno != 0 {
			t.Error(errno)
			return
		}
		c.SetTransport(m)
	})
	<-posted
	e.Stop()
	if m.closed != 1 {
		t.Errorf("closed %d times", m.closed)
	}
}

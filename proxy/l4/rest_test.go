package l4

import (
	"io"
	"os"
	"testing"
	"time"

	"mcplb/internal/endpoint"
)

// A connection at rest holds two descriptors, no pipe and no buffer, whatever it has
// relayed before (inetaf/tcpproxy 31). Not parallel: the test counts the descriptors
// of the process.
func TestConnectionAtRest(t *testing.T) {
	const connections, size = 40, 300 << 10
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, withPipes(4))
	before := descriptors(t)
	for range connections {
		c, s := b.relayTo(a)
		for _, way := range [][2]*endpoint.Conn{{c, s}, {s, c}} {
			go func() { _, _ = way[0].Write(make([]byte, size)) }()
			if _, err := io.CopyN(io.Discard, way[1].Reader, size); err != nil {
				t.Fatal(err)
			}
		}
	}
	const ends = 2 * connections // of the test itself
	if n := descriptors(t) - before - ends; n < 2*connections || n > 2*connections+2*4 {
		t.Errorf("%d connections hold %d descriptors, want 2 each, and 4 pipes in all", connections, n)
	}
	if n := b.Parked(); n != 0 {
		t.Errorf("%d bytes are parked", n)
	}
	b.each(func(s *Session) {
		if s.relay.Up.pipe != nil || s.relay.Down.pipe != nil {
			t.Error("a connection at rest holds a pipe")
		}
	})
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// The last bytes that are spliced are sent at once, too: they do not wait for more
// (golang/go 10948: 200 ms each time).
func TestNothingIsHeldBack(t *testing.T) {
	t.Parallel()
	_, c, s := startRelay(t)
	for _, size := range []int{1, 64 << 10, 64<<10 + 1, 256<<10 + 1} {
		best := time.Hour // of many rounds: the machine may be busy, but what is held back is held back each time
		for range 20 {
			begun := time.Now()
			go func() { _, _ = s.Write(make([]byte, size)) }()
			if _, err := io.CopyN(io.Discard, c.Reader, int64(size)); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begun))
		}
		if best > 150*time.Millisecond {
			t.Errorf("a message of %d bytes takes %v at least", size, best)
		}
	}
}

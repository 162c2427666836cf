package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"mcplb/internal/endpoint"
)

// Streams continue where they were, byte for byte: idle, half-closed, with bytes
// that one side does not take, and in the middle of a line.
func TestHandOverStreams(t *testing.T) {
	t.Parallel()
	overTransports(t, handOverStreams)
}

func handOverStreams(t *testing.T, on *transports) {
	const much = 6 << 20
	pattern := make([]byte, much)
	for i := range pattern {
		pattern[i] = byte(i * 7 >> 3)
	}
	received := make(chan []byte, 1)
	release := make(chan struct{})
	releaseAll := sync.OnceFunc(func() { close(release) })
	defer releaseAll()
	echoes, pours := endpoint.Serve(t, endpoint.Echo), endpoint.Serve(t, func(c *net.TCPConn) { _, _ = c.Write(pattern) })
	swallows := endpoint.Serve(t, func(c *net.TCPConn) {
		<-release
		all, _ := io.ReadAll(c)
		if len(all) == 0 {
			return // a health check
		}
		received <- all
		fmt.Fprintln(c, "thanks")
	})
	front, back := on.frontend(), on.backend()
	text := frontendText("echo", anyPort, "tcp", "b", front) + backendText("b", []string{on.back(echoes.Address)}, back) +
		frontendText("mcp", "127.0.0.2:0", "mcp", "b", front) +
		frontendText("pour", "127.0.0.3:0", "tcp", "p", front) + backendText("p", []string{on.back(pours.Address)}, back) +
		frontendText("swallow", "127.0.0.4:0", "tcp", "s", front) + backendText("s", []string{on.back(swallows.Address)}, back)
	r := startOld(t, text)
	idle, half, line := dial(t, on.front(r.address("echo"))), dial(t, on.front(r.address("swallow"))), dial(t, on.front(r.address("mcp")))
	slow := dial(t, on.front(r.address("pour")))
	idle.Ask("hello")
	line.Ask("one")
	line.Say("tw")
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = half.Write(pattern)
		_ = half.CloseWrite()
	})
	r.eventually("both transfers are blocked", func() bool {
		shown := r.Snapshot()
		return shown.Frontends[2].Traffic.BytesOut > 1<<16 && shown.Frontends[3].Traffic.BytesIn > 1<<16
	})
	h := r
	for range 3 {
		h = h.upgrade(text)
	}
	t.Cleanup(func() { _ = h.stop() })
	idle.Ask("still here")
	line.Say("o\n")
	if answer, _ := line.Reader.ReadString('\n'); answer != "two\n" {
		t.Errorf("the divided line comes back as %q", answer)
	}
	if n := h.frontend("mcp").Traffic.MessagesIn; n != 2 {
		t.Errorf("%d messages are counted, want 2", n)
	}
	if got, err := io.ReadAll(slow.Reader); err != nil || !bytes.Equal(got, pattern) {
		t.Errorf("the slow client got %d bytes, %v; or others", len(got), err)
	}
	releaseAll()
	if got := endpoint.Receive(t, received); !bytes.Equal(got, pattern) {
		t.Errorf("the slow server got %d bytes, or others", len(got))
	}
	if answer, err := half.Reader.ReadString('\n'); answer != "thanks\n" {
		t.Errorf("the half-closed client got %q, %v", answer, err)
	}
	sending.Wait()
	for _, c := range []*client{idle, half, line, slow} {
		c.Close()
	}
	h.empty()
}

// A transfer at full speed moves through process after process, and arrives
// unchanged.
func TestHandOverInFullFlow(t *testing.T) {
	t.Parallel()
	overTransports(t, handOverInFullFlow)
}

func handOverInFullFlow(t *testing.T, on *transports) {
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b", on.frontend()) + backendText("b", []string{on.back(s.Address)}, on.backend())
	r := startOld(t, text)
	c := dial(t, on.front(r.address("f")))
	stop := make(chan struct{})
	var sent, got [sha256.Size]byte
	var working sync.WaitGroup
	working.Go(func() {
		sum, p := sha256.New(), make([]byte, 200_000)
		random := rand.New(rand.NewPCG(1, 2))
		for running := true; running; {
			select {
			case <-stop:
				running = false
			default:
			}
			for i := range p {
				p[i] = byte(random.Uint32())
			}
			if _, err := c.Write(p); err != nil {
				t.Errorf("sending: %v", err)
				return
			}
			sum.Write(p)
		}
		_ = c.CloseWrite()
		sum.Sum(sent[:0])
	})
	working.Go(func() {
		sum := sha256.New()
		if _, err := io.Copy(sum, c.Reader); err != nil {
			t.Errorf("receiving: %v", err)
		}
		sum.Sum(got[:0])
	})
	h := r
	upgrades := 12
	if on.clients || on.servers {
		upgrades = 4 // at a tenth of the speed where the race detector runs
	}
	for range upgrades {
		before := h.frontend("f").Traffic.BytesOut
		h.eventually("bytes flow", func() bool { return h.frontend("f").Traffic.BytesOut > before+1<<20 })
		h = h.upgrade(text)
	}
	t.Cleanup(h.end)
	close(stop)
	working.Wait()
	if sent != got {
		t.Error("what came back is not what was sent")
	}
}

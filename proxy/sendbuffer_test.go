package proxy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"

	"golang.org/x/sys/unix"
)

// TestStalledReader sends without end to a client that has read fast and then stops:
// the kernel holds no more for it than send_buffer. Otherwise it holds up to 4 MB each,
// and some thousand clients that stop reading take all memory.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"tcp", "mcp", "http"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			stalled := make(chan struct{})
			s := endpoint.Serve(t, func(c *net.TCPConn) { flood(c, mode, stalled) })
			text := frontendText("f", anyPort, mode, "b") + "[[backend.b.server]]\nname = \"s1\"\ntcp = \"" + s.Address + "\"\nhttp = \"" + s.Address + "\"\n"
			r := start(t, text)
			address := r.address("f")
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			p := make([]byte, 1<<20)
			for read := 0; read < 16<<20; {
				n, err := c.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				read += n
			}
			endpoint.Receive(t, stalled)
			r.eventually("bytes wait to be sent to the client", func() bool { return waitingToBeSent(t, address) >= 16<<10 })
			if waiting := waitingToBeSent(t, address); waiting > 600<<10 {
				t.Errorf("%d bytes wait to be sent to the client", waiting)
			}
		})
	}
}

// flood sends until the other side has taken nothing for a while.
func flood(c *net.TCPConn, mode string, stalled chan<- struct{}) {
	line := strings.Repeat("x", 4095) + "\n"
	if mode == "mcp" {
		line = `{"jsonrpc":"2.0","method":"notifications/x","params":"` + strings.Repeat("x", 4000) + "\"}\n"
	}
	asked, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || asked == "" {
		return // a check
	}
	if mode == "http" {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", int64(1)<<40)
	}
	for {
		_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.Write([]byte(strings.Repeat(line, 16))); err != nil {
			break
		}
	}
	close(stalled)
	_, _ = c.Read(make([]byte, 1)) // until the client has gone
}

// waitingToBeSent returns the bytes in the send queue of the one connection to a
// listener at address (proc(5), /proc/net/tcp).
func waitingToBeSent(t *testing.T, address string) (waiting int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip(err)
	}
	a := netip.MustParseAddrPort(address)
	ip := a.Addr().As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), a.Port())
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[1] != local || fields[3] != "01" { // ESTABLISHED
			continue
		}
		if _, err := fmt.Sscanf(fields[4], "%X:", &waiting); err != nil {
			t.Fatal(err)
		}
	}
	return waiting
}

// TestApplySendBuffer checks that a reload changes the bound for new clients, also back
// to the kernel's own.
func TestApplySendBuffer(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := func(n string) string {
		return frontendText("f", anyPort, "tcp", "b", n) + backendText("b", []string{s.Address})
	}
	r := start(t, text(""))
	for n, want := range map[string]int{"": 419430, "send_buffer = '100k'": 81920, "send_buffer = 0": 0} {
		r.apply(text(n))
		file, err := r.listeners.active[0].File()
		if err != nil {
			t.Fatal(err)
		}
		got, err := unix.GetsockoptInt(int(file.Fd()), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
		file.Close()
		if err != nil || got != want {
			t.Errorf("%q: the listener has %d, %v, want %d", n, got, err, want)
		}
	}
}

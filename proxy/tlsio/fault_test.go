package tlsio

import (
	"crypto/tls"
	"io"
	"sync/atomic"
	"testing"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// TestFaults has the kernel refuse the nth read or write of the balancer's, in
// the handshake and behind it: the connection is broken then, for both sides,
// and whatever it held is given back.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"read", "write"} {
		for n := range int64(6) {
			system := reactor.Kernel()
			var calls atomic.Int64
			refused := func() bool { return calls.Add(1) > n }
			if read := system.Read; call == "read" {
				system.Read = func(fd int, p []byte) (int, unix.Errno) {
					if refused() {
						return 0, unix.ECONNRESET
					}
					return read(fd, p)
				}
			}
			if write := system.Write; call == "write" {
				system.Write = func(fd int, p []byte) (int, unix.Errno) {
					if refused() {
						return 0, unix.ECONNRESET
					}
					return write(fd, p)
				}
			}
			b := begin(t, system, usual(t))
			conn := tls.Client(b.dialRaw(), b.client())
			whole := true
			for range 6 { // more than is let pass
				if _, err := conn.Write([]byte("hello")); err != nil {
					whole = false
					break
				}
				if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
					whole = false
					break
				}
			}
			if whole {
				t.Errorf("%s %d is refused, and the client does not notice", call, n)
			}
			conn.NetConn().Close()
			b.eventually("the connection ends", func() bool { return b.engine.Load() == 0 })
		}
	}
}

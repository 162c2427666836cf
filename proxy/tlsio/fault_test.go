package tlsio

import (
	"crypto/tls"
	"io"
	"sync/atomic"
	"testing"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// TestFaults makes the nth read or write of the balancer fail, during the
// handshake and after it: the connection is then broken for both sides, and
// everything it held is released.
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
			complete := true
			for range 6 { // more than are allowed to succeed
				if _, err := conn.Write([]byte("hello")); err != nil {
					complete = false
					break
				}
				if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
					complete = false
					break
				}
			}
			if complete {
				t.Errorf("%s %d fails, and the client does not notice", call, n)
			}
			conn.NetConn().Close()
			b.eventually("the connection ends", func() bool { return b.engine.Load() == 0 })
		}
	}
}

package tlsio

import (
	"net"
	"time"
)

// wire is what crypto/tls takes for its network: memory. While the handshake
// runs, on a goroutine of its own, that waits in Read; afterwards Read says
// errMore where what the loop has read ends. Only Read and Write mean anything.
type wire struct {
	worker    *worker
	handshake *handshake // nil: the loop drives
	records   framer
	in        []byte // what was read and not taken yet; the loop's alone
}

// Read implements net.Conn: at most the rest of one record.
func (w *wire) Read(p []byte) (int, error) {
	if w.handshake != nil {
		return w.handshake.read(p, &w.records)
	}
	if len(w.in) == 0 {
		return 0, errMore
	}
	n := w.records.take(w.in[:min(len(p), len(w.in))])
	copy(p, w.in[:n])
	w.in = w.in[n:]
	return n, nil
}

// Write implements net.Conn: it never fails.
func (w *wire) Write(p []byte) (int, error) {
	if w.handshake != nil {
		w.handshake.write(p)
	} else {
		w.worker.out = append(w.worker.out, p...)
	}
	return len(p), nil
}

func (*wire) Close() error                     { return nil }
func (*wire) LocalAddr() net.Addr              { return nil }
func (*wire) RemoteAddr() net.Addr             { return nil }
func (*wire) SetDeadline(time.Time) error      { return nil }
func (*wire) SetReadDeadline(time.Time) error  { return nil }
func (*wire) SetWriteDeadline(time.Time) error { return nil }

// moreError says that nothing more has come yet. It is temporary (net.Error):
// after such an error crypto/tls reads on.
type moreError struct{}

func (moreError) Error() string   { return "the rest has not come yet" }
func (moreError) Timeout() bool   { return true }
func (moreError) Temporary() bool { return true }

var errMore error = moreError{}

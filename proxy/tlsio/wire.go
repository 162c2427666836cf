package tlsio

import (
	"net"
	"time"
)

// wire is the network connection of crypto/tls: memory. During the handshake,
// its goroutine blocks in Read; afterwards Read returns errMore at the end of
// the bytes that the loop has read. The other methods do nothing.
type wire struct {
	worker    *worker
	handshake *handshake // nil: the loop drives
	records   framer
	secrets   secrets // that crypto/tls reports during the handshake
	in        []byte  // read, not taken yet; only the loop uses it
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

// moreError says that no more bytes have arrived yet. It is temporary
// (net.Error): crypto/tls continues to read after it.
type moreError struct{}

func (moreError) Error() string   { return "no more bytes have arrived yet" }
func (moreError) Timeout() bool   { return true }
func (moreError) Temporary() bool { return true }

var errMore error = moreError{}

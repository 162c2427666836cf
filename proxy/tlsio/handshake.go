package tlsio

import (
	"crypto/tls"
	"io"
	"sync"

	"mcplb/proxy/reactor"
)

// mostAhead is how many bytes of a client's are read before its handshake has
// asked for them.
const mostAhead = 16 << 10

// handshake is what the loop and the goroutine of a handshake share.
type handshake struct {
	loop   *reactor.Loop
	tokens chan struct{} // of the Workers
	flush  func()        // on the loop: sends what was written
	feed   func()        // on the loop: reads on
	more   chan struct{} // holds one when something has come, or the end

	mu      sync.Mutex // guards what follows
	in      []byte     // read and not taken yet
	out     []byte     // written and not sent yet
	end     error      // why nothing more comes
	posted  bool       // flush is on its way
	stalled bool       // the loop reads on only when something was taken
}

// run is the handshake's goroutine; ended is called on the loop.
func (h *handshake) run(conn *tls.Conn, ended func(error)) {
	h.tokens <- struct{}{}
	err := conn.Handshake()
	<-h.tokens
	h.loop.Post(func() { ended(err) })
}

// read is the wire's Read. While it waits, others may compute.
func (h *handshake) read(p []byte, records *framer) (int, error) {
	for {
		n, err := h.take(p, records)
		if n > 0 || err != nil {
			return n, err
		}
		<-h.tokens
		<-h.more
		h.tokens <- struct{}{}
	}
}

// take takes what has come, up to the end of a record.
func (h *handshake) take(p []byte, records *framer) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in) == 0 {
		return 0, h.end
	}
	n := records.take(h.in[:min(len(p), len(h.in))])
	copy(p, h.in[:n])
	h.in = h.in[n:]
	if h.stalled {
		h.stalled = false
		h.loop.Post(h.feed)
	}
	return n, nil
}

// write is the wire's Write.
func (h *handshake) write(p []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.out = append(h.out, p...)
	if !h.posted {
		h.posted = true
		h.loop.Post(h.flush)
	}
}

// room is how much more may be read; when there is none, feed will be posted.
func (h *handshake) room() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stalled = len(h.in) >= mostAhead
	return max(mostAhead-len(h.in), 0)
}

// arrived hands bytes to the goroutine.
func (h *handshake) arrived(p []byte) {
	h.mu.Lock()
	h.in = append(h.in, p...)
	h.mu.Unlock()
	h.wake()
}

// finish says that nothing more comes. The first reason counts.
func (h *handshake) finish(reason error) {
	h.mu.Lock()
	if h.end == nil {
		h.end = reason
	}
	h.mu.Unlock()
	h.wake()
}

// cancel ends the goroutine: its connection is closed.
func (h *handshake) cancel() {
	h.mu.Lock()
	h.in, h.end = nil, io.ErrClosedPipe
	h.mu.Unlock()
	h.wake()
}

func (h *handshake) wake() {
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// written takes what is to be sent.
func (h *handshake) written() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.out
	h.out, h.posted = nil, false
	return p
}

// left is what the goroutine, which has ended, did not take, and why nothing
// more came, if so.
func (h *handshake) left() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.in, h.end
}

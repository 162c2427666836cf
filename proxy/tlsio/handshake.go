package tlsio

import (
	"io"
	"sync"

	"mcplb/proxy/reactor"
)

// maxAhead is the most bytes that are read from a client before its handshake
// requests them.
const maxAhead = 16 << 10

// handshake is the state shared by the loop and the goroutine of a handshake.
type handshake struct {
	loop   *reactor.Loop
	tokens chan struct{} // of the Workers
	flush  func()        // on the loop: sends the bytes written
	feed   func()        // on the loop: reads more
	more   chan struct{} // holds a token when bytes have arrived, or the end

	mu      sync.Mutex // guards the fields below
	in      []byte     // received, not taken yet
	out     []byte     // written, not sent yet
	sent    []byte     // written since the beginning
	end     error      // why no more bytes come
	posted  bool       // flush has been posted
	stalled bool       // the loop has stopped reading until bytes are taken
}

// run is the handshake's goroutine; it calls ended on the loop, with the layer that
// continues, if one does.
func (h *handshake) run(l *library, ended func(*layer, error)) {
	var made *layer
	h.tokens <- struct{}{}
	err := l.tls.Handshake()
	if err == nil {
		state := l.tls.ConnectionState()
		made = newLayer(&state, &l.wire.secrets, l.client, h.everything())
	}
	<-h.tokens
	h.loop.Post(func() { ended(made, err) })
}

// read is the wire's Read. It lets other handshakes compute while it waits.
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

// take takes received bytes, up to the end of a record.
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
	h.sent = append(h.sent, p...)
	if !h.posted {
		h.posted = true
		h.loop.Post(h.flush)
	}
}

// room returns how many bytes may be read; if it is 0, feed is posted later.
func (h *handshake) room() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stalled = len(h.in) >= maxAhead
	return max(maxAhead-len(h.in), 0)
}

// arrived passes received bytes to the goroutine.
func (h *handshake) arrived(p []byte) {
	h.mu.Lock()
	h.in = append(h.in, p...)
	h.mu.Unlock()
	h.wake()
}

// finish says that no more bytes will come. The first reason counts.
func (h *handshake) finish(reason error) {
	h.mu.Lock()
	if h.end == nil {
		h.end = reason
	}
	h.mu.Unlock()
	h.wake()
}

// cancel ends the goroutine because the connection is closed.
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

// written takes the bytes to be sent.
func (h *handshake) written() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.out
	h.out, h.posted = nil, false
	return p
}

// everything returns what was written since the beginning.
func (h *handshake) everything() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}

// left returns the bytes that the goroutine, which has ended, has not taken,
// and why no more came, if so.
func (h *handshake) left() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.in, h.end
}

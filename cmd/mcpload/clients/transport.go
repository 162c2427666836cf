package clients

import "bytes"

// transport carries a client's JSON-RPC messages to its server without knowing
// their meaning. It notifies its client (client.connected, received, writable and
// lose).
type transport interface {
	// open starts to connect.
	open()
	// ready reports whether a message may be sent now. The client is notified when
	// this becomes true again (client.writable).
	ready() bool
	// send sends one message, which does not end with a newline.
	send(message []byte)
	// close closes every connection. The transport may be opened again.
	close()
}

// newTransport returns a transport for a client's kind.
func newTransport(c *client) transport {
	wire := wire{client: c}
	switch c.kind {
	case HTTP, HTTPS, H2, H2C:
		t := &httpTransport{poster: poster{wire: wire}}
		t.wire.protocol = t
		return t
	case WS:
		t := &wsTransport{wire: wire}
		t.wire.protocol = t
		return t
	case SSE:
		t := &sseTransport{wire: wire, posts: ssePosts{poster{wire: wire}}}
		t.wire.protocol, t.posts.wire.protocol = t, &t.posts
		return t
	default:
		t := &lineTransport{wire: wire}
		t.wire.protocol = t
		return t
	}
}

// lineTransport is the transport of TCP and TLS.
type lineTransport struct{ wire wire }

func (t *lineTransport) open()       { t.wire.dial() }
func (t *lineTransport) ready() bool { return t.wire.up }
func (t *lineTransport) close()      { t.wire.close() }

func (t *lineTransport) send(message []byte) {
	w := t.wire.client.worker
	w.request = append(append(w.request[:0], message...), '\n')
	t.wire.send(w.request)
}

func (t *lineTransport) onConnect(*wire) { t.wire.client.connected() }

func (t *lineTransport) onEOF(*wire) { t.wire.client.lose(closedByServer) }

func (t *lineTransport) onData(w *wire, p []byte) {
	rest := w.withPending(p)
	for w.up {
		line, after, complete := bytes.Cut(rest, newline)
		if !complete {
			break
		}
		rest = after
		if line = bytes.TrimSuffix(line, carriageReturn); len(line) > 0 {
			w.client.received(line)
		}
	}
	switch {
	case !w.up: // lost by one of the messages
	case len(rest) > MaxMessage:
		w.client.lose(answerTooLong)
	default:
		w.keep(rest)
	}
}

var (
	newline        = []byte("\n")
	carriageReturn = []byte("\r")
)

// Reasons of losses that several transports have.
const (
	closedByServer = "closed by the server"
	answerTooLong  = "answer too long"
)

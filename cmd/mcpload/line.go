package main

import "bytes"

// maxMessage bounds an answer; a longer one loses the client.
const maxMessage = 16 << 20

// transport carries a client's JSON-RPC messages to its server. It tells its
// client (client.carries, received, free and lose) and knows nothing of what
// the messages mean. All of it runs on the client's loop.
type transport interface {
	// open begins to connect.
	open()
	// ready says that a message may be sent now. When it becomes true again the
	// client is told (client.free).
	ready() bool
	// send sends one message, a line without its end.
	send(message []byte)
	// close takes every connection down. It may be opened again.
	close()
}

// lines is the transport of kindTCP and kindTLS.
type lines struct{ wire wire }

func (l *lines) open()       { l.wire.dial() }
func (l *lines) ready() bool { return l.wire.up }
func (l *lines) close()      { l.wire.close() }

func (l *lines) send(message []byte) {
	l.wire.send(append(message, '\n'))
}

func (l *lines) connected(*wire) { l.wire.client.carries() }

func (l *lines) ended(*wire) { l.wire.client.lose("closed by the server") }

func (l *lines) arrived(w *wire, p []byte) {
	rest := w.whole(p)
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
	case !w.up: // lost on the way
	case len(rest) > maxMessage:
		w.client.lose("answer too long")
	default:
		w.keep(rest)
	}
}

var (
	newline        = []byte("\n")
	carriageReturn = []byte("\r")
)

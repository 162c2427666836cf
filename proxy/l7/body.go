package l7

import (
	"mcplb/proxy/http1"
)

// Body is a message's body on its way through: how much of it is still to come.
type Body struct {
	Framing http1.Framing
	Done    bool
	Left    int64 // FramingLength: bytes to come
	Chunked http1.Chunked
}

// begin prepares b for a body of the given framing.
func (b *Body) begin(framing http1.Framing, length int64, trailers http1.Trailers) {
	b.Framing, b.Left, b.Done = framing, length, framing == http1.FramingNone
	b.Chunked = http1.Chunked{Trailers: trailers}
}

// chunked reports whether the body is in the chunked coding, and not over.
func (b *Body) chunked() bool { return b.Framing == http1.FramingChunked && !b.Done }

// inTrailers reports whether the next bytes belong to trailers.
func (b *Body) inTrailers() bool { return b.chunked() && b.Chunked.InTrailers() }

// pass returns how many bytes of p belong to the body: to its trailers, if there are
// any. A reason says that the byte behind them cannot.
func (b *Body) pass(p []byte) (n int, reason http1.Reason) {
	if b.chunked() {
		n, reason = b.Chunked.Pass(p)
		b.Done = b.Chunked.Done()
		return n, reason
	}
	return b.plain(len(p)), http1.ReasonNone
}

// next returns the first piece of the body's data in p, without its framing,
// and how many bytes of p were read for it. Call it again with the rest of p
// until there is none, or the body is done, or in its trailers.
func (b *Body) next(p []byte) (data []byte, n int, reason http1.Reason) {
	if b.chunked() {
		data, n, reason = b.Chunked.NextData(p)
		b.Done = b.Chunked.Done()
		return data, n, reason
	}
	n = b.plain(len(p))
	return p[:n], n, http1.ReasonNone
}

// appendTrailers appends what of p, which begins in the trailers, is passed on, and
// returns how many bytes of p belong to them.
func (b *Body) appendTrailers(dst, p []byte) (out []byte, n int, reason http1.Reason) {
	out, n, reason = b.Chunked.AppendTrailers(dst, p)
	b.Done = b.Chunked.Done()
	return out, n, reason
}

// plain returns how many of n bytes belong to a body that is not chunked.
func (b *Body) plain(n int) int {
	switch {
	case b.Done:
		return 0
	case b.Framing == http1.FramingLength:
		n = int(min(int64(n), b.Left))
		b.Left -= int64(n)
		b.Done = b.Left == 0
	}
	return n
}

// size is how many bytes of data the body is known to have so far.
func (b *Body) size() int64 {
	if b.Framing == http1.FramingChunked {
		return b.Chunked.Size()
	}
	return 0
}

// scan feeds scanner with the data of a piece of the body, and returns how many
// bytes of p belong to the body.
func (b *Body) scan(p []byte, scanner interface{ Feed([]byte) }) (size int, reason http1.Reason) {
	for size < len(p) && !b.Done && reason == http1.ReasonNone {
		var data []byte
		var n int
		if b.inTrailers() {
			_, n, reason = b.Chunked.Next(p[size:]) // none of them is passed on
			b.Done = b.Chunked.Done()
		} else {
			data, n, reason = b.next(p[size:])
		}
		scanner.Feed(data)
		size += n
	}
	return size, reason
}

// pass returns what of p belongs to the body, as it is passed on, and how many bytes
// of p that are. It is a part of p or, with trailers, of the worker's memory: good
// until the worker passes or encodes the next piece.
func (w *worker) pass(b *Body, p []byte) (out []byte, n int, reason http1.Reason) {
	n, reason = b.pass(p)
	if reason != http1.ReasonNone || !b.inTrailers() {
		return p[:n], n, reason
	}
	w.made = append(w.made[:0], p[:n]...)
	out, more, reason := b.appendTrailers(w.made, p[n:])
	w.made = out[:0]
	return out, n + more, reason
}

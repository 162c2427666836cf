package l7

import "mcplb/proxy/http1"

// body is a message's body on its way through: how much of it is still to come.
type body struct {
	framing http1.Framing
	done    bool
	left    int64 // FramingLength: bytes to come
	chunked http1.Chunked
}

// begin readies b for a body of the given framing.
func (b *body) begin(framing http1.Framing, length int64) {
	b.framing, b.left, b.done = framing, length, framing == http1.FramingNone
	if framing == http1.FramingChunked {
		b.chunked = http1.Chunked{}
	}
}

// pass tells how many bytes of p belong to the body. A reason says that the
// byte behind them cannot.
func (b *body) pass(p []byte) (n int, reason http1.Reason) {
	if b.framing == http1.FramingChunked && !b.done {
		n, reason = b.chunked.Pass(p)
		b.done = b.chunked.Done()
		return n, reason
	}
	return b.plain(len(p)), http1.ReasonNone
}

// next returns the first piece of the body's data in p, without its framing,
// and how many bytes of p were read for it. Call it again with the rest of p
// until there is none, or the body is done.
func (b *body) next(p []byte) (data []byte, n int, reason http1.Reason) {
	if b.framing == http1.FramingChunked && !b.done {
		data, n, reason = b.chunked.Next(p)
		b.done = b.chunked.Done()
		return data, n, reason
	}
	n = b.plain(len(p))
	return p[:n], n, http1.ReasonNone
}

// plain tells how many of n bytes belong to a body that is not chunked.
func (b *body) plain(n int) int {
	switch {
	case b.done:
		return 0
	case b.framing == http1.FramingLength:
		n = int(min(int64(n), b.left))
		b.left -= int64(n)
		b.done = b.left == 0
	}
	return n
}

// size is how many bytes of data the body is known to have so far.
func (b *body) size() int64 {
	if b.framing == http1.FramingChunked {
		return b.chunked.Size()
	}
	return 0
}

//go:build linux

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
	if b.done {
		return 0, http1.ReasonNone
	}
	switch b.framing {
	case http1.FramingLength:
		n = int(min(int64(len(p)), b.left))
		b.left -= int64(n)
		b.done = b.left == 0
	case http1.FramingChunked:
		n, reason = b.chunked.Pass(p)
		b.done = b.chunked.Done()
	case http1.FramingClose:
		n = len(p)
	}
	return n, reason
}

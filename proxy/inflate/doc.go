// Package inflate decodes bodies in gzip and deflate that come in pieces:
//
//	decoder := inflate.New(inflate.Gzip)
//	for {
//		p := read()
//		out, err = decoder.Append(out[:0], p)
//		forward(out)
//	}
//
// It never waits: what a piece allows to decode is there at once, so that an event
// stream remains one. What is unfinished can move to another process. The libraries
// that decode these formats read from an io.Reader, which waits for the next piece.
//
// The package guarantees that no input makes it panic, that a Decoder holds a fixed
// number of bytes, and that its results do not depend on how a body is split into
// pieces. It does not bound what one piece decodes to: see MostRatio.
//
//	inflate.go   Decoder: containers (RFC 1950, RFC 1952) and checksums
//	block.go     blocks of the deflate format (RFC 1951)
//	huffman.go   their codes
//	state.go     a Decoder's state as bytes
package inflate

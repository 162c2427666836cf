package http1

import (
	"math"
	"strconv"
)

// Chunked reads one body in the chunked coding (RFC 9112 section 7.1), in
// pieces of any size, from the first byte after the head to the end of the
// trailer section. The zero value is ready for the first byte; reset it to the
// zero value for the next body. It holds a few dozen bytes, none of them body
// data.
//
// A proxy that passes the coding on unchanged calls Pass: it accepts exactly
// the grammar, so that the next reader finds the same chunks. A proxy that
// needs the data calls NextData. Both stop before trailers, if there are any:
// AppendTrailers reads them and leaves out those that must not be passed on. A
// reader that needs the data only calls Next, which skips the trailers.
//
// White space is allowed nowhere in a chunk's line, not even where RFC 9112
// tolerates it from old senders (BWS); lines end with CRLF; a size has at most
// 16 digits. Extensions may exceed the data by 4 KiB, and the trailer section may
// have 8 KiB.
//
// The state transitions:
//
//	state        byte          next
//	size         hex digit     size
//	             ;             extName      } after the first digit
//	             CR            sizeLF       }
//	extName      tchar         extName
//	             =             extValue     } after the first tchar
//	             ; CR          as in size   }
//	extValue     "             quoted       } as the first byte
//	             tchar         extToken
//	extToken     tchar         extToken
//	             ; CR          as in size
//	quoted       "             quotedEnd
//	             \             escaped
//	             value byte    quoted
//	escaped      value byte    quoted
//	quotedEnd    ; CR          as in size
//	sizeLF       LF            data; line if the size was zero
//	data         any           data; after the last byte of the chunk dataCR
//	dataCR       CR            dataLF
//	dataLF       LF            size
//	line         CR            endLF
//	             any other     trailerName   } the byte is read in that state
//	endLF        LF            done
//	trailerName  tchar         trailerName
//	             :             trailerValue
//	trailerValue value byte    trailerValue
//	             CR            trailerValueLF
//	trailerValueLF  LF         trailerLine
//	trailerLine  tchar         trailerName
//	             CR            trailerEndLF
//	trailerEndLF LF            done
//	done         (final)
//	failed       (final)
//
// Every other byte leads to failed.
type Chunked struct {
	// Trailers says which trailers are passed on. It may be changed until the
	// first of them is read.
	Trailers Trailers

	state      chunkState
	reason     Reason // why it failed; otherwise ReasonNone
	digits     uint8  // digits of the size so far
	started    bool   // the part of an extension being read has its first byte
	dropped    bool   // the trailer being read is left out
	nameSize   uint8  // bytes of the trailer's name; maxName+1: longer than any known
	name       [maxName]byte
	extensions uint16 // bytes of extensions in excess of the data
	trailers   uint16 // bytes of the trailer section
	left       int64  // data of this chunk still to come; in state size, the value of its digits
	size       int64  // data of all chunks announced so far
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtName
	chunkExtValue
	chunkExtToken
	chunkQuoted
	chunkEscaped
	chunkQuotedEnd
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkLine
	chunkEndLF
	trailerName
	trailerValue
	trailerValueLF
	trailerLine
	trailerEndLF
	chunkDone
	chunkFailed
)

// Done reports whether the body has ended, trailers included.
func (c *Chunked) Done() bool { return c.state == chunkDone }

// Ended reports whether all data has come: only trailers, or the end of the trailer
// section, can follow.
func (c *Chunked) Ended() bool { return c.state >= chunkLine && c.state <= chunkDone }

// InTrailers reports whether the next bytes belong to trailers, which AppendTrailers
// reads.
func (c *Chunked) InTrailers() bool { return c.state >= trailerName && c.state < chunkDone }

// Size returns the number of bytes of data in the chunks announced so far: a
// chunk counts as soon as its line is read, before its data.
func (c *Chunked) Size() int64 { return c.size }

// Pass continues with p, and returns how many bytes of p belong to the body:
// all of them unless the body ends in p (see Done), or trailers begin (see
// InTrailers). A reason says that the next byte, or what it completes, violates
// the chunked coding: the rest of the body is unreadable, and only the bytes
// before it may be passed on.
func (c *Chunked) Pass(p []byte) (int, Reason) {
	for n := 0; ; {
		_, size, r := c.NextData(p[n:])
		n += size
		if size == 0 || r != ReasonNone {
			return n, r
		}
	}
}

// Next continues with p up to the end of the first piece of data, and returns
// that piece, a part of p, and how many bytes of p it read. There is no data if
// p or the body (see Done) ends before. Call it again with the rest of p until
// none is left, or Done. It reads trailers and ignores them. Reasons are those of
// Pass.
func (c *Chunked) Next(p []byte) (data []byte, n int, r Reason) {
	data, n, r = c.NextData(p)
	for n < len(p) && c.InTrailers() {
		if _, r = c.stepTrailer(p[n]); r != ReasonNone {
			c.state, c.reason = chunkFailed, r
			break
		}
		n++
	}
	return data, n, r
}

// NextData is Next, but stops before the first trailer (see InTrailers).
func (c *Chunked) NextData(p []byte) (data []byte, n int, r Reason) {
	for n < len(p) && c.state <= chunkEndLF {
		if c.state == chunkData {
			end := n + int(min(c.left, int64(len(p)-n)))
			c.left -= int64(end - n)
			if c.left == 0 {
				c.state = chunkDataCR
			}
			return p[n:end], end, ReasonNone
		}
		if c.state == chunkLine && p[n] != '\r' {
			c.state, c.nameSize, c.dropped = trailerName, 0, false
			return nil, n, ReasonNone
		}
		if r := c.step(p[n]); r != ReasonNone {
			c.state, c.reason = chunkFailed, r
			return nil, n, r
		}
		n++
	}
	return nil, n, c.reason
}

// step handles one byte outside the data.
func (c *Chunked) step(b byte) Reason {
	switch {
	case c.state == chunkSize:
		return c.stepSize(b)
	case c.state < chunkSizeLF:
		return c.stepExtension(b)
	}
	return c.stepEnd(b)
}

// stepSize handles a byte of a chunk's size.
func (c *Chunked) stepSize(b byte) Reason {
	if !is(b, isHex) {
		if c.digits == 0 {
			return bareLFOr(b, ReasonChunkSize)
		}
		return c.endExtension(b, ReasonChunkSize)
	}
	if c.digits == 16 || c.left > math.MaxInt64>>4 {
		return ReasonChunkSize
	}
	c.digits++
	c.left = c.left<<4 | int64(hexValue(b))
	return ReasonNone
}

func hexValue(b byte) byte {
	if is(b, isDigit) {
		return b - '0'
	}
	return b | 0x20 - 'a' + 10
}

// stepExtension handles a byte of a chunk extension.
func (c *Chunked) stepExtension(b byte) Reason {
	if c.extensions++; c.extensions > maxExtensions {
		return ReasonExtensionSize
	}
	switch c.state {
	case chunkExtValue:
		return c.stepExtValue(b)
	case chunkQuoted, chunkEscaped:
		return c.stepQuoted(b)
	case chunkQuotedEnd:
		return c.endExtension(b, ReasonExtension)
	}
	switch { // extName, extToken
	case is(b, isToken):
		c.started = true
	case !c.started:
		return bareLFOr(b, ReasonExtension)
	case b == '=' && c.state == chunkExtName:
		c.state = chunkExtValue
	default:
		return c.endExtension(b, ReasonExtension)
	}
	return ReasonNone
}

// stepExtValue handles the first byte of an extension's value.
func (c *Chunked) stepExtValue(b byte) Reason {
	switch {
	case b == '"':
		c.state = chunkQuoted
	case is(b, isToken):
		c.state = chunkExtToken
	default:
		return bareLFOr(b, ReasonExtension)
	}
	return ReasonNone
}

// stepQuoted handles a byte of a quoted value.
func (c *Chunked) stepQuoted(b byte) Reason {
	switch {
	case !is(b, isValue):
		return bareLFOr(b, ReasonExtension)
	case c.state == chunkEscaped:
		c.state = chunkQuoted
	case b == '"':
		c.state = chunkQuotedEnd
	case b == '\\':
		c.state = chunkEscaped
	}
	return ReasonNone
}

// endExtension handles a byte after a size or an extension.
func (c *Chunked) endExtension(b byte, other Reason) Reason {
	switch b {
	case ';':
		c.state, c.started = chunkExtName, false
	case '\r':
		c.state = chunkSizeLF
	default:
		return bareLFOr(b, other)
	}
	return ReasonNone
}

// stepEnd handles a byte at the end of a chunk's line or data, or of the body.
func (c *Chunked) stepEnd(b byte) Reason {
	switch c.state {
	case chunkSizeLF:
		if b != '\n' {
			return ReasonBareCR
		}
		return c.beginChunk()
	case chunkDataCR:
		if b != '\r' {
			return bareLFOr(b, ReasonChunkEnd)
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return ReasonBareCR
		}
		c.state, c.digits = chunkSize, 0
	case chunkLine:
		c.state = chunkEndLF // NextData has seen that it is CR
	case chunkEndLF:
		if b != '\n' {
			return ReasonBareCR
		}
		c.state = chunkDone
	}
	return ReasonNone
}

// beginChunk begins the data of the chunk whose line was read, or after the
// last chunk, the trailer section.
func (c *Chunked) beginChunk() Reason {
	if c.left == 0 {
		c.state = chunkLine
		return ReasonNone
	}
	if c.size > math.MaxInt64-c.left {
		return ReasonChunkSize
	}
	c.size += c.left
	c.extensions -= uint16(min(int64(c.extensions), c.left))
	c.state = chunkData
	return ReasonNone
}

// LastChunk ends a body in the chunked coding, without trailers.
const LastChunk = LastChunkLine + "\r\n"

// LastChunkLine ends the data of a body in the chunked coding; the trailer section
// follows.
const LastChunkLine = "0\r\n"

// ChunkEnd follows the data of every chunk.
const ChunkEnd = "\r\n"

// MaxChunkHeader is the most that AppendChunkHeader appends, in bytes.
const MaxChunkHeader = 18

// AppendChunkHeader appends the line before n bytes of data in the chunked
// coding; ChunkEnd follows the data. n must be positive: an empty chunk is the
// last.
func AppendChunkHeader(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendChunk appends data as one chunk; nothing if data is empty.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkHeader(dst, len(data))
	dst = append(dst, data...)
	return append(dst, ChunkEnd...)
}

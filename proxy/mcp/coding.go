package mcp

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// Coding is the content coding of a body (RFC 9110, section 8.4.1).
type Coding uint8

// The codings. CodingUnknown is any other, or several.
const (
	CodingNone Coding = iota
	CodingGzip
	CodingDeflate
	CodingUnknown
)

// CodingOf returns the coding that the value of Content-Encoding names; nil, or an
// empty value, is none.
func CodingOf(value []byte) Coding {
	value = bytes.Trim(value, " \t")
	switch {
	case len(value) == 0, bytes.EqualFold(value, []byte("identity")):
		return CodingNone
	case bytes.EqualFold(value, []byte("gzip")), bytes.EqualFold(value, []byte("x-gzip")):
		return CodingGzip
	case bytes.EqualFold(value, []byte("deflate")):
		return CodingDeflate
	}
	return CodingUnknown
}

// asciiCharsets are the charsets of a Content-Type in which a body of ASCII means
// itself, and one that is valid UTF-8 is a Reader's to judge.
var asciiCharsets = [...]string{"utf-8", "utf8", "us-ascii", "ascii"}

// IsUTF8 reports whether a server reads a body of this Content-Type as UTF-8, as far
// as the charset says: a body in another charset may have bytes that mean other names.
func IsUTF8(contentType []byte) bool {
	for {
		at := bytes.IndexByte(contentType, ';')
		if at < 0 {
			return true
		}
		contentType = contentType[at+1:]
		end := bytes.IndexByte(contentType, ';')
		if end < 0 {
			end = len(contentType)
		}
		name, value, _ := bytes.Cut(contentType[:end], []byte("="))
		if bytes.EqualFold(bytes.Trim(name, " \t"), []byte("charset")) && !isASCIICharset(bytes.Trim(value, " \t\"'")) {
			return false
		}
	}
}

func isASCIICharset(name []byte) bool {
	for _, known := range asciiCharsets {
		if bytes.EqualFold(name, []byte(known)) {
			return true
		}
	}
	return false
}

// Inflater decodes a body for a Reader, a piece at a time. The zero value is ready
// for Begin; it keeps its memory, about 40 KiB, for the next body.
type Inflater struct {
	source bytes.Reader
	gzip   *gzip.Reader
	zlib   io.ReadCloser
	from   io.Reader // one of them; nil = the body is no such
	left   int64     // bytes that it may still have, decoded
}

// Begin begins a body in a coding, gzip or deflate, which may have most bytes once it
// is decoded. The body must not change before it is done.
func (f *Inflater) Begin(coding Coding, body []byte, most int64) {
	f.source.Reset(body)
	f.from, f.left = nil, most
	var err error
	switch {
	case coding == CodingGzip && f.gzip == nil:
		f.gzip, err = gzip.NewReader(&f.source)
	case coding == CodingGzip:
		err = f.gzip.Reset(&f.source)
	case f.zlib == nil:
		f.zlib, err = zlib.NewReader(&f.source)
	default:
		err = f.zlib.(zlib.Resetter).Reset(&f.source, nil)
	}
	switch {
	case err != nil:
	case coding == CodingGzip:
		f.from = f.gzip
	default:
		f.from = f.zlib
	}
}

// Step decodes the next piece into scratch and has it read, and reports whether the
// body is done: read to its end, at fault, or, tooLong, longer than it may be.
func (f *Inflater) Step(r *Reader, scratch []byte) (done, tooLong bool) {
	if f.from == nil {
		r.fail(FaultCoding)
		return true, false
	}
	n, err := f.from.Read(scratch)
	if f.left -= int64(n); f.left < 0 {
		return true, true
	}
	r.Feed(scratch[:n])
	switch {
	case r.fault != FaultNone:
		return true, false
	case err == nil:
		return false, false
	case err != io.EOF || f.source.Len() > 0:
		r.fail(FaultCoding)
	}
	return true, false
}

package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/inflate"
	"mcplb/proxy/mcp"

	"github.com/klauspost/compress/gzip"
)

// form is the form in which the client gets the body of an answer.
type form struct {
	encoded bool  // a bodyEncoder frames it again
	changed bool  // and may change its data
	zipped  bool  // in gzip
	decoded bool  // without the content coding that the server has used
	varies  bool  // gzip depends on the client
	closes  bool  // the end of the connection is its end
	length  int64 // with encoded: its length, where that is known; 0 = it is not
}

// showsEnd reports whether the answer that the client gets has begun and shows by
// itself where it ends.
func (x *exchange) showsEnd() bool {
	switch {
	case !x.has(answered):
		return false
	case x.encoder != nil:
		return x.encoder.chunks
	}
	return x.Response.Framing != http1.FramingClose
}

// bodyEncoder turns the body that a server sends into the one that the client
// gets, piece by piece. It belongs to a worker, and to one exchange at a time.
//
//	data of the body -> inflater, where those must be read, and are compressed
//	                 -> tasks, where ids of tasks may come
//	                 -> zip, where the client takes gzip
//	                 -> endpoint, where an endpoint event may come
//	                 -> keepalive, where comments are inserted
//	                 -> chunks, unless the client is of HTTP/1.0
//	trailers         -> behind the last chunk, as Chunked.Trailers says
type bodyEncoder struct {
	inflater  *inflate.Decoder     // nil = the data are not compressed
	room      int                  // with inflater: how many decoded bytes the client may be sent at once
	tasks     mcp.TaskRewriter     // done = the data are not changed
	tagged    []byte               // where that writes, for zip; nil between calls
	zip       *gzip.Writer         // nil = the data are not compressed
	endpoint  mcp.EndpointRewriter // done = the data are not changed
	keepalive Keepalive
	made      []byte // encoded data that are to be framed; nil between calls
	chunks    bool
	holds     bool // zip has data that it has not written yet
}

// Write implements io.Writer, for zip.
func (r *bodyEncoder) Write(p []byte) (int, error) {
	r.made = append(r.made, p...)
	return len(p), nil
}

// WriteString implements io.StringWriter, for zip's comment.
func (r *bodyEncoder) WriteString(p string) (int, error) {
	r.made = append(r.made, p...)
	return len(p), nil
}

// append appends the encoded form of p, the next bytes of the body b, and returns
// how many of them it has read: those that belong to it or, of a compressed one, fewer,
// if they are enough for now. A reason says that what follows them breaks it.
func (r *bodyEncoder) append(w *worker, dst []byte, b *Body, p []byte) (out []byte, size int, reason http1.Reason) {
	out = dst
	if !b.inTrailers() {
		out, size, reason = r.appendData(w, out, b, p)
	}
	if b.inTrailers() && reason == http1.ReasonNone {
		trailers, n, broken := b.appendTrailers(out, p[size:])
		if r.chunks {
			out = trailers
		}
		size, reason = size+n, broken
	}
	return out, size, reason
}

// appendData is append up to the first trailer.
func (r *bodyEncoder) appendData(w *worker, dst []byte, b *Body, p []byte) (out []byte, size int, reason http1.Reason) {
	r.made = w.made[:0]
	for size < len(p) && !b.Done && !b.inTrailers() && reason == http1.ReasonNone && !r.full() {
		var data []byte
		var n int
		if data, n, reason = b.next(r.piece(p[size:])); reason == http1.ReasonNone {
			reason = r.decode(w, data)
		}
		size += n
	}
	return r.frame(w, dst, endOf(b)), size, reason
}

// endOf is what follows the data of b in the chunked coding; "" while they continue.
func endOf(b *Body) string {
	switch {
	case b.Done:
		return http1.LastChunk
	case b.inTrailers():
		return http1.LastChunkLine
	}
	return ""
}

// flush appends what the compressor holds back.
func (r *bodyEncoder) flush(w *worker, dst []byte) []byte {
	r.made = w.made[:0]
	_ = r.zip.Flush() // Write does not fail
	r.holds = false
	return r.frame(w, dst, "")
}

// end appends the end of a body that ended with the server's connection.
func (r *bodyEncoder) end(w *worker, dst []byte) []byte {
	r.made = w.made[:0]
	return r.frame(w, dst, http1.LastChunk)
}

// take encodes data, as far as that is possible at once.
func (r *bodyEncoder) take(data []byte) {
	switch {
	case len(data) == 0:
	case r.zip != nil:
		if !r.tasks.Done() {
			r.tagged = r.tasks.Append(r.tagged[:0], data)
			data = r.tagged
		}
		_, _ = r.zip.Write(data) // Write does not fail
		r.holds = true
	default:
		from := len(r.made)
		if r.tasks.Done() {
			r.made = r.endpoint.Append(r.made, data)
		} else {
			r.made = r.tasks.Append(r.made, data)
		}
		if r.keepalive.Every > 0 {
			r.made = r.keepalive.Gaps.Pass(r.made, from)
		}
	}
}

// comment appends a comment, between two events of a stream.
func (r *bodyEncoder) comment(w *worker, dst []byte) []byte {
	r.made = r.keepalive.Gaps.AppendComment(w.made[:0])
	return r.frame(w, dst, "")
}

// frame appends the encoded data, framed for the client, and in the chunked coding
// the end of the data; "" says that they continue.
func (r *bodyEncoder) frame(w *worker, dst []byte, end string) []byte {
	switch {
	case end == "":
	case r.zip != nil:
		_, _ = r.zip.Write(r.tasks.Flush(nil)) // Write does not fail
		_ = r.zip.Close()                      // likewise
		r.holds = false
	default:
		from := len(r.made)
		r.made = r.endpoint.Flush(r.tasks.Flush(r.made))
		if r.keepalive.Every > 0 {
			r.made = r.keepalive.Gaps.Flush(r.keepalive.Gaps.Pass(r.made, from))
		}
	}
	switch {
	case !r.chunks:
		dst = append(dst, r.made...)
	default:
		dst = append(http1.AppendChunk(dst, r.made), end...)
	}
	w.made, r.made = r.made[:0], nil
	return dst
}

// encoders are a worker's encoders that no exchange uses at the moment.
type encoders struct {
	plains  []*bodyEncoder
	zipping []*bodyEncoder
	made    int // compressors, including those in use
}

const (
	// mostCompressors is how many answers one loop compresses at once: each takes
	// 0.8 MB. Most are done within one call; when none is left, an answer is not
	// compressed.
	mostCompressors = 16
	// mostPlainEncoders is how many encoders of the other kind are kept.
	mostPlainEncoders = 64
)

// compressor returns a bodyEncoder that compresses, to a random length if padded, or
// nil when all are in use.
func (rs *encoders) compressor(padded bool) *bodyEncoder {
	r := rs.idleCompressor()
	if r == nil {
		return nil
	}
	r.zip.Reset(r)
	r.holds = false
	if padded {
		r.zip.Comment = randomPadding()
	}
	return r
}

func (rs *encoders) idleCompressor() *bodyEncoder {
	if last := len(rs.zipping) - 1; last >= 0 {
		r := rs.zipping[last]
		rs.zipping = rs.zipping[:last]
		return r
	}
	if rs.made == mostCompressors {
		return nil
	}
	rs.made++
	r := &bodyEncoder{}
	r.zip, _ = gzip.NewWriterLevel(r, gzip.BestSpeed) // fails for a wrong level only
	return r
}

// plain returns a bodyEncoder that does not.
func (rs *encoders) plain() *bodyEncoder {
	if len(rs.plains) == 0 {
		return &bodyEncoder{}
	}
	r := rs.plains[len(rs.plains)-1]
	rs.plains = rs.plains[:len(rs.plains)-1]
	return r
}

// put takes a bodyEncoder back.
func (rs *encoders) put(r *bodyEncoder) {
	r.tasks, r.tagged = mcp.TaskRewriter{}, nil
	r.inflater = nil
	switch {
	case r.zip != nil:
		rs.zipping = append(rs.zipping, r)
	case len(rs.plains) < mostPlainEncoders:
		r.endpoint.Flush(nil)
		r.keepalive = Keepalive{}
		rs.plains = append(rs.plains, r)
	}
}

package l7

import (
	"bytes"
	"slices"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"

	"github.com/klauspost/compress/gzip"
)

// form is what becomes of an answer's body on its way to the client.
type form struct {
	recoded bool // it is framed anew, by a recoder
	zipped  bool // in gzip
	varies  bool // gzip depends on the client
	closes  bool // the end of the connection is its end
}

// tellsEnd tells whether the answer that the client gets has begun and shows by
// itself where it ends.
func (x *exchange) tellsEnd() bool {
	switch {
	case x.flags&answered == 0:
		return false
	case x.recoder != nil:
		return x.recoder.chunks
	}
	return x.response.framing != http1.FramingClose
}

// leastZipped is the smallest body worth the while, in bytes.
const leastZipped = 1 << 10

// plan decides about the answer whose head is parsed; rest came behind it. It
// sets the exchange's recoder where one is needed: to compress, to tag the
// session in the endpoint event of the deprecated HTTP+SSE transport, to take
// chunks off for a client of HTTP/1.0.
func (c *client) plan(rest []byte) form {
	x, head, settings := &c.exchange, &c.worker.response, c.frontend.Settings()
	f := form{closes: head.Framing == http1.FramingClose}
	if head.Framing == http1.FramingNone {
		return f
	}
	old := x.flags&oldClient != 0
	f.varies = x.compressible(settings.Frontend.Compress, head, rest)
	switch {
	case f.varies && x.flags&acceptsGzip != 0:
		x.recoder = c.worker.recoders.compressor()
		f.zipped = x.recoder != nil
	case settings.Frontend.Sticky.Session && x.mayTellEndpoint(head):
		x.recoder = c.worker.recoders.plain()
		x.recoder.endpoint.Reset(x.origin.tag)
	case old && head.Framing == http1.FramingChunked:
		x.recoder = c.worker.recoders.plain()
	}
	if x.recoder != nil {
		x.recoder.chunks = !old
		f.recoded, f.closes = true, old
	}
	return f
}

// compressible tells whether the answer is one that is compressed for those who
// take gzip: whole, of one of the media types, not encoded yet, not small, and
// not to be left alone.
func (x *exchange) compressible(types []string, head *http1.ResponseHead, rest []byte) bool {
	if len(types) == 0 || head.Status < 200 || head.Status > 203 || head.Has(http1.HeaderContentEncoding) || x.small(head, rest) {
		return false
	}
	media := head.Get(http1.HeaderContentType)
	if !slices.ContainsFunc(types, func(one string) bool { return isMediaType(media, one) }) {
		return false
	}
	for i := head.Find(http1.HeaderCacheControl, 0); i >= 0; i = head.Find(http1.HeaderCacheControl, i+1) {
		if http1.HasToken(head.Value(i), "no-transform") {
			return false
		}
	}
	return true
}

// small tells whether the body is known to be too small to be compressed.
func (x *exchange) small(head *http1.ResponseHead, rest []byte) bool {
	switch head.Framing {
	case http1.FramingLength:
		return head.Length < leastZipped
	case http1.FramingChunked:
		ahead := x.response.chunked
		_, _ = ahead.Pass(rest)
		return ahead.Done() && ahead.Size() < leastZipped
	}
	return false
}

// mayTellEndpoint tells whether the answer may be the event stream with which
// a session of the deprecated HTTP+SSE transport begins.
func (x *exchange) mayTellEndpoint(head *http1.ResponseHead) bool {
	return x.method == http1.MethodGet && x.flags&(modern|sessioned) == 0 && head.Status == 200 &&
		!head.Has(http1.HeaderContentEncoding) && isMediaType(head.Get(http1.HeaderContentType), "text/event-stream")
}

// recoder makes of the body that a server sends the one that the client gets,
// piece by piece. It belongs to a worker, and to one exchange at a time.
//
//	data of the body -> zip, where the client takes gzip
//	                 -> endpoint, where a session is to be tagged
//	                 -> chunks, unless the client is of HTTP/1.0
type recoder struct {
	zip      *gzip.Writer         // nil = the data stay what they are
	endpoint mcp.EndpointRewriter // done: the data stay what they are
	made     []byte               // what came of the data and is to be framed; nil between calls
	chunks   bool
	holds    bool // zip has data that it did not write yet
}

// Write implements io.Writer, for zip.
func (r *recoder) Write(p []byte) (int, error) {
	r.made = append(r.made, p...)
	return len(p), nil
}

// append appends what comes of p, the next bytes of the body b, and tells how
// many of them belong to it. A reason says that what follows them breaks it.
func (r *recoder) append(w *worker, dst []byte, b *body, p []byte) (out []byte, size int, reason http1.Reason) {
	r.made = w.made[:0]
	for size < len(p) && !b.done && reason == http1.ReasonNone {
		var data []byte
		var n int
		data, n, reason = b.next(p[size:])
		r.take(data)
		size += n
	}
	return r.frame(w, dst, b.done), size, reason
}

// flush appends what the compressor holds back.
func (r *recoder) flush(w *worker, dst []byte) []byte {
	r.made = w.made[:0]
	_ = r.zip.Flush() // Write does not fail
	r.holds = false
	return r.frame(w, dst, false)
}

// end appends the end of a body that ended with the server's connection.
func (r *recoder) end(w *worker, dst []byte) []byte {
	r.made = w.made[:0]
	return r.frame(w, dst, true)
}

// take makes of data what can be made of them at once.
func (r *recoder) take(data []byte) {
	switch {
	case len(data) == 0:
	case r.zip != nil:
		_, _ = r.zip.Write(data) // Write does not fail
		r.holds = true
	default:
		r.made = r.endpoint.Append(r.made, data)
	}
}

// frame appends what was made, framed for the client; last says that the body
// ends with it.
func (r *recoder) frame(w *worker, dst []byte, last bool) []byte {
	switch {
	case !last:
	case r.zip != nil:
		_ = r.zip.Close() // Write does not fail
		r.holds = false
	default:
		r.made = r.endpoint.Flush(r.made)
	}
	switch {
	case !r.chunks:
		dst = append(dst, r.made...)
	case last:
		dst = append(http1.AppendChunk(dst, r.made), http1.LastChunk...)
	default:
		dst = http1.AppendChunk(dst, r.made)
	}
	w.made, r.made = r.made[:0], nil
	return dst
}

// recoders are a worker's recoders that no exchange uses at the moment.
type recoders struct {
	plains  []*recoder
	zipping []*recoder
	made    int // compressors, those in use among them
}

const (
	// mostCompressors is how many answers one loop compresses at once: each takes
	// 0.8 MB. Most are done within one call; when there are none left, an answer
	// goes as it is.
	mostCompressors = 16
	// mostPlain is how many recoders of the other kind are kept.
	mostPlain = 64
)

// compressor returns a recoder that compresses, or nil when all are in use.
func (rs *recoders) compressor() *recoder {
	if len(rs.zipping) == 0 {
		if rs.made == mostCompressors {
			return nil
		}
		rs.made++
		r := &recoder{}
		r.zip, _ = gzip.NewWriterLevel(r, gzip.BestSpeed) // fails for a wrong level only
		return r
	}
	r := rs.zipping[len(rs.zipping)-1]
	rs.zipping = rs.zipping[:len(rs.zipping)-1]
	r.zip.Reset(r)
	r.holds = false
	return r
}

// plain returns a recoder that does not.
func (rs *recoders) plain() *recoder {
	if len(rs.plains) == 0 {
		return &recoder{}
	}
	r := rs.plains[len(rs.plains)-1]
	rs.plains = rs.plains[:len(rs.plains)-1]
	return r
}

// put takes a recoder back.
func (rs *recoders) put(r *recoder) {
	switch {
	case r.zip != nil:
		rs.zipping = append(rs.zipping, r)
	case len(rs.plains) < mostPlain:
		r.endpoint.Flush(nil)
		rs.plains = append(rs.plains, r)
	}
}

// weaken appends an ETag for an answer that was encoded on the way: it is no
// longer the server's byte for byte (RFC 9110 section 8.8.1).
func weaken(dst, etag []byte) []byte {
	dst = append(dst, "ETag: "...)
	if !bytes.HasPrefix(etag, []byte("W/")) {
		dst = append(dst, "W/"...)
	}
	return append(append(dst, etag...), "\r\n"...)
}

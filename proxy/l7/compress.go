package l7

import (
	"bytes"
	"slices"
	"strconv"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// leastZipped is the smallest body worth compressing, in bytes.
const leastZipped = 1 << 10

// plan decides the form of the answer whose head is parsed; rest came behind it. It
// sets the exchange's encoder where one is needed: to compress, to tag the
// session in the endpoint event of the deprecated HTTP+SSE transport, to tag ids of
// tasks, both of which may have to be decoded first, to insert comments into an event
// stream, to take chunks off for a client of HTTP/1.0.
func (x download) plan(rest []byte) form {
	head, settings := &x.client.worker.response, x.client.settings()
	f := form{closes: head.Framing == http1.FramingClose}
	if head.Framing == http1.FramingNone {
		f.varies = x.Method == http1.MethodHead && x.compressible(x.route.compress, head, nil)
		return f
	}
	old := x.has(oldClient)
	f.varies = x.compressible(x.route.compress, head, rest)
	switch {
	case f.varies && x.has(acceptsGzip) && !(x.has(overTLS) && head.Has(http1.HeaderSetCookie)):
		x.encoder = x.client.worker.encoders.compressor(x.has(overTLS))
		f.zipped = x.encoder != nil
		f.changed = f.zipped
	case settings.Frontend.Sticky.Session && x.mayNameEndpoint(head):
		x.encoder = x.client.worker.encoders.plain()
		x.encoder.endpoint.Reset(x.upstreamPool.tag)
		f.decoded = x.encoder.inflate(head)
		f.changed = true
	case old && head.Framing == http1.FramingChunked:
		x.encoder = x.client.worker.encoders.plain()
	}
	tasks(x).plan(&f, rest)
	if every := settings.Frontend.SSEKeepalive; every > 0 && x.takesComments(head, f) {
		x.keepAlive(every)
		f.changed = true
	}
	if x.encoder != nil {
		x.encoder.chunks = !old && f.length == 0
		f.encoded, f.closes = true, old && f.length == 0
	}
	x.planTrailers(f)
	return f
}

// planTrailers decides which trailers the client gets.
func (x download) planTrailers(f form) {
	trailers := &x.Response.Chunked.Trailers
	switch {
	case f.encoded && !x.encoder.chunks:
		*trailers = http1.TrailersDrop // there is no place for them
	case f.changed && *trailers == http1.TrailersPass:
		*trailers = http1.TrailersOfChanged
	}
}

// compressible reports whether the answer is one that is compressed for clients that
// take gzip: complete, of one of the media types, not encoded yet, not small, and
// without no-transform, a digest or a signature. Those cover the coding, too (RFC 9530
// section 3), and to take them off would take away what the server promised.
func (x download) compressible(types []string, head *http1.ResponseHead, rest []byte) bool {
	if len(types) == 0 || head.Status < 200 || head.Status > 203 || head.Has(http1.HeaderContentEncoding) || x.small(head, rest) || head.DescribesBytes() {
		return false
	}
	media := head.Get(http1.HeaderContentType)
	if !slices.ContainsFunc(types, func(one string) bool { return isMediaType(media, one) }) {
		return false
	}
	var f caching
	for i := head.Find(http1.HeaderCacheControl, 0); i >= 0; i = head.Find(http1.HeaderCacheControl, i+1) {
		f.read(head.Value(i))
	}
	return !f.unchanged
}

// small reports whether the body is known to be too small to be compressed: that of a
// GET, where a response to HEAD describes it.
func (x download) small(head *http1.ResponseHead, rest []byte) bool {
	switch head.Framing {
	case http1.FramingNone:
		length, err := strconv.ParseInt(string(head.Get(http1.HeaderContentLength)), 10, 64)
		return err == nil && length < leastZipped
	case http1.FramingLength:
		return head.Length < leastZipped
	case http1.FramingChunked:
		ahead := x.Response.Chunked
		_, _ = ahead.Pass(rest)
		return ahead.Ended() && ahead.Size() < leastZipped
	}
	return false
}

// mayNameEndpoint reports whether the answer may be the event stream with which
// a session of the deprecated HTTP+SSE transport begins. Whatever the target of the
// request names: its answer names the session.
func (x download) mayNameEndpoint(head *http1.ResponseHead) bool {
	return x.mayOpenStream() && head.Status == 200 &&
		codingOf(head) != mcp.CodingUnknown && isMediaType(head.Get(http1.HeaderContentType), eventStream)
}

// codingOf is the content coding of the answer's body. Servers write "identity", "none"
// or nothing so that nobody compresses their streams: then it has none.
func codingOf(head *http1.ResponseHead) mcp.Coding {
	found := mcp.CodingNone
	for i := head.Find(http1.HeaderContentEncoding, 0); i >= 0; i = head.Find(http1.HeaderContentEncoding, i+1) {
		for coding, rest := http1.NextElement(head.Value(i)); coding != nil; coding, rest = http1.NextElement(rest) {
			one := mcp.CodingOf(coding)
			switch {
			case one == mcp.CodingNone, http1.EqualFold(coding, "none"):
			case found != mcp.CodingNone:
				return mcp.CodingUnknown
			default:
				found = one
			}
		}
	}
	return found
}

// appendWeakened appends the ETags of an answer that was encoded on the way.
func appendWeakened(dst []byte, head *http1.ResponseHead) []byte {
	for i := head.Find(http1.HeaderETag, 0); i >= 0; i = head.Find(http1.HeaderETag, i+1) {
		dst = weaken(dst, head.Value(i))
	}
	return dst
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

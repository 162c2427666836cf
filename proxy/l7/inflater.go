package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/inflate"
	"mcplb/proxy/mcp"
)

// inflate has the body of an answer decoded, if it is in gzip or deflate, and reports
// whether it is: servers compress streams, too, whether or not they were asked to.
func (r *bodyEncoder) inflate(head *http1.ResponseHead) bool {
	switch codingOf(head) {
	case mcp.CodingGzip:
		r.inflater = inflate.New(inflate.Gzip)
	case mcp.CodingDeflate:
		r.inflater = inflate.New(inflate.Deflate)
	}
	return r.inflater != nil
}

// full reports whether there are enough data for now: a few bytes of a compressed body
// may become very many. There are up to twice as many as the client has room for.
func (r *bodyEncoder) full() bool { return r.inflater != nil && len(r.made) >= r.room }

// piece returns the part of p that is to be encoded first: one that decodes to no more
// than the client has room for.
func (r *bodyEncoder) piece(p []byte) []byte {
	if r.inflater != nil {
		return p[:min(len(p), max(r.room/inflate.MostRatio, 1))]
	}
	return p
}

// decode encodes data, which may be compressed.
func (r *bodyEncoder) decode(w *worker, data []byte) http1.Reason {
	if r.inflater == nil {
		r.take(data)
		return http1.ReasonNone
	}
	plain, err := r.inflater.Append(w.inflated[:0], data)
	w.inflated = plain[:0]
	r.take(plain)
	if err != nil {
		return http1.ReasonContentCoding
	}
	return http1.ReasonNone
}

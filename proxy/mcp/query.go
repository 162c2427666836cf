package mcp

import "bytes"

// Span is the part of a byte slice from Start up to but not including End.
type Span struct{ Start, End int }

// Of returns that part of p.
func (s Span) Of(p []byte) []byte { return p[s.Start:s.End] }

// Len returns the number of bytes.
func (s Span) Len() int { return s.End - s.Start }

// SplitQuery finds the session in the target of a request of the deprecated
// HTTP+SSE transport: the value of sessionId (the TypeScript SDK), sessionid
// (Go) or session_id (Python) in the query. The first of these with a valid tag
// counts: ok is true, id is the value without the tag, and AppendUntagged
// builds the target for the server. Otherwise ok is false and id is the first
// non-empty value, which the server chose itself; if there is none, id is
// empty.
//
// Names and values are compared and copied without decoding. That suffices
// because no URI library escapes the characters of a tag, and a tag is removed
// where it was added.
func SplitQuery(target []byte) (id Span, t Tag, ok bool) {
	query := querySpan(target)
	for query.Len() > 0 {
		var value Span
		value, query = nextSession(target, query)
		if value.Len() == 0 {
			continue
		}
		if untagged, t, ok := SplitTagged(value.Of(target)); ok {
			return Span{value.Start, value.Start + len(untagged)}, t, true
		}
		if id.Len() == 0 {
			id = value
		}
	}
	return id, Tag{}, false
}

// AppendUntagged appends target without the tag after id, as returned by
// SplitQuery with ok.
func AppendUntagged(dst, target []byte, id Span) []byte {
	dst = append(dst, target[:id.End]...)
	return append(dst, target[id.End+TagSize:]...)
}

// endpointSession returns the session in the uri of an endpoint event, which
// the tag must follow: the value that SplitQuery will find. It is empty if
// there is none.
func endpointSession(uri []byte) Span {
	query := querySpan(uri)
	for query.Len() > 0 {
		var value Span
		if value, query = nextSession(uri, query); value.Len() > 0 {
			return value
		}
	}
	return Span{}
}

// querySpan returns the query of a URI reference (RFC 3986, section 3.4),
// without its question mark; it is empty if there is none.
func querySpan(uri []byte) Span {
	end := len(uri)
	if hash := bytes.IndexByte(uri, '#'); hash >= 0 {
		end = hash
	}
	mark := bytes.IndexByte(uri[:end], '?')
	if mark < 0 {
		return Span{}
	}
	return Span{mark + 1, end}
}

// nextSession reads the first parameter of a non-empty query. It returns its
// value, empty unless the parameter names a session, and the remaining
// parameters.
func nextSession(uri []byte, query Span) (value, rest Span) {
	end, next := query.End, query.End
	if and := bytes.IndexByte(query.Of(uri), '&'); and >= 0 {
		end = query.Start + and
		next = end + 1
	}
	rest = Span{next, query.End}
	name, _, found := bytes.Cut(uri[query.Start:end], []byte("="))
	if !found || !namesSession(name) {
		return Span{}, rest
	}
	return Span{query.Start + len(name) + 1, end}, rest
}

func namesSession(name []byte) bool {
	switch string(name) {
	case "sessionId", "sessionid", "session_id":
		return true
	}
	return false
}

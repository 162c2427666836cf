package mcp

import "bytes"

// Span is the part of a byte slice from Start up to but not including End.
type Span struct{ Start, End int }

// Of returns that part of p.
func (s Span) Of(p []byte) []byte { return p[s.Start:s.End] }

// Len returns the number of bytes.
func (s Span) Len() int { return s.End - s.Start }

// TagParameter is the query parameter that an EndpointRewriter adds to the URI of
// an endpoint event, with the server's tag as its value. SplitQuery finds it in
// the targets that clients make of that URI.
const TagParameter = "mcplb_tag"

// QuerySession is what the target of a request of the deprecated HTTP+SSE
// transport says about its session.
type QuerySession struct {
	ID     Span // the session's id, as the server chose it; empty = the query names none
	Tag    Tag
	Tagged bool // Tag is valid: the request is for the server with that tag
	Cut    Span // of the target: what the balancer has added (see AppendUntagged); empty = nothing
}

// Found reports whether the target names a session or its server.
func (q *QuerySession) Found() bool { return q.Tagged || q.ID.Len() > 0 }

// SplitQuery finds the session in the target of a request of the deprecated
// HTTP+SSE transport.
//
// The tag is the value of TagParameter. The last with a valid tag counts: with
// two balancers, one behind the other, it is the one of the balancer nearer to
// the client. If there is none, the tag may stand where earlier versions put it,
// at the end of the session's id, so that sessions outlive an upgrade.
//
// The id is the first non-empty value of sessionId (the TypeScript SDK),
// sessionid (Go) or session_id (Python), or the first that ends with a tag.
//
// Names and values are compared without decoding. That suffices because no URI
// library escapes the characters of a tag or of its name. A parameter with another
// name, or with a value that is no tag, is left alone.
func SplitQuery(target []byte) (q QuerySession) {
	query := querySpan(target)
	inID := QuerySession{}
	for rest := query; rest.Len() > 0; {
		var name, value Span
		name, value, rest = nextParameter(target, rest)
		switch {
		case string(name.Of(target)) == TagParameter:
			if tag, ok := ParseTag(value.Of(target)); ok {
				q.Tag, q.Tagged, q.Cut = tag, true, separated(query, Span{name.Start, value.End})
			}
		case value.Len() == 0 || inID.Tagged || !namesSession(name.Of(target)):
		default:
			if id, tag, ok := SplitTagged(value.Of(target)); ok {
				end := value.Start + len(id)
				inID = QuerySession{ID: Span{value.Start, end}, Tag: tag, Tagged: true, Cut: Span{end, value.End}}
			}
			if q.ID.Len() == 0 {
				q.ID = value
			}
		}
	}
	if !q.Tagged && inID.Tagged {
		return inID
	}
	return q
}

// AppendUntagged appends target without what the balancer has added to it.
func AppendUntagged(dst, target []byte, q QuerySession) []byte {
	dst = append(dst, target[:q.Cut.Start]...)
	return append(dst, target[q.Cut.End:]...)
}

// separated returns a parameter of query with the separator that tagPlace put
// before it. Where a client has put another parameter behind it and there is none
// before, that takes its place.
func separated(query, parameter Span) Span {
	switch {
	case parameter.Start > query.Start: // "&" is before it
		parameter.Start--
	case parameter.End < query.End: // "&" is behind it
		parameter.End++
	default: // it is all of the query
		parameter.Start--
	}
	return parameter
}

// tagPlace returns where the tag's parameter goes in a URI reference, and the
// separator before it, so that SplitQuery can restore every byte. ok is false for
// a reference to the same document, whose query is that of the base URI: a query
// would replace it.
func tagPlace(uri []byte) (at int, separator byte, ok bool) {
	at = len(uri)
	if hash := bytes.IndexByte(uri, '#'); hash >= 0 {
		at = hash
	}
	if bytes.IndexByte(uri[:at], '?') >= 0 {
		return at, '&', true
	}
	return at, '?', at > 0
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

// nextParameter reads the first parameter of a non-empty query. It returns its
// name, its value, which is empty if there is none, and the remaining parameters.
func nextParameter(uri []byte, query Span) (name, value, rest Span) {
	end, next := query.End, query.End
	if and := bytes.IndexByte(query.Of(uri), '&'); and >= 0 {
		end = query.Start + and
		next = end + 1
	}
	name, value, rest = Span{query.Start, end}, Span{end, end}, Span{next, query.End}
	if equals := bytes.IndexByte(name.Of(uri), '='); equals >= 0 {
		name.End = query.Start + equals
		value.Start = name.End + 1
	}
	return name, value, rest
}

func namesSession(name []byte) bool {
	switch string(name) {
	case "sessionId", "sessionid", "session_id":
		return true
	}
	return false
}

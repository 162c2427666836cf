package rules

import (
	"bytes"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// SentMessage is what a request says of its message outside of its body, if that is
// to be believed: it has no body, or is of a version whose servers compare the
// fields with the body, and those stand once. Otherwise it is not Known. The memory
// of names is used, and returned to be used again.
func SentMessage(head *http1.RequestHead, names []byte) (Message, []byte) {
	switch {
	case head.Framing == http1.FramingNone:
		return Message{Known: true}, names
	case head.Repeated(http1.HeaderMcpProtocolVersion), head.Repeated(http1.HeaderMcpMethod), head.Repeated(http1.HeaderMcpName),
		mcp.EraOf(head.Get(http1.HeaderMcpProtocolVersion)) != mcp.EraStateless:
		return Message{}, names
	}
	names, ok := appendName(names[:0], head.Get(http1.HeaderMcpMethod))
	method := len(names)
	if !ok || method == 0 {
		return Message{}, names
	}
	names, ok = appendName(names, head.Get(http1.HeaderMcpName))
	m := Message{Known: true, Method: names[:method], Name: names[method:]}
	if !ok || len(m.Name) == 0 && mcp.NeedsName(m.Method) {
		return Message{}, names
	}
	return m, names
}

// appendName is mcp.AppendName for what every server reads alike: not for what looks
// encoded, and is not encoded as MCP says. Some servers may decode it all the same.
func appendName(dst, value []byte) (names []byte, ok bool) {
	names, ok = mcp.AppendName(dst, value)
	if ok && bytes.HasPrefix(value, []byte("=?")) && bytes.Equal(names[len(dst):], value) {
		return dst, false
	}
	return names, ok
}

// Share is how many messages of a request take a route.
type Share struct {
	Route int // its index in conf.Frontend.Routes, or NoRoute
	Count int
}

// Shares has a Share for each route that messages of a request take. The zero value
// is none; its memory may be used again.
type Shares []Share

// Only makes s that of a request that takes one route.
func (s *Shares) Only(route int) { *s = append((*s)[:0], Share{route, 1}) }

// add notes that so many more messages take a route.
func (s *Shares) add(route, count int) {
	for i := range *s {
		if (*s)[i].Route == route {
			(*s)[i].Count += count
			return
		}
	}
	*s = append(*s, Share{route, count})
}

// MatchBody decides about a request by all that the messages in its body ask for, as
// any server may read them: it is denied if one is, and takes the most specific of
// their routes. The body has been read to its end, without a fault. r.Message is
// then the message that decided; shares has the routes of all, unless r is refused or
// denied.
func (m *Matcher) MatchBody(r *Request, s *Scratch, calls []mcp.Call, shares *Shares) (best Decision) {
	r.Message = Message{Known: true}
	if len(calls) == 0 {
		best = m.Match(r, s)
		shares.Only(best.Route)
		return best
	}
	*shares = (*shares)[:0]
	var decisive Message
	for i := range calls {
		r.Message.Method, r.Message.Name = calls[i].Method, calls[i].Name
		d := m.Match(r, s)
		if d.Denied || d.Refused != Readable {
			return d
		}
		shares.add(d.Route, calls[i].Count)
		if i == 0 || d.Before(&best) {
			best, decisive = d, r.Message
		}
	}
	r.Message = decisive
	return best
}

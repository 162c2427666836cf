package rules

import (
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
	names, ok := mcp.AppendName(names[:0], head.Get(http1.HeaderMcpMethod))
	method := len(names)
	if !ok || method == 0 {
		return Message{}, names
	}
	names, ok = mcp.AppendName(names, head.Get(http1.HeaderMcpName))
	m := Message{Known: true, Method: names[:method], Name: names[method:]}
	if !ok || len(m.Name) == 0 && mcp.NeedsName(m.Method) {
		return Message{}, names
	}
	return m, names
}

// MatchBody decides about a request by all that the messages in its body ask for:
// it is denied if one is, and takes the most specific of their routes. The body has
// been read to its end, without a fault.
func (m *Matcher) MatchBody(r Request, s *Scratch, calls []mcp.Call) (best Decision) {
	if len(calls) == 0 {
		r.Message = Message{Known: true}
		return m.Match(&r, s)
	}
	for i := range calls {
		r.Message = Message{Known: true, Method: calls[i].Method, Name: calls[i].Name}
		d := m.Match(&r, s)
		if d.Denied || d.Refused != Readable {
			return d
		}
		if i == 0 || d.Before(&best) {
			best = d
		}
	}
	return best
}

package l7

import (
	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/rules"
)

// Foretell returns the response that a frontend generates for the head of a request
// whatever its route says: one that refuses its Origin, or answers its preflight. The
// status is 0 if there is none.
func Foretell(f *conf.Frontend, head *http1.RequestHead) (status int, why string) {
	cors := newCORS(f)
	switch {
	case !originAllowed(f.AllowedOrigins, head):
		return responses[OriginRefused].status, "Origin is not among allowed_origins"
	case cors.answers(head, new(origins).of(head)):
		return responses[Preflight].status, "cors.preflight answers it"
	}
	return 0, ""
}

// ForetellBody reads the body of a request whose route depends on its messages, as an
// exchange does, and returns these. The status is that of a refusal; 0 if the body is good.
// route is what is known without the body.
func ForetellBody(f *conf.Frontend, route int, head *http1.RequestHead, body []byte) (calls []mcp.Call, status int, why string) {
	most := mostRead(f)
	if route != rules.NoRoute && f.Routes[route].MaxBody != nil {
		most = longer(most, *f.Routes[route].MaxBody)
	}
	r := new(bodyReader)
	r.begin(head)
	r.Feed(body)
	switch tooLong := most > 0 && int64(len(body)) > most; {
	case tooLong, r.broken() == mcp.FaultNone && r.coding != mcp.CodingNone && r.inflate(body, most):
		return nil, responses[BodyTooLarge].status, responses[BodyTooLarge].text
	case r.broken() != mcp.FaultNone:
		return nil, responses[BadRequest].status, r.broken().Text()
	}
	if fault := r.End(); fault != mcp.FaultNone {
		return nil, responses[BadRequest].status, fault.Text()
	}
	return r.Calls(), 0, ""
}

// ForetellPath returns why a request is refused that takes a route which forwards it: its
// path may lead out of the route's add_prefix. The status is 0 if it is not.
func ForetellPath(f *conf.Frontend, route int, head *http1.RequestHead) (status int, why string) {
	if route == rules.NoRoute {
		return 0, ""
	}
	made := Route{strip: prefixOf(f.Routes[route].StripPrefix), add: prefixOf(f.Routes[route].AddPrefix)}
	if made.add == nil || !made.leadsOut(&worker{request: *head}) {
		return 0, ""
	}
	return responses[BadRequest].status, textLeadsOut
}

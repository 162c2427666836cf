package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/rules"
)

// decide finds the route that the request takes whose head is parsed, and notes it;
// refusal is the answer where the frontend's rules forbid the request.
func (x *exchange) decide(settings *Settings) (refusal generated, ok bool) {
	x.route = settings.route(rules.NoRoute)
	if settings.matcher == nil {
		return generated{}, true
	}
	c := x.client
	r := rulesRequest(requester{c}, &c.worker.request)
	d := settings.matcher.Match(&r, &c.worker.rules)
	if d.Refused != rules.Readable {
		return generated{why: BadRequest, text: d.Refused.Text()}, false
	}
	x.route = settings.route(d.Route)
	if d.Denied {
		return generated{why: Denied}, false
	}
	return generated{}, true
}

// rulesRequest is what routes depend on of a request.
func rulesRequest(c requester, head *http1.RequestHead) rules.Request {
	return rules.Request{
		Method: head.MethodName(), Host: head.Host(), Path: head.Path(), Fields: &head.Fields, Source: c.from().Addr(),
		Forwarded: c.settings().Trusts(c.From.Addr()),
		Message:   rules.Message{Known: true},
	}
}

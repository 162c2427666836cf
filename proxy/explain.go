package proxy

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/http1"
	"mcplb/proxy/l7"
	"mcplb/proxy/rules"
	"mcplb/proxy/session"
)

// Route implements admin.Control.
func (c *control) Route(asked admin.RouteRequest) (admin.RouteAnswer, error) {
	c.proxy.mu.RLock()
	config := c.proxy.config
	c.proxy.mu.RUnlock()
	return ExplainRoute(config, asked)
}

// ExplainRoute finds out which route a request takes, and why, as the balancer does
// for a request that comes. Errors wrap admin.ErrInvalid.
func ExplainRoute(config *conf.Config, asked admin.RouteRequest) (admin.RouteAnswer, error) {
	e := explanation{asked: asked}
	steps := []func() error{e.target, func() error { return e.chooseFrontend(config) }, e.parse}
	for _, step := range steps {
		if err := step(); err != nil {
			return admin.RouteAnswer{}, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
		}
	}
	e.answer.Frontend = e.frontend.Name
	if e.malformed != http1.ReasonNone {
		e.refused(e.malformed.Status(), e.malformed.Text())
		return e.answer, nil
	}
	e.decide()
	return e.answer, nil
}

// explanation is one run of ExplainRoute.
type explanation struct {
	asked     admin.RouteRequest
	host      string // of the URL, with its port
	port      string // that the URL names, or that of its scheme; "" = none
	path      string // of the URL, with the query
	frontend  *conf.Frontend
	head      http1.RequestHead
	malformed http1.Reason
	request   rules.Request
	answer    admin.RouteAnswer
}

// target takes the URL apart, whose path stays as it is written.
func (e *explanation) target() error {
	scheme, rest, absolute := strings.Cut(e.asked.URL, "://")
	switch {
	case strings.HasPrefix(e.asked.URL, "/") || e.asked.URL == "*":
		e.path = e.asked.URL
		return nil
	case !absolute || scheme != "http" && scheme != "https":
		return fmt.Errorf("the URL must begin with http://, https:// or a slash, and is %q", e.asked.URL)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return fmt.Errorf("the URL names no host: %q", e.asked.URL)
	}
	e.host, e.path = rest[:end], rest[end:]
	e.path, _, _ = strings.Cut(e.path, "#")
	if !strings.HasPrefix(e.path, "/") {
		e.path = "/" + e.path
	}
	u, err := url.Parse(scheme + "://" + e.host)
	if err != nil {
		return fmt.Errorf("the URL's host is none: %q", e.host)
	}
	e.port = cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[scheme])
	return nil
}

// chooseFrontend finds the frontend by its name, by the URL's port, or as the only one.
func (e *explanation) chooseFrontend(config *conf.Config) error {
	var names []string
	var fits []*conf.Frontend
	for i := range config.Frontends {
		f := &config.Frontends[i]
		if f.Name == e.asked.Frontend {
			if e.frontend = f; f.Mode != conf.ModeHTTP {
				return fmt.Errorf("frontend %q is of mode %s, which has no routes by requests", f.Name, f.Mode)
			}
			return nil
		}
		if f.Mode != conf.ModeHTTP {
			continue
		}
		names = append(names, f.Name)
		if slices.ContainsFunc(f.Listen, func(address string) bool { return portOf(address) == e.port }) {
			fits = append(fits, f)
		}
	}
	switch {
	case e.asked.Frontend != "":
		return fmt.Errorf("there is no frontend %q%s", e.asked.Frontend, conf.DidYouMean(e.asked.Frontend, names))
	case len(names) == 0:
		return fmt.Errorf("no frontend is of mode http")
	case len(names) == 1:
		e.frontend = config.Frontend(names[0])
	case len(fits) == 1:
		e.frontend = fits[0]
	default:
		return fmt.Errorf("name the frontend, or a port in the URL: the frontends of mode http are %s", strings.Join(names, ", "))
	}
	return nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// parse parses the request as one that comes, and notes what is wrong with it.
func (e *explanation) parse() error {
	source, err := netip.ParseAddr(cmp.Or(e.asked.Source, "127.0.0.1"))
	if err != nil {
		return fmt.Errorf("the source must be an address, and is %q", e.asked.Source)
	}
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", cmp.Or(e.asked.Method, "GET"), e.path)
	named := slices.ContainsFunc(e.asked.Headers, func(h string) bool { return strings.HasPrefix(strings.ToLower(h), "host:") })
	if !named {
		head = fmt.Appendf(head, "Host: %s\r\n", cmp.Or(e.host, "localhost"))
	}
	for _, h := range e.asked.Headers {
		if !strings.Contains(h, ":") || strings.ContainsAny(h, "\r\n") {
			return fmt.Errorf("a header is written as \"Name: value\", not %q", h)
		}
		head = append(append(head, h...), "\r\n"...)
	}
	if e.asked.Body != "" {
		head = fmt.Appendf(head, "Content-Length: %d\r\n", len(e.asked.Body))
	}
	var scan http1.Scan
	n, reason := e.head.Parse(append(head, "\r\n"...), &scan, http1.MaxHead)
	if e.malformed = reason; n == 0 && reason == http1.ReasonNone {
		return fmt.Errorf("the request has no end: is there a line end in the method or the URL?")
	}
	if reason != http1.ReasonNone {
		return nil // what the head would say is not known
	}
	e.request = rules.Request{
		Method: e.head.MethodName(), Host: e.head.Host(), Path: e.head.Path(), Fields: &e.head.Fields, Source: source.Unmap(),
		Forwarded: slices.ContainsFunc(e.frontend.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(source.Unmap()) }),
	}
	return nil
}

// decide fills in the answer.
func (e *explanation) decide() {
	m, s := rules.Compile(e.frontend), new(rules.Scratch)
	if !session.NewAccess(e.frontend).Admits(e.request.Source) {
		e.refused(403, "the frontend's allow or deny keeps the client out")
		return
	}
	e.request.Message, _ = rules.SentMessage(&e.head, nil)
	d := m.Match(&e.request, s)
	status, why := l7.Foretell(e.frontend, &e.head)
	if d.NeedsMessage {
		if status >= 400 { // before the body is read
			e.refused(status, why)
			return
		}
		calls, status, why := l7.ForetellBody(e.frontend, d.Route, &e.head, []byte(e.asked.Body))
		if status != 0 {
			e.refused(status, why)
			return
		}
		d = m.MatchBody(&e.request, s, calls, new(rules.Shares)) // and notes the message that decides
	}
	e.answer.Message = string(bytes.TrimSpace(fmt.Appendf(nil, "%s %s", e.request.Message.Method, e.request.Message.Name)))
	e.answer.Route, e.answer.Why = rules.Title(e.frontend, d.Route), rules.Why(e.frontend, &e.request, d)
	for _, near := range rules.Nearly(e.frontend, &e.request, d) {
		e.answer.Nearly = append(e.answer.Nearly, admin.RouteNear{Route: rules.Title(e.frontend, near.Route), Why: near.Why})
	}
	e.outcome(d)
	if d.Refused == rules.Readable && !d.Denied && status != 0 {
		e.instead(status, why)
	}
}

// instead says that the balancer answers before it does what the route says.
func (e *explanation) instead(status int, why string) {
	a := &e.answer
	a.Outcome, a.Status, a.Why = "refused", status, why+"; of the route: "+a.Why
	if status < 400 {
		a.Outcome = "responded"
	}
	a.Backend, a.Endpoint = "", ""
}

// mostBody is the longest body that the route takes; 0 = any.
func (e *explanation) mostBody(route *conf.Route) int64 {
	if route.MaxBody != nil {
		return *route.MaxBody
	}
	return e.frontend.MaxBody
}

// outcome says what happens to the request.
func (e *explanation) outcome(d rules.Decision) {
	a := &e.answer
	route := &conf.Route{Endpoint: conf.EndpointHTTP}
	if d.Route != rules.NoRoute {
		route = &e.frontend.Routes[d.Route]
	}
	switch {
	case d.Refused != rules.Readable:
		a.Outcome, a.Status = "refused", 400
	case d.Denied:
		a.Outcome, a.Status = "denied", 403
	case route.Respond != nil:
		a.Outcome, a.Status = "responded", route.Respond.Status
	case route.Redirect != nil:
		a.Outcome, a.Status = "redirected", route.Redirect.Status
	default:
		a.Outcome, a.Backend, a.Endpoint = "forwarded", cmp.Or(route.Backend, e.frontend.Backend), string(route.Endpoint)
		if status, why := l7.ForetellPath(e.frontend, d.Route, &e.head); status != 0 {
			e.instead(status, why)
		} else if most := e.mostBody(route); most > 0 && int64(len(e.asked.Body)) > most {
			e.instead(413, fmt.Sprintf("the body is longer than max_body, which is %d bytes", most))
		}
	}
}

func (e *explanation) refused(status int, why string) {
	e.answer.Outcome, e.answer.Status, e.answer.Route, e.answer.Why = "refused", status, rules.Title(e.frontend, rules.NoRoute), why
}

package nginx

import (
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// noted are the headers that mcplb writes by itself, so that nothing has to be said.
var noted = []string{"upgrade", "connection", "content-length", "transfer-encoding", "te", "keep-alive", "proxy-connection", "expect"}

// requestHeaders writes what servers get: proxy_set_header of the nearest level, and
// nginx's Host where that has none.
func (g *group) requestHeaders(s *scope, pass *node, t *lb.Table, proxyHost string) {
	t.AddTo("remove_request_headers", nil, "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
	var set lb.Inline
	host := false
	for _, n := range s.all("proxy_set_header") {
		name, value := n.arg(0), n.arg(1)
		lower := strings.ToLower(name)
		if lower == "host" {
			host = true
			value, ok := g.hostHeader(n, s, t, proxyHost)
			if ok && value != "" {
				set = append(set, lb.Pair{Key: "Host", Value: value})
			}
			continue
		}
		if slices.Contains(noted, lower) {
			n.Unneeded("mcplb writes it itself")
			continue
		}
		if value == "" {
			t.AddTo("remove_request_headers", n.Directive, name)
			continue
		}
		if isOwn(lower, value) {
			n.Unneeded("it passes as it comes")
			continue
		}
		text, notes, err := g.text(value, s)
		if err != nil && lb.Removable(name) {
			t.AddTo("remove_request_headers", nil, name)
			n.Impossible("%v; the client's own does not reach servers", err)
			continue
		}
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		n.Translated()
		if text == "" {
			t.AddTo("remove_request_headers", n.Directive, name)
			continue
		}
		dropName(t, name)
		own := map[string]string{"x-forwarded-for": "{client_ip}", "x-forwarded-proto": map[bool]string{true: "https", false: "http"}[g.tls], "x-forwarded-host": "{host}"}[lower]
		if lower == "x-forwarded-proto" && text == "{scheme}" || own != "" && own == text {
			if lower == "x-forwarded-host" {
				g.notes(t, n, "", notes)
			}
			continue
		}
		set = slices.DeleteFunc(set, func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
		set = append(set, lb.Pair{Key: name, Value: text})
		g.notes(t, n, "", notes)
	}
	if !host {
		set = append(set, lb.Pair{Key: "Host", Value: strings.ReplaceAll(proxyHost, "{", "{{")})
		t.Comment("", "nginx's own Host, $proxy_host, as no proxy_set_header Host holds")
	}
	if len(set) > 0 {
		t.Set("set_request_headers", set)
	}
}

// isOwn reports whether a header gets the value that it has: those that clients may not write
// aside.
func isOwn(lower, value string) bool {
	return value == "$http_"+strings.ReplaceAll(lower, "-", "_") && !strings.HasPrefix(lower, "x-forwarded-") && lower != "x-real-ip" && lower != "forwarded"
}

// dropName takes a header off the list of those that are removed.
func dropName(t *lb.Table, name string) {
	list := slices.DeleteFunc(slices.Clone(t.Strings("remove_request_headers")), func(n string) bool { return strings.EqualFold(n, name) })
	if len(list) == 0 {
		t.Delete("remove_request_headers")
		return
	}
	t.Set("remove_request_headers", list)
}

// hostHeader returns the Host that servers get; "" is the client's.
func (g *group) hostHeader(n *node, s *scope, t *lb.Table, proxyHost string) (value string, ok bool) {
	switch n.arg(1) {
	case "$http_host":
		n.Translated()
		return "", true
	case "$host", "${host}":
		if port := g.port(); port != "80" && port != "443" {
			break
		}
		n.Translated()
		t.Differ(n.Directive, "", "Host is sent on as it came, with its port where it has one")
		return "", true
	case "$proxy_host":
		n.Translated()
		return strings.ReplaceAll(proxyHost, "{", "{{"), true
	}
	text, notes, err := g.text(n.arg(1), s)
	if err != nil {
		n.Impossible("%v", err)
		return "", false
	}
	n.Translated()
	g.notes(t, n, "", notes)
	return text, true
}

// decorated are the statuses of the responses that get an add_header without "always".
var decorated = []int{200, 201, 204, 206, 301, 302, 303, 304, 307, 308}

// responseHeaders writes what clients get: add_header of the nearest level, and what
// is hidden. status is that of a generated response, 0 for responses of servers.
func (g *group) responseHeaders(s *scope, t *lb.Table, status int) {
	g.charset(s, t, status)
	g.expires(s, t, status)
	for _, n := range s.all("add_header") {
		name, value := n.arg(0), n.arg(1)
		if value == "" {
			n.Unneeded("a header without a value is not sent")
			continue
		}
		if slices.Contains(noted, strings.ToLower(name)) {
			n.Unneeded("mcplb writes it itself")
			continue
		}
		if status != 0 && !n.has("always") && !slices.Contains(decorated, status) {
			n.Unneeded("responses of this status do not get it")
			continue
		}
		text, notes, err := g.text(value, s)
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		if text == "" {
			n.Unneeded("a header without a value is not sent")
			continue
		}
		old, _ := t.Get("add_response_headers").(lb.Inline)
		note := ""
		if before, ok := old.Text(name); ok {
			text, note = lb.JoinFields(name, before, text)
		}
		rest := slices.DeleteFunc(slices.Clone(old), func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
		t.Set("add_response_headers", append(rest, lb.Pair{Key: name, Value: text}), n.Directive)
		if note != "" {
			t.Differ(n.Directive, "add_response_headers", "%s", note)
		}
		if status == 0 && !n.has("always") {
			t.Differ(n.Directive, "add_response_headers", "%s: on responses of every status", name)
		}
		g.notes(t, n, "add_response_headers", notes)
	}
	if status != 0 {
		return
	}
	for _, n := range s.all("proxy_hide_header") {
		added, _ := t.Get("add_response_headers").(lb.Inline)
		if slices.ContainsFunc(added, func(p lb.Pair) bool { return strings.EqualFold(p.Key, n.arg(0)) }) {
			moveToSet(t, added, n.arg(0))
			n.Translated()
			continue
		}
		t.AddTo("remove_response_headers", n.Directive, n.arg(0))
	}
}

// charsetTypes are the media types to which nginx adds a charset.
var charsetTypes = []string{"text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"}

// charset adds the charset to the media type of a generated response; those of servers pass.
func (g *group) charset(s *scope, t *lb.Table, status int) {
	n := s.last("charset")
	if n == nil || n.arg(0) == "off" || strings.Contains(n.arg(0), "$") {
		return
	}
	if status == 0 {
		t.Differ(n.Directive, "", "charset %s: Content-Type passes as the server writes it", n.arg(0))
		return
	}
	respond, _ := t.Get("respond").(lb.Inline)
	for i, p := range respond {
		if kind, _ := p.Value.(string); p.Key == "content_type" && slices.Contains(charsetTypes, kind) {
			respond[i].Value = kind + "; charset=" + n.arg(0)
			n.Translated()
		}
	}
}

// moveToSet replaces a header that is hidden and added: it is set.
func moveToSet(t *lb.Table, added lb.Inline, name string) {
	set, _ := t.Get("set_response_headers").(lb.Inline)
	var rest lb.Inline
	for _, p := range added {
		if strings.EqualFold(p.Key, name) {
			set = append(slices.Clone(set), p)
		} else {
			rest = append(rest, p)
		}
	}
	t.Set("set_response_headers", set)
	if t.Set("add_response_headers", rest); len(rest) == 0 {
		t.Delete("add_response_headers")
	}
}

// expires writes what forbids caches to keep a response. What allows it is for responses of some
// statuses alone, and mcplb would allow errors to be kept, too.
func (g *group) expires(s *scope, t *lb.Table, status int) {
	n := s.last("expires")
	switch {
	case n == nil:
	case n.arg(0) == "off":
		n.Unneeded("it is off")
	case n.arg(0) != "epoch" && !strings.HasPrefix(n.arg(0), "-"):
		n.Impossible("it is for responses of some statuses alone, and mcplb's headers are on those of every status: let the server send Cache-Control")
	case status == 0 || slices.Contains(decorated, status):
		set, _ := t.Get("set_response_headers").(lb.Inline)
		t.Set("set_response_headers", append(slices.Clone(set), lb.Pair{Key: "Cache-Control", Value: "no-cache"}, lb.Pair{Key: "Expires", Value: "Thu, 01 Jan 1970 00:00:01 GMT"}), n.Directive)
		if status == 0 {
			t.Differ(n.Directive, "set_response_headers", "Cache-Control, Expires: on responses of every status")
		}
	}
}

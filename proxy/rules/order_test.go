package rules

import (
	"net/netip"
	"testing"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// parsed is a request as a head has it.
func parsed(t testing.TB, head string) *Request {
	t.Helper()
	h := new(http1.RequestHead)
	var scan http1.Scan
	if n, reason := h.Parse([]byte(head+"\r\n\r\n"), &scan, http1.MaxHead); n == 0 || reason != http1.ReasonNone {
		t.Fatalf("%q is malformed: %s", head, reason.Text())
	}
	return &Request{
		Method: h.MethodName(), Host: h.Host(), Path: h.Path(), Fields: &h.Fields, Source: netip.MustParseAddr("192.0.2.1"), Message: Message{Known: true},
	}
}

func get(host, path string) string { return "GET " + path + " HTTP/1.1\r\nHost: " + host }

// Which of two routes a request takes is the order of DESIGN.md, section 7: an
// operator relies on each step of it, whatever the order of the file.
func TestOrder(t *testing.T) {
	t.Parallel()
	x := func(r conf.Route, change func(r *conf.Route)) conf.Route { change(&r); return r }
	any := conf.Route{}
	for name, c := range map[string]struct {
		first, second conf.Route
		head          string
	}{
		"priority before host":        {conf.Route{Priority: 1}, conf.Route{Host: []string{"a.x"}, Path: "/p"}, get("a.x", "/p")},
		"negative priority goes last": {any, conf.Route{Priority: -1, Host: []string{"a.x"}}, get("a.x", "/p")},
		"exact host before wildcard":  {conf.Route{Host: []string{"a.x"}}, conf.Route{Host: []string{"*.x"}, Path: "/p"}, get("a.x", "/p")},
		"wildcard before any":         {conf.Route{Host: []string{"*.x"}}, conf.Route{Path: "/p", Methods: []string{"GET"}}, get("a.x", "/p")},
		"the entry of a list that matched counts": {
			conf.Route{Host: []string{"*.x", "b.y"}, Path: "/p"}, conf.Route{Host: []string{"*.x", "a.y"}}, get("b.y", "/p"),
		},
		"an exact entry in a list":                 {conf.Route{Host: []string{"*.x", "a.x"}}, conf.Route{Host: []string{"*.x"}, Path: "/p"}, get("a.x", "/p")},
		"longer path":                              {conf.Route{Path: "/p/q"}, conf.Route{Path: "/p", Methods: []string{"GET"}}, get("a.x", "/p/q/r")},
		"the canonical path's length counts":       {conf.Route{Path: "/p/q"}, conf.Route{Path: "//%70///"}, get("a.x", "/p/q")},
		"path_exact before a prefix of its length": {conf.Route{PathExact: "/p"}, conf.Route{Path: "/p", Methods: []string{"GET"}}, get("a.x", "/p/")},
		"a path before none":                       {conf.Route{Path: "/"}, conf.Route{Methods: []string{"GET"}}, get("a.x", "/p")},
		"more conditions":                          {conf.Route{Methods: []string{"GET"}, Source: prefixes("192.0.2.0/24")}, conf.Route{Methods: []string{"GET"}}, get("a.x", "/p")},
		"each header is a condition": {
			conf.Route{Headers: []conf.HeaderMatch{{Name: "A"}, {Name: "B"}}}, conf.Route{Methods: []string{"GET", "PUT"}}, get("a.x", "/p") + "\r\nA: 1\r\nB: 2",
		},
		"a not_ is a condition":   {conf.Route{Not: conf.RouteNot{Path: []string{"/q"}}}, any, get("a.x", "/p")},
		"longer wildcard":         {conf.Route{Host: []string{"*.b.x"}}, conf.Route{Host: []string{"*.x"}}, get("a.b.x", "/p")},
		"a path before wildcards": {conf.Route{Host: []string{"*.x"}, Path: "/p"}, conf.Route{Host: []string{"*.b.x"}}, get("a.b.x", "/p")},
	} {
		var s Scratch
		r := parsed(t, c.head)
		if got := Compile(&conf.Frontend{Routes: []conf.Route{c.first, c.second}}).Match(r, &s); got.Route != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if got := Compile(&conf.Frontend{Routes: []conf.Route{c.second, c.first}}).Match(r, &s); got.Route != 1 {
			t.Errorf("%s, the other way round: %+v", name, got)
		}
		deny := x(c.first, func(r *conf.Route) { r.Deny = true })
		allow := x(c.second, func(r *conf.Route) { r.Allow = true })
		if got := Compile(&conf.Frontend{Routes: []conf.Route{allow, deny}}).Match(r, &s); !got.Denied || got.Route != 1 {
			t.Errorf("%s: a less specific allowance evades the denial: %+v", name, got)
		}
		deny.Deny, deny.Allow, allow.Allow, allow.Deny = false, true, false, true
		if got := Compile(&conf.Frontend{Routes: []conf.Route{allow, deny}}).Match(r, &s); got.Denied || got.Route != 1 {
			t.Errorf("%s: a more specific allowance does not hold: %+v", name, got)
		}
	}
	same := []conf.Route{{Methods: []string{"GET"}}, {Source: prefixes("192.0.2.1/32")}}
	if got := Compile(&conf.Frontend{Routes: same}).Match(parsed(t, get("a.x", "/")), new(Scratch)); got.Route != 0 {
		t.Errorf("the file's order: %+v", got)
	}
}

// unranked is a decision without its place in the order.
func unranked(d Decision) Decision {
	d.rank = 0
	return d
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// A denial goes before every route, and an allowance before the denials that are
// less specific alone.
func TestDenials(t *testing.T) {
	t.Parallel()
	m := Compile(&conf.Frontend{Routes: []conf.Route{
		{Path: "/a/b/c/d", Backend: "x", Priority: 100}, // 0: no allowance, so it evades nothing
		{Path: "/a", Deny: true},                        // 1
		{Path: "/a/b", Allow: true, Backend: "y"},       // 2
		{Path: "/a/b/c", Deny: true},                    // 3
		{Path: "/a/b/c/e", Allow: true, Methods: []string{"GET"}},
	}})
	var s Scratch
	for path, want := range map[string]Decision{
		"/": {Route: NoRoute}, "/a": {Denied: true, Route: 1}, "/a/x": {Denied: true, Route: 1}, "/a/b": {Route: 2}, "/a/b/x": {Route: 2},
		"/a/b/c": {Denied: true, Route: 3}, "/a/b/c/d": {Denied: true, Route: 3}, "/a/b/c/e": {Route: 4},
	} {
		if got := m.Match(parsed(t, get("x", path)), &s); unranked(got) != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	if got := m.Match(parsed(t, "POST /a/b/c/e HTTP/1.1\r\nHost: x"), &s); !got.Denied {
		t.Errorf("an allowance holds for another method: %+v", got)
	}
}

// Without the message it is said whether it is needed, and nothing is read for
// requests that it does not concern.
func TestMessages(t *testing.T) {
	t.Parallel()
	m := Compile(&conf.Frontend{Routes: []conf.Route{
		{Path: "/mcp", MCPMethod: []string{"tools/call"}, MCPName: []string{"delete_*"}, Deny: true},                               // 0
		{Path: "/mcp", MCPMethod: []string{"tools/call"}, MCPName: []string{"delete_tmp"}, Methods: []string{"POST"}, Allow: true}, // 1
		{Path: "/mcp", MCPMethod: []string{"tools/*"}, Backend: "tools"},                                                           // 2
		{Path: "/admin", Deny: true}, // 3
		{Path: "/mcp/plain", Not: conf.RouteNot{MCPMethod: []string{"tools/*"}, MCPName: []string{"secret"}}, Methods: []string{"PUT"}}, // 4
		{Path: "/first", Priority: 1},                 // 5
		{Path: "/first", MCPMethod: []string{"ping"}}, // 6
	}})
	var s Scratch
	match := func(head string, message Message) Decision {
		r := parsed(t, head+" HTTP/1.1\r\nHost: x")
		r.Message = message
		return unranked(m.Match(r, &s))
	}
	known := func(method, name string) Message {
		return Message{Known: true, Method: []byte(method), Name: []byte(name)}
	}
	for head, want := range map[string]Decision{
		"POST /mcp": {NeedsMessage: true, Route: NoRoute}, "POST /mcp/x": {NeedsMessage: true, Route: NoRoute}, "POST /x": {Route: NoRoute},
		"POST /admin": {Denied: true, Route: 3}, "POST /first": {Route: 5},
	} {
		if got := match(head, Message{}); got != want {
			t.Errorf("%s, not known: %+v, want %+v", head, got, want)
		}
	}
	for _, c := range []struct {
		head, method, name string
		want               Decision
	}{
		{"POST /mcp", "tools/call", "delete_all", Decision{Denied: true, Route: 0}},
		{"POST /mcp", "tools/call", "delete_tmp", Decision{Route: 1}},
		{"GET /mcp", "tools/call", "delete_tmp", Decision{Denied: true, Route: 0}},
		{"POST /mcp", "tools/call", "echo", Decision{Route: 2}},
		{"POST /mcp", "tools/list", "", Decision{Route: 2}},
		{"POST /mcp", "ping", "", Decision{Route: NoRoute}},
		{"POST /mcp", "Tools/call", "delete_all", Decision{Route: NoRoute}},
		{"POST /mcp", "", "", Decision{Route: NoRoute}},
		{"PUT /mcp/plain", "", "", Decision{Route: 4}},
		{"PUT /mcp/plain", "resources/read", "secret", Decision{Route: NoRoute}},
	} {
		if got := match(c.head, known(c.method, c.name)); got != c.want {
			t.Errorf("%s %s %s: %+v, want %+v", c.head, c.method, c.name, got, c.want)
		}
	}
	if !m.HasMCP() || Compile(&conf.Frontend{Routes: []conf.Route{{Path: "/"}}}).HasMCP() {
		t.Error("HasMCP is wrong")
	}
}

// What is known of the message decides as it would from the start: to read it late
// changes nothing.
func FuzzLateMessage(f *testing.F) {
	m := Compile(&conf.Frontend{Routes: []conf.Route{
		{Path: "/a", MCPMethod: []string{"x"}, Deny: true},
		{Path: "/a/b", MCPName: []string{"n*"}, Allow: true},
		{Path: "/a/b", Deny: true, Not: conf.RouteNot{MCPName: []string{"nn"}}},
		{Path: "/a", Backend: "y"},
		{MCPMethod: []string{"x", "y/*"}, Backend: "z"},
	}})
	f.Add("/a/b", "x", "n")
	f.Fuzz(func(t *testing.T, path, method, name string) {
		r := &Request{Path: []byte(path)}
		before := m.Match(r, new(Scratch))
		r.Message = Message{Known: true, Method: []byte(method), Name: []byte(name)}
		after := m.Match(r, new(Scratch))
		if after.NeedsMessage {
			t.Errorf("%q: the message is needed twice", path)
		}
		if !before.NeedsMessage && before != after {
			t.Errorf("%q: %+v without the message, %+v with %q %q", path, before, after, method, name)
		}
	})
}

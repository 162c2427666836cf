package l7

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/mcp"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// A session stays on its server whatever its requests say of the protocol's version,
// unless that is a date of the stateless era: or else its client is answered 404 by
// every other server, half of the time with two of them.
func TestOddVersionsBind(t *testing.T) {
	t.Parallel()
	made, b := nodes(t, 2)
	client := b.dial()
	tags := map[string]string{}
	for len(tags) < 2 {
		client.Say(post("/mcp", `{"id":1,"method":"initialize"}`, "Content-Type: application/json"))
		r, _ := client.wantStatus("POST", 200)
		tags[r.Header.Get("Node")] = r.Header.Get("Mcp-Session-Id")
	}
	for name, c := range map[string]struct {
		fields []string
		binds  bool
	}{
		"none":              {nil, true},
		"empty":             {[]string{"MCP-Protocol-Version: "}, true},
		"initial":           {[]string{"MCP-Protocol-Version: 2024-11-05"}, true},
		"last":              {[]string{"MCP-Protocol-Version: 2025-11-25"}, true},
		"lower-case name":   {[]string{"mcp-protocol-version: 2025-11-25"}, true},
		"doubled":           {[]string{"Mcp-Protocol-Version: 2025-11-25, 2025-11-25"}, true},
		"two lines":         {[]string{"MCP-Protocol-Version: 2025-11-25", "MCP-Protocol-Version: 2025-11-25"}, true},
		"two eras":          {[]string{"MCP-Protocol-Version: 2026-07-28", "MCP-Protocol-Version: 2025-11-25"}, true},
		"quoted":            {[]string{`MCP-Protocol-Version: "2025-11-25"`}, true},
		"spaces around":     {[]string{"MCP-Protocol-Version: \t 2025-11-25 \t "}, true},
		"spaces within":     {[]string{"MCP-Protocol-Version: 2025 - 11 - 25"}, true},
		"draft":             {[]string{"MCP-Protocol-Version: DRAFT-2026-v1"}, true},
		"word":              {[]string{"MCP-Protocol-Version: draft"}, true},
		"no date":           {[]string{"MCP-Protocol-Version: 9999-99-99"}, true},
		"not in 2027":       {[]string{"MCP-Protocol-Version: 2027-02-29"}, true},
		"old":               {[]string{"MCP-Protocol-Version: 2026-07-27"}, true},
		"modern, doubled":   {[]string{"MCP-Protocol-Version: 2026-07-28, 2026-07-28"}, true},
		"modern, two lines": {[]string{"MCP-Protocol-Version: 2026-07-28", "MCP-Protocol-Version: 2026-07-28"}, true},
		"modern, quoted":    {[]string{`MCP-Protocol-Version: "2026-07-28"`}, true},
		"modern, a twin":    {[]string{"Mcp_Protocol_Version: 2026-07-28"}, true},
		"modern":            {[]string{"MCP-Protocol-Version: 2026-07-28"}, false},
		"modern, spaces":    {[]string{"MCP-Protocol-Version:  2026-07-28 "}, false},
		"later":             {[]string{"MCP-Protocol-Version: 2031-12-31"}, false},
		"far":               {[]string{"MCP-Protocol-Version: 9999-12-31"}, false},
	} {
		on := map[string]int{}
		for node, id := range tags {
			for range 4 {
				client.Say(rpcPost("1", append(c.fields, "Mcp-Session-Id: "+id)...))
				r, _ := client.response("POST")
				on[r.Header.Get("Node")]++
				if c.binds && (r.StatusCode != 200 || r.Header.Get("Node") != node) {
					t.Errorf("%s: status %d from %s, want 200 from %s", name, r.StatusCode, r.Header.Get("Node"), node)
				}
			}
		}
		if on["s1"] != 4 || on["s2"] != 4 {
			t.Errorf("%s: the servers received %v, want 4 each", name, on)
		}
	}
	if n := made[0].tagged.Load() + made[1].tagged.Load(); n != 0 {
		t.Errorf("%d requests had a tag, want none", n)
	}
}

// A session that is opened with an odd version is tagged, too.
func TestOddVersionsOpen(t *testing.T) {
	t.Parallel()
	_, b := nodes(t, 2)
	client := b.dial()
	for _, version := range []string{"2025-11-25, 2025-11-25", "DRAFT-2026-v1", `"2025-11-25"`, "9999-99-99"} {
		client.Say(post("/mcp", `{"id":1,"method":"initialize"}`, "MCP-Protocol-Version: "+version))
		r, _ := client.wantStatus("POST", 200)
		id := r.Header.Get("Mcp-Session-Id")
		if _, tag, ok := mcp.SplitTagged([]byte(id)); !ok || tag != mcp.TagOf(r.Header.Get("Node")) {
			t.Errorf("version %q: the session of %s is %q", version, r.Header.Get("Node"), id)
		}
	}
}

// legacyNode is a server of the deprecated HTTP+SSE transport: every GET opens a stream
// whose first event is its endpoint event, and a POST must come to the right server with
// the URI that this has named.
type legacyNode struct {
	name, address string
	endpoint      string       // the event, with {n} for the number of the session
	next          atomic.Int64 // numbers the sessions
	zip           bool         // it compresses its streams where the client takes that
	received      chan string  // "NAME TARGET" of each POST
}

func (n *legacyNode) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == "POST" {
		n.received <- n.name + " " + r.RequestURI
		w.WriteHeader(202)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Node", n.name)
	body := io.Writer(w)
	event := strings.ReplaceAll(n.endpoint, "{n}", fmt.Sprint(n.next.Add(1)))
	if n.zip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, event)
		_ = z.Flush()
	} else {
		_, _ = io.WriteString(body, event)
	}
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// legacyNodes starts two such servers behind a balancer.
func legacyNodes(t *testing.T, endpoint string, change ...func(*setup)) ([]*legacyNode, *fixture) {
	received := make(chan string, 1)
	var made []*legacyNode
	var addresses []string
	for _, name := range []string{"s1", "s2"} {
		n := &legacyNode{name: name, endpoint: endpoint, received: received, zip: true}
		n.address = httpServer(t, n.serve)
		made, addresses = append(made, n), append(addresses, n.address)
	}
	return made, start(t, addresses, change...)
}

// openStream opens a stream, and returns the server's name and the first event.
func (b *fixture) openStream(target string, fields ...string) (node, event string) {
	b.Helper()
	client := b.dial()
	client.Say(get(target, fields...))
	b.Cleanup(func() { client.Reset() })
	r, err := http.ReadResponse(client.Reader, &http.Request{Method: "GET"})
	if err != nil {
		b.Fatal(err)
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" {
		b.Fatalf("the stream is in %s", coding)
	}
	lines := bufio.NewReader(r.Body)
	for !strings.HasSuffix(event, "\n\n") && !strings.HasSuffix(event, "\r\r") && !strings.HasSuffix(event, "\r\n\r\n") {
		one, err := lines.ReadByte()
		if err != nil {
			b.Fatalf("%q, %v", event, err)
		}
		event += string([]byte{one})
	}
	return r.Header.Get("Node"), event
}

// Whatever URI an endpoint event names, the POSTs to it reach the server that has named
// it, as it was named: without that, every second session over HTTP+SSE fails.
func TestLegacyEndpoints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ get, event, uri string }{
		"TypeScript":      {"/sse", "event: endpoint\ndata: {}\n\n", "/messages?sessionId=a-{n}"},
		"Python":          {"/sse", "event: endpoint\r\ndata: {}\r\n\r\n", "/messages/?session_id=a{n}"},
		"session in GET":  {"/sse?session_id=abc", "event: endpoint\ndata: {}\n\n", "/messages?session_id=abc&n={n}"},
		"tag in GET":      {"/sse?x=abc." + mcp.TagOf("s1").String(), "event: endpoint\ndata: {}\n\n", "/m?x=abc." + mcp.TagOf("s1").String()},
		"JSON":            {"/sse", "event: endpoint\ndata: {\"uri\":\"{}\"}\n\n", "/r/post?sessionId=11-{n}"},
		"no query":        {"/sse", "event:endpoint\ndata:{}\n\n", "/messages/{n}"},
		"empty query":     {"/sse", "data: {}\nevent: endpoint\n\n", "/messages/{n}?"},
		"CR":              {"/sse", "event: endpoint\rdata: {}\r\r", "/m?id={n}"},
		"byte order mark": {"/sse", "\ufeffevent: endpoint\ndata: {}\n\n", "/m?id={n}"},
		"odd query":       {"/sse", "event: endpoint\ndata: {}\n\n", "/m?&=&a=%zz&mcplb_tag=x&sid={n}&"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, b := legacyNodes(t, strings.ReplaceAll(c.event, "{}", c.uri))
			poster := b.dial()
			for i := range 4 {
				node, event := b.openStream(c.get, "Accept: text/event-stream", "Accept-Encoding: gzip")
				n := made[0].next.Load()
				if node == "s2" {
					n = made[1].next.Load()
				}
				uri := strings.ReplaceAll(c.uri, "{n}", fmt.Sprint(n))
				before, after, _ := strings.Cut(strings.ReplaceAll(c.event, "{}", "|"), "|")
				tagged := strings.TrimSuffix(strings.TrimPrefix(event, before), after)
				if want := "mcplb_tag=" + mcp.TagOf(node).String(); !strings.HasPrefix(tagged, uri) || !strings.HasSuffix(tagged, want) {
					t.Fatalf("the event of %s is %q, want %s with %s", node, event, uri, want)
				}
				for range 3 {
					poster.Say(post(tagged, rpcBody("1"), "Content-Type: application/json"))
					poster.wantStatus("POST", 202)
					if got := endpoint.Receive(t, made[0].received); got != node+" "+uri {
						t.Fatalf("session %d: %s was received, want %s", i, got, node+" "+uri)
					}
				}
			}
		})
	}
}

// A session that was opened before an upgrade from a version that tagged the session's
// id stays on its server, and so does one whose client also sends an id of its own.
func TestLegacyTags(t *testing.T) {
	t.Parallel()
	made, b := legacyNodes(t, "event: endpoint\ndata: /m\n\n")
	client := b.dial()
	for _, server := range []string{"s1", "s2"} {
		tag := mcp.TagOf(server).String()
		for target, c := range map[string]struct {
			fields []string
			want   string
		}{
			"/messages?sessionId=1-2." + tag:          {nil, "/messages?sessionId=1-2"},
			"/messages?session_id=12." + tag + "&a=b": {nil, "/messages?session_id=12&a=b"},
			"http://x/m?sessionid=12." + tag:          {nil, "/m?sessionid=12"},
			"/m?sessionId=12&mcplb_tag=" + tag:        {[]string{"Mcp-Session-Id: mine"}, "/m?sessionId=12"},
			"/m?mcplb_tag=" + tag + "&apikey=1":       {[]string{"MCP-Protocol-Version: x, y"}, "/m?apikey=1"},
			"/m?mcplb_tag=aaaaaaaa&mcplb_tag=" + tag:  {nil, "/m?mcplb_tag=aaaaaaaa"},
		} {
			for range 3 {
				client.Say(post(target, rpcBody("1"), append(c.fields, "Content-Type: application/json")...))
				client.wantStatus("POST", 202)
				if got := endpoint.Receive(t, made[0].received); got != server+" "+c.want {
					t.Errorf("%s reached %s, want %s %s", target, got, server, c.want)
				}
			}
		}
	}
}

// Only what asks for an event stream loses Accept-Encoding on its way to the server.
func TestAcceptEncodingOfStreams(t *testing.T) {
	t.Parallel()
	coding := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Coding", r.Header.Get("Accept-Encoding"))
	})
	sse := withFrontend(func(f *conf.Frontend) {
		f.Routes = []conf.Route{{Path: "/sse", Endpoint: conf.EndpointSSE}}
	})
	b := start(t, []string{coding}, sse, withBackend(func(b *conf.Backend) { b.Servers[0].SSE = coding }))
	client := b.dial()
	for name, c := range map[string]struct{ request, want string }{
		"stream":       {get("/", "Accept: text/event-stream", "Accept-Encoding: gzip"), ""},
		"among others": {get("/", "Accept: application/json", "Accept: text/html, Text/Event-Stream;q=0.5", "Accept-Encoding: gzip"), ""},
		"by its route": {get("/sse", "Accept-Encoding: gzip"), ""},
		"other":        {get("/", "Accept: text/html, */*", "Accept-Encoding: gzip"), "gzip"},
		"anything":     {get("/", "Accept-Encoding: gzip"), "gzip"},
		"in a session": {get("/", "Mcp-Session-Id: x", "Accept: text/event-stream", "Accept-Encoding: gzip"), "gzip"},
		"POST":         {rpcPost("1", "Accept: application/json, text/event-stream", "Accept-Encoding: gzip"), "gzip"},
	} {
		client.Say(c.request)
		method, _, _ := strings.Cut(c.request, " ")
		if r, _ := client.wantStatus(method, 200); r.Header.Get("Coding") != c.want {
			t.Errorf("%s: the server received Accept-Encoding %q, want %q", name, r.Header.Get("Coding"), c.want)
		}
	}
}

// Clients of the official SDK hold sessions over HTTP+SSE on two servers: the tagged
// endpoint is one that they accept, and each calls its own server.
func TestLegacySDK(t *testing.T) {
	t.Parallel()
	var addresses []string
	for _, name := range []string{"s1", "s2"} {
		server := sdk.NewServer(&sdk.Implementation{Name: name, Version: "1"}, nil)
		sdk.AddTool(server, &sdk.Tool{Name: "whoami"}, func(context.Context, *sdk.CallToolRequest, struct{}) (*sdk.CallToolResult, any, error) {
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: name}}}, nil, nil
		})
		handler := sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return server }, nil)
		addresses = append(addresses, httpServer(t, handler.ServeHTTP))
	}
	b := start(t, addresses, withFrontend(func(f *conf.Frontend) { f.Sticky.Cookie = "" }))
	on := map[string]int{}
	for _, query := range []string{"", "", "", "", "?session_id=mine", "?sessionId=theirs"} {
		session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
			&sdk.SSEClientTransport{Endpoint: "http://" + b.Address + "/sse" + query, HTTPClient: httpClient(t)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		name := session.InitializeResult().ServerInfo.Name
		on[name]++
		for range 3 {
			result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "whoami"})
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Content[0].(*sdk.TextContent).Text; got != name {
				t.Errorf("a session of %s was answered by %s", name, got)
			}
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(on) != 2 {
		t.Errorf("the sessions are on %v, want both servers", on)
	}
}

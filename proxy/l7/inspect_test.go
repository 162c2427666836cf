package l7

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
)

// denials are the rules of the tests: what no spelling may pass.
func denials(f *conf.Frontend) {
	f.MaxBody = 16 << 20
	f.Routes = []conf.Route{
		{Deny: true, MCPMethod: []string{"tools/call"}, MCPName: []string{"delete_*"}, Endpoint: conf.EndpointHTTP},
		{Deny: true, MCPMethod: []string{"admin/*"}, Endpoint: conf.EndpointHTTP},
		{Deny: true, MCPMethod: []string{"resources/read"}, MCPName: []string{"file:*"}, Endpoint: conf.EndpointHTTP},
		{Deny: true, MCPMethod: []string{"tasks/*"}, MCPName: []string{"secret*"}, Endpoint: conf.EndpointHTTP},
	}
}

// counting is a server that counts the requests of which it got all.
func counting(t *testing.T) (address string, seen *atomic.Int64) {
	t.Helper()
	seen = new(atomic.Int64)
	return httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		seen.Add(1)
		_, _ = fmt.Fprintf(w, "%d bytes", len(body))
	}), seen
}

// mcpRequest is a row of testdata/mcp_requests.json.
type mcpRequest struct {
	Name   string
	Head   []string
	Body   string
	Base64 []byte // instead of Body
	Want   int    // the status
}

func mcpRequests(t *testing.T) (rows []mcpRequest) {
	t.Helper()
	text, err := os.ReadFile("testdata/mcp_requests.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func (m *mcpRequest) body() string {
	if m.Base64 != nil {
		return string(m.Base64)
	}
	return strings.ReplaceAll(m.Body, "<200000 x>", strings.Repeat("x", 200_000))
}

// head is the request's head, with a Content-Length or in the chunked coding.
func (m *mcpRequest) head(chunked bool) string {
	framing := fmt.Sprintf("Content-Length: %d", len(m.body()))
	if chunked {
		framing = "Transfer-Encoding: chunked"
	}
	return "POST /mcp HTTP/1.1\r\nHost: x\r\n" + framing + "\r\n" + strings.Join(append(m.Head, ""), "\r\n") + "\r\n"
}

// inChunks is the body in the chunked coding, with chunks of the size given.
func inChunks(body string, size int) string {
	var out strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&out, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return out.String() + "0\r\n\r\n"
}

// TestDenialsAreNotPassedBySpelling sends every request of the data through a balancer: what a
// server might read as denied does not reach it, what is allowed does, however it is framed.
func TestDenialsAreNotPassedBySpelling(t *testing.T) {
	t.Parallel()
	address, seen := counting(t)
	b := start(t, []string{address}, withFrontend(denials))
	for _, m := range mcpRequests(t) {
		for _, chunked := range []bool{false, true} {
			before := seen.Load()
			body := m.body()
			if chunked {
				body = inChunks(body, max(7, len(body)/50))
			}
			c := b.dial()
			go c.Say(m.head(chunked) + body) // more than the sockets hold
			r, text := c.response("POST")
			if r.StatusCode != m.Want {
				t.Errorf("%s: %d, want %d: %.200s", m.Name, r.StatusCode, m.Want, text)
			}
			if reached := seen.Load() - before; (reached != 0) != (m.Want == 200) {
				t.Errorf("%s: %d requests reach the server", m.Name, reached)
			}
			c.Close()
		}
	}
}

// TestDenialsSplitAtEveryByte: where the head and the pieces of the body end is nothing that a
// denial depends on.
func TestDenialsSplitAtEveryByte(t *testing.T) {
	t.Parallel()
	address, seen := counting(t)
	b := start(t, []string{address}, withFrontend(denials), withoutLog)
	body := `{"id":7,"method":"tools\/call","params":{"name":"\u0064elete_é"}}`
	m := mcpRequest{Head: []string{"Content-Type: application/json"}, Body: body}
	for _, request := range []string{m.head(false) + body, m.head(true) + inChunks(body, 9)} {
		head := strings.Index(request, "\r\n\r\n") + 4
		for at := head - 3; at < len(request); at++ {
			c := b.dial()
			c.Say(request[:at])
			b.Eventually("the first part is read", func() bool { return b.pending() >= at })
			c.Say(request[at:])
			if _, text := c.wantStatus("POST", 403); !strings.Contains(text, `"id":7`) {
				t.Fatalf("split at %d: %s", at, text)
			}
			c.Close()
			b.Eventually("the client has gone", func() bool { return b.frontend.Current() == 0 })
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("%d requests reach the server", n)
	}
}

// TestInspectedRequestsPipelined: requests whose bodies are read keep their order and their
// connection, and each its own judgement.
func TestInspectedRequestsPipelined(t *testing.T) {
	t.Parallel()
	address, seen := counting(t)
	b := start(t, []string{address}, withFrontend(denials))
	allowed := mcpRequest{Head: []string{"Content-Type: application/json"}, Body: `{"id":1,"method":"tools/call","params":{"name":"echo"}}`}
	denied := allowed
	denied.Body = strings.Replace(allowed.Body, "echo", "delete_it", 1)
	c := b.dial()
	var all string
	for range 3 {
		all += allowed.head(false) + allowed.Body + denied.head(true) + inChunks(denied.Body, 5) + "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	}
	c.Say(all)
	for range 3 {
		c.wantStatus("POST", 200)
		c.wantStatus("POST", 403)
		c.wantStatus("GET", 200)
	}
	c.Close()
	if n := seen.Load(); n != 6 {
		t.Errorf("%d requests reach the server, want 6", n)
	}
}

// TestInspectedLargeBody: a body is collected before it is judged, and then reaches its server
// unchanged, in the chunked coding with its trailers.
func TestInspectedLargeBody(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withFrontend(denials), withoutLog)
	body := `{"id":1,"method":"tools/call","params":{"arguments":"` + strings.Repeat("0123456789abcdef", 100<<10) + `","name":"echo"}}`
	m := mcpRequest{Head: []string{"Content-Type: application/json", "Trailer: X-Sum"}, Body: body}
	for _, chunked := range []bool{false, true} {
		c := b.dial()
		sent := m.head(chunked) + body
		if chunked {
			sent = m.head(true) + strings.TrimSuffix(inChunks(body, 10_000), "\r\n") + "X-Sum: 5\r\n\r\n"
		}
		go c.Say(sent)
		server := s.next()
		r, got := server.request()
		if got != body {
			t.Fatalf("chunked %t: the server got %d bytes, want %d", chunked, len(got), len(body))
		}
		if chunked && r.Trailer.Get("X-Sum") != "5" {
			t.Errorf("trailers: %v", r.Trailer)
		}
		server.answer("ok")
		c.wantStatus("POST", 200)
		c.Close()
		server.Close()
	}
}

// TestInspectedBodyIsAskedFor: a client that waits for 100 gets it from the balancer, once.
func TestInspectedBodyIsAskedFor(t *testing.T) {
	t.Parallel()
	address, _ := counting(t)
	b := start(t, []string{address}, withFrontend(denials))
	for body, want := range map[string]int{`{"method":"admin/x"}`: 403, `{"method":"ping"}`: 200} {
		m := mcpRequest{Head: []string{"Content-Type: application/json", "Expect: 100-continue"}, Body: body}
		c := b.dial()
		c.Say(m.head(false))
		if first := c.head().first(); first != "HTTP/1.1 100 Continue" {
			t.Fatalf("got %q", first)
		}
		c.Say(m.Body)
		c.wantStatus("POST", want)
		c.Close()
	}
}

// TestInspectedBodyThatStalls is refused, and holds no server meanwhile.
func TestInspectedBodyThatStalls(t *testing.T) {
	t.Parallel()
	address, seen := counting(t)
	b := start(t, []string{address}, withFrontend(denials), withStoppedTime, withMaxConn(1))
	m := mcpRequest{Head: []string{"Content-Type: application/json"}, Body: `{"id":3,"method":"ping"}`}
	c := b.dial()
	c.Say(m.head(false) + m.Body[:10])
	b.awaitState("inspecting", 1)
	other := b.dial()
	other.Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	other.wantStatus("GET", 200)
	other.Close()
	b.Advance(bodyWindow + time.Second)
	c.wantStatus("POST", 408)
	c.Close()
	gone := b.dial()
	gone.Say(m.head(false) + m.Body[:10])
	b.awaitState("inspecting", 1)
	gone.Close()
	b.Eventually("the client has gone", func() bool { return b.frontend.Current() == 0 })
	if n := seen.Load(); n != 1 {
		t.Errorf("%d requests reach the server", n)
	}
}

// TestInspectedBodyTooLarge: no more is collected than max_body says.
func TestInspectedBodyTooLarge(t *testing.T) {
	t.Parallel()
	address, _ := counting(t)
	b := start(t, []string{address}, withFrontend(denials), withFrontend(func(f *conf.Frontend) { f.MaxBody = 1000 }))
	m := mcpRequest{Head: []string{"Content-Type: application/json"}, Body: `{"a":"` + strings.Repeat("x", 1000)}
	for _, chunked := range []bool{false, true} {
		c := b.dial()
		c.Say(m.head(chunked))
		if chunked {
			c.Say("400\r\n")
		}
		c.wantStatus("POST", 413)
		c.Close()
	}
}

// TestRoutesByMessage: calls go to the backend of their route, a batch to the most specific of
// those of its messages.
func TestRoutesByMessage(t *testing.T) {
	t.Parallel()
	named := func(name string) string {
		return httpServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name) })
	}
	b := start(t, []string{named("main")}, func(s *setup) {
		slow := s.backends[0]
		slow.Name, slow.Servers = "slow", []conf.Server{{Name: "s", HTTP: named("slow"), Weight: 100}}
		s.backends = append(s.backends, slow)
		s.frontend.Routes = []conf.Route{
			{Path: "/mcp", MCPMethod: []string{"tools/call"}, MCPName: []string{"slow_*"}, Backend: "slow", Endpoint: conf.EndpointHTTP},
		}
	})
	for body, want := range map[string]string{
		`{"method":"tools/call","params":{"name":"slow_x"}}`:                       "slow",
		`{"method":"tools/call","params":{"name":"x"}}`:                            "main",
		`[{"method":"ping"},{"method":"tools/call","params":{"name":"slow_x"}}]`:   "slow",
		`{"method":"tools/call","params":{"name":"x"},"params":{"name":"slow_x"}}`: "slow",
		`{"method":"tools/list"}`:                                                  "main",
		`{"id":1,"result":{}}`:                                                     "main",
		``:                                                                         "main",
		`{"method":"tools/call","params":{"name":"` + strings.Repeat("x", 300000) + `"}}`: "main",
	} {
		m := mcpRequest{Head: []string{"Content-Type: application/json"}, Body: body}
		c := b.dial()
		go c.Say(m.head(false) + body)
		if _, got := c.wantStatus("POST", 200); got != want {
			t.Errorf("%.100s goes to %s, want %s", body, got, want)
		}
		c.Close()
	}
}

// A denied request whose body is JSON-RPC gets a JSON-RPC error with its id, whatever its
// Content-Type: its client shows a page of HTML to nobody.
func TestDeniedBodyOfAnotherType(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withFrontend(func(f *conf.Frontend) {
		f.Routes = []conf.Route{{Path: "/", Endpoint: conf.EndpointHTTP, MCPName: []string{"delete_it"}, Deny: true}}
	}))
	client := b.dial()
	for _, c := range []struct{ body, want string }{
		{`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"delete_it"}}`, `{"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"forbidden: this request is not allowed here"}}`},
		{`{"params":{"name":"delete_it"}}`, "this request is not allowed here"},
	} {
		client.Say(post("/mcp", c.body, "Content-Type: application/x-www-form-urlencoded"))
		if _, got := client.wantStatus("POST", 403); strings.TrimSpace(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.body, got, c.want)
		}
	}
	s.expectNoConn()
}

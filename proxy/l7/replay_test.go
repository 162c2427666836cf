package l7

import (
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
)

// rpcCall is a POST of a JSON-RPC request.
func rpcCall(body string, fields ...string) string {
	return post("/mcp", body, append(fields, "Content-Type: application/json")...)
}

// message is a JSON-RPC request.
func message(method string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":5,"method":"%s","params":{"name":"x","taskId":"t"}}`, method)
}

// chunked is a POST of a body in chunks of so many bytes.
func chunked(body string, size int) string {
	var b strings.Builder
	b.WriteString("POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func gzipped(t *testing.T, text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What only reads is sent once more when a kept-alive connection swallows it: its client
// does not see that the server closed just then. Nothing else is: a tool would be called
// twice. The server counts.
func TestReplay(t *testing.T) {
	t.Parallel()
	type request struct {
		text  string
		again bool
	}
	all := map[string]request{
		"a large one":              {rpcCall(strings.Replace(message("tools/list"), `"x"`, `"`+strings.Repeat("x", 12<<10)+`"`, 1)), true},
		"one over what is kept":    {rpcCall(strings.Replace(message("tools/list"), `"x"`, `"`+strings.Repeat("x", 20<<10)+`"`, 1)), false},
		"in chunks":                {chunked(message("tools/list"), 7), true},
		"escaped":                  {rpcCall(message(`tools\/\u006cist`)), true},
		"a batch":                  {rpcCall("[" + message("tools/list") + "," + message("ping") + "]"), true},
		"a batch with a call":      {rpcCall("[" + message("tools/list") + "," + message("tools/call") + "]"), false},
		"an empty batch":           {rpcCall("[]"), false},
		"two methods":              {rpcCall(`{"method":"tools/call","id":5,"method":"tools/list"}`), false},
		"two methods, by case":     {rpcCall(`{"method":"tools/list","id":5,"Method":"tools/call"}`), false},
		"no method":                {rpcCall(`{"jsonrpc":"2.0","id":5,"result":{}}`), false},
		"broken":                   {rpcCall(`{"method":"tools/list","id":5`), false},
		"two bodies":               {rpcCall(message("tools/list") + message("tools/call")), false},
		"compressed":               {rpcCall(gzipped(t, message("tools/list")), "Content-Encoding: gzip"), false},
		"a header that says so":    {rpcCall(message("tools/call"), "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list"), false},
		"a header that does not":   {rpcCall(message("tools/list"), "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call"), true},
		"another media type":       {post("/mcp", message("tools/list"), "Content-Type: text/plain"), false},
		"a method in another case": {rpcCall(message("Tools/list")), false},
	}
	for _, method := range strings.Fields("server/discover tools/list resources/list resources/templates/list prompts/list resources/read prompts/get tasks/get ping") {
		all[method] = request{rpcCall(message(method)), true}
	}
	for _, method := range strings.Fields("tools/call initialize tasks/update tasks/cancel tasks/list tasks/result subscriptions/listen resources/subscribe " +
		"logging/setLevel completion/complete notifications/cancelled x tools/list2") {
		all[method] = request{rpcCall(message(method)), false}
	}
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkTimesSent(t, c.text, map[bool]int{true: 2, false: 1}[c.again])
		})
	}
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		checkTimesSent(t, rpcCall(message("tools/list")), 1, withBackend(func(b *conf.Backend) { b.Replay = false }))
	})
}

// checkTimesSent checks how often a request reaches a server that swallows it each time.
func checkTimesSent(t *testing.T, request string, want int, change ...func(*setup)) {
	t.Helper()
	b, s := startServed(t, append(change, oneLoop)...)
	client, server := b.pair(s, get("/1"))
	server.answer("fine")
	client.wantStatus("GET", 200)
	half := len(request) / 2
	client.Say(request[:half])
	b.Turns(3)
	client.Say(request[half:])
	_, first := server.request()
	server.Close()
	n := 1
	for n < want && s.swallows(first, endpoint.Patience) {
		n++
	}
	client.wantStatus("POST", 502)
	for s.swallows(first, 20*time.Millisecond) { // what is sent comes before the response
		n++
	}
	client.Say(get("/2")) // the client's connection is as good as before
	r, _ := s.next().request()
	if r.URL.Path != "/2" {
		t.Errorf("%s %s is sent, too", r.Method, r.URL)
	}
	client.Close()
	if n != want {
		t.Errorf("it is sent %d times, want %d", n, want)
	}
}

// swallows accepts a connection with a request, which must have the body, and ends it. It
// returns false if none comes in time.
func (s *server) swallows(body string, limit time.Duration) bool {
	s.Helper()
	if err := s.SetDeadline(time.Now().Add(limit)); err != nil {
		s.Fatal(err)
	}
	c, err := s.AcceptTCP()
	if err := s.SetDeadline(time.Time{}); err != nil {
		s.Fatal(err)
	}
	if err != nil {
		return false
	}
	server := &httpConn{endpoint.New(s, c)}
	if _, again := server.request(); again != body {
		s.Errorf("sent again with the body %.100q instead of %.100q", again, body)
	}
	server.Close()
	return true
}

// What has begun to be answered is not sent again, not even what only reads.
func TestNoReplayOfAnswered(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"HTTP/1.1 200", "HTTP/1.1 103 Early Hints\r\n\r\n"} {
		b, s := startServed(t, oneLoop)
		client, server := b.pair(s, get("/1"))
		server.answer("fine")
		client.wantStatus("GET", 200)
		client.Say(rpcCall(message("tools/list")))
		server.request()
		server.Say(before)
		server.Close()
		if strings.Contains(before, " 103 ") {
			client.head()
		}
		client.wantStatus("POST", 502)
		s.expectNoConn()
	}
}

// A kept-alive connection is used until timeout_idle is over, and closed then: servers
// close theirs, and a request in that moment is lost.
func TestTimeoutIdle(t *testing.T) {
	t.Parallel()
	for _, idle := range []time.Duration{10 * time.Second, 1500 * time.Millisecond, 0} {
		b, s := startServed(t, oneLoop, withStoppedTime, withBackend(func(b *conf.Backend) { b.TimeoutIdle = idle }))
		client, server := b.pair(s, get("/1"))
		server.answer("fine")
		client.wantStatus("GET", 200)
		pause := idle - 500*time.Millisecond
		if idle == 0 {
			pause = time.Minute
		}
		for range 2 {
			b.Advance(pause)
			client.Say(get("/2"))
			server.request()
			server.answer("fine")
			client.wantStatus("GET", 200)
		}
		if idle == 0 {
			continue
		}
		b.Advance(idle + 500*time.Millisecond)
		server.HearEnd()
	}
}

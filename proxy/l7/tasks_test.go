package l7

import (
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/mcp"
)

// taskTag is what is put behind the ids of the server called name.
func taskTag(name string) string { return "." + mcp.TagOf(name).String() }

// modernFields are what a stateless request has.
func modernFields(method, name string) []string {
	fields := []string{"Content-Type: application/json", "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: " + method}
	if name != "" {
		fields = append(fields, "Mcp-Name: "+name)
	}
	return fields
}

// modernCall is a stateless POST.
func modernCall(method, name, body string, fields ...string) string {
	return post("/mcp", body, append(fields, modernFields(method, name)...)...)
}

// taskCall is a request for a task.
func taskCall(method, id string, fields ...string) string {
	return modernCall(method, id, taskBody(method, id), fields...)
}

func taskBody(method, id string) string {
	return `{"jsonrpc":"2.0","id":5,"method":"` + method + `","params":{"taskId":"` + id + `","inputResponses":{"taskId":"x` + taskTag("s1") + `"}}}`
}

// toolCall is a request that may create a task.
var toolCall = modernCall("tools/call", "work", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"work"}}`)

const (
	newTask  = `{"jsonrpc":"2.0","id":5,"result":{"resultType":"task","taskId":"abc","status":"working"}}`
	taskDone = `{"jsonrpc":"2.0","id":5,"result":{"resultType":"complete","content":[],"taskId":"abc"}}`
)

// tagAll puts the tag of s1 behind the ids "abc" of a text.
func tagAll(text string) string { return strings.ReplaceAll(text, `"abc"`, `"abc`+taskTag("s1")+`"`) }

// asEvent is a message in an event stream.
func asEvent(message string) string { return "event: message\ndata: " + message + "\n\n" }

// pieces splits a text into pieces of a size.
func pieces(text string, size int) (all []string) {
	for ; len(text) > size; text = text[size:] {
		all = append(all, text[:size])
	}
	return append(all, text)
}

// The id of a task reaches the client with its server's tag, whatever the framing and
// however the response comes; what is no task passes as it is. Otherwise a client's next
// request for its task reaches any server, which does not know it.
func TestTaskResults(t *testing.T) {
	t.Parallel()
	large := `{"jsonrpc":"2.0","id":5,"result":{"x":"` + strings.Repeat("x", 20<<10) + `","taskId":"abc","resultType":"task"}}`
	for name, c := range map[string]struct {
		media, body string
		task        bool
	}{
		"a task":           {"application/json", newTask, true},
		"no task":          {"application/json; charset=utf-8", taskDone, false},
		"a large task":     {"application/json", large, true},
		"a stream":         {"text/event-stream", asEvent(`{"method":"notifications/progress","params":{"taskId":"abc"}}`) + asEvent(newTask), true},
		"no task's stream": {"text/event-stream", asEvent(taskDone), false},
		"another type":     {"text/plain", newTask, false},
	} {
		want := c.body
		if c.task {
			want = strings.Replace(c.body, `"taskId":"abc","`, `"taskId":"abc`+taskTag("s1")+`","`, 1)
			if name == "a stream" {
				want = asEvent(`{"method":"notifications/progress","params":{"taskId":"abc"}}`) + asEvent(tagAll(newTask))
			}
		}
		for framing, frame := range map[string]func(size int) (fields string, parts []string){
			"length": func(size int) (string, []string) {
				return fmt.Sprintf("Content-Length: %d\r\n", len(c.body)), pieces(c.body, size)
			},
			"chunks": func(size int) (string, []string) {
				var all []string
				for _, p := range pieces(c.body, size) {
					all = append(all, chunk(p))
				}
				return "Transfer-Encoding: chunked\r\n", append(all, "0\r\n\r\n")
			},
		} {
			for _, size := range []int{1, 37, 1 << 20} {
				if size == 1 && len(c.body) > 10<<10 {
					size = 1000
				}
				t.Run(fmt.Sprint(name, " ", framing, " ", size), func(t *testing.T) {
					t.Parallel()
					b, client, server := startExchange(t, toolCall)
					fields, parts := frame(size)
					server.Say("HTTP/1.1 200 OK\r\nContent-Type: " + c.media + "\r\n" + fields + "\r\n")
					for _, p := range parts {
						server.Say(p)
					}
					r, body := client.wantStatus("POST", 200)
					if body != want {
						t.Errorf("got %.300q, want %.300q", body, want)
					}
					if framing == "length" && len(want) <= mostHeldAnswer && r.ContentLength != int64(len(want)) {
						t.Errorf("Content-Length %d, want %d", r.ContentLength, len(want))
					}
					b.Eventually("the task is counted", func() bool { return b.frontend.Totals().TasksOpened == map[bool]uint64{true: 1}[c.task] })
				})
			}
		}
	}
}

// If it fails, clients of HTTP/1.0 get chunks, or ids that lead nowhere.
func TestTaskResultsForOldClients(t *testing.T) {
	t.Parallel()
	for _, body := range []string{newTask, asEvent(newTask)} {
		old := strings.Replace(toolCall, "HTTP/1.1", "HTTP/1.0", 1)
		_, client, server := startExchange(t, old)
		media := map[bool]string{true: "application/json", false: "text/event-stream"}[body == newTask]
		server.Say("HTTP/1.1 200 OK\r\nContent-Type: " + media + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body) + "0\r\n\r\n")
		if h := client.head(); len(h.all("Transfer-Encoding")) > 0 {
			t.Errorf("%q", h)
		}
		client.Hear(tagAll(body))
		client.HearEnd()
	}
}

// Responses that mcplb compresses have the tag, too.
func TestTaskResultsAreCompressed(t *testing.T) {
	t.Parallel()
	_, client, server := startExchange(t, strings.Replace(toolCall, "Host: x", "Host: x\r\nAccept-Encoding: gzip", 1))
	body := strings.Replace(newTask, "working", strings.Repeat("working ", 1000), 1)
	server.answer(body, "Content-Type: application/json")
	r, zipped := client.wantStatus("POST", 200)
	if r.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v", r.Header)
	}
	z, err := gzip.NewReader(strings.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != tagAll(body) {
		t.Errorf("got %.200q, %v", got, err)
	}
}

// Whose requests may have to do with tasks does not get encoded responses, and nobody
// else is touched: neither fields, nor bodies that look alike.
func TestWhatIsNoTaskPasses(t *testing.T) {
	t.Parallel()
	id := "abc" + taskTag("s1")
	body := taskBody("tasks/get", id)
	for name, c := range map[string]struct {
		request string
		change  func(*setup)
	}{
		"another method":    {modernCall("tools/list", id, body, "Accept-Encoding: br"), nil},
		"no method":         {post("/mcp", body, "Content-Type: application/json", "MCP-Protocol-Version: 2026-07-28", "Mcp-Name: "+id, "Accept-Encoding: br"), nil},
		"two methods":       {taskCall("tasks/get", id, "Accept-Encoding: br", "Mcp-Method: tools/call"), nil},
		"of a session":      {post("/mcp", body, "Content-Type: application/json", "MCP-Protocol-Version: 2025-11-25", "Mcp-Method: tasks/get", "Mcp-Name: "+id, "Accept-Encoding: br"), nil},
		"no version":        {post("/mcp", body, "Content-Type: application/json", "Mcp-Method: tasks/get", "Mcp-Name: "+id, "Accept-Encoding: br"), nil},
		"stickiness is off": {taskCall("tasks/get", id, "Accept-Encoding: br"), withFrontend(func(f *conf.Frontend) { f.Sticky.Session = false })},
		"a GET":             {strings.Replace(taskCall("tasks/get", id, "Accept-Encoding: br"), "POST", "PUT", 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := []func(*setup){oneLoop}
			if c.change != nil {
				changes = append(changes, c.change)
			}
			b, s := startServed(t, changes...)
			client := b.dial()
			client.Say(c.request)
			server := s.next()
			r, got := server.request()
			if !strings.HasSuffix(c.request, got) || r.Header.Get("Mcp-Name") != "" && r.Header.Get("Mcp-Name") != id || r.Header.Get("Accept-Encoding") != "br" {
				t.Errorf("the server has got %v %q", r.Header, got)
			}
			server.answer(newTask, "Content-Type: application/json")
			if _, body := client.wantStatus("POST", 200); body != newTask {
				t.Errorf("the client has got %q", body)
			}
		})
	}
}

// A request for a task reaches its server as if no tag had ever been put on: by header
// and by body, in any framing, however it is split.
func TestTaskRequests(t *testing.T) {
	t.Parallel()
	const id = `a"/é`
	inBody := func(id string) string { return strings.ReplaceAll(id, `"`, `\"`) }
	inHeader := func(id string) string {
		return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(id)) + "?="
	}
	listen := func(ids string) string {
		return `{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{"taskIds":[` + ids + `]}}}`
	}
	long := strings.Repeat("x", 200<<10)
	update := func(id string) string {
		return `{"method":"tasks/update","params":{"inputResponses":{"k":"` + long + `"},"taskId":"` + id + `"},"id":5}`
	}
	tag := taskTag("s2")
	for name, c := range map[string]struct{ method, name, body, wantName, wantBody string }{
		"get":          {"tasks/get", "abc" + tag, taskBody("tasks/get", "abc"+tag), "abc", taskBody("tasks/get", "abc")},
		"cancel":       {"tasks/cancel", "abc" + tag, taskBody("tasks/cancel", "abc"+tag), "abc", taskBody("tasks/cancel", "abc")},
		"base64":       {"tasks/get", inHeader(id + tag), taskBody("tasks/get", inBody(id+tag)), inHeader(id), taskBody("tasks/get", inBody(id))},
		"a long one":   {"tasks/update", "abc" + tag, update("abc" + tag), "abc", update("abc")},
		"header alone": {"tasks/get", "abc" + tag, taskBody("tasks/get", "abc"), "abc", taskBody("tasks/get", "abc")},
		"body alone":   {"tasks/get", "", taskBody("tasks/get", "abc"+tag), "", taskBody("tasks/get", "abc")},
		"a batch":      {"tasks/get", "", "[" + taskBody("tasks/get", "abc"+tag) + "," + taskBody("tasks/get", "d"+tag) + "]", "", "[" + taskBody("tasks/get", "abc") + "," + taskBody("tasks/get", "d") + "]"},
		"subscription": {"subscriptions/listen", "", listen(`"a` + tag + `","b","c` + tag + `"`), "", listen(`"a","b","c"`)},
	} {
		for _, size := range []int{0, 1, 50, 70 << 10} {
			for _, inChunks := range []bool{false, true} {
				if size == 1 && len(c.body) > 10<<10 {
					size = 5000
				}
				t.Run(fmt.Sprint(name, " ", size, " ", inChunks), func(t *testing.T) {
					t.Parallel()
					first, second := serve(t), serve(t)
					b := start(t, []string{first.Address, second.Address})
					client := b.dial()
					request := modernCall(c.method, c.name, c.body, "Accept-Encoding: gzip")
					if inChunks {
						parts := pieces(c.body, max(size, 20, len(c.body)/100))
						request = strings.Replace(request[:len(request)-len(c.body)], fmt.Sprintf("Content-Length: %d", len(c.body)), "Transfer-Encoding: chunked", 1)
						for _, p := range parts {
							request += chunk(p)
						}
						request += "0\r\nX-Trailer: 1\r\n\r\n"
					}
					piece := max(size, len(request)/100)
					if size == 0 {
						piece = len(request)
					}
					for _, p := range pieces(request, piece) {
						client.Say(p)
					}
					server := second.next()
					r, body := server.request()
					if body != c.wantBody || r.Header.Get("Mcp-Name") != c.wantName {
						t.Errorf("name %q, body %.300q, want %q, %.300q", r.Header.Get("Mcp-Name"), body, c.wantName, c.wantBody)
					}
					if r.Header.Get("Accept-Encoding") != "" || r.Header.Get("Mcp-Method") != c.method {
						t.Errorf("%v", r.Header)
					}
					server.answer("{}", "Content-Type: application/json")
					client.wantStatus("POST", 200)
					client.Say(taskCall("tasks/get", "z"+tag)) // the connections have stayed in step
					if _, body := server.request(); body != taskBody("tasks/get", "z") {
						t.Errorf("next: %q", body)
					}
					server.answer(taskDone, "Content-Type: application/json")
					if _, body := client.wantStatus("POST", 200); body != strings.Replace(taskDone, `"abc"`, `"abc`+tag+`"`, 1) {
						t.Errorf("the client has got %q", body)
					}
					if n := b.frontend.Totals().WithTask; n != 2 {
						t.Errorf("%d requests for tasks are counted, want 2", n)
					}
				})
			}
		}
	}
}

// A digest or signature of the request covers the body with its tag: a server that checks it
// would refuse the body that it gets. Where nothing is taken off, it stays.
func TestTaskRequestsHaveNoDigest(t *testing.T) {
	t.Parallel()
	digests := []string{"Content-Digest: sha-256=:x:", "repr-digest: sha-256=:x:", "Digest: SHA-256=x", "CONTENT-MD5: x", "Signature-Input: s=()", "Signature: s=:x:"}
	for id, want := range map[string]int{"abc" + taskTag("s1"): 0, "abc": len(digests)} {
		b, s := startServed(t)
		client := b.dial()
		client.Say(taskCall("tasks/get", id, digests...))
		server := s.next()
		r, _ := server.request()
		found := 0
		for _, name := range []string{"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Signature-Input", "Signature"} {
			found += len(r.Header.Values(name))
		}
		if found != want {
			t.Errorf("%s: the server gets %v", id, r.Header)
		}
		server.answer(taskDone, "Content-Type: application/json")
		client.wantStatus("POST", 200)
	}
}

// Ids without a tag come from no mcplb: nothing is taken off, and the policy decides.
func TestTaskWithoutTag(t *testing.T) {
	t.Parallel()
	_, client, server := startExchange(t, taskCall("tasks/get", "abc", "Accept-Encoding: br"))
	server.answer(taskDone, "Content-Type: application/json")
	if _, body := client.wantStatus("POST", 200); body != taskDone {
		t.Errorf("%q", body)
	}
}

// A request for a task that cannot reach its server gets a JSON-RPC error that says why,
// with its id, and no other server sees it. The connection lives on.
func TestTaskRequestsAreRefused(t *testing.T) {
	t.Parallel()
	several := `{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["a` + taskTag("s1") + `","b` + taskTag("s2") + `"]}}}`
	for name, c := range map[string]struct {
		request string
		change  func(*fixture)
		status  int
		want    string
	}{
		"several servers":       {modernCall("subscriptions/listen", "", several), nil, 400, `{"jsonrpc":"2.0","id":5,"error":{"code":-32600,"message":"invalid request: these tasks are on several servers: send one request for the tasks of each"}}`},
		"header and body":       {modernCall("tasks/get", "abc"+taskTag("s1"), taskBody("tasks/get", "abc"+taskTag("s2"))), nil, 400, `{"jsonrpc":"2.0","id":5,"error":{"code":-32600,"message":"invalid request: these tasks are on several servers: send one request for the tasks of each"}}`},
		"a server that is gone": {taskCall("tasks/get", "abc"+taskTag("other")), nil, 404, `{"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"task not found: its server is no longer there: call the tool again"}}`},
		"a server that is down": {taskCall("tasks/get", "abc"+taskTag("s2")), func(b *fixture) { b.admin(1, backend.Maint) }, 503, `{"jsonrpc":"2.0","id":5,"error":{"code":503,"message":"no server available: the server of this task is down or in maintenance: ask for the task later"}}`},
		"a coding":              {taskCall("tasks/get", "abc"+taskTag("s1"), "Content-Encoding: gzip"), nil, 400, `{"jsonrpc":"2.0","id":5,"error":{"code":-32600,"message":"invalid request: a request for a task must not have a Content-Encoding: send its body as it is"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := serve(t), serve(t)
			b := start(t, []string{first.Address, second.Address})
			if c.change != nil {
				c.change(b)
			}
			client := b.dial()
			for range 2 {
				client.Say(c.request)
				if _, body := client.wantStatus("POST", c.status); strings.TrimSpace(body) != c.want {
					t.Errorf("got %s, want %s", body, c.want)
				}
			}
			first.expectNoConn()
			second.expectNoConn()
		})
	}
}

// A server that drains keeps its tasks.
func TestTasksOfDrainingServer(t *testing.T) {
	t.Parallel()
	first, second := serve(t), serve(t)
	b := start(t, []string{first.Address, second.Address})
	b.admin(1, backend.Drain)
	client := b.dial()
	for range 3 {
		client.Say(taskCall("tasks/get", "abc"+taskTag("s2")))
		server := second.next()
		server.request()
		server.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		client.wantStatus("POST", 200)
	}
}

// The bodies of requests for tasks are bounded, like all others.
func TestTaskBodiesAreBounded(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withFrontend(func(f *conf.Frontend) { f.MaxBody = 1000 }))
	client := b.dial()
	client.Say("POST /mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + strings.Join(modernFields("tasks/get", ""), "\r\n") + "\r\n\r\n" +
		chunk(`{"id":5,"method":"tasks/get",`) + chunk(strings.Repeat(" ", 900)))
	b.awaitState("inspecting", 1)
	client.Say(chunk(strings.Repeat(" ", 100)))
	client.wantStatus("POST", 413)
	s.expectNoConn()
}

// A body that is no chunked coding is refused before a server sees anything of it.
func TestTaskBodiesAreWellFormed(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	client := b.dial()
	client.Say("POST /mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + strings.Join(modernFields("tasks/get", ""), "\r\n") + "\r\n\r\n" + chunk(`{"id":5,`))
	b.awaitState("inspecting", 1)
	client.Say("x\r\n")
	client.wantStatus("POST", 400)
	s.expectNoConn()
}

// A poll that a kept-alive connection has swallowed is sent once more, without its tag.
func TestTaskPollIsSentAgain(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	client := b.dial()
	call := taskCall("tasks/get", "abc"+taskTag("s1"))
	server := s.receive(client, call)
	server.answer("{}")
	client.wantStatus("POST", 200)
	client.Say(call)
	server.request()
	server.Reset()
	again := s.next()
	if r, body := again.request(); body != taskBody("tasks/get", "abc") || r.Header.Get("Mcp-Name") != "abc" {
		t.Errorf("%v %q", r.Header, body)
	}
	again.answer("{}")
	client.wantStatus("POST", 200)
}

// A client that waits to be asked for its body is asked.
func TestTaskBodyIsAskedFor(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	client := b.dial()
	call, body := taskCall("tasks/get", "abc"+taskTag("s1"), "Expect: 100-continue"), taskBody("tasks/get", "abc"+taskTag("s1"))
	client.Say(strings.TrimSuffix(call, body))
	client.Hear("HTTP/1.1 100 Continue\r\n\r\n")
	client.Say(body)
	server := s.next()
	if _, body := server.request(); body != taskBody("tasks/get", "abc") {
		t.Errorf("%q", body)
	}
	server.answer("{}")
	client.wantStatus("POST", 200)
}

// A subscription that is handed over in the middle of a message goes on, and what is held
// back of a result is neither lost nor doubled.
func TestTaskStreamsAreHandedOver(t *testing.T) {
	t.Parallel()
	const note = `{"params":{"taskId":"abc","status":"working"},"method":"notifications/tasks"}`
	stream := asEvent(note) + asEvent(note)
	listen := modernCall("subscriptions/listen", "", `{"id":5,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["abc`+taskTag("s1")+`"]}}}`)
	for _, cut := range []int{10, len(asEvent(note)) - 50, len(asEvent(note)) - 4, len(asEvent(note)) + 40} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, oneLoop, withoutLog)
			caller := b.dial()
			server := s.receive(caller, listen)
			server.Say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(stream[:cut]))
			caller.head()
			b.Eventually("what has come was read", func() (read bool) {
				b.each(func(c *client) { read = c.exchange.has(answered) && !c.exchange.upstream.conn.Readable() })
				return read
			})
			b.handOver()
			server.Say(chunk(stream[cut:]) + "0\r\n\r\n")
			got, err := io.ReadAll(httputil.NewChunkedReader(caller.Reader))
			if err != nil || string(got) != tagAll(stream) {
				t.Errorf("got %q, %v, want %q", got, err, tagAll(stream))
			}
		})
	}
}

// A rule for a task holds for its id with a tag, too: by header, and by body.
func TestTaskRulesSeeNoTag(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withFrontend(func(f *conf.Frontend) {
		f.Routes = []conf.Route{{Path: "/", Endpoint: conf.EndpointHTTP, MCPMethod: []string{"tasks/get"}, MCPName: []string{"abc"}, Deny: true}}
	}))
	id := "abc" + taskTag("s1")
	client := b.dial()
	for _, request := range []string{taskCall("tasks/get", "abc"), taskCall("tasks/get", id), modernCall("tasks/get", "", taskBody("tasks/get", id))} {
		client.Say(request)
		client.wantStatus("POST", 403)
	}
	s.expectNoConn()
}

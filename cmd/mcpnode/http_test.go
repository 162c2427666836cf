package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// startHTTP serves in this process.
func startHTTP(t *testing.T, opts httpOptions) *httpEndpoint {
	t.Helper()
	return startHTTPOf(t, opts, func() *mcp.Server { return newServer("node1", "test", slog.New(slog.DiscardHandler)) })
}

// startHTTPOf serves sessions of servers that the test makes.
func startHTTPOf(t *testing.T, opts httpOptions, newServer func() *mcp.Server) *httpEndpoint {
	t.Helper()
	endpoint, err := listenHTTP(opts, newServer, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- endpoint.accept() }()
	t.Cleanup(func() {
		if !endpoint.close(time.Minute) {
			t.Errorf("%d requests, %d sessions, %d WebSockets did not end",
				endpoint.requests.count(), endpoint.count(), endpoint.sockets.count())
		}
		if err := <-done; err != nil {
			t.Errorf("accept: %v", err)
		}
	})
	return endpoint
}

// post is a request that carries a message to the service at /mcp.
func post(message string, headers ...http.Header) *http.Request {
	req := newRequest(http.MethodPost, pathMCP, io.NopCloser(strings.NewReader(message)), headers)
	req.ContentLength = int64(len(message))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	return req
}

// get is a request for an event stream.
func get(path string, headers ...http.Header) *http.Request {
	req := newRequest(http.MethodGet, path, nil, headers)
	req.Header.Set("Accept", "text/event-stream")
	return req
}

func newRequest(method, path string, body io.ReadCloser, headers []http.Header) *http.Request {
	req := &http.Request{Method: method, URL: &url.URL{Path: path}, Host: "mcp.example.com", Header: http.Header{}, Body: body}
	for _, header := range headers {
		for name, values := range header {
			req.Header[name] = values
		}
	}
	return req
}

// begin sends a request and returns the head of its answer, whose body continues.
func begin(t *testing.T, conn net.Conn, req *http.Request) *http.Response {
	t.Helper()
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// exchange sends a request and reads the complete answer.
func exchange(t *testing.T, conn net.Conn, req *http.Request) *http.Response {
	t.Helper()
	res := begin(t, conn, req)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res
}

// nextEvent reads an event of a stream, its fields by name.
func nextEvent(t *testing.T, stream *http.Response) map[string]string {
	t.Helper()
	fields := map[string]string{}
	var line []byte
	for octet := make([]byte, 1); ; {
		if _, err := stream.Body.Read(octet); err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		switch {
		case octet[0] != '\n':
			line = append(line, octet[0])
		case len(line) > 0:
			name, value, _ := strings.Cut(string(line), ": ")
			fields[name] = value
			line = nil
		case len(fields) > 0:
			return fields
		}
	}
}

func dialSocket(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), "ws://"+address+pathWebSocket, &websocket.DialOptions{
		Host: "mcp.example.com", Subprotocols: []string{subprotocol},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.CloseNow() })
	socket.SetReadLimit(maxMessage)
	return socket
}

// clientSocket is the client side of a session over WebSocket.
type clientSocket struct{ socket *websocket.Conn }

func (c clientSocket) Connect(context.Context) (mcp.Connection, error) { return c, nil }
func (c clientSocket) SessionID() string                               { return "" }
func (c clientSocket) Close() error                                    { return c.socket.CloseNow() }

func (c clientSocket) Read(ctx context.Context) (jsonrpc.Message, error) {
	_, data, err := c.socket.Read(ctx)
	if err != nil {
		return nil, io.EOF
	}
	return jsonrpc.DecodeMessage(data)
}

func (c clientSocket) Write(ctx context.Context, msg jsonrpc.Message) error {
	data, err := jsonrpc.EncodeMessage(msg)
	if err != nil {
		return err
	}
	return c.socket.Write(ctx, websocket.MessageText, data)
}

// transports are the transports over HTTP, with the eras of each.
var transports = []struct {
	name string
	eras []string
	dial func(t *testing.T, address string) mcp.Transport
}{
	{"streamable", eras, func(t *testing.T, address string) mcp.Transport {
		return &mcp.StreamableClientTransport{Endpoint: "http://" + address + pathMCP, HTTPClient: httpClient(t)}
	}},
	{"websocket", eras, func(t *testing.T, address string) mcp.Transport {
		return clientSocket{dialSocket(t, address)}
	}},
	{"sse", eras[:1], func(t *testing.T, address string) mcp.Transport {
		return &mcp.SSEClientTransport{Endpoint: "http://" + address + pathSSE, HTTPClient: httpClient(t)}
	}},
}

// httpClient is a client whose connections end with the test.
func httpClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// overHTTP runs a test over each transport and era.
func overHTTP(t *testing.T, test func(t *testing.T, connect func(*mcp.ClientOptions) *mcp.ClientSession, era string)) {
	t.Parallel()
	for _, transport := range transports {
		for _, era := range transport.eras {
			t.Run(transport.name+" "+era, func(t *testing.T) {
				t.Parallel()
				address := startHTTP(t, httpOptions{http: "127.0.0.1:0"}).address("http")
				test(t, func(options *mcp.ClientOptions) *mcp.ClientSession {
					client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
					session, err := client.Connect(untilDone(t), transport.dial(t, address),
						&mcp.ClientSessionOptions{ProtocolVersion: era})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { session.Close() })
					return session
				}, era)
			})
		}
	}
}

// address is where a service listens.
func (e *httpEndpoint) address(option string) string {
	for _, addr := range e.addrs() {
		if addr.Key == option {
			return addr.Value.String()
		}
	}
	return ""
}

func TestToolsOverHTTP(t *testing.T) {
	overHTTP(t, func(t *testing.T, connect func(*mcp.ClientOptions) *mcp.ClientSession, era string) {
		session := connect(nil)
		if got := session.InitializeResult().ProtocolVersion; got != era {
			t.Errorf("protocol version %q, want %q", got, era)
		}
		long := strings.Repeat("x", 1<<20)
		for _, test := range []struct {
			tool      string
			arguments map[string]any
			text      string
		}{
			{"echo", map[string]any{"message": "a\nb \u00e4"}, "a\nb \u00e4"},
			{"echo", map[string]any{"message": long}, long},
			{"whoami", nil, "node1"},
			{"slow", map[string]any{"seconds": 0.01, "steps": 2}, "2 steps in 10ms"},
		} {
			result, err := session.CallTool(t.Context(), call(test.tool, test.arguments))
			if err != nil {
				t.Errorf("%s: %v", test.tool, err)
			} else if got := textOf(result); got != test.text {
				t.Errorf("%s: got %.80q, want %.80q", test.tool, got, test.text)
			}
		}
	})
}

func TestProgressOverHTTP(t *testing.T) {
	overHTTP(t, func(t *testing.T, connect func(*mcp.ClientOptions) *mcp.ClientSession, _ string) {
		progress := make(chan float64, 3)
		session := connect(&mcp.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
				progress <- req.Params.Progress
			},
		})
		params := call("slow", map[string]any{"seconds": 0.03, "steps": 3})
		params.SetProgressToken("token")
		if _, err := session.CallTool(t.Context(), params); err != nil {
			t.Fatal(err)
		}
		for want := 1.0; want <= 3; want++ {
			if got := <-progress; got != want {
				t.Errorf("progress %v, want %v", got, want)
			}
		}
	})
}

// Cancelling a call ends its tool and does not affect the session.
func TestCancelledCallOverHTTP(t *testing.T) {
	overHTTP(t, func(t *testing.T, connect func(*mcp.ClientOptions) *mcp.ClientSession, _ string) {
		begun := make(chan struct{}, 1)
		session := connect(&mcp.ClientOptions{
			ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) {
				select {
				case begun <- struct{}{}:
				default:
				}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-begun
			cancel()
		}()
		params := call("slow", map[string]any{"seconds": 600, "steps": 10_000})
		params.SetProgressToken("token")
		if _, err := session.CallTool(ctx, params); !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled call returned %v", err)
		}
		result, err := session.CallTool(t.Context(), call("whoami", nil))
		if err != nil || textOf(result) != "node1" {
			t.Errorf("after it the session answers %v, %v", result, err)
		}
	})
}

func TestPathsAndAddresses(t *testing.T) {
	t.Parallel()
	const free = "127.0.0.1:0"
	other, third := "127.0.0.2:0", "127.0.0.3:0"
	for _, test := range []struct {
		name string
		opts httpOptions
		want map[string]string // by option, the paths
	}{
		{"all on one", httpOptions{http: free}, map[string]string{"http": "/health /mcp /mcp/sse /mcp/ws"}},
		{"sse apart", httpOptions{http: free, sse: other}, map[string]string{"http": "/health /mcp /mcp/ws", "sse": "/health /mcp/sse"}},
		{"each apart", httpOptions{http: free, ws: other, sse: third},
			map[string]string{"http": "/health /mcp", "ws": "/health /mcp/ws", "sse": "/health /mcp/sse"}},
		{"ws and sse together", httpOptions{http: free, ws: other, sse: other},
			map[string]string{"http": "/health /mcp", "ws": "/health /mcp/sse /mcp/ws"}},
		{"sse alone", httpOptions{sse: free}, map[string]string{"sse": "/health /mcp/sse"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			endpoint := startHTTP(t, test.opts)
			got := map[string]string{}
			for _, addr := range endpoint.addrs() {
				var paths []string
				for _, path := range []string{pathHealth, pathMCP, pathSSE, pathWebSocket} {
					// No handler accepts PATCH: existing paths answer at once.
					req := newRequest(http.MethodPatch, path, nil, nil)
					if exchange(t, dial(t, addr.Value.String()), req).StatusCode != http.StatusNotFound {
						paths = append(paths, path)
					}
				}
				got[addr.Key] = strings.Join(paths, " ")
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("served: %v, want %v", got, test.want)
			}
		})
	}
}

// Requests with and without sessions share a path and follow different rules.
func TestErasOnTheWire(t *testing.T) {
	t.Parallel()
	endpoint := startHTTP(t, httpOptions{http: "127.0.0.1:0"})
	conn := dial(t, endpoint.address("http"))
	modern := http.Header{"Mcp-Protocol-Version": {statelessSince}}
	expect := func(what string, req *http.Request, status int) *http.Response {
		t.Helper()
		res := exchange(t, conn, req)
		if res.StatusCode != status {
			t.Errorf("%s: %s, want %d", what, res.Status, status)
		}
		return res
	}
	opened := expect("initialize", post(initializeLine), 200)
	session := http.Header{"Mcp-Session-Id": opened.Header["Mcp-Session-Id"]}
	expect("initialized", post(initializedLine, session), 202)
	expect("ping", post(pingLine, session), 200)
	expect("unknown session", post(pingLine, http.Header{"Mcp-Session-Id": {"unknown"}}), 404)
	expect("GET without a session", get(pathMCP), 400)
	expect("GET of the modern era", get(pathMCP, modern), 405)
	expect("DELETE of the modern era", newRequest(http.MethodDelete, pathMCP, nil, []http.Header{modern, session}), 405)

	// A session of the older era has no meaning in the modern one.
	tools := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"` + statelessSince +
		`","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}}}`
	answer := expect("tools/list", post(tools, modern, http.Header{"Mcp-Method": {"tools/list"}}), 200)
	if got := answer.Header.Get("Mcp-Session-Id"); got != "" {
		t.Errorf("a stateless answer has the session %q", got)
	}
	expect("wrong Mcp-Method", post(tools, modern, http.Header{"Mcp-Method": {"tools/call"}}), 400)

	stream := begin(t, dial(t, endpoint.address("http")), get(pathMCP, session))
	if got := stream.Header.Get("Content-Type"); stream.StatusCode != 200 || got != "text/event-stream" {
		t.Errorf("GET: %s, %s", stream.Status, got)
	}
	expect("DELETE", newRequest(http.MethodDelete, pathMCP, nil, []http.Header{session}), 204)
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream of a deleted session ends with %v", err)
	}
	expect("ping after DELETE", post(pingLine, session), 404)
}

func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel()
	endpoint := startHTTP(t, httpOptions{http: "127.0.0.1:0", idle: 20 * time.Millisecond})
	opened := exchange(t, dial(t, endpoint.address("http")), post(initializeLine))
	session := http.Header{"Mcp-Session-Id": opened.Header["Mcp-Session-Id"]}
	conn := dial(t, endpoint.address("http"))
	stream := begin(t, conn, get(pathMCP, session))
	if stream.StatusCode == 200 { // otherwise the session has ended already
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, stream.Body); err != nil {
			t.Errorf("the stream of an idle session ends with %v", err)
		}
	}
	// The session is removed shortly after it has ended.
	for deadline := time.Now().Add(time.Minute); ; {
		res := exchange(t, dial(t, endpoint.address("http")), post(pingLine, session))
		if res.StatusCode == 404 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("an idle session answers %s, want 404", res.Status)
		}
	}
}

// A browser behind the balancer sends the balancer's Host and any Origin.
func TestForeignHostAndOrigin(t *testing.T) {
	t.Parallel()
	address := startHTTP(t, httpOptions{http: "127.0.0.1:0"}).address("http")
	foreign := http.Header{"Origin": {"https://inspector.example.org"}}
	if res := exchange(t, dial(t, address), post(initializeLine, foreign)); res.StatusCode != 200 {
		t.Errorf("%s: %s", pathMCP, res.Status)
	}
	if res := begin(t, dial(t, address), get(pathSSE, foreign)); res.StatusCode != 200 {
		t.Errorf("%s: %s", pathSSE, res.Status)
	}
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Protocol": {subprotocol}}
	if res := begin(t, dial(t, address), get(pathWebSocket, foreign, upgrade)); res.StatusCode != 101 {
		t.Errorf("%s: %s", pathWebSocket, res.Status)
	}
}

// A WebSocket that breaks the rules is closed with the reason.
func TestWebSocketRules(t *testing.T) {
	t.Parallel()
	endpoint := startHTTP(t, httpOptions{http: "127.0.0.1:0"})
	for _, test := range []struct {
		name         string
		subprotocols []string
		kind         websocket.MessageType
		input        string
		answer       string // "" = none
		status       websocket.StatusCode
	}{
		{"no subprotocol", nil, websocket.MessageText, pingLine, "", websocket.StatusPolicyViolation},
		{"another subprotocol", []string{"chat"}, websocket.MessageText, pingLine, "", websocket.StatusPolicyViolation},
		{"no JSON", []string{subprotocol}, websocket.MessageText, "hello", "-32700", websocket.StatusInvalidFramePayloadData},
		{"no message", []string{subprotocol}, websocket.MessageText, "{}", "-32600", websocket.StatusInvalidFramePayloadData},
		{"two messages", []string{subprotocol}, websocket.MessageText, pingLine + pingLine, "-32700", websocket.StatusInvalidFramePayloadData},
		{"binary", []string{subprotocol}, websocket.MessageBinary, pingLine, "", websocket.StatusUnsupportedData},
		{"too long", []string{subprotocol}, websocket.MessageText, strings.Repeat("x", maxMessage+1), "", websocket.StatusMessageTooBig},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			socket, _, err := websocket.Dial(t.Context(), "ws://"+endpoint.address("http")+pathWebSocket,
				&websocket.DialOptions{Subprotocols: test.subprotocols})
			if err != nil {
				t.Fatal(err)
			}
			defer socket.CloseNow()
			go socket.Write(untilDone(t), test.kind, []byte(test.input)) // may fail when the node has refused it
			_, answer, err := socket.Read(t.Context())
			if err == nil {
				_, _, err = socket.Read(t.Context())
			}
			if !strings.Contains(string(answer), test.answer) || (test.answer == "") != (answer == nil) {
				t.Errorf("the answer is %q, want %q", answer, test.answer)
			}
			if got := websocket.CloseStatus(err); got != test.status {
				t.Errorf("it ends with status %d (%v), want %d", got, err, test.status)
			}
		})
	}
}

// A client of the modern era cancels by closing the stream of the answer.
func TestDisconnectCancels(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	endpoint := startHTTPOf(t, httpOptions{http: "127.0.0.1:0"}, func() *mcp.Server {
		server := newServer("node1", "test", log)
		mcp.AddTool(server, &mcp.Tool{Name: "watched"},
			func(ctx context.Context, req *mcp.CallToolRequest, args slowArguments) (*mcp.CallToolResult, any, error) {
				close(begun)
				result, structured, err := slow(ctx, req, args)
				ended <- err
				return result, structured, err
			})
		return server
	})
	message := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"watched","arguments":{"seconds":600},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"` + statelessSince +
		`","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}}}`
	conn := dial(t, endpoint.address("http"))
	err := post(message, http.Header{
		"Mcp-Protocol-Version": {statelessSince}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"watched"},
	}).Write(conn)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	conn.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the tool ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the tool still runs")
	}
}

// All streams end with the endpoint, and each client sees it.
func TestCloseEndsHTTP(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	endpoint, err := listenHTTP(httpOptions{http: "127.0.0.1:0"}, func() *mcp.Server { return newServer("node1", "test", log) }, log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- endpoint.accept() }()
	address := endpoint.address("http")
	streams := openEverything(t, address)
	if !endpoint.close(time.Minute) {
		t.Errorf("%d requests, %d sessions, %d WebSockets did not end", endpoint.requests.count(), endpoint.count(), endpoint.sockets.count())
	}
	if err := <-done; err != nil {
		t.Errorf("accept: %v", err)
	}
	streams.expectEnd(t)
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting after close gives %v, want that it is refused", err)
	}
}

// everything is a stream of each kind, open at the same time.
type everything struct {
	streams []*http.Response
	socket  *websocket.Conn
}

// openEverything opens everything and an idle connection.
func openEverything(t *testing.T, address string) everything {
	t.Helper()
	exchange(t, dial(t, address), get(pathHealth))
	conn := dial(t, address)
	opened := exchange(t, conn, post(initializeLine))
	session := http.Header{"Mcp-Session-Id": opened.Header["Mcp-Session-Id"]}
	exchange(t, conn, post(initializedLine, session))
	slowCall := `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"slow",` +
		`"arguments":{"seconds":600,"steps":10000},"_meta":{"progressToken":"t"}}}`
	all := everything{
		streams: []*http.Response{
			begin(t, dial(t, address), get(pathMCP, session)),
			begin(t, conn, post(slowCall, session)),
			begin(t, dial(t, address), get(pathSSE)),
		},
		socket: dialSocket(t, address),
	}
	for _, message := range []string{initializeLine, initializedLine, slowCall} {
		if err := all.socket.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // so that the call is in progress
		if _, _, err := all.socket.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (e everything) expectEnd(t *testing.T) {
	t.Helper()
	for _, stream := range e.streams {
		if _, err := io.Copy(io.Discard, stream.Body); err == nil {
			t.Errorf("the answer to %s %s looks complete", stream.Request.Method, stream.Request.URL.Path)
		}
	}
	for {
		if _, _, err := e.socket.Read(t.Context()); err != nil {
			if got := websocket.CloseStatus(err); got != websocket.StatusGoingAway {
				t.Errorf("the WebSocket ends with %v, want status %d", err, websocket.StatusGoingAway)
			}
			return
		}
	}
}

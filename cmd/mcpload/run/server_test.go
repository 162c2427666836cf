package run

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"mcplb/cmd/mcpload/report"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fakeServer is an MCP server for every kind of client, which can misbehave.
type fakeServer struct {
	name   string
	alter  func(id int, text string) (int, string) // changes the answers to tool calls; nil = they are correct
	silent atomic.Bool                             // it does not answer tool calls
	served atomic.Int64                            // tool calls
	hangUp bool                                    // raw TCP: it closes the connection after the answer to a tool call
	plain  bool                                    // POSTs are answered with bare JSON, not an event stream

	mu       sync.Mutex
	streams  map[string]chan string // guarded by mu; HTTP+SSE sessions
	sessions int                    // guarded by mu
	conns    []net.Conn             // guarded by mu; of raw TCP
}

// rpc is the part of a JSON-RPC message that the fake needs.
type rpc struct {
	ID     *int
	Method string
	Params struct {
		Name      string
		Arguments struct{ Message string }
	}
}

// answer returns the answer to a message, "" for none.
func (f *fakeServer) answer(message []byte) string {
	var m rpc
	if err := json.Unmarshal(message, &m); err != nil {
		return `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no JSON"}}`
	}
	switch {
	case m.ID == nil:
		return ""
	case m.Method == "initialize":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"fake","title":%q,"version":"1"}}}`, *m.ID, f.name)
	case m.Method == "ping":
		f.served.Add(1)
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, *m.ID)
	}
	if f.silent.Load() {
		return ""
	}
	f.served.Add(1)
	id, text := *m.ID, f.name
	if m.Params.Name == "echo" {
		text = m.Params.Arguments.Message
	}
	if f.alter != nil {
		id, text = f.alter(id, text)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":%q}]}}`, id, text)
}

// lines serves raw TCP, with TLS if secure is not nil. It returns the address.
func (f *fakeServer) lines(t *testing.T, secure *tls.Config) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	var working sync.WaitGroup
	working.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			f.mu.Unlock()
			working.Go(func() { f.serveLines(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		f.cut()
		working.Wait()
	})
	return address
}

func (f *fakeServer) serveLines(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if answer := f.answer(lines.Bytes()); answer != "" {
			io.WriteString(conn, answer+"\n")
			if f.hangUp && strings.Contains(lines.Text(), "tools/call") {
				return
			}
		}
	}
}

// cut closes every raw TCP connection.
func (f *fakeServer) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		conn.Close()
	}
	f.conns = nil
}

// web serves every kind that uses HTTP.
func (f *fakeServer) web(t *testing.T, secure bool) *httptest.Server {
	t.Helper()
	f.streams = map[string]chan string{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mcp", f.post)
	mux.HandleFunc("GET /mcp/sse", f.stream)
	mux.HandleFunc("POST /mcp/sse", f.streamPost)
	mux.HandleFunc("GET /mcp/ws", f.socket)
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetHTTP2(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func (f *fakeServer) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	answer := f.answer(body)
	switch {
	case strings.Contains(string(body), `"initialize"`):
		f.mu.Lock()
		f.sessions++
		w.Header().Set("Mcp-Session-Id", fmt.Sprint("session-", f.sessions))
		f.mu.Unlock()
	case r.Header.Get("Mcp-Session-Id") == "":
		http.Error(w, "no session", http.StatusBadRequest)
		return
	case answer == "":
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if f.plain {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, piece := range []string{"event: message\nda", "ta: " + answer[:5], answer[5:] + "\n\n"} {
		io.WriteString(w, piece)
		w.(http.Flusher).Flush()
	}
}

func (f *fakeServer) stream(w http.ResponseWriter, r *http.Request) {
	messages := make(chan string, 10)
	f.mu.Lock()
	f.sessions++
	id := fmt.Sprint(f.sessions)
	f.streams[id] = messages
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, ": welcome\n\nevent: endpoint\ndata: /mcp/sse?sessionid=%s\n\n", id)
	w.(http.Flusher).Flush()
	for {
		select {
		case message := <-messages:
			fmt.Fprintf(w, "event: message\ndata: %s\n\n", message)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fakeServer) streamPost(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	messages := f.streams[r.URL.Query().Get("sessionid")]
	f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil || messages == nil {
		http.Error(w, "no session", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if answer := f.answer(body); answer != "" {
		messages <- answer
	}
}

func (f *fakeServer) socket(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mcp"}})
	if err != nil {
		return
	}
	defer socket.CloseNow()
	for {
		_, message, err := socket.Read(context.Background())
		if err != nil {
			return
		}
		if answer := f.answer(message); answer != "" {
			if err := socket.Write(context.Background(), websocket.MessageText, []byte(answer)); err != nil {
				return
			}
		}
	}
}

// shortRun returns options for a run of less than a second.
func shortRun() Options {
	o := Defaults()
	o.Clients, o.Rate, o.Sources, o.Quiet = 20, 10_000, 7, true
	o.Interval, o.Load, o.Monitor = 20*time.Millisecond, 200*time.Millisecond, 10*time.Millisecond
	o.Timeout, o.OpenTimeout, o.Reconnect = time.Minute, time.Minute, time.Millisecond
	return o
}

// mustRun does a run and returns its report.
func mustRun(t *testing.T, o Options) *report.Report {
	t.Helper()
	p, err := Do(t.Context(), &o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	initializeLine  = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`
	initializedLine = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	pingLine        = `{"jsonrpc":"2.0","id":2,"method":"ping"}`
)

// The eras of the protocol: with and without the initialize handshake.
var eras = []string{"2025-11-25", "2026-07-28"}

// startEndpoint serves in this process and returns the address.
func startEndpoint(t *testing.T, listener func(net.Listener) net.Listener) (*tcpEndpoint, string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	endpoint, err := listenTCP("127.0.0.1:0", newServer("node1", "test", log), log)
	if err != nil {
		t.Fatal(err)
	}
	address := endpoint.listener.Addr().String()
	if listener != nil {
		endpoint.listener = listener(endpoint.listener)
	}
	done := make(chan error, 1)
	go func() { done <- endpoint.accept() }()
	t.Cleanup(func() {
		select {
		case <-endpoint.closed: // by the test
		default:
			if !endpoint.close(time.Minute) {
				t.Errorf("%d sessions did not end", endpoint.count())
			}
		}
		if err := <-done; err != nil {
			t.Errorf("accept: %v", err)
		}
	})
	return endpoint, address
}

// connect opens a session of the older era by the official client.
func connect(t *testing.T, address string) *mcp.ClientSession {
	t.Helper()
	session, err := connectAs(t, address, eras[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func connectAs(t *testing.T, address, era string, options *mcp.ClientOptions) (*mcp.ClientSession, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	return client.Connect(untilDone(t), &mcp.IOTransport{Reader: conn, Writer: conn},
		&mcp.ClientSessionOptions{ProtocolVersion: era})
}

func call(tool string, arguments any) *mcp.CallToolParams {
	return &mcp.CallToolParams{Name: tool, Arguments: arguments}
}

// textOf is a tool's answer, which must be one text.
func textOf(result *mcp.CallToolResult) string {
	if len(result.Content) == 1 {
		if content, ok := result.Content[0].(*mcp.TextContent); ok {
			return content.Text
		}
	}
	return fmt.Sprintf("not one text: %v", result.Content)
}

func TestTools(t *testing.T) {
	t.Parallel()
	_, address := startEndpoint(t, nil)
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			session, err := connectAs(t, address, era, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := session.InitializeResult().ProtocolVersion; got != era {
				t.Errorf("protocol version %q, want %q", got, era)
			}
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(tools.Tools) != 4 {
				t.Errorf("%d tools, want 4", len(tools.Tools))
			}
			for _, test := range []struct {
				tool      string
				arguments map[string]any
				text      string
				isError   bool
			}{
				{"echo", map[string]any{"message": "a\nb \u00e4"}, "a\nb \u00e4", false},
				{"echo", map[string]any{"message": ""}, "", false},
				{"echo", map[string]any{"message": strings.Repeat("x", 1<<20)}, strings.Repeat("x", 1<<20), false},
				{"whoami", nil, "node1", false},
				{"slow", map[string]any{"seconds": 0.01, "steps": 2}, "2 steps in 10ms", false},
				{"slow", map[string]any{"seconds": 0}, "1 steps in 0s", false},
				{"slow", map[string]any{"seconds": -1}, "seconds must be 0 to 3600 and steps 1 to 10000", true},
				{"slow", map[string]any{"seconds": 0, "steps": 10_001}, "seconds must be 0 to 3600 and steps 1 to 10000", true},
			} {
				result, err := session.CallTool(t.Context(), call(test.tool, test.arguments))
				if err != nil {
					t.Errorf("%s: %v", test.tool, err)
				} else if got := textOf(result); got != test.text || result.IsError != test.isError {
					t.Errorf("%s: got %.80q, error %v; want %.80q, error %v", test.tool, got, result.IsError, test.text, test.isError)
				}
			}
		})
	}
}

func TestSlowReportsProgress(t *testing.T) {
	t.Parallel()
	_, address := startEndpoint(t, nil)
	for _, era := range eras {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			progress := make(chan *mcp.ProgressNotificationParams, 5)
			session, err := connectAs(t, address, era, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
					progress <- req.Params
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			params := call("slow", map[string]any{"seconds": 0.05, "steps": 5})
			params.SetProgressToken("token")
			if _, err := session.CallTool(t.Context(), params); err != nil {
				t.Fatal(err)
			}
			for step := 1.0; step <= 5; step++ {
				got := <-progress
				if got.ProgressToken != "token" || got.Progress != step || got.Total != 5 {
					t.Errorf("progress %+v, want step %v of 5", got, step)
				}
			}
		})
	}
}

func TestSlowTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		req := &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{}}
		start := time.Now()
		if _, _, err := slow(t.Context(), req, slowArguments{Seconds: 10, Steps: 3}); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start = time.Now()
		if _, _, err := slow(ctx, req, slowArguments{Seconds: 10}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v until cancelled, want 2s", took)
		}
	})
}

// Cancelling a call ends the tool at once, and so does the end of its session.
func TestSlowIsCancelled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		cancel func(session *mcp.ClientSession, conn net.Conn, cancelCall func())
	}{
		{"by the caller", func(_ *mcp.ClientSession, _ net.Conn, cancelCall func()) { cancelCall() }},
		{"by a reset", func(_ *mcp.ClientSession, conn net.Conn, _ func()) {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			started, ended := make(chan struct{}), make(chan error, 1)
			log := slog.New(slog.DiscardHandler)
			server := newServer("node1", "test", log)
			mcp.AddTool(server, &mcp.Tool{Name: "watched"},
				func(ctx context.Context, req *mcp.CallToolRequest, args slowArguments) (*mcp.CallToolResult, any, error) {
					close(started)
					result, structured, err := slow(ctx, req, args)
					ended <- err
					return result, structured, err
				})
			session, conn := connectTo(t, server)
			ctx, cancelCall := context.WithCancel(t.Context())
			defer cancelCall()
			params := call("watched", map[string]any{"seconds": 600, "steps": 10_000})
			params.SetProgressToken("token")
			go session.CallTool(ctx, params)
			<-started
			test.cancel(session, conn, cancelCall)
			if err := <-ended; err == nil {
				t.Error("the tool ran to its end")
			}
		})
	}
}

// connectTo serves one session of a server over TCP.
func connectTo(t *testing.T, server *mcp.Server) (*mcp.ClientSession, net.Conn) {
	t.Helper()
	endpoint, err := listenTCP("127.0.0.1:0", server, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- endpoint.accept() }()
	t.Cleanup(func() {
		endpoint.close(5 * time.Second)
		<-done
	})
	conn := dial(t, endpoint.listener.Addr().String())
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(untilDone(t), &mcp.IOTransport{Reader: conn, Writer: conn}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return session, conn
}

func TestManySessionsAtOnce(t *testing.T) {
	t.Parallel()
	const sessions = 200
	endpoint, address := startEndpoint(t, nil)
	var clients, open sync.WaitGroup
	open.Add(sessions)
	for i := range sessions {
		clients.Go(func() {
			session, err := connectAs(t, address, eras[i%2], nil)
			open.Done()
			if err != nil {
				t.Error(err)
				return
			}
			open.Wait() // all are open before the first calls
			for n := range 5 {
				message := fmt.Sprintf("session %d, call %d", i, n)
				result, err := session.CallTool(t.Context(), call("echo", map[string]any{"message": message}))
				if err != nil {
					t.Error(err)
				} else if got := textOf(result); got != message {
					t.Errorf("got %q, want %q", got, message)
				}
			}
		})
	}
	clients.Wait()
	if got := endpoint.count(); got != sessions {
		t.Errorf("%d sessions are counted, want %d", got, sessions)
	}
}

// A balancer's health check sends a ping on a new connection.
func TestPingBeforeInitialize(t *testing.T) {
	t.Parallel()
	_, address := startEndpoint(t, nil)
	conn := dial(t, address)
	fmt.Fprintln(conn, pingLine)
	expectLines(t, conn, `{"jsonrpc":"2.0","id":2,"result":{}}`)
}

// A client that has finished sending still gets all its answers, then EOF.
func TestAnswersAfterHalfClose(t *testing.T) {
	t.Parallel()
	_, address := startEndpoint(t, nil)
	conn := dial(t, address)
	slowLine := `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"slow","arguments":{"seconds":0.1}}}`
	// The last line has no newline.
	fmt.Fprint(conn, initializeLine+"\r\n\n"+initializedLine+"\n"+slowLine)
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answers, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(answers); !strings.Contains(got, `"id":1`) || !strings.Contains(got, "1 steps in 100ms") {
		t.Errorf("the answers are %q", got)
	}
}

func TestAnswersAreAwaitedForSomeTimeOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		conn := newLineConn(server, func(*lineConn) {})
		defer conn.Close()
		conn.calls <- struct{}{}
		start := time.Now()
		conn.calls.await(answerTimeout, conn.closed)
		if took := time.Since(start); took != answerTimeout {
			t.Errorf("waited %v for an answer, want %v", took, answerTimeout)
		}
	})
}

// A line that is no message is answered with the reason and ends its session. Other
// sessions continue.
func TestMalformedInput(t *testing.T) {
	t.Parallel()
	endpoint, address := startEndpoint(t, nil)
	bystander := connect(t, address)
	noise := make([]byte, 64<<10)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(noise)
	for _, test := range []struct {
		name  string
		input []byte
		code  string // in the answer; "" = a reset may have overtaken it
	}{
		{"random bytes", noise, ""},
		{"no JSON", []byte("GET / HTTP/1.1\n"), "-32700"},
		{"cut short", []byte(`{"jsonrpc":"2.0","id":1,` + "\n"), "-32700"},
		{"two on a line", []byte(pingLine + pingLine + "\n"), "-32700"},
		{"no message", []byte("{}\n"), "-32600"},
		{"a number", []byte("7\n"), "-32600"},
		{"a batch", []byte("[" + pingLine + "]\n"), "-32600"},
		{"wrong version", []byte(`{"jsonrpc":"1.0","id":1,"method":"ping"}` + "\n"), "-32600"},
		{"too deep", []byte(strings.Repeat("[", 100_000) + "\n"), "-32700"},
		{"too long", bytes.Repeat([]byte("x"), maxMessage+readBuffer), "-32600"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, address)
			conn.Write(test.input) // may fail when the node has refused it
			answer, err := io.ReadAll(conn)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			if test.code != "" && !strings.HasPrefix(string(answer), `{"jsonrpc":"2.0","id":null,"error":{"code":`+test.code) {
				t.Errorf("the answer is %q, want an error %s", answer, test.code)
			}
		})
	}
	t.Cleanup(func() { // runs when all of the above have ended
		if err := bystander.Ping(untilDone(t), nil); err != nil {
			t.Errorf("another session was affected: %v", err)
		}
		// The clients have seen the end of the other sessions; the count follows.
		for deadline := time.Now().Add(time.Minute); endpoint.count() != 1; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d sessions are open, want the one", endpoint.count())
			}
		}
	})
}

// Requests in the wrong order are answered, and the session continues.
func TestWrongRequestsKeepTheSession(t *testing.T) {
	t.Parallel()
	_, address := startEndpoint(t, nil)
	conn := dial(t, address)
	fmt.Fprintln(conn, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	expectLines(t, conn, `"error"`)
	fmt.Fprintln(conn, `{"jsonrpc":"2.0","id":2,"method":"no/such"}`)
	expectLines(t, conn, `"error"`)
	fmt.Fprintln(conn, pingLine)
	expectLines(t, conn, `"result":{}`)
}

// A client that sends and never reads is stopped, not buffered.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	_, address := startEndpoint(t, nil)
	conn := dial(t, address)
	fmt.Fprintln(conn, initializeLine)
	request := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"%%d","method":"tools/call","params":{"name":"echo","arguments":{"message":"%s"}}}`+"\n",
		strings.Repeat("x", 8<<10))
	const most = 64 << 20
	for sent, id := 0, 0; ; id++ {
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := fmt.Fprintf(conn, string(request), id)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Logf("stopped after %d bytes", sent)
			return
		}
		if sent += n; err != nil || sent > most {
			t.Fatalf("sent %d bytes without being stopped: %v", sent, err)
		}
	}
}

func TestCloseEndsBusySessions(t *testing.T) {
	t.Parallel()
	endpoint, address := startEndpoint(t, nil)
	for range 20 {
		session := connect(t, address)
		go session.CallTool(untilDone(t), call("slow", map[string]any{"seconds": 600}))
		if err := session.Ping(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if !endpoint.close(time.Minute) {
		t.Errorf("%d sessions did not end", endpoint.count())
	}
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting after close gives %v, want that it is refused", err)
	}
	if endpoint.sessions.add(nil) {
		t.Error("a session was added after close")
	}
}

// faultyListener fails to accept some times before it works.
type faultyListener struct {
	net.Listener
	failures []error
}

func (l *faultyListener) Accept() (net.Conn, error) {
	if len(l.failures) > 0 {
		err := l.failures[0]
		l.failures = l.failures[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

func TestAcceptOutlastsShortages(t *testing.T) {
	t.Parallel()
	_, address := startEndpoint(t, func(real net.Listener) net.Listener {
		return &faultyListener{real, []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}}
	})
	if err := connect(t, address).Ping(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestAcceptReportsABrokenListener(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	endpoint, err := listenTCP("127.0.0.1:0", newServer("node1", "test", log), log)
	if err != nil {
		t.Fatal(err)
	}
	defer endpoint.close(time.Second)
	endpoint.listener = &faultyListener{endpoint.listener, []error{syscall.EINVAL}}
	if err := endpoint.accept(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("accept gives %v, want EINVAL", err)
	}
}

func TestCloseInterruptsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := &tcpEndpoint{closed: make(chan struct{})}
		if !endpoint.wait(time.Second) {
			t.Error("the pause was cut short")
		}
		close(endpoint.closed)
		if endpoint.wait(time.Hour) {
			t.Error("the pause was not cut short")
		}
	})
}

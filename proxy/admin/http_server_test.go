package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start serves handler on a free port until the test ends.
func start(t *testing.T, handler http.Handler) (server *HTTPServer, address string, served <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server = NewHTTPServer(handler, NewConnectionLimit(64), quiet())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	return server, listener.Addr().String(), done
}

func TestHTTPServer(t *testing.T) {
	t.Parallel()
	server, address, served := start(t, NewHealthHandler(edited(unedited)))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + address + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != "ok\n" || response.StatusCode != 200 {
		t.Errorf("%d %q, %v", response.StatusCode, text, err)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("still listening after Shutdown")
	}
}

// A program that uses the API reads JSON, also where its request is one that no handler
// sees; a page's reader gets text.
func TestHTTPServerMalformed(t *testing.T) {
	t.Parallel()
	server, address, served := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for request, want := range map[string]struct {
		status int
		json   bool
	}{
		"GET /api/v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                     {400, true},
		"GET /api/v1/status HTTP/1.1\r\n\r\n":                                             {400, true},
		"GET /api HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                 {400, true},
		"GET /api?x HTTP/3.0\r\nHost: x\r\n\r\n":                                          {505, true},
		"POST /api/v1/bans HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n":             {400, true},
		"POST /api/v1/bans HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n":        {501, true},
		"GET /api/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n": {431, true},
		"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nExpect: a biscuit\r\n\r\n":             {417, true},
		"GET / HTTP/1.1\r\nHost: x\r\nExpect: a biscuit\r\n\r\n":                          {417, false},
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                            {400, false},
		"GET /apis HTTP/1.1\r\n\r\n":                                                      {400, false},
		"nonsense\r\n\r\n":                                                                {400, false},
	} {
		for _, before := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			if before != "" {
				_, _ = io.WriteString(conn, before)
				if response, err := http.ReadResponse(reader, nil); err != nil || response.StatusCode != 204 {
					t.Fatalf("%v, %v", response, err)
				}
			}
			go func() { _, _ = io.WriteString(conn, request) }() // the server may not read all of it
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatalf("%.40q: %v", request, err)
			}
			var failure Failure
			err = json.NewDecoder(response.Body).Decode(&failure)
			inJSON := err == nil && failure.Error != "" && response.Header.Get("Content-Type") == "application/json"
			if response.StatusCode != want.status || inJSON != want.json || !response.Close {
				t.Errorf("%.40q: %d %v, JSON %t, want %v", request, response.StatusCode, response.Header, inJSON, want)
			}
			conn.Close()
		}
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}

func TestHTTPServerShutdownWaits(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	server, address, served := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "done")
	}))
	answer := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + address)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		answer <- string(text)
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(context.Background()) }()
	<-served // the listener is closed first
	close(finish)
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := <-answer; got != "done" {
		t.Errorf("the response in progress was %q", got)
	}
}

func TestHTTPServerShutdownCutsOff(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	server, address, served := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done() // the connection is gone
	}))
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v, want %v", err, context.Canceled)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}

func TestHTTPServerReportsBrokenListener(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := NewHTTPServer(http.NotFoundHandler(), NewConnectionLimit(64), quiet()).Serve(listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v, want %v", err, net.ErrClosed)
	}
}

// pipes is a listener of connections in memory, which synctest's clock governs.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { close(p.conns); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestHTTPServerDropsSlowClients(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sends string
		within      time.Duration
	}{
		{"silent", "", readHeaderTimeout},
		{"half a head", "GET /health HTTP/1.1\r\nHost:", readHeaderTimeout},
		{"no body", "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", readTimeout},
		{"idle", "GET /missing HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout},
		{"after a check", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := pipes{make(chan net.Conn)}
				server := NewHTTPServer(NewHealthHandler(edited(unedited)), NewConnectionLimit(64), quiet())
				served := make(chan error, 1)
				go func() { served <- server.Serve(listener) }()
				client, accepted := net.Pipe()
				defer client.Close()
				listener.conns <- accepted
				begin := time.Now()
				go func() { _, _ = io.WriteString(client, test.sends) }()
				_, _ = io.Copy(io.Discard, client) // until the server closes it
				if took := time.Since(begin); took != test.within {
					t.Errorf("dropped after %v, want %v", took, test.within)
				}
				if err := server.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				<-served
			})
		})
	}
}

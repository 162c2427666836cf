package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// streamKind is a way to hold a connection.
type streamKind struct {
	name string
	open func(tr *traffic, number int) (conversation, error)
}

var streamKinds = []*streamKind{
	{"tcp", func(tr *traffic, _ int) (conversation, error) { return openLines(tr.tcp) }},
	{"mcp", func(tr *traffic, _ int) (conversation, error) { return openLines(tr.mcp) }},
	{"WebSocket", openWebSocket},
	{"SSE", openEvents},
}

// conversation is an open connection on which messages are sent and come back.
type conversation interface {
	text(s *stream, n int) []byte // message number n
	send(text []byte) error
	receive() ([]byte, error)
	close()
}

// spoken generates the messages of a client, which the server sends back.
type spoken struct{}

// text makes one of 256 messages large, at a different time on each connection.
func (spoken) text(s *stream, n int) []byte {
	return message(s.kind.name, s.number, n, (n+s.number)%256 == 255)
}

// lines is a conversation of lines.
type lines struct {
	spoken
	*client
}

func openLines(address string) (conversation, error) {
	c, err := dialFrom("", address)
	if err != nil {
		return nil, err
	}
	return &lines{client: c}, nil
}

func (l *lines) send(text []byte) error {
	_, err := l.Write(text)
	return err
}

func (l *lines) receive() ([]byte, error) {
	if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	return l.lines.ReadBytes('\n')
}

func (l *lines) close() { l.Close() }

// webSocket is a conversation of WebSocket messages.
type webSocket struct {
	spoken
	*websocket.Conn
	transport *http.Transport
}

func openWebSocket(tr *traffic, _ int) (conversation, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http.Transport{}
	conn, _, err := websocket.Dial(ctx, "ws://"+tr.http+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	conn.SetReadLimit(-1)
	return &webSocket{Conn: conn, transport: transport}, nil
}

func (w *webSocket) send(text []byte) error {
	return w.Write(context.Background(), websocket.MessageText, text)
}

func (w *webSocket) receive() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, text, err := w.Read(ctx)
	return text, err
}

func (w *webSocket) close() {
	_ = w.CloseNow() // it may be closed already
	w.transport.CloseIdleConnections()
}

// events is an event stream: only the server sends, at its pace.
type events struct {
	conn  net.Conn
	lines *bufio.Reader
}

func openEvents(tr *traffic, number int) (conversation, error) {
	conn, err := net.DialTimeout("tcp", tr.http, patience)
	if err != nil {
		return nil, err
	}
	e := &events{conn: conn}
	if err := e.ask(tr, number); err != nil {
		conn.Close()
		return nil, err
	}
	return e, nil
}

func (e *events) ask(tr *traffic, number int) error {
	if err := e.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.conn, "GET /events?stream=%d&every=%s HTTP/1.1\r\nHost: %s\r\n\r\n", number, tr.every, tr.http); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(e.conn), nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	e.lines = bufio.NewReader(response.Body)
	return nil
}

func (e *events) text(s *stream, n int) []byte { return event(strconv.Itoa(s.number), n) }

func (e *events) send([]byte) error { return nil }

func (e *events) receive() ([]byte, error) {
	if err := e.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	data, err := e.lines.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	empty, err := e.lines.ReadBytes('\n')
	return append(data, empty...), err
}

func (e *events) close() { e.conn.Close() }

// event is number n of an event stream.
func event(stream string, n int) []byte {
	number, _ := strconv.Atoi(stream) // 0 if it is not a number
	return fmt.Appendf(nil, "data: %s\n", message("SSE", number, n, false))
}

// keptAlive is a client's connection for requests.
type keptAlive struct {
	net.Conn
	reader *bufio.Reader
}

// requestAlways sends requests on kept-alive connections, at the rate of the load.
func (tr *traffic) requestAlways() {
	clients := min(25, tr.requests)
	var requesting sync.WaitGroup
	defer requesting.Wait()
	for i := range clients {
		requesting.Go(func() {
			var c *keptAlive
			tr.repeat(time.Second*time.Duration(clients)/time.Duration(tr.requests), func(n int) { c = tr.request(c, i, n) })
			if c != nil {
				c.Close()
			}
		})
	}
}

// request sends a request that must not be repeated, on c or a new connection, and
// returns the connection for the next request, or nil if it cannot be used again.
func (tr *traffic) request(c *keptAlive, client, n int) *keptAlive {
	if c != nil && c.closedByServer() {
		tr.fail(failedIdle, io.EOF)
		c.Close()
		c = nil
	}
	if c == nil {
		conn, err := net.DialTimeout("tcp", tr.http, patience)
		if err != nil {
			tr.fail(failedConnect, err)
			return nil
		}
		c = &keptAlive{conn, bufio.NewReader(conn)}
	}
	again, err := c.post(tr.http, message("request", client, n, n%64 == 63))
	if err != nil {
		tr.fail(failedRequest, err)
	} else {
		tr.answers.Add(1)
	}
	if err != nil || !again {
		c.Close()
		return nil
	}
	return c
}

// post sends body and expects it back. again reports whether the connection may be
// used for another request.
func (c *keptAlive) post(host string, body []byte) (again bool, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	head := fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", host, len(body))
	if _, err := c.Write(append([]byte(head), body...)); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return false, err
	}
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return false, err
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %.200s", response.Status, answer)
	case !bytes.Equal(answer, body):
		return false, fmt.Errorf("%w: %.80q is answered by %.80q", errNotEchoed, body, answer)
	}
	return !response.Close, nil
}

// closedByServer reports whether the connection ended while it was idle.
func (c *keptAlive) closedByServer() bool {
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	alive := false
	err = raw.Control(func(fd uintptr) {
		_, _, errno := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		alive = errno == unix.EAGAIN
	})
	return err != nil || !alive
}

// startTrafficNode runs a server for the HTTP part of the traffic: /echo answers with
// the body, /ws sends WebSocket messages back, /events sends events.
func startTrafficNode(t *testing.T) string {
	t.Helper()
	var serving sync.WaitGroup
	mux := http.NewServeMux()
	for path, handle := range map[string]http.HandlerFunc{"/echo": serveEcho, "/ws": serveWebSocket, "/events": serveEvents} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			serving.Add(1)
			defer serving.Done()
			handle(w, r)
		})
	}
	listener := listen(t)
	server := &http.Server{Handler: mux}
	serving.Go(func() { _ = server.Serve(listener) }) // until the listener is closed
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

func serveEcho(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client sees it
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func serveWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	for {
		kind, text, err := conn.Read(context.Background()) // until the balancer has closed
		if err != nil || conn.Write(context.Background(), kind, text) != nil {
			return
		}
	}
}

func serveEvents(w http.ResponseWriter, r *http.Request) {
	every, err := time.ParseDuration(r.FormValue("every"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	stream := strings.Clone(r.FormValue("stream"))
	for n := 0; ; n++ {
		if _, err := w.Write(event(stream, n)); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

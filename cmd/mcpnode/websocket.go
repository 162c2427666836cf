package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// subprotocol is the one that a client must offer: the usual name of MCP over
	// WebSocket, which is not in the specification.
	subprotocol = "mcp"
	// closeTimeout bounds the closing handshake of RFC 6455, section 7.1.2.
	closeTimeout = 500 * time.Millisecond
)

// webSocketHandler opens a session of one MCP server for each WebSocket.
type webSocketHandler struct {
	server   *mcp.Server
	sessions *registry[*socketConn]
	log      *slog.Logger
}

// ServeHTTP answers the opening handshake and returns. The session continues in its
// own goroutines.
func (h *webSocketHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	// Any Origin is accepted, for the reason given at httpEndpoint.streamable.
	socket, err := websocket.Accept(w, req, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true,
	})
	if err != nil {
		h.log.Debug("cannot open a WebSocket", "client", req.RemoteAddr, "error", err)
		return // the client has been answered
	}
	socket.SetReadLimit(maxMessage)
	conn := newSocketConn(socket, h.sessions.remove)
	switch {
	case socket.Subprotocol() != subprotocol:
		conn.end(websocket.StatusPolicyViolation, "offer the subprotocol "+subprotocol)
	case !h.sessions.add(conn):
		conn.end(websocket.StatusGoingAway, goingAway)
	default:
		h.open(conn, req.RemoteAddr)
	}
}

// open makes conn a session. The SDK owns it from then on and closes it when the
// session ends.
func (h *webSocketHandler) open(conn *socketConn, client string) {
	if _, err := h.server.Connect(context.Background(), acceptedTransport{conn}, nil); err != nil {
		h.log.Error("cannot open a session", "client", client, "error", err)
		conn.Close()
	}
}

// socketConn carries one JSON-RPC message per text frame: it is the counterpart of
// lineConn for WebSocket.
type socketConn struct {
	socket  *websocket.Conn
	onClose func(*socketConn) // called once, when the session has ended

	calls  calls
	closed chan struct{} // closed when the session is to end

	// Reads and writes have the context of the connection. With the context of a
	// call, cancelling the call would end the connection.
	using context.Context
	cut   context.CancelFunc // ends the connection without the closing handshake

	interrupted, ended sync.Once
}

func newSocketConn(socket *websocket.Conn, onClose func(*socketConn)) *socketConn {
	c := &socketConn{
		socket:  socket,
		onClose: onClose,
		calls:   make(calls, maxCalls),
		closed:  make(chan struct{}),
	}
	c.using, c.cut = context.WithCancel(context.Background())
	return c
}

// SessionID is empty: the connection is the session.
func (c *socketConn) SessionID() string { return "" }

// Read returns the next message. Any error ends the session; io.EOF is the
// orderly end by the client.
func (c *socketConn) Read(context.Context) (jsonrpc.Message, error) {
	kind, data, err := c.socket.Read(c.using)
	switch {
	case errors.As(err, new(websocket.CloseError)):
		return nil, io.EOF
	case err != nil:
		return nil, fmt.Errorf("read a message: %w", err)
	case kind != websocket.MessageText:
		c.end(websocket.StatusUnsupportedData, "a message must be a text frame")
		return nil, errors.New("the client sent a binary frame")
	}
	msg, reason := decode(data)
	if reason != nil {
		err := refuse(reason, c.write)
		c.end(websocket.StatusInvalidFramePayloadData, errNotJSON.Message)
		return nil, err
	}
	if !c.calls.begin(msg, c.closed) {
		return nil, io.EOF
	}
	return msg, nil
}

// Write sends one message. It may be called concurrently.
func (c *socketConn) Write(_ context.Context, msg jsonrpc.Message) error {
	defer c.calls.end(msg)
	data, err := jsonrpc.EncodeMessage(msg)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	return c.write(data)
}

func (c *socketConn) write(data []byte) error {
	if err := c.socket.Write(c.using, websocket.MessageText, data); err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return nil
}

// end closes the connection, with the handshake if the client takes part in it.
func (c *socketConn) end(status websocket.StatusCode, reason string) {
	timer := time.AfterFunc(closeTimeout, c.cut)
	defer timer.Stop()
	_ = c.socket.Close(status, reason) // it is no failure if the client has closed first
	c.cut()
}

// interrupt starts to end the connection and does not wait: a pending Read fails, so
// the SDK cancels the session's calls and, when they have returned, calls Close. It
// may be called more than once and concurrently.
func (c *socketConn) interrupt() {
	c.interrupted.Do(func() {
		close(c.closed)
		go c.end(websocket.StatusGoingAway, goingAway)
	})
}

// Close is called by the SDK when the session has ended. It may be called more than
// once and concurrently.
func (c *socketConn) Close() error {
	c.ended.Do(func() {
		c.end(websocket.StatusNormalClosure, "")
		c.onClose(c)
	})
	return nil
}

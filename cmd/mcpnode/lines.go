package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

const (
	// readBuffer is the buffer that an idle session holds. A longer line gets a
	// separate buffer while it is read.
	readBuffer = 2 << 10
	// answerTimeout is how long a client that has finished sending still gets
	// answers. It is short because such a client may also have disappeared.
	answerTimeout = 5 * time.Second
)

// lineConn is MCP's stdio framing over a network connection: one JSON-RPC
// message per line, as in the specification's stdio transport
// (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio).
//
// It differs from the SDK's IOTransport as a server of 25,000 sessions requires: one
// goroutine per session instead of two; no buffer is kept after a long line; a
// client that has shut down its sending side still gets its answers; a line that is
// no message is answered with a JSON-RPC error before the session ends. Batches,
// which only protocol 2025-03-26 had, are refused in the same way.
type lineConn struct {
	conn    net.Conn
	reader  *bufio.Reader
	onClose func(*lineConn) // called once, when the session has ended

	calls  calls
	closed chan struct{} // closed with the connection

	writing     sync.Mutex // held while a line is written
	interrupted sync.Once
	closeErr    error // written under interrupted
	ended       sync.Once
}

func newLineConn(conn net.Conn, onClose func(*lineConn)) *lineConn {
	return &lineConn{
		conn:    conn,
		reader:  bufio.NewReaderSize(conn, readBuffer),
		onClose: onClose,
		calls:   make(calls, maxCalls),
		closed:  make(chan struct{}),
	}
}

// SessionID is empty: the connection is the session.
func (c *lineConn) SessionID() string { return "" }

// Read returns the next message. Any error ends the session; io.EOF is the
// orderly end by the client.
func (c *lineConn) Read(context.Context) (jsonrpc.Message, error) {
	line, err := c.readLine()
	switch {
	case errors.Is(err, io.EOF):
		c.calls.await(answerTimeout, c.closed)
		return nil, io.EOF
	case errors.Is(err, errTooLong):
		return nil, refuse(errTooLong, c.writeLine)
	case err != nil:
		return nil, fmt.Errorf("read a message: %w", err)
	}
	msg, reason := decode(line)
	if reason != nil {
		return nil, refuse(reason, c.writeLine)
	}
	if !c.calls.begin(msg, c.closed) {
		return nil, io.EOF
	}
	return msg, nil
}

// readLine returns the next line that is not blank, valid until the next call.
// A last line may lack its newline.
func (c *lineConn) readLine() ([]byte, error) {
	for {
		line, err := c.reader.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			line, err = c.readLongLine(bytes.Clone(line))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return line, nil // the call after the last line gets the io.EOF again
		}
		if err != nil {
			return nil, err
		}
	}
}

// readLongLine reads the rest of a line that does not fit into the read buffer.
func (c *lineConn) readLongLine(line []byte) ([]byte, error) {
	for {
		more, err := c.reader.ReadSlice('\n')
		if len(line)+len(more) > maxMessage {
			return nil, errTooLong
		}
		line = append(line, more...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// Write sends one message. It may be called concurrently.
func (c *lineConn) Write(_ context.Context, msg jsonrpc.Message) error {
	defer c.calls.end(msg)
	data, err := jsonrpc.EncodeMessage(msg)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	return c.writeLine(data)
}

func (c *lineConn) writeLine(data []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, err := c.conn.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return nil
}

// interrupt ends the connection at once: a pending Read or Write fails, so the SDK
// cancels the session's calls and, when they have returned, calls Close. It may be
// called more than once and concurrently.
func (c *lineConn) interrupt() {
	c.interrupted.Do(func() {
		close(c.closed)
		c.closeErr = c.conn.Close()
	})
}

// Close is called by the SDK when the session has ended. It may be called more than
// once and concurrently.
func (c *lineConn) Close() error {
	c.interrupt()
	c.ended.Do(func() { c.onClose(c) })
	return c.closeErr
}

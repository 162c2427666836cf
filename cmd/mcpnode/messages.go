package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// maxMessage bounds a message in bytes, with what ends it (a line's
	// newline), as the SDK's own transports do.
	maxMessage = mcp.DefaultMaxLineLength
	// maxCalls bounds the calls that one session has under way. Past it the
	// session is not read, so a client that sends and never reads is stopped
	// by TCP, not by the node's memory.
	maxCalls = 1024
)

// Why a message is refused; the client is told.
var (
	errTooLong = &jsonrpc.Error{
		Code:    jsonrpc.CodeInvalidRequest,
		Message: fmt.Sprintf("a message must not be longer than %d bytes", maxMessage),
	}
	errNotJSON = &jsonrpc.Error{Code: jsonrpc.CodeParseError, Message: "this is not one JSON-RPC message"}
)

// acceptedTransport is the mcp.Transport of a connection that is there already.
type acceptedTransport struct{ conn mcp.Connection }

func (t acceptedTransport) Connect(context.Context) (mcp.Connection, error) { return t.conn, nil }

// decode returns the one message that data must be, or why the client is to be
// refused.
// Batches, which only protocol 2025-03-26 had, are no message.
func decode(data []byte) (jsonrpc.Message, *jsonrpc.Error) {
	if !json.Valid(data) { // DecodeMessage would take two messages for one
		return nil, errNotJSON
	}
	msg, err := jsonrpc.DecodeMessage(data)
	if err != nil {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: err.Error()}
	}
	return msg, nil
}

// refuse tells the client why its session ends, as far as it still listens,
// and returns the reason.
func refuse(reason *jsonrpc.Error, write func([]byte) error) error {
	// JSON-RPC 2.0, sections 5 and 5.1: the id is null when it could not be read.
	answer, err := json.Marshal(struct {
		Version string         `json:"jsonrpc"`
		ID      *string        `json:"id"`
		Error   *jsonrpc.Error `json:"error"`
	}{Version: "2.0", Error: reason})
	if err != nil {
		return fmt.Errorf("encode the refusal: %w", err)
	}
	if err := write(answer); err != nil {
		return fmt.Errorf("%w (and the client could not be told: %w)", reason, err)
	}
	return reason
}

// calls has one element for each call of a session that was read and not yet
// answered, and room for maxCalls.
type calls chan struct{}

// begin counts msg if it is a call, and waits for room; false means that closed
// was closed first.
func (c calls) begin(msg jsonrpc.Message, closed <-chan struct{}) bool {
	if request, ok := msg.(*jsonrpc.Request); !ok || !request.IsCall() {
		return true
	}
	select {
	case c <- struct{}{}:
		return true
	case <-closed:
		return false
	}
}

// end counts msg if it answers a call.
func (c calls) end(msg jsonrpc.Message) {
	if _, ok := msg.(*jsonrpc.Response); !ok {
		return
	}
	select {
	case <-c:
	default: // a response to no call: nothing to give back
	}
}

// await returns when no call is under way any more, after the timeout, or when
// closed is closed: it takes every place that a call could hold.
func (c calls) await(timeout time.Duration, closed <-chan struct{}) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for range maxCalls {
		select {
		case c <- struct{}{}:
		case <-timer.C:
			return
		case <-closed:
			return
		}
	}
}

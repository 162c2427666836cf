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
	// maxMessage bounds a message in bytes, including the newline of a line, as the
	// SDK's transports do.
	maxMessage = mcp.DefaultMaxLineLength
	// maxCalls bounds the calls of one session in progress. With that many, the
	// session is not read: TCP then stops a client that sends and never reads,
	// before it fills the node's memory.
	maxCalls = 1024
)

// The reasons for refusing a message, which are sent to the client.
var (
	errTooLong = &jsonrpc.Error{
		Code:    jsonrpc.CodeInvalidRequest,
		Message: fmt.Sprintf("a message must not be longer than %d bytes", maxMessage),
	}
	errNotJSON = &jsonrpc.Error{Code: jsonrpc.CodeParseError, Message: "this is not one JSON-RPC message"}
)

// acceptedTransport is the mcp.Transport of a connection that is already open.
type acceptedTransport struct{ conn mcp.Connection }

func (t acceptedTransport) Connect(context.Context) (mcp.Connection, error) { return t.conn, nil }

// decode decodes data, which must be exactly one message. Its error is the reason to
// refuse the client. Batches, which only protocol 2025-03-26 had, are no message.
func decode(data []byte) (jsonrpc.Message, *jsonrpc.Error) {
	if !json.Valid(data) { // DecodeMessage would accept two messages as one
		return nil, errNotJSON
	}
	msg, err := jsonrpc.DecodeMessage(data)
	if err != nil {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: err.Error()}
	}
	return msg, nil
}

// refuse sends the reason why its session ends to the client, if the client still
// reads, and returns the reason.
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
		return fmt.Errorf("%w (and sending this to the client failed: %w)", reason, err)
	}
	return reason
}

// calls has one element for each call of a session that was read and not answered
// yet, at most maxCalls.
type calls chan struct{}

// begin counts msg if it is a call, and waits while there are maxCalls. It reports
// false if closed was closed first.
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
	default: // a response without a call
	}
}

// await returns when no call is in progress any more, after the timeout, or when
// closed is closed. It fills the channel: then no call is counted there.
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

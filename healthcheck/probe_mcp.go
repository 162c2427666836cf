package healthcheck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// The most that is read of a server before its answer to a ping.
const (
	maxLine  = 16 << 10  // bytes of one line
	maxLines = 256 << 10 // bytes of all lines together
)

// pingID is the id of the only request on a probe's connection, and pingLine
// that request. MCP allows a ping before the session is initialized
// (specification 2025-11-25, basic/lifecycle and basic/utilities/ping); the
// stateless protocol of 2026-07-28 has none, and its servers answer with an
// error, which proves as much.
const (
	pingID   = "1"
	pingLine = `{"jsonrpc":"2.0","id":` + pingID + `,"method":"ping"}` + "\n"
)

// probeMCP sends one JSON-RPC ping as a line to addr and waits for the answer
// with its id: a result or an error alike, for either shows that the server
// reads, thinks and writes. Notifications and requests of the server before it
// are skipped.
func probeMCP(ctx context.Context, addr netip.AddrPort) Result {
	conn, failure := dial(ctx, addr)
	if conn == nil {
		return failure
	}
	defer conn.Close()
	defer endWith(ctx, conn)()

	if _, err := io.WriteString(conn, pingLine); err != nil {
		return answerResult(err, "the ping was sent")
	}
	return readPong(conn)
}

// readPong reads lines until one answers the ping.
func readPong(conn io.Reader) Result {
	lines := bufio.NewReaderSize(io.LimitReader(conn, maxLines), maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return Result{Code: L7RSP, Detail: fmt.Sprintf("a line of more than %d bytes", maxLine)}
		case err != nil:
			return answerResult(err, "an answer to the ping")
		}
		switch answer, detail := parseAnswer(line); answer {
		case pong:
			return Result{Code: L7OK, Detail: detail}
		case garbage:
			return Result{Code: L7RSP, Detail: detail}
		}
	}
}

// answer is what a line from the server is to the probe.
type answer uint8

const (
	garbage   answer = iota // not JSON-RPC, or an answer to something never asked
	unrelated               // a notification, a request or an empty line: read on
	pong                    // the answer to the ping
)

// parseAnswer tells what one line is (JSON-RPC 2.0, sections 4 and 5), and in
// words what is wrong or notable with it. It never fails on any input.
func parseAnswer(line []byte) (answer, string) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return unrelated, ""
	}
	var message struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  *string         `json:"method"`
		Result  json.RawMessage `json:"result"`
		Error   json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(line, &message); err != nil || message.JSONRPC != "2.0" {
		return garbage, "not a JSON-RPC message: " + quote(line)
	}
	switch {
	case message.Method != nil:
		return unrelated, ""
	case message.Result == nil && message.Error == nil:
		return garbage, "neither result nor error: " + quote(line)
	case string(message.ID) != pingID:
		return garbage, "an answer to something never asked: " + quote(line)
	case message.Error != nil:
		return pong, "ping answered with an error"
	}
	return pong, "ping answered"
}

// quote repeats the beginning of what a server sent, safe for a log line.
func quote(line []byte) string {
	if len(line) > maxDetail {
		return fmt.Sprintf("%q...", line[:maxDetail])
	}
	return fmt.Sprintf("%q", line)
}

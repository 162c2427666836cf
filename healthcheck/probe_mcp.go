package healthcheck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mcplb/conf"
)

// Limits on what a server sends before and with its response to a ping.
const (
	maxLine  = 16 << 10  // bytes of one line
	maxLines = 256 << 10 // bytes of all lines together
)

// pingLine is the only request on a probe's connection, pingID its id. MCP allows a
// ping before the session is initialized (specification 2025-11-25, basic/lifecycle
// and basic/utilities/ping). The stateless protocol of 2026-07-28 has no ping; its
// servers respond with an error, which is equally good evidence.
const (
	pingID   = "1"
	pingLine = `{"jsonrpc":"2.0","id":` + pingID + `,"method":"ping"}` + "\n"
)

// probeMCP sends one JSON-RPC ping as a line and waits for the response with
// its id. A result and an error are equally good: both show that the server works.
// Notifications and requests of the server before the response are skipped.
func probeMCP(ctx context.Context, check conf.Check, to Address) Result {
	conn, failure := dial(ctx, check, to)
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

// readPong reads lines until one is the response to the ping.
func readPong(conn io.Reader) Result {
	lines := bufio.NewReaderSize(io.LimitReader(conn, maxLines), maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return Result{Code: L7RSP, Detail: fmt.Sprintf("a line of more than %d bytes", maxLine)}
		case err != nil:
			return answerResult(err, "a response to the ping")
		}
		switch answer, detail := parseAnswer(line); answer {
		case pong:
			return Result{Code: L7OK, Detail: detail}
		case garbage:
			return Result{Code: L7RSP, Detail: detail}
		}
	}
}

// answer is the meaning of a line from the server.
type answer uint8

const (
	garbage   answer = iota // not JSON-RPC, or a response to an unknown request
	unrelated               // a notification, a request or an empty line
	pong                    // the response to the ping
)

// parseAnswer returns the meaning of one line (JSON-RPC 2.0, sections 4 and 5), and a
// description of what is wrong or notable. It accepts any input.
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
		return garbage, "a response to an unknown request: " + quote(line)
	case message.Error != nil:
		return pong, "ping answered with an error"
	}
	return pong, "ping answered"
}

// quote returns the beginning of line in a form that is safe for a log line.
func quote(line []byte) string {
	if len(line) > maxDetail {
		return fmt.Sprintf("%q...", line[:maxDetail])
	}
	return fmt.Sprintf("%q", line)
}

package main

import (
	"bytes"
	"strconv"

	"mcplb/proxy/mcp"
)

// message is what the clients ask for again and again.
type message uint8

const (
	messageWhoami message = iota // the node's name: shows that a session stays where it is
	messageEcho                  // a text of a set size, another one every time
	messagePing                  // MCP's ping
	numMessages
)

var messageNames = [numMessages]string{"whoami", "echo", "ping"}

func (m message) String() string { return messageNames[m] }

// The protocol that the clients speak: the last one with sessions, since only
// these can be lost.
const protocolVersion = "2025-11-25"

const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + protocolVersion +
		`","capabilities":{},"clientInfo":{"name":"mcpload","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	initID      = 1
)

// append appends the message numbered id of client.
func (m message) append(dst []byte, client, id uint32, size int) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = strconv.AppendUint(dst, uint64(id), 10)
	switch m {
	case messagePing:
		return append(dst, `,"method":"ping"}`...)
	case messageWhoami:
		return append(dst, `,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`...)
	default:
		dst = append(dst, `,"method":"tools/call","params":{"name":"echo","arguments":{"message":"`...)
		dst = appendText(dst, client, id, size)
		return append(dst, `"}}}`...)
	}
}

// appendText appends the text that only this message has: client and number,
// filled up to size bytes.
func appendText(dst []byte, client, id uint32, size int) []byte {
	begin := len(dst)
	dst = strconv.AppendUint(dst, uint64(client), 10)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(id), 10)
	for len(dst)-begin < size {
		dst = append(dst, byte('a'+(len(dst)-begin)%26))
	}
	return dst
}

// answer is what was read of a server's message.
type answer struct {
	id    uint32
	call  bool   // it is no answer but a request or notification of the server
	error bool   // it is a JSON-RPC error
	text  []byte // of the first text in a tool's result, or of the server's title; nil = none
}

// answerReader reads answers without allocating: the id exactly, as mcp.IDScanner
// does; the text by looking for its member, which suffices because the texts
// that are asked for need no escaping.
type answerReader struct{ ids mcp.IDScanner }

var (
	memberText   = []byte(`"text":"`)
	memberTitle  = []byte(`"title":"`)
	memberResult = []byte(`"result":`)
)

func (r *answerReader) read(message []byte, initial bool) (answer, bool) {
	r.ids.Reset()
	r.ids.Feed(message)
	if r.ids.Request() {
		return answer{call: true}, true
	}
	id, err := strconv.ParseUint(string(r.ids.ID()), 10, 32)
	if err != nil {
		return answer{}, false
	}
	a := answer{id: uint32(id), error: !bytes.Contains(message, memberResult)}
	member := memberText
	if initial {
		member = memberTitle
	}
	if _, after, found := bytes.Cut(message, member); found {
		a.text, _, _ = bytes.Cut(after, quote)
	}
	return a, true
}

var quote = []byte(`"`)

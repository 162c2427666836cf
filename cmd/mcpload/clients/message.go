package clients

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mcplb/proxy/mcp"
)

// Message is what clients send again and again.
type Message uint8

// The messages.
const (
	Whoami Message = iota // asks for the node's name: shows that a session stays on its node
	Echo                  // a text of a set size, a different one each time
	Ping                  // MCP's ping
	numMessages
)

var messageNames = [numMessages]string{"whoami", "echo", "ping"}

// String returns the message's name, such as "whoami".
func (m Message) String() string { return messageNames[m] }

// ParseMessage returns the message of a name.
func ParseMessage(name string) (Message, error) {
	i := slices.Index(messageNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("there are %s", strings.Join(messageNames[:], ", "))
	}
	return Message(i), nil
}

// MaxMessage bounds an answer, in bytes. A longer one ends the session.
const MaxMessage = 16 << 20

// protocolVersion is the MCP version that the clients speak: the last one with
// sessions, since only these can be lost.
const protocolVersion = "2025-11-25"

var (
	initialize = []byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + protocolVersion +
		`","capabilities":{},"clientInfo":{"name":"mcpload","version":"1"}}}`)
	initialized = []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
)

const initializeID = 1

// append appends the message with the given id of a client to dst.
func (m Message) append(dst []byte, client, id uint32, size int) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = strconv.AppendUint(dst, uint64(id), 10)
	switch m {
	case Ping:
		return append(dst, `,"method":"ping"}`...)
	case Whoami:
		return append(dst, `,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`...)
	default:
		dst = append(dst, `,"method":"tools/call","params":{"name":"echo","arguments":{"message":"`...)
		dst = appendText(dst, client, id, size)
		return append(dst, `"}}}`...)
	}
}

// appendText appends a text that only this message has: client and id, padded to
// size bytes.
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

// answer is what the client needs of a server's message.
type answer struct {
	id      uint32
	request bool   // it is a request or notification of the server, not an answer
	error   bool   // it is a JSON-RPC error
	text    []byte // the first text in a tool's result, or the server's title; nil = none
}

// answerReader reads answers without allocating. It finds the id exactly, as
// mcp.IDScanner does, and the text by searching for its member, which suffices
// because the texts that clients ask for need no escapes.
type answerReader struct{ ids mcp.IDScanner }

var (
	memberText   = []byte(`"text":"`)
	memberTitle  = []byte(`"title":"`)
	memberResult = []byte(`"result":`)
	quote        = []byte(`"`)
)

// read reads a server's message, with initial the answer to initialize. It returns
// false if the message is not JSON-RPC.
func (r *answerReader) read(message []byte, initial bool) (answer, bool) {
	r.ids.Reset()
	r.ids.Feed(message)
	if r.ids.Request() {
		return answer{request: true}, true
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

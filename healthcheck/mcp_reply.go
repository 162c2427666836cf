package healthcheck

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
)

// reply is a JSON-RPC response.
type reply struct {
	isError bool
	version string // the protocol version of a result of initialize; "" = none that is well formed
}

// protocolVersion is what a version of MCP looks like.
var protocolVersion = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

// errNoReply says that a body has no JSON-RPC response.
var errNoReply = errors.New("not a JSON-RPC response")

// readReply reads the body of a response up to the first JSON-RPC response: the body
// itself, or an event of a stream. The end of the body is not waited for.
func readReply(response *http.Response) (reply, error) {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind == "text/event-stream" {
		return readEvents(response.Body)
	}
	var message json.RawMessage
	err := json.NewDecoder(io.LimitReader(response.Body, maxLines)).Decode(&message)
	if err != nil {
		return reply{}, noReply(err)
	}
	if found, ok := parseReply(message); ok {
		return found, nil
	}
	return reply{}, fmt.Errorf("%w: %s", errNoReply, quote(message))
}

// noReply returns the error of a body that cannot be read to its response.
func noReply(err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == io.EOF:
		return fmt.Errorf("%w: the body is empty", errNoReply)
	case errors.As(err, &syntax):
		return errNoReply
	}
	return err
}

// readEvents reads an event stream up to the first event that is a JSON-RPC response
// (HTML Standard, section 9.2.6). Events of other messages are skipped.
func readEvents(stream io.Reader) (reply, error) {
	lines := bufio.NewScanner(io.LimitReader(stream, maxLines))
	lines.Buffer(nil, maxLines)
	lines.Split(new(eventLines).split)
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			if found, ok := parseReply(data); ok {
				return found, nil
			}
			data = nil
			continue
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); string(name) == "data" {
			data = append(append(data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
		}
	}
	if err := lines.Err(); err != nil {
		return reply{}, err
	}
	return reply{}, fmt.Errorf("%w: the event stream ended before one", errNoReply)
}

// eventLines splits an event stream into lines, which LF, CR LF or CR alone end, without
// the byte order mark that the stream may begin with. The zero value is ready.
type eventLines struct {
	begun   bool
	afterCR bool // ended the last line: an LF here belongs to it
}

// split is a bufio.SplitFunc. It does not wait for what may follow a CR: that may not come
// for a long time.
func (l *eventLines) split(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if l.afterCR && len(data) > 0 {
		l.afterCR = false
		if data[0] == '\n' {
			advance = 1
		}
	}
	line = data[advance:]
	end := bytes.IndexAny(line, "\r\n")
	switch {
	case end >= 0:
		l.afterCR = line[end] == '\r'
		line, advance = line[:end], advance+end+1
	case atEOF && len(line) > 0:
		advance = len(data)
	default:
		return advance, nil, nil
	}
	if !l.begun {
		l.begun, line = true, bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	return advance, line, nil
}

// parseReply returns the first JSON-RPC response in a message or a batch. It accepts any
// input.
func parseReply(text []byte) (reply, bool) {
	text = bytes.TrimSpace(text)
	batch := []json.RawMessage{text}
	if len(text) > 0 && text[0] == '[' && json.Unmarshal(text, &batch) != nil {
		return reply{}, false
	}
	for _, one := range batch {
		var message struct {
			JSONRPC string          `json:"jsonrpc"`
			Method  *string         `json:"method"`
			Result  json.RawMessage `json:"result"`
			Error   json.RawMessage `json:"error"`
		}
		if json.Unmarshal(one, &message) != nil || message.JSONRPC != "2.0" || message.Method != nil || message.Result == nil && message.Error == nil {
			continue
		}
		var result struct {
			ProtocolVersion string `json:"protocolVersion"`
		}
		found := reply{isError: message.Error != nil && string(message.Error) != "null"}
		if json.Unmarshal(message.Result, &result) == nil && protocolVersion.MatchString(result.ProtocolVersion) {
			found.version = result.ProtocolVersion
		}
		return found, true
	}
	return reply{}, false
}

package healthcheck

import (
	"fmt"
	"time"
)

// Code says how far a probe came and what it found, in the words of HAProxy
// (src/check.c, analyze_status). Its zero value is UNK.
type Code uint8

// The codes. There is no L6 (TLS) code: probes speak plain TCP and HTTP.
const (
	UNK     Code = iota // no check has finished yet
	SOCKERR             // the balancer itself had no descriptor, port or memory, or the server has no such endpoint
	L4OK                // the connection was established
	L4TOUT              // the connection was not established in time
	L4CON               // the connection was refused, or there is no way to the server
	L7OK                // the server answered as expected
	L7TOUT              // connected, but no whole answer in time
	L7STS               // an HTTP answer with another status than expected
	L7RSP               // an answer that makes no sense, or the connection ended before one
)

// finding is what a code says of the server.
type finding uint8

const (
	nothing finding = iota // no evidence either way: the fault is ours, not the server's
	passed
	failed
)

// codes is the table of result codes: the name in logs and status, what is
// said when a probe has nothing more exact to say, and what it proves.
var codes = [...]struct {
	name, text string
	finding    finding
}{
	UNK:     {"UNK", "not checked yet", nothing},
	SOCKERR: {"SOCKERR", "local socket error", nothing},
	L4OK:    {"L4OK", "connected", passed},
	L4TOUT:  {"L4TOUT", "connection timed out", failed},
	L4CON:   {"L4CON", "connection failed", failed},
	L7OK:    {"L7OK", "answered", passed},
	L7TOUT:  {"L7TOUT", "no answer in time", failed},
	L7STS:   {"L7STS", "wrong HTTP status", failed},
	L7RSP:   {"L7RSP", "invalid answer", failed},
}

// String returns the code's short name, such as "L4CON".
func (c Code) String() string {
	if int(c) >= len(codes) {
		return fmt.Sprintf("Code(%d)", uint8(c))
	}
	return codes[c].name
}

// MarshalText returns the code's short name, so that it reads well in JSON.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Result is what one probe found. Its zero value means that none has finished.
type Result struct {
	Code    Code
	Detail  string        // more exact than the code; "" = the code's own text
	At      time.Time     // when the probe ended
	Latency time.Duration // from the probe's start to its end
}

// String returns the code and the detail: "L4CON connection refused".
func (r Result) String() string {
	return r.Code.String() + " " + r.Text()
}

// Text returns the detail, or the code's own text where there is none.
func (r Result) Text() string {
	if r.Detail == "" && int(r.Code) < len(codes) {
		return codes[r.Code].text
	}
	return r.Detail
}

func (r Result) finding() finding { return codes[r.Code].finding }

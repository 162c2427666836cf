package healthcheck

import (
	"fmt"
	"time"
)

// Code is the result of a probe: how far it came and what it found. The names are
// those of HAProxy (src/check.c, analyze_status). The zero value is UNK.
type Code uint8

// The codes. Those of L6 are of checks that speak TLS.
const (
	UNK     Code = iota // no check has finished yet
	SOCKERR             // the balancer had no descriptor, port or memory, or the server has no such endpoint
	L4OK                // the connection was established
	L4TOUT              // the connection was not established in time
	L4CON               // the connection was refused, or the server is unreachable
	L6OK                // the TLS handshake was completed
	L6TOUT              // connected, but the TLS handshake was not completed in time
	L6RSP               // the TLS handshake failed, or the server's certificate is not accepted
	L7OK                // the server answered as expected
	L7OKC               // the server answered that it is to be drained: conditionally passed
	L7TOUT              // connected, but no complete response in time
	L7STS               // an HTTP response with an unexpected status
	L7RSP               // an invalid response, or the connection ended before one
)

// finding is what a code proves about the server.
type finding uint8

const (
	nothing finding = iota // nothing: the balancer is at fault, not the server
	passed
	drains // passed, and the server asks to be drained
	failed
)

// alive reports whether the finding speaks for the server.
func (f finding) alive() bool { return f == passed || f == drains }

// codes is the table of result codes: the name in logs and status, the text if a probe
// gives no detail, and what the code proves.
var codes = [...]struct {
	name, text string
	finding    finding
}{
	UNK:     {"UNK", "not checked yet", nothing},
	SOCKERR: {"SOCKERR", "local socket error", nothing},
	L4OK:    {"L4OK", "connected", passed},
	L4TOUT:  {"L4TOUT", "connection timed out", failed},
	L4CON:   {"L4CON", "connection failed", failed},
	L6OK:    {"L6OK", "TLS handshake completed", passed},
	L6TOUT:  {"L6TOUT", "TLS handshake timed out", failed},
	L6RSP:   {"L6RSP", "TLS handshake failed", failed},
	L7OK:    {"L7OK", "answered", passed},
	L7OKC:   {"L7OKC", "answered, asks to be drained", drains},
	L7TOUT:  {"L7TOUT", "no response in time", failed},
	L7STS:   {"L7STS", "wrong HTTP status", failed},
	L7RSP:   {"L7RSP", "invalid response", failed},
}

// String returns the code's short name, such as "L4CON".
func (c Code) String() string {
	if int(c) >= len(codes) {
		return fmt.Sprintf("Code(%d)", uint8(c))
	}
	return codes[c].name
}

// MarshalText returns the code's short name.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Result is the result of one probe. The zero value means that none has finished.
type Result struct {
	Code    Code
	Detail  string        // more specific than the code; "" = the text of the code
	At      time.Time     // when the probe ended
	Latency time.Duration // from the probe's start to its end
}

// String returns the code and the detail: "L4CON connection refused".
func (r Result) String() string {
	return r.Code.String() + " " + r.Text()
}

// Text returns the detail or, if there is none, the text of the code.
func (r Result) Text() string {
	if r.Detail == "" && int(r.Code) < len(codes) {
		return codes[r.Code].text
	}
	return r.Detail
}

func (r Result) finding() finding { return codes[r.Code].finding }

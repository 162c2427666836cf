package mcp

import "bytes"

// Gate decides about messages; a rate limiter stands behind it.
type Gate interface {
	// Admit is called once for each message, when its first byte arrives, and
	// reports whether the message may pass.
	Admit() bool
}

// Filter takes the messages that a Gate refuses out of a stream of lines, and
// tells the id of each, so that it can be answered by an error. The zero value
// stands at the beginning of a stream.
//
// The states of the stream, and what a byte does to them:
//
//	state     line feed            carriage return   any other byte
//	between   pass on              pass on           ask the gate: passing or refusing
//	passing   pass on -> between   pass on           pass on
//	refusing  swallow -> between   swallow           swallow, scan for the id
//
// A Filter holds 16 bytes; at the first refusal it allocates an IDScanner,
// which it keeps for the refusals to come.
type Filter struct {
	scanner *IDScanner // nil until a message was refused
	state   filterState
}

type filterState uint8

const (
	between filterState = iota // at the beginning of a line
	passing
	refusing
)

// Next takes the next bytes of the stream and returns the longest piece of
// them that may be passed on as it is, a sub-slice of p that may be empty, and
// the rest of p, which is for the next call. If refused is true, then a
// refused message ended right before rest, and RefusedID tells its id. Nothing
// of p is kept. Used like so:
//
//	for len(p) > 0 {
//		var pass []byte
//		var refused bool
//		pass, p, refused = filter.Next(p, gate)
//		forward(pass)
//		if id := filter.RefusedID(); refused && id != nil {
//			reply = mcp.AppendRateLimited(reply, id, wait)
//		}
//	}
func (f *Filter) Next(p []byte, gate Gate) (pass, rest []byte, refused bool) {
	n := f.passed(p, gate)
	pass, rest = p[:n], p[n:]
	if f.state != refusing || n > 0 {
		return pass, rest, false
	}
	n, refused = f.swallow(rest)
	return pass, rest[n:], refused
}

// RefusedID returns the id of the message whose end Next just reported, as
// the raw JSON that the client wrote: a string, a number or null. It returns
// nil when nobody waits for an answer (a notification, or itself an answer) or
// the id is not to be had (see IDScanner). It is good until the next call of
// Next.
func (f *Filter) RefusedID() []byte {
	if f.scanner == nil || !f.scanner.Request() {
		return nil
	}
	return f.scanner.ID()
}

// passed returns how many bytes at the beginning of p may pass, asking the
// gate where a message begins. Unless that is all of p, or p is empty, the
// state is refusing when it returns.
func (f *Filter) passed(p []byte, gate Gate) int {
	at := 0
	for at < len(p) {
		switch f.state {
		case between:
			if p[at] == '\n' || p[at] == '\r' {
				at++
			} else {
				f.decide(gate)
			}
		case passing:
			end := bytes.IndexByte(p[at:], '\n')
			if end < 0 {
				return len(p)
			}
			f.state = between
			at += end + 1
		case refusing:
			return at
		}
	}
	return at
}

// decide asks the gate about the message that begins.
func (f *Filter) decide(gate Gate) {
	if gate.Admit() {
		f.state = passing
		return
	}
	f.state = refusing
	if f.scanner == nil {
		f.scanner = new(IDScanner)
	}
	f.scanner.Reset()
}

// swallow scans the refused message that p begins with and returns how many
// bytes of p belong to it, its newline included, and whether it ended there.
func (f *Filter) swallow(p []byte) (n int, ended bool) {
	n = bytes.IndexByte(p, '\n')
	if n < 0 {
		f.scanner.Feed(p)
		return len(p), false
	}
	f.scanner.Feed(p[:n])
	f.state = between
	return n + 1, true
}

package mcp

import "bytes"

// Admitter decides which messages may pass; a rate limiter implements it.
type Admitter interface {
	// Admit is called once for each line, blank ones included, when its first byte
	// arrives, and reports whether the line may pass.
	Admit() bool
}

// Filter removes the messages that an Admitter refuses from a stream of lines,
// and returns the id of each, for an error response. The zero value is at the
// beginning of a stream.
//
// The state transitions:
//
//	state     line feed                    any other byte
//	between   Admit, then as in that one   Admit: passing or refusing
//	passing   pass on -> between           pass on
//	refusing  swallow -> between           swallow, scan for the id
//
// A blank line is refused as any other, since a flood of them is work, too; it has no
// id. A Filter has 16 bytes; at the first refusal it allocates an IDScanner, which
// it keeps.
type Filter struct {
	scanner *IDScanner // nil until a message was refused
	state   filterState
	text    bool // the line being refused, or refused last, is not blank
}

type filterState uint8

const (
	between filterState = iota // at the beginning of a line
	passing
	refusing
)

// Next reads the next bytes of the stream and returns the longest piece of them
// that may be passed on unchanged, a sub-slice of p that may be empty, and the
// rest of p for the next call. If refused is true, a refused message ended
// right before rest, and RefusedID returns its id. Next keeps nothing of p. For
// example:
//
//	for len(p) > 0 {
//		var pass []byte
//		var refused bool
//		pass, p, refused = filter.Next(p, admitter)
//		forward(pass)
//		if id := filter.RefusedID(); refused && id != nil {
//			reply = mcp.AppendRateLimited(reply, id, wait)
//		}
//	}
func (f *Filter) Next(p []byte, admitter Admitter) (pass, rest []byte, refused bool) {
	n := f.passed(p, admitter)
	pass, rest = p[:n], p[n:]
	if f.state != refusing || n > 0 {
		return pass, rest, false
	}
	n, refused = f.swallow(rest)
	return pass, rest[n:], refused
}

// RefusedID returns the id of the message whose end Next just reported, as the
// raw JSON that the client wrote: a string, a number or null. It returns nil if
// no response is expected (the message is a notification, or itself a response)
// or the id is unusable (see IDScanner). It is valid until the next call of
// Next.
func (f *Filter) RefusedID() []byte {
	if f.scanner == nil || !f.scanner.Request() {
		return nil
	}
	return f.scanner.ID()
}

// RefusedBlank reports whether the line whose end Next just reported is blank: no
// message.
func (f *Filter) RefusedBlank() bool { return !f.text }

// passed returns how many bytes at the beginning of p may pass, calling Admit
// where a line begins. Unless that is all of p, or p is empty, the state is
// refusing afterwards.
func (f *Filter) passed(p []byte, admitter Admitter) int {
	at := 0
	for at < len(p) {
		switch f.state {
		case between:
			f.decide(admitter)
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

// decide calls Admit for the line that begins.
func (f *Filter) decide(admitter Admitter) {
	if admitter.Admit() {
		f.state = passing
		return
	}
	f.state, f.text = refusing, false
	if f.scanner == nil {
		f.scanner = new(IDScanner)
	}
	f.scanner.Reset()
}

// swallow scans the refused message at the beginning of p, and returns how many
// bytes of p belong to it, including its newline, and whether it ended there.
func (f *Filter) swallow(p []byte) (n int, ended bool) {
	n = bytes.IndexByte(p, '\n')
	ended = n >= 0
	line := p
	if ended {
		line = p[:n]
		f.state = between
		n++
	} else {
		n = len(p)
	}
	f.text = f.text || !blank(line)
	f.scanner.Feed(line)
	return n, ended
}

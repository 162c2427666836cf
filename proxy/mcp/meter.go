package mcp

import "bytes"

// Meter counts the messages of a stream of lines, chunk by chunk, and tracks
// the length of the line that is not finished yet. The zero value stands at
// the beginning of a stream. It holds 16 bytes, so that every connection can
// have two.
type Meter struct {
	length int64 // bytes of the unfinished line
	text   bool  // the unfinished line is not blank
}

// Count takes the next bytes of the stream and returns how many messages
// ended in them. How the stream is cut into chunks does not change the sum.
//
// A line longer than limit bytes, its newline not counted, is reported by
// over: the index in p of the first byte too many. Count stops there: p[over:]
// is neither counted nor looked at, and p[:over] is what a relay may still pass
// on. Otherwise over is -1. With limit = 0 no line is too long. The limit may
// change from call to call; a line already past it is too long at its next
// byte.
func (m *Meter) Count(p []byte, limit int64) (messages, over int) {
	for at := 0; at < len(p); {
		if p[at] == '\n' && m.length == 0 {
			at++ // an empty line; a flood of them is to cost little
			continue
		}
		n := bytes.IndexByte(p[at:], '\n')
		ended := n >= 0
		if !ended {
			n = len(p) - at
		}
		if limit > 0 && m.length+int64(n) > limit {
			over = at + int(max(limit-m.length, 0))
			m.extend(p[at:over])
			return messages, over
		}
		m.extend(p[at : at+n])
		at += n
		if ended {
			at++
			if m.text {
				messages++
			}
			*m = Meter{}
		}
	}
	return messages, -1
}

// AtBoundary reports whether the last byte seen ended a line, or none was seen
// yet: only there may a message of one's own be put into the stream.
func (m *Meter) AtBoundary() bool { return m.length == 0 }

// extend adds part of a line, without its newline.
func (m *Meter) extend(part []byte) {
	m.length += int64(len(part))
	m.text = m.text || !blank(part)
}

// blank reports whether line holds nothing but carriage returns.
func blank(line []byte) bool {
	for _, b := range line {
		if b != '\r' {
			return false
		}
	}
	return true
}

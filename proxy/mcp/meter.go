package mcp

import "bytes"

// Meter counts the messages of a stream of lines, chunk by chunk, and tracks
// the length of the unfinished line. The zero value is at the beginning of a
// stream. A Meter has 16 bytes, so that every connection can have two.
type Meter struct {
	length int64 // bytes of the unfinished line
	text   bool  // the unfinished line is not blank
}

// Count reads the next bytes of the stream and returns how many messages ended
// in them. The sum does not depend on how the stream is split into chunks.
//
// If a line is longer than limit bytes, without its newline, over is the index
// in p of the first byte beyond the limit; otherwise it is -1. Count stops
// there: it does not read p[over:], and a relay may still pass on p[:over].
// limit = 0 means no limit. The limit may change from call to call; a line
// already beyond it is too long at its next byte.
func (m *Meter) Count(p []byte, limit int64) (messages, over int) {
	for at := 0; at < len(p); {
		if p[at] == '\n' && m.length == 0 {
			at++ // an empty line: a flood of them must be cheap
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

// Begun returns how many lines begin in p, the next bytes of the stream, blank
// ones included: what a rate limiter charges, before any of it is forwarded.
func (m *Meter) Begun(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	begun := bytes.Count(p[:len(p)-1], newline)
	if m.AtBoundary() {
		begun++
	}
	return begun
}

// Cut returns the length of p, the next bytes of the stream, up to the end of the
// first n lines that begin in it; of all of p if no more begin.
func (m *Meter) Cut(p []byte, n int) int {
	if !m.AtBoundary() {
		n++ // the end of the unfinished line
	}
	at := 0
	for range n {
		end := bytes.IndexByte(p[at:], '\n')
		if end < 0 {
			return len(p)
		}
		at += end + 1
	}
	return at
}

var newline = []byte{'\n'}

// AtBoundary reports whether the last byte read ended a line, or none was read
// yet: only there may a message be inserted into the stream.
func (m *Meter) AtBoundary() bool { return m.length == 0 }

// extend adds a part of a line, without its newline.
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

package mcp

import "slices"

// EventGaps follows an event stream as its reader sees it, and knows whether the
// stream is between two events, where a comment may be inserted. The zero value is
// at the beginning of a stream.
//
//	out = gaps.Pass(append(out, p...), start) // what comes
//	if gaps.Between() {
//		out = gaps.AppendComment(out)
//	}
//
// Lines are those of EndpointRewriter's table, whose states it shares. Between
// events are the states begin and beginCR; beginCR only in a stream whose lines
// end with CR alone, because elsewhere an LF is about to follow. A stream that has
// not begun is between events, too. A byte order mark that comes behind a comment
// would be no mark any more, but a part of a name: it is taken off.
type EventGaps struct {
	state    streamState
	ending   lineEnding // of the last line
	mark     uint8      // bytes of a byte order mark that have come, while nothing else has
	begun    bool       // something else has come
	inserted bool       // a comment stands before all that
}

// lineEnding is how a line ends.
type lineEnding uint8

const (
	endingLF lineEnding = iota
	endingCRLF
	endingCR
)

var lineEndings = [...]string{endingLF: "\n", endingCRLF: "\r\n", endingCR: "\r"}

// Between reports whether a comment may be inserted now.
func (g *EventGaps) Between() bool {
	switch g.state {
	case streamBegin:
		return g.mark == 0 || g.begun
	case streamBeginCR:
		return g.ending == endingCR
	}
	return false
}

// AppendComment appends an empty comment and an empty line, with the stream's own
// line ends. Call it only if Between reports true.
func (g *EventGaps) AppendComment(dst []byte) []byte {
	g.inserted = g.inserted || !g.begun
	end := lineEndings[g.ending]
	return append(append(append(dst, ':'), end...), end...)
}

// Pass reads out[from:], the next bytes of the stream, and returns out as the
// client gets it.
func (g *EventGaps) Pass(out []byte, from int) []byte {
	if !g.begun {
		out, from = g.begin(out, from)
	}
	for p := out[from:]; len(p) > 0; {
		if g.state == streamLine || g.state == streamComment {
			if p = p[lineLength(p):]; len(p) == 0 {
				break
			}
		}
		g.step(p[0])
		p = p[1:]
	}
	return out
}

// step reads one byte.
func (g *EventGaps) step(b byte) {
	afterCR := g.state == streamBeginCR || g.state == streamLineCR
	switch {
	case afterCR && b == '\n':
		g.ending = endingCRLF
	case afterCR:
		g.ending = endingCR
	case b == '\n':
		g.ending = endingLF
	}
	g.state = g.state.next(b)
}

// begin reads the byte order mark that may stand at the beginning, and returns
// where in out the first line begins, len(out) if that is not known yet. Where a
// comment was inserted, the bytes of a mark are taken off, until they turn out to
// be none.
func (g *EventGaps) begin(out []byte, from int) ([]byte, int) {
	before, at := int(g.mark), from
	for at < len(out) && int(g.mark) < len(byteOrderMark) && out[at] == byteOrderMark[g.mark] {
		at++
		g.mark++
	}
	complete := int(g.mark) == len(byteOrderMark)
	switch {
	case at == len(out) && !complete && g.inserted:
		return out[:from], from
	case at == len(out) && !complete:
		return out, at
	case complete && g.inserted:
		out, at = slices.Delete(out, from, at), from
	case !complete && g.inserted:
		out, at = slices.Insert(out, from, []byte(byteOrderMark[:before])...), from
	case !complete:
		at = from
		if before > 0 {
			g.state = streamLine // its first bytes have passed
		}
	}
	g.begun = true
	return out, at
}

// Flush appends what is held back at the end of the stream: the beginning of a
// byte order mark.
func (g *EventGaps) Flush(dst []byte) []byte {
	if g.begun || !g.inserted {
		return dst
	}
	g.begun = true
	return append(dst, byteOrderMark[:g.mark]...)
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (g EventGaps) MarshalBinary() ([]byte, error) {
	return []byte{uint8(g.state), uint8(g.ending), g.mark, bit(g.begun), bit(g.inserted)}, nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (g *EventGaps) UnmarshalBinary(p []byte) error {
	if len(p) != 5 || streamState(p[0]) > streamNext || int(p[1]) >= len(lineEndings) || int(p[2]) > len(byteOrderMark) {
		return errState
	}
	*g = EventGaps{state: streamState(p[0]), ending: lineEnding(p[1]), mark: p[2], begun: p[3] != 0, inserted: p[4] != 0}
	return nil
}

package mcp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// events are what a reader of an event stream sees: the HTML Standard, section 9.2.6,
// in its own words, which know no state. Lines that end with CR, LF or CRLF; a byte
// order mark at the beginning counts for nothing.
func events(stream string) (seen []string) {
	stream = strings.TrimPrefix(stream, byteOrderMark)
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	var fields []string
	lines := strings.Split(stream, "\n")
	for _, line := range lines[:len(lines)-1] {
		switch {
		case line == "" && len(fields) > 0:
			seen = append(seen, strings.Join(fields, "|"))
			fields = nil
		case line == "" || line[0] == ':':
		default:
			fields = append(fields, line)
		}
	}
	return append(seen, "rest: "+strings.Join(fields, "|")+"/"+strings.TrimLeft(lines[len(lines)-1], ":"))
}

// A comment that is inserted wherever EventGaps allows it changes no event: a stream
// that is silent for long looks like one that is not, to clients and to proxies on the
// way.
func TestCommentsChangeNoEvent(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{
		"data: 1\n\ndata: 2\n\n", "data: 1\r\n\r\ndata: 2\r\n\r\n", "data: 1\r\rdata: 2\r\r", "\n\r\n\r:x\ndata: 1\r\n\n",
		byteOrderMark + "data: 1\n\ndata: 2\n\n", byteOrderMark + "\n\n:x\ndata: 1\n\n", byteOrderMark, "\xef\xbbdata: 1\n\ndata: 2\n\n",
		"\xefdata\n\n", ": hello\n: there\n\nid: 1\nevent: a\ndata: b\ndata: c\n\n:\n\n", "data: \xef\xbb\xbf\n\n" + byteOrderMark + "data: x\n\n", "",
		"retry: 1\r\n: in an event\r\ndata: x\r\n\r\n",
	} {
		checkComments(t, stream)
	}
}

// checkComments inserts a comment at every place, in pieces of every size.
func checkComments(t *testing.T, stream string) {
	t.Helper()
	want := events(stream)
	for at := range len(stream) + 1 {
		for _, size := range []int{1, 2, 3, len(stream) + 1} {
			var g EventGaps
			out := passPieces(&g, []byte("before"), stream[:at], size)
			commented := g.Between()
			if commented {
				out = g.AppendComment(out)
				if !g.Between() {
					t.Errorf("%q: no second comment may follow at %d", stream, at)
				}
				out = g.AppendComment(out)
			}
			out = g.Flush(passPieces(&g, out, stream[at:], size))
			out = bytes.TrimPrefix(out, []byte("before"))
			if got := events(string(out)); !slices.Equal(got, want) {
				t.Errorf("%q with a comment at %d, pieces of %d: %q, want %q (%q)", stream, at, size, got, want, out)
			}
			if !commented && string(out) != stream {
				t.Errorf("%q became %q without a comment", stream, out)
			}
		}
	}
}

// passPieces passes a stream on in pieces, each time in the state that another process
// would have read.
func passPieces(g *EventGaps, out []byte, stream string, size int) []byte {
	for stream != "" {
		n := min(size, len(stream))
		start := len(out)
		out = g.Pass(append(out, stream[:n]...), start)
		state, _ := g.MarshalBinary()
		*g = EventGaps{}
		if err := g.UnmarshalBinary(state); err != nil {
			panic(fmt.Sprint(state, err))
		}
		stream = stream[n:]
	}
	return out
}

// Comments come where a stream usually pauses, and nowhere else: not in an event, nor
// between CR and LF.
func TestEventGaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stream  string
		between bool
		comment string
	}{
		{"", true, ":\n\n"},
		{"\xef", false, ""},
		{byteOrderMark, true, ":\n\n"},
		{"data: 1", false, ""},
		{"data: 1\n", false, ""},
		{"data: 1\n\n", true, ":\n\n"},
		{"data: 1\r\n", false, ""},
		{"data: 1\r\n\r", false, ""},
		{"data: 1\r\n\r\n", true, ":\r\n\r\n"},
		{"data: 1\r", false, ""},
		{"data: 1\r\r", true, ":\r\r"},
		{": hello", false, ""},
		{": hello\n", true, ":\n\n"},
		{": hello\r", false, ""},
		{": hello\r\n", true, ":\r\n\r\n"},
		{"event: x\n: comment in an event\n", false, ""},
	} {
		var g EventGaps
		g.Pass([]byte(c.stream), 0)
		if g.Between() != c.between {
			t.Errorf("after %q: between events %t", c.stream, g.Between())
		} else if c.between && string(g.AppendComment(nil)) != c.comment {
			t.Errorf("after %q: the comment is %q, want %q", c.stream, g.AppendComment(nil), c.comment)
		}
	}
	for _, state := range [][]byte{nil, {6, 0, 0, 0, 0}, {0, 3, 0, 0, 0}, {0, 0, 4, 0, 0}, {0, 0, 0, 0, 0, 0}} {
		if new(EventGaps).UnmarshalBinary(state) == nil {
			t.Errorf("the state %v is accepted", state)
		}
	}
}

func FuzzEventGaps(f *testing.F) {
	f.Add("data: 1\r\n\r\ndata: 2\n\n")
	f.Add(byteOrderMark + ": x\r\rdata: 1\r\r\n")
	f.Fuzz(func(t *testing.T, stream string) {
		if len(stream) < 100 {
			checkComments(t, stream)
		}
	})
}

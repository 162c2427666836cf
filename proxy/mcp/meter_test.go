package mcp

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestMeterCount(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		in       string
		max      int64
		messages int
		over     int
		boundary bool
	}{
		{"nothing", "", 0, 0, -1, true},
		{"one", "{}\n", 0, 1, -1, true},
		{"one with carriage return", "{}\r\n", 0, 1, -1, true},
		{"unfinished", "{}", 0, 0, -1, false},
		{"unfinished second", "{}\n{", 0, 1, -1, false},
		{"blank lines", "\n\r\n\n", 0, 0, -1, true},
		{"carriage returns alone", "\r\r\n", 0, 0, -1, true},
		{"blank unfinished", "\r", 0, 0, -1, false},
		{"blank lines between", "\n{}\n\r\n\n{}\r\n\n", 0, 2, -1, true},
		{"carriage return before text", "\r{}\n", 0, 1, -1, true},
		{"spaces are a message", "  \n", 0, 1, -1, true},
		{"as long as allowed", "1234\n", 4, 1, -1, true},
		{"as long as allowed, unfinished", "1234", 4, 0, -1, false},
		{"a byte too long", "12345\n", 4, 0, 4, false},
		{"a byte too long, unfinished", "12345", 4, 0, 4, false},
		{"carriage return counts", "1234\r\n", 4, 0, 4, false},
		{"second too long", "12\n1234567\n12\n", 4, 1, 7, false},
		{"blank line too long", "\r\r\n", 1, 0, 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var m Meter
			messages, over := m.Count([]byte(test.in), test.max)
			if messages != test.messages || over != test.over || m.AtBoundary() != test.boundary {
				t.Errorf("Count(%q, %d) = %d, %d, boundary %v; want %d, %d, %v", test.in, test.max,
					messages, over, m.AtBoundary(), test.messages, test.over, test.boundary)
			}
		})
	}
}

// What the limits charge does not depend on the pieces in which the lines come, and
// what is cut off are whole lines. If this fails, a client escapes its rate, or its
// lines are torn apart.
func TestLinesBegunAndCut(t *testing.T) {
	t.Parallel()
	for _, stream := range append(slices.Clone(streams), "", "\n", "\n\n\n", "a", "a\n\r\nb\nc", "a\nb\n") {
		data := []byte(stream)
		lines := bytes.SplitAfter(data, []byte("\n"))
		if last := len(lines) - 1; len(lines[last]) == 0 {
			lines = lines[:last]
		}
		for split := range len(data) + 1 {
			var m Meter
			first := m.Begun(data[:split])
			m.Count(data[:split], 0)
			rest := data[split:]
			begun := m.Begun(rest)
			if first+begun != len(lines) {
				t.Fatalf("%q in pieces of %d and %d: %d + %d lines, want %d", data, split, len(rest), first, begun, len(lines))
			}
			for n := range begun {
				if want := len(bytes.Join(lines[:first+n], nil)) - split; m.Cut(rest, n) != want {
					t.Fatalf("%q behind %d bytes: %d lines end at %d, want %d", rest, split, n, m.Cut(rest, n), want)
				}
			}
			if m.Cut(rest, begun) != len(rest) {
				t.Fatalf("%q behind %d bytes: all lines end at %d", rest, split, m.Cut(rest, begun))
			}
		}
	}
}

func TestMeterLimitLowered(t *testing.T) {
	t.Parallel()
	var m Meter
	m.Count([]byte("{}\n123456"), 0)
	if messages, over := m.Count([]byte("7\n"), 4); messages != 0 || over != 0 {
		t.Errorf("Count = %d, %d in a line already past the limit; want 0, 0", messages, over)
	}
}

func TestMeterIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Meter{}); size > 16 {
		t.Errorf("a Meter has %d bytes, want at most 16", size)
	}
	if size := unsafe.Sizeof(Filter{}); size > 16 {
		t.Errorf("a Filter has %d bytes, want at most 16", size)
	}
}

// count feeds the pieces up to the first line that is too long, and returns the
// sum and the index of the first byte beyond the limit.
func count(m *Meter, pieces [][]byte, max int64) (messages, over int) {
	at := 0
	for _, piece := range pieces {
		n, over := m.Count(piece, max)
		messages += n
		if over >= 0 {
			return messages, at + over
		}
		at += len(piece)
	}
	return messages, -1
}

// countSlowly is a naive Count that splits the stream.
func countSlowly(data []byte, max int64) (messages, over int) {
	at := 0
	for line := range bytes.SplitAfterSeq(data, []byte("\n")) {
		body := bytes.TrimSuffix(line, []byte("\n"))
		if max > 0 && int64(len(body)) > max {
			return messages, at + int(max)
		}
		if len(body) < len(line) && len(bytes.Trim(body, "\r")) > 0 {
			messages++
		}
		at += len(line)
	}
	return messages, -1
}

func FuzzMeter(f *testing.F) {
	for i, stream := range streams {
		f.Add([]byte(stream), uint64(i), int64(0))
		f.Add([]byte(stream), uint64(i), int64(20))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, max int64) {
		max = min(max, 1<<20)
		if max < 0 {
			max = 0
		}
		wantMessages, wantOver := countSlowly(data, max)
		for _, pieces := range [][][]byte{{data}, oneByOne(data), chunks(data, seed)} {
			var m Meter
			messages, over := count(&m, pieces, max)
			if messages != wantMessages || over != wantOver {
				t.Fatalf("%q in %d pieces, max %d: %d messages, over %d; want %d, %d",
					data, len(pieces), max, messages, over, wantMessages, wantOver)
			}
			boundary := len(data) == 0 || data[len(data)-1] == '\n'
			if over < 0 && m.AtBoundary() != boundary {
				t.Fatalf("%q in %d pieces: AtBoundary() = %v", data, len(pieces), m.AtBoundary())
			}
		}
	})
}

func TestMeterAllocates(t *testing.T) {
	stream := []byte(strings.Join(streams, ""))
	var m Meter
	if n := testing.AllocsPerRun(100, func() { m.Count(stream, 1<<20) }); n != 0 {
		t.Errorf("Count allocates %v times, want 0", n)
	}
}

func BenchmarkMeter(b *testing.B) {
	line := func(n int) string { return strings.Repeat("x", n-1) + "\n" }
	for _, bench := range []struct {
		name, in string
	}{
		{"one of 200 B", line(200)},
		{"64 KiB of 40 B", strings.Repeat(line(40), 64<<10/40)},
		{"64 KiB of 200 B", strings.Repeat(line(200), 64<<10/200)},
		{"64 KiB of one", line(64 << 10)},
		{"64 KiB of newlines", strings.Repeat("\n", 64<<10)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			in := []byte(bench.in)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var m Meter
			for b.Loop() {
				m.Count(in, 16<<20)
			}
		})
	}
}

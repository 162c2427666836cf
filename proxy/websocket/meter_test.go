package websocket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

// frame returns a frame with the shortest length, unmasked.
func frame(first byte, payload string) string {
	n := len(payload)
	head := []byte{first}
	switch {
	case n < length16:
		head = append(head, byte(n))
	case n <= math.MaxUint16:
		head = binary.BigEndian.AppendUint16(append(head, length16), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, length64), uint64(n))
	}
	return string(head) + payload
}

// masked is frame with a mask.
func masked(first byte, payload string) string {
	head := []byte(frame(first, payload))[:len(frame(first, payload))-len(payload)]
	head[1] |= frameMasked
	return string(head) + "mask" + payload // the meter cannot see whether the payload is masked
}

const (
	text    = frameFIN | 1
	blob    = frameFIN | 2
	ping    = frameFIN | 9
	pong    = frameFIN | 10
	closing = frameFIN | opcodeClose
)

// frameStreams are streams of frames with the expected results.
var frameStreams = []struct {
	name       string
	in         string
	client     bool
	extensions bool
	limit      int64
	want       Frames
	boundary   bool
}{
	{name: "nothing", boundary: true},
	{name: "one", in: frame(text, "Hello"), want: Frames{Messages: 1, Data: 1, Valid: 7}, boundary: true},
	{name: "one, masked", in: masked(text, "Hello"), client: true, want: Frames{Messages: 1, Data: 1, Valid: 11}, boundary: true},
	{name: "empty", in: frame(text, ""), want: Frames{Messages: 1, Data: 1, Valid: 2}, boundary: true},
	{name: "empty, masked", in: masked(blob, ""), client: true, want: Frames{Messages: 1, Data: 1, Valid: 6}, boundary: true},
	{name: "lengths", in: frame(text, strings.Repeat("x", 125)) + frame(text, strings.Repeat("x", 126)) +
		frame(blob, strings.Repeat("x", 65535)) + frame(blob, strings.Repeat("x", 65536)),
		want: Frames{Messages: 4, Data: 4, Valid: 127 + 130 + 65539 + 65546}, boundary: true},
	{name: "lengths, masked", in: masked(text, strings.Repeat("x", 126)) + masked(blob, strings.Repeat("x", 65536)), client: true,
		want: Frames{Messages: 2, Data: 2, Valid: 134 + 65550}, boundary: true},
	{name: "fragments", in: frame(1, "Hel") + frame(0, "") + frame(frameFIN, "lo") + frame(text, "x"),
		want: Frames{Messages: 2, Data: 4, Valid: 5 + 2 + 4 + 3}, boundary: true},
	{name: "control frames between fragments", in: frame(2, "Hel") + frame(ping, "?") + frame(pong, "") + frame(frameFIN, "lo") + frame(closing, "\x03\xe8"),
		want: Frames{Messages: 1, Data: 2, Control: 3, Valid: 5 + 3 + 2 + 4 + 4}, boundary: true},
	{name: "boundary in a message", in: frame(1, "Hel"), want: Frames{Data: 1, Valid: 5}, boundary: true},
	{name: "unfinished header", in: frame(text, "")[:1], want: Frames{Valid: 1}},
	{name: "unfinished mask", in: masked(text, "")[:5], client: true, want: Frames{Valid: 5}},
	{name: "unfinished length", in: frame(text, strings.Repeat("x", 126))[:3], want: Frames{Valid: 3}},
	{name: "unfinished payload", in: frame(text, "Hello")[:6], want: Frames{Valid: 6}},
	{name: "longest control frame", in: frame(ping, strings.Repeat("x", 125)), want: Frames{Control: 1, Valid: 127}, boundary: true},
	{name: "reserved bits, agreed on", in: frame(text|0x40, "x") + frame(text|0x70, "x"), extensions: true, want: Frames{Messages: 2, Data: 2, Valid: 6}, boundary: true},
	{name: "a huge length", in: "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", want: Frames{Valid: 10}},
	{name: "at the limit", in: frame(text, "1234") + frame(1, "12") + frame(ping, "123456789") + frame(frameFIN, "34") + frame(text, "1234"), limit: 4,
		want: Frames{Messages: 3, Data: 4, Control: 1, Valid: 6 + 4 + 11 + 4 + 6}, boundary: true},

	{name: "too large", in: frame(text, "1234") + frame(text, "12345"), limit: 4, want: Frames{Messages: 1, Data: 1, Valid: 6, Fault: FrameTooLarge}},
	{name: "too large in fragments", in: frame(1, "123") + frame(0, "45"), limit: 4, want: Frames{Data: 1, Valid: 5, Fault: FrameTooLarge}},
	{name: "far too large", in: "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", limit: math.MaxInt64 - 1, want: Frames{Fault: FrameTooLarge}},
	{name: "reserved bits", in: frame(text, "x") + frame(text|0x40, "x"), want: Frames{Messages: 1, Data: 1, Valid: 3, Fault: FrameReserved}},
	{name: "opcode 3", in: frame(frameFIN|3, "x"), want: Frames{Fault: FrameOpcode}},
	{name: "opcode 7", in: frame(frameFIN|7, "x"), want: Frames{Fault: FrameOpcode}},
	{name: "opcode 11", in: frame(frameFIN|11, "x"), want: Frames{Fault: FrameOpcode}},
	{name: "opcode 15, not last", in: frame(15, "x"), want: Frames{Fault: FrameOpcode}},
	{name: "unmasked", in: masked(text, "x") + frame(text, "x"), client: true, want: Frames{Messages: 1, Data: 1, Valid: 7, Fault: FrameUnmasked}},
	{name: "masked", in: masked(text, "x"), want: Frames{Fault: FrameMasked}},
	{name: "fragmented control frame", in: frame(9, "x"), want: Frames{Fault: FrameFragmentedControl}},
	{name: "long control frame", in: frame(ping, strings.Repeat("x", 126)), want: Frames{Fault: FrameLongControl}},
	{name: "very long control frame", in: frame(ping, strings.Repeat("x", 65536)), want: Frames{Fault: FrameLongControl}},
	{name: "nothing to continue", in: frame(0, "x"), want: Frames{Fault: FrameNothingToContinue}},
	{name: "nothing to continue any more", in: frame(text, "x") + frame(frameFIN, "x"), want: Frames{Messages: 1, Data: 1, Valid: 3, Fault: FrameNothingToContinue}},
	{name: "interleaved", in: frame(1, "x") + frame(ping, "") + frame(text, "x"), want: Frames{Data: 1, Control: 1, Valid: 5, Fault: FrameInterleaved}},
	{name: "16 bits for 125", in: "\x81\x7e\x00\x7d", want: Frames{Fault: FrameLength}},
	{name: "64 bits for 65535", in: "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", want: Frames{Fault: FrameLength}},
	{name: "64 bits with the top one", in: "\x81\x7f\x80\x00\x00\x00\x00\x01\x00\x00", want: Frames{Fault: FrameLength}},
}

func meter(client, extensions bool) FrameMeter {
	if client {
		return ClientFrames(extensions)
	}
	return ServerFrames(extensions)
}

// countFrames feeds the pieces and returns the sums; a frame whose first bytes
// passed before its fault was found does not shorten Valid.
func countFrames(m *FrameMeter, pieces [][]byte, limit int64) Frames {
	var sum Frames
	for _, piece := range pieces {
		found := m.Count(piece, limit)
		sum.Messages += found.Messages
		sum.Data += found.Data
		sum.Control += found.Control
		sum.Valid += found.Valid
		if sum.Fault = found.Fault; sum.Fault != FrameOK {
			break
		}
	}
	return sum
}

func TestFrameMeter(t *testing.T) {
	t.Parallel()
	for _, stream := range frameStreams {
		t.Run(stream.name, func(t *testing.T) {
			t.Parallel()
			in := []byte(stream.in)
			for _, pieces := range [][][]byte{{in}, oneByOne(in), chunks(in, 1)} {
				m := meter(stream.client, stream.extensions)
				got := countFrames(&m, pieces, stream.limit)
				if len(pieces) > 1 && got.Fault != FrameOK {
					got.Valid = stream.want.Valid // FuzzFrameMeter checks it
				}
				if got != stream.want || m.AtBoundary() != stream.boundary {
					t.Errorf("in %d pieces: %+v, boundary %v; want %+v, %v", len(pieces), got, m.AtBoundary(), stream.want, stream.boundary)
				}
				again := Frames{Fault: stream.want.Fault}
				if got := m.Count([]byte("more"), stream.limit); stream.want.Fault != FrameOK && got != again {
					t.Errorf("after the fault: %+v, want %+v", got, again)
				}
			}
		})
	}
}

func TestFrameMeterIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(FrameMeter{}); size > 24 {
		t.Errorf("a FrameMeter has %d bytes, want at most 24", size)
	}
	if m := (FrameMeter{}); m != ServerFrames(false) {
		t.Error("the zero value is not ServerFrames(false)")
	}
}

// slowFrame is a frame's header as in the drawing of RFC 6455, section 5.2.
type slowFrame struct {
	fin, rsv, masked bool
	opcode, short    byte
	length           uint64
	head             int // bytes
}

// readSlowly reads the header at the beginning of p; ok is false if it is
// incomplete.
func readSlowly(p []byte) (f slowFrame, ok bool) {
	if len(p) < 2 {
		return f, false
	}
	f = slowFrame{fin: p[0]>>7 == 1, rsv: p[0]>>4&7 != 0, opcode: p[0] & 15, masked: p[1]>>7 == 1, short: p[1] & 127, head: 2}
	f.length = uint64(f.short)
	extended := map[byte]int{126: 2, 127: 8}[f.short]
	if f.head += extended; len(p) < f.head {
		return f, false
	}
	if extended > 0 {
		f.length = 0
		for _, b := range p[2:f.head] {
			f.length = f.length*256 + uint64(b)
		}
	}
	return f, true
}

// faultSlowly returns the fault of a frame with a complete header, except for a
// message that is too large.
func (f slowFrame) faultSlowly(client, extensions, open bool) FrameFault {
	control := f.opcode >= 8
	for _, rule := range []struct {
		broken bool
		fault  FrameFault
	}{
		{f.rsv && !extensions, FrameReserved},
		{!bytes.Contains([]byte{0, 1, 2, 8, 9, 10}, []byte{f.opcode}), FrameOpcode},
		{control && !f.fin, FrameFragmentedControl},
		{f.opcode == 0 && !open, FrameNothingToContinue},
		{!control && f.opcode != 0 && open, FrameInterleaved},
		{client && !f.masked, FrameUnmasked},
		{!client && f.masked, FrameMasked},
		{control && f.short > 125, FrameLongControl},
		{f.short == 126 && f.length < 126, FrameLength},
		{f.short == 127 && f.length < 65536, FrameLength},
		{f.length >= 1<<63, FrameLength},
	} {
		if rule.broken {
			return rule.fault
		}
	}
	return FrameOK
}

// framesSlowly is a naive FrameMeter, frame by frame. A truncated header is
// completed with more bytes: a fault that does not depend on those bytes is
// there already.
func framesSlowly(data []byte, client, extensions bool, limit int64) (found Frames, boundary bool) {
	open, size := false, uint64(0)
	at := 0
	for at < len(data) {
		f, unsplit := readSlowly(data[at:])
		if !unsplit {
			return partSlowly(data, at, client, extensions, open, found), false
		}
		found.Fault = f.faultSlowly(client, extensions, open)
		if f.opcode < 8 {
			size += f.length
			if found.Fault == FrameOK && limit > 0 && size > uint64(limit) {
				found.Fault = FrameTooLarge
			}
		}
		if found.Fault != FrameOK {
			found.Valid = at
			return found, false
		}
		end := uint64(at+f.head) + f.length
		if f.masked {
			end += 4
		}
		if uint64(len(data)) < end {
			found.Valid = len(data)
			return found, false
		}
		at = int(end)
		if f.opcode >= 8 {
			found.Control++
			continue
		}
		found.Data++
		if open = !f.fin; f.fin {
			found.Messages++
			size = 0
		}
	}
	found.Valid = len(data)
	return found, true
}

// partSlowly checks the frame at the end of data with an incomplete header: its
// first byte, and perhaps its second.
func partSlowly(data []byte, at int, client, extensions, open bool, found Frames) Frames {
	part := append([]byte{}, data[at:]...)
	if len(part) == 1 {
		second := byte(0)
		if client {
			second = 0x80
		}
		part = append(part, second)
	}
	// A length that is valid in any short form.
	part = append(part[:2], 0, 1, 0, 0, 0, 0, 0, 0)
	if part[1]&127 == 126 {
		part[2] = 1
	}
	f, _ := readSlowly(part)
	found.Fault = f.faultSlowly(client, extensions, open)
	found.Valid = len(data)
	if found.Fault != FrameOK {
		found.Valid = at
	}
	return found
}

func FuzzFrameMeter(f *testing.F) {
	for i, stream := range frameStreams {
		if len(stream.in) < 1000 {
			f.Add([]byte(stream.in), stream.client, stream.extensions, stream.limit, uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, client, extensions bool, limit int64, seed uint64) {
		want, boundary := framesSlowly(data, client, extensions, limit)
		unsplit := meter(client, extensions)
		if got := unsplit.Count(data, limit); got != want || unsplit.AtBoundary() != boundary {
			t.Fatalf("%x: %+v, boundary %v; want %+v, %v", data, got, unsplit.AtBoundary(), want, boundary)
		}
		for _, pieces := range [][][]byte{oneByOne(data), chunks(data, seed)} {
			m := meter(client, extensions)
			got := countFrames(&m, pieces, limit)
			if got.Fault == FrameOK && m != unsplit {
				t.Fatalf("%x in %d pieces: the meter is %+v, want %+v", data, len(pieces), m, unsplit)
			}
			// Only complete earlier chunks of a faulty frame may have passed.
			if got.Valid != want.Valid && (got.Fault == FrameOK || got.Valid < want.Valid || !endsPiece(pieces, got.Valid)) {
				t.Fatalf("%x in %d pieces: %d bytes may pass, want %d", data, len(pieces), got.Valid, want.Valid)
			}
			got.Valid = want.Valid
			if got != want {
				t.Fatalf("%x in %d pieces: %+v, want %+v", data, len(pieces), got, want)
			}
		}
	})
}

// endsPiece reports whether one of the pieces ends at at.
func endsPiece(pieces [][]byte, at int) bool {
	sum := 0
	for _, piece := range pieces {
		sum += len(piece)
		if sum == at {
			return true
		}
	}
	return false
}

func TestFrameFault(t *testing.T) {
	t.Parallel()
	words := map[string]bool{}
	for f := FrameOK; f < NumFrameFaults; f++ {
		if words[f.String()] || f.String() == "" || f.Error() == "" || len(f.Error()) > maxCloseReason {
			t.Errorf("fault %d is %q, %q", f, f.String(), f.Error())
		}
		words[f.String()] = true
		if code := f.CloseCode(); code != CloseProtocolError && (f != FrameTooLarge || code != CloseTooLarge) {
			t.Errorf("%v closes with %d", f, code)
		}
	}
}

// What the limits charge does not depend on the pieces in which the frames come, and
// what is cut off are whole frames. If this fails, a client escapes its rate, or its
// frames are torn apart.
func TestFramesBegunAndCut(t *testing.T) {
	t.Parallel()
	frames := []string{
		masked(text, "Hello"), masked(ping, ""), masked(text, ""), masked(ping, "x"),
		masked(text, strings.Repeat("x", 200)), masked(ping, strings.Repeat("p", 125)),
	}
	data := []byte(strings.Join(frames, ""))
	ends := []int{0}
	for _, f := range frames {
		ends = append(ends, ends[len(ends)-1]+len(f))
	}
	for split := range len(data) + 1 {
		m, start := ClientFrames(false), ClientFrames(false)
		first := m.Begun(start, m.Count(data[:split], 0))
		before := m
		rest := data[split:]
		begun := m.Begun(before, m.Count(rest, 0))
		if first+begun != len(frames) {
			t.Fatalf("in pieces of %d and %d: %d + %d frames, want %d", split, len(rest), first, begun, len(frames))
		}
		for n := range begun + 1 {
			m := before
			found := m.CountUpTo(rest, 0, n)
			if want := ends[first+n] - split; found.Valid != want || !m.AtBoundary() && found.Valid > 0 {
				t.Fatalf("behind %d bytes: %d frames end at %d, want %d", split, n, found.Valid, want)
			}
			if found = m.Count(rest[found.Valid:], 0); found.Fault != FrameOK || !m.AtBoundary() {
				t.Fatalf("behind %d bytes: the rest behind %d frames is %+v", split, n, found)
			}
		}
	}
}

func TestFrameMeterAllocates(t *testing.T) {
	in := []byte(masked(text, "Hello") + masked(ping, "x"))
	n := testing.AllocsPerRun(100, func() {
		m := ClientFrames(false)
		if found := m.Count(in, 16<<20); found.Messages != 1 || found.Control != 1 {
			t.Error("miscounted")
		}
	})
	if n != 0 {
		t.Errorf("counting allocates %v times, want 0", n)
	}
}

func BenchmarkFrameMeter(b *testing.B) {
	for _, size := range []int{20, 200, 64 << 10} {
		in := []byte(strings.Repeat(masked(text, strings.Repeat("x", size)), max(1, 1<<16/size)))
		if size == 200 {
			in = in[:208]
		}
		b.Run(fmt.Sprintf("%d_of_%d", len(in), size), func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			m := ClientFrames(false)
			for b.Loop() {
				if found := m.Count(in, 16<<20); found.Fault != FrameOK || !m.AtBoundary() {
					b.Fatal(found.Fault)
				}
			}
		})
	}
}

func TestAppendClose(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code         uint16
		reason, want string
	}{
		{CloseNormal, "", "\x88\x02\x03\xe8"},
		{CloseGoingAway, "bye", "\x88\x05\x03\xe9bye"},
		{CloseProtocolError, "\xff", "\x88\x05\x03\xea\ufffd"},
		{ClosePolicy, strings.Repeat("x", 200), "\x88\x7d\x03\xf0" + strings.Repeat("x", 123)},
		{CloseTooLarge, strings.Repeat("x", 122) + "é", "\x88\x7c\x03\xf1" + strings.Repeat("x", 122)},
	}
	for _, test := range tests {
		if got := AppendClose([]byte("before"), test.code, test.reason); string(got) != "before"+test.want {
			t.Errorf("AppendClose(%d, %q) = %q, want %q", test.code, test.reason, got, test.want)
		}
	}
	want := "before\x88\x85mask\x6e\x88\x11\x12\x08"
	if got := AppendMaskedClose([]byte("before"), CloseGoingAway, "bye", [4]byte([]byte("mask"))); string(got) != want {
		t.Errorf("AppendMaskedClose = %q, want %q", got, want)
	}
}

func FuzzAppendClose(f *testing.F) {
	f.Add(uint16(1000), "", uint32(0))
	f.Add(uint16(1009), strings.Repeat("€", 60), uint32(0x12345678))
	f.Add(uint16(1002), "\xff\xfe"+strings.Repeat("x", 130), uint32(0xffffffff))
	f.Fuzz(func(t *testing.T, code uint16, reason string, key uint32) {
		plain := AppendClose(nil, code, reason)
		server := ServerFrames(false)
		if found := server.Count(plain, 0); found != (Frames{Control: 1, Valid: len(plain)}) {
			t.Fatalf("%x is not a frame of a server: %+v", plain, found)
		}
		kept := string(plain[4:])
		if binary.BigEndian.Uint16(plain[2:]) != code || !utf8.ValidString(kept) || !strings.HasPrefix(string([]rune(reason)), kept) {
			t.Fatalf("%x does not say %d, %q", plain, code, reason)
		}
		mask := [4]byte(binary.BigEndian.AppendUint32(nil, key))
		hidden := AppendMaskedClose(nil, code, reason, mask)
		client := ClientFrames(false)
		if found := client.Count(hidden, 0); found != (Frames{Control: 1, Valid: len(hidden)}) {
			t.Fatalf("%x is not a frame of a client: %+v", hidden, found)
		}
		for i := range hidden[6:] {
			hidden[6+i] ^= mask[i%4]
		}
		if !bytes.Equal(hidden[6:], plain[2:]) {
			t.Fatalf("unmasked, %x differs from %x", hidden, plain)
		}
	})
}

func TestAcceptOf(t *testing.T) {
	t.Parallel()
	// The example of RFC 6455, section 1.3.
	if got, ok := AcceptOf([]byte("dGhlIHNhbXBsZSBub25jZQ==")); !ok || string(got[:]) != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("AcceptOf = %q, %v", got, ok)
	}
	for _, key := range []string{"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQ__",
		"dGhlIHNhbXBsZSBub25jZXNv", "dGhlIHNhbXBsZSBub25jZ!=="} {
		if _, ok := AcceptOf([]byte(key)); ok {
			t.Errorf("AcceptOf(%q) is ok", key)
		}
	}
}

func TestHandshakeAndCloseAllocate(t *testing.T) {
	key := []byte("dGhlIHNhbXBsZSBub25jZQ==")
	dst := make([]byte, 0, 256)
	n := testing.AllocsPerRun(100, func() {
		if _, ok := AcceptOf(key); !ok {
			t.Error("no key")
		}
		dst = AppendClose(dst[:0], CloseGoingAway, "the server is going away")
		dst = AppendMaskedClose(dst, CloseGoingAway, "the client is going away", [4]byte{1, 2, 3, 4})
	})
	if n != 0 {
		t.Errorf("allocates %v times, want 0", n)
	}
}

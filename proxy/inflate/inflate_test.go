package inflate

import (
	"bytes"
	stdflate "compress/flate"
	stdgzip "compress/gzip"
	stdzlib "compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// texts are bodies of several kinds.
func texts() map[string][]byte {
	random := make([]byte, 100<<10)
	for i, rng := 0, rand.New(rand.NewPCG(1, 2)); i < len(random); i++ {
		random[i] = byte(rng.Uint32())
	}
	var events strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&events, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"n\":%d}}\n\n", i, i*i)
	}
	return map[string][]byte{
		"empty":  nil,
		"byte":   []byte("a"),
		"event":  []byte("event: endpoint\ndata: /messages?sessionId=0f\n\n"),
		"events": []byte(events.String()),
		"zeros":  make([]byte, 300<<10),
		"random": random,
		"far":    append(append(random[:windowSize:windowSize], random[:300]...), random[windowSize-258:windowSize]...),
	}
}

// flushWriter is what the libraries' compressors have in common.
type flushWriter interface {
	io.WriteCloser
	Flush() error
}

// wrapped returns text in a format, flushed now and then.
func wrapped(tb testing.TB, format string, level int, text []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	var w flushWriter
	var err error
	switch format {
	case "gzip":
		w, err = stdgzip.NewWriterLevel(&out, level)
	case "zlib":
		w, err = stdzlib.NewWriterLevel(&out, level)
	default:
		w, err = stdflate.NewWriter(&out, level)
	}
	for len(text) > 0 && err == nil {
		n := min(len(text), 50<<10)
		if _, err = w.Write(text[:n]); err == nil {
			err = w.Flush()
		}
		text = text[n:]
	}
	if err = errors.Join(err, w.Close()); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func formatOf(name string) Format {
	if name == "gzip" {
		return Gzip
	}
	return Deflate
}

// decodePieces decodes p in pieces of a size; each piece meets a Decoder that has moved
// to another process, if moves.
func decodePieces(d *Decoder, p []byte, size int, moves bool) (out []byte, err error) {
	for len(p) > 0 && err == nil {
		n := min(size, len(p))
		out, err = d.Append(out, p[:n])
		p = p[n:]
		if moves && err == nil {
			var state []byte
			if state, err = d.MarshalBinary(); err == nil {
				*d = Decoder{}
				err = d.UnmarshalBinary(state)
			}
		}
	}
	return out, err
}

// If these fail, clients get other bytes than the server has compressed.
func TestDecodes(t *testing.T) {
	sizes := []int{1, 2, 7, 1000, math.MaxInt}
	if testing.Short() {
		sizes = []int{3, math.MaxInt}
	}
	for name, text := range texts() {
		for _, format := range []string{"gzip", "zlib", "bare"} {
			for _, level := range []int{stdflate.NoCompression, stdflate.BestSpeed, stdflate.BestCompression, stdflate.HuffmanOnly} {
				p := wrapped(t, format, level, text)
				for _, size := range sizes {
					size = min(size, len(p))
					out, err := decodePieces(New(formatOf(format)), p, size, false)
					if err != nil || !bytes.Equal(out, text) {
						t.Fatalf("%s in %s, level %d, pieces of %d: %d bytes, %v; want %d", name, format, level, size, len(out), err, len(text))
					}
				}
			}
		}
	}
}

// If it fails, an upgrade breaks the streams of clients.
func TestMovesAnywhere(t *testing.T) {
	for _, name := range []string{"event", "events", "far"} {
		text := texts()[name]
		for _, format := range []string{"gzip", "zlib", "bare"} {
			p := wrapped(t, format, stdflate.BestCompression, text)
			size := 1 + len(p)/500
			if out, err := decodePieces(New(formatOf(format)), p, size, true); err != nil || !bytes.Equal(out, text) {
				t.Fatalf("%s in %s: %d bytes, %v; want %d", name, format, len(out), err, len(text))
			}
		}
	}
}

// An event must not wait for the next one: whatever a flush ends is there at once.
func TestFlushedDataAreThereAtOnce(t *testing.T) {
	var out bytes.Buffer
	w := stdgzip.NewWriter(&out)
	d := New(Gzip)
	for i := range 100 {
		event := fmt.Sprintf("data: %d\n\n", i)
		if _, err := io.WriteString(w, event); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Append(nil, out.Bytes()); string(got) != event || err != nil {
			t.Fatalf("after event %d: %q, %v", i, got, err)
		}
		out.Reset()
	}
}

// Members with every field in their heads, several in a row, and what is behind them: a
// server's odd gzip must not end its clients' streams.
func TestMembers(t *testing.T) {
	var p bytes.Buffer
	for _, text := range []string{"first ", "", "last"} {
		w := stdgzip.NewWriter(&p)
		w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra")
		_, _ = io.WriteString(w, text)
		_ = w.Close()
	}
	withSum := append([]byte{}, wrapped(t, "gzip", 1, []byte("summed"))...)
	withSum[3] |= flagHeadSum
	withSum = append(append(withSum[:10:10], 1, 2), withSum[10:]...)
	for _, end := range []string{"", "\x00\x00", "\x1f", "\x1f\x8b\x00", "rest"} {
		for size := 1; size < 50; size += 7 {
			all := append(append(bytes.Clone(p.Bytes()), withSum...), end...)
			if out, err := decodePieces(New(Gzip), all, size, true); string(out) != "first lastsummed" || err != nil {
				t.Errorf("end %q, pieces of %d: %q, %v", end, size, out, err)
			}
		}
	}
}

// If it fails, clients take what is corrupt for what the server has sent.
func TestCorruptStreams(t *testing.T) {
	event := texts()["event"]
	zip, zlib := wrapped(t, "gzip", 9, event), wrapped(t, "zlib", 9, event)
	changed := func(p []byte, at int, bits byte) []byte {
		p = bytes.Clone(p)
		p[(at+len(p))%len(p)] ^= bits
		return p
	}
	for name, c := range map[string]struct {
		format Format
		p      []byte
	}{
		"no gzip":             {Gzip, event},
		"another magic":       {Gzip, changed(zip, 1, 1)},
		"another method":      {Gzip, changed(zip, 2, 1)},
		"flags of the future": {Gzip, changed(zip, 3, 0x80)},
		"checksum":            {Gzip, changed(zip, -5, 1)},
		"length":              {Gzip, changed(zip, -1, 1)},
		"checksum of zlib":    {Deflate, changed(zlib, -1, 1)},
		"type of block":       {Deflate, []byte{7}},
		"stored length":       {Deflate, []byte{1, 5, 0, 5, 0}},
		"too far back":        {Deflate, []byte{0x4b, 0x04, 0x62, 0x00}},
		"no codes":            {Deflate, []byte{0x05, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	} {
		for _, size := range []int{1, 1000} {
			if out, err := decodePieces(New(c.format), append(c.p, 0, 0, 0, 0), size, false); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, pieces of %d: %q, %v", name, size, out, err)
			}
		}
	}
}

// Each byte of a stream is changed, and what comes is compared with a library.
func TestAsLibrariesDo(t *testing.T) {
	p := wrapped(t, "bare", 9, texts()["events"][:2000])
	bits := 8
	if testing.Short() {
		bits = 1
	}
	for at := range p {
		for bit := range bits {
			other := bytes.Clone(p)
			other[at] ^= 1 << bit
			compare(t, other)
		}
	}
}

// compare compares a bare stream with the standard library.
func compare(tb testing.TB, p []byte) {
	tb.Helper()
	d := New(Deflate)
	d.Bare, d.Stage = true, blockHead
	want, wantErr := io.ReadAll(io.LimitReader(stdflate.NewReader(bytes.NewReader(p)), 1<<20))
	out, err := decodePieces(d, p, 100, len(p) < 1000)
	if len(want) == 1<<20 {
		out, wantErr, err = out[:min(len(out), 1<<20)], nil, nil
	}
	corrupt := wantErr != nil && !errors.Is(wantErr, io.ErrUnexpectedEOF)
	// The library decodes in portions: in a stream that is corrupt, or not complete, it may have less.
	same := bytes.Equal(out, want) || wantErr != nil && bytes.HasPrefix(out, want)
	if !same || corrupt != (err != nil) {
		tb.Fatalf("%x: %d bytes, %v; the library has %d, %v", p, len(out), err, len(want), wantErr)
	}
}

// If it fails, a faulty process crashes the one that takes over from it.
func TestBadStates(t *testing.T) {
	base := func() *Decoder {
		d := New(Gzip)
		_, _ = d.Append(nil, wrapped(t, "gzip", 9, texts()["events"])[:300])
		return d
	}
	for name, change := range map[string]func(*Decoder){
		"stage":     func(d *Decoder) { d.Stage = over + 1 },
		"bits":      func(d *Decoder) { d.NumBits = 65 },
		"count":     func(d *Decoder) { d.Stage, d.Count = lengths, 320 },
		"negative":  func(d *Decoder) { d.Count = -1 },
		"codes":     func(d *Decoder) { d.Stage, d.Block.Codes = codeLengths, 20 },
		"literals":  func(d *Decoder) { d.Block.Literals = 400 },
		"distances": func(d *Decoder) { d.Block.Distances = -5 },
		"sizes":     func(d *Decoder) { d.Block.Sizes[0] = 16 },
		"no code":   func(d *Decoder) { d.Block.Sizes = [len(d.Block.Sizes)]uint8{1, 1, 1} },
		"coding":    func(d *Decoder) { d.Block.Coding[3] = 9 },
		"left":      func(d *Decoder) { d.Left = -1 },
	} {
		d := base()
		change(d)
		state, err := d.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := new(Decoder).UnmarshalBinary(state); !errors.Is(err, errState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := new(Decoder).UnmarshalBinary([]byte("nonsense")); !errors.Is(err, errState) {
		t.Error(err)
	}
}

func FuzzDecoder(f *testing.F) {
	for _, text := range texts() {
		for _, level := range []int{stdflate.NoCompression, stdflate.BestCompression, stdflate.HuffmanOnly} {
			f.Add(wrapped(f, "bare", level, text[:min(len(text), 500)]))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 4<<10 {
			return
		}
		compare(t, p)
		for _, format := range []Format{Gzip, Deflate} {
			whole, wholeErr := New(format).Append(nil, p)
			out, err := decodePieces(New(format), p, 3, false)
			if !bytes.Equal(out, whole) || (err == nil) != (wholeErr == nil) {
				t.Fatalf("in pieces %d bytes, %v; as a whole %d, %v", len(out), err, len(whole), wholeErr)
			}
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	text := texts()["events"]
	p := wrapped(b, "gzip", 6, text)
	b.SetBytes(int64(len(text)))
	var out []byte
	for b.Loop() {
		out, _ = New(Gzip).Append(out[:0], p)
	}
}

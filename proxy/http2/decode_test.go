package http2

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// decodeAll decodes a block into lines; ok is false if it is malformed.
func decodeAll(d *Decoder, s *Shared, p []byte) (lines string, ok bool) {
	var b strings.Builder
	d.Begin()
	for len(p) > 0 {
		f, found, n := d.Next(p, s)
		if n == 0 {
			return b.String(), false
		}
		if found {
			b.WriteString(string(f.Name) + "\x00" + string(f.Value) + "\x01")
		}
		p = p[n:]
	}
	return b.String(), true
}

// oracleDecode is decodeAll by the decoder of x/net.
func oracleDecode(d *hpack.Decoder, p []byte) (lines string, ok bool) {
	var b strings.Builder
	d.SetEmitFunc(func(f hpack.HeaderField) { b.WriteString(f.Name + "\x00" + f.Value + "\x01") })
	if _, err := d.Write(p); err != nil {
		return b.String(), false
	}
	return b.String(), d.Close() == nil
}

// The examples of RFC 7541, appendices C.3 to C.6: what every client's encoder does.
func TestDecodeExamples(t *testing.T) {
	t.Parallel()
	for name, blocks := range map[string][]string{
		"C.3": {
			"828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
			"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
		},
		"C.4": {
			"828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
			"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
		},
	} {
		var d Decoder
		var s Shared
		last := ""
		for _, block := range blocks {
			p, _ := hex.DecodeString(block)
			lines, ok := decodeAll(&d, &s, p)
			if !ok {
				t.Fatalf("%s: malformed after %q", name, lines)
			}
			last = lines
		}
		const want = ":method\x00GET\x01:scheme\x00https\x01:path\x00/index.html\x01:authority\x00www.example.com\x01custom-key\x00custom-value\x01"
		if last != want {
			t.Errorf("%s: %q, want %q", name, last, want)
		}
		if d.table.size != 164 {
			t.Errorf("%s: the table counts %d bytes, want 164", name, d.table.size)
		}
	}
}

// What makes a block malformed: the connection must end, or both tables would differ.
func TestDecodeMalformed(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]string{
		"index 0":                           "80",
		"index beyond both tables":          "be",
		"name index beyond both tables":     "7f00",
		"integer without an end":            "ffffffff",
		"integer of six bytes":              "ff8080808080",
		"integer beyond 28 bits":            "ffffffffff7f",
		"string longer than the block":      "000a61",
		"value missing":                     "000161",
		"Huffman: padding of eight ones":    "0081ff0161",
		"Huffman: padding of zeros":         "0082f8000161",
		"Huffman: EOS":                      "0084ffffffff0161",
		"table size above the limit":        "3fe21f",
		"table size behind a field":         "823fe11f",
		"three table sizes":                 "203fe11f20",
		"table size without an end of it":   "3f",
		"dynamic entry of an emptied table": "4001610162" + "20be",
	} {
		p, err := hex.DecodeString(block)
		if err != nil {
			t.Fatal(err)
		}
		if lines, ok := decodeAll(new(Decoder), new(Shared), p); ok {
			t.Errorf("%s: decoded to %q", name, lines)
		}
		if lines, ok := oracleDecode(hpack.NewDecoder(tableLimit, nil), p); ok && !strict(p) {
			t.Errorf("%s: x/net decodes it to %q", name, lines)
		}
	}
}

// Both decoders must keep the same table over many blocks, with fields of all sizes and
// kinds, resized tables among them: otherwise a request gets another one's fields.
func TestDecodeDifferential(t *testing.T) {
	t.Parallel()
	rounds := 100
	if testing.Short() {
		rounds = 25
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		oracle := hpack.NewDecoder(tableLimit, nil)
		var d Decoder
		var s Shared
		for range 40 {
			block.Reset()
			if r.IntN(8) == 0 {
				enc.SetMaxDynamicTableSize(uint32(r.IntN(tableLimit + 1)))
			}
			for range 1 + r.IntN(20) { // x/net's decoder refuses two sizes in a block, so one goes out with a field
				enc.WriteField(randomField(r))
			}
			want, _ := oracleDecode(oracle, block.Bytes())
			if got, ok := decodeAll(&d, &s, block.Bytes()); !ok || got != want {
				t.Fatalf("seed %d: %q, %v, want %q", seed, got, ok, want)
			}
			if size := d.table.size; size > tableLimit || cap(d.table.bytes) > tableLimit {
				t.Fatalf("seed %d: the table counts %d and holds %d bytes", seed, size, cap(d.table.bytes))
			}
		}
	}
}

// randomField returns a field as clients have them, or one of another size.
func randomField(r *rand.Rand) hpack.HeaderField {
	names := []string{":path", "cookie", "accept", "x-custom", "user-agent", "mcp-session-id", "a"}
	sizes := []int{0, 1, 10, 100, 1000, 4000, 5000}
	value := make([]byte, r.IntN(1+sizes[r.IntN(len(sizes))]))
	for i := range value {
		value[i] = byte(r.IntN(256))
		if r.IntN(4) > 0 {
			value[i] = 'a' + value[i]%8
		}
	}
	if r.IntN(2) == 0 {
		value = []byte{'0' + byte(r.IntN(6))} // such that the table has it
	}
	name := names[r.IntN(len(names))]
	if r.IntN(10) == 0 {
		name += string(value)
	}
	return hpack.HeaderField{Name: name, Value: string(value), Sensitive: r.IntN(8) == 0}
}

// A bomb of references to one large entry costs time in proportion to its own bytes.
func TestDecodeBomb(t *testing.T) {
	t.Parallel()
	block := append([]byte{0x40, 1, 'a', 0x7f, 0xc1, 0x1e}, bytes.Repeat([]byte("x"), 4032)...)
	block = append(block, bytes.Repeat([]byte{0xbe}, mostBlock-len(block))...)
	var shared Shared
	d := new(Decoder)
	head := &shared.head
	head.begin(16<<10, true, false)
	d.Begin()
	for p := block; len(p) > 0; {
		f, _, n := d.Next(p, &shared)
		if n == 0 {
			t.Fatal("malformed")
		}
		head.add(f)
		p = p[n:]
	}
	if why := head.finish(true); why == ReasonNone || len(head.text) > 32<<10 {
		t.Errorf("reason %v, %d bytes of text from a block of %d", why, len(head.text), len(block))
	}
}

// FuzzDecode compares with x/net block by block: pieces of the input, each with a byte of
// length before it, are blocks of one connection.
func FuzzDecode(f *testing.F) {
	for _, block := range []string{"828684410f7777772e6578616d706c652e636f6d", "828684418cf1e3c2e5f23a6ba0ab90f4ff", "203fe11f82be", "400161017f"} {
		p, _ := hex.DecodeString(block)
		f.Add(append([]byte{byte(len(p))}, p...))
		f.Add(append(append([]byte{byte(len(p))}, p...), append([]byte{byte(len(p))}, p...)...))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		oracle := hpack.NewDecoder(tableLimit, nil)
		var d Decoder
		var s Shared
		for len(input) > 0 {
			n := min(int(input[0]), len(input)-1)
			block := input[1 : 1+n]
			input = input[1+n:]
			got, ok := decodeAll(&d, &s, block)
			want, wantOK := oracleDecode(oracle, block)
			if ok && !wantOK || ok && got != want {
				t.Fatalf("block %x: %q, %v, want %q, %v", block, got, ok, want, wantOK)
			}
			if !ok && wantOK && !strict(block) {
				t.Fatalf("block %x is refused, but x/net reads %q", block, want)
			}
			if !ok {
				return
			}
		}
	})
}

// strict reports whether a block may be refused although x/net reads it: an integer in more
// bytes than it needs, or a table size in the wrong place, or one of several. The bytes
// that are looked for may be those of strings, too.
func strict(block []byte) bool {
	for i, b := range block {
		if b&0xe0 == 0x20 || b == 0x80 && i > 0 {
			return true
		}
	}
	return false
}

func BenchmarkDecode(b *testing.B) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	fields := append(post, "user-agent", "node", "accept", "application/json, text/event-stream", "content-type", "application/json",
		"mcp-session-id", "0123456789abcdef0123456789abcdef", "mcp-protocol-version", "2025-06-18", "content-length", "120")
	var d Decoder
	var s Shared
	for range 2 {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		decodeAll(&d, &s, block.Bytes())
	}
	b.ReportAllocs()
	for b.Loop() {
		head := &s.head
		head.begin(16<<10, true, false)
		d.Begin()
		for p := block.Bytes(); len(p) > 0; {
			f, found, n := d.Next(p, &s)
			if found {
				head.add(f)
			}
			p = p[n:]
		}
		if head.finish(false) != ReasonNone {
			b.Fatal(head.reason)
		}
	}
}

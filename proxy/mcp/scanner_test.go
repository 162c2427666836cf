package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var (
	longestID = `"` + strings.Repeat("i", maxID-2) + `"`
	tooLongID = `"` + strings.Repeat("i", maxID-1) + `"`
)

// messages are JSON-RPC messages, valid or nearly so, with the id that the
// scanner must find; "" means none.
var messages = []struct {
	in, id  string
	request bool
}{
	{`{"jsonrpc":"2.0","id":1,"method":"ping"}`, `1`, true},
	{`{"id":"abc","method":"ping"}`, `"abc"`, true},
	{`{"method":"ping","id":-1.5e+3}`, `-1.5e+3`, true},
	{`{"method":"ping","id":null}`, `null`, true},
	{`{"method":"ping","id":"a\"b\\"}`, `"a\"b\\"`, true},
	{`{"method":"ping","id":"\u00e9é\n"}`, `"\u00e9é\n"`, true},
	{`{"method":"ping","id":""}`, `""`, true},
	{" \t{ \"id\" :\r 7 , \"method\" : \"ping\" } \r", `7`, true},
	{`{"method":"notifications/cancelled","params":{"id":3}}`, ``, true},
	{`{"params":{"id":3,"a":[{"id":4}],"b":"}"},"id":5,"method":"x"}`, `5`, true},
	{`{"params":[[[{"id":3}]],"]"],"method":"x","id":6}`, `6`, true},
	{`{"x":"\"id\":9","method":"x","id":8}`, `8`, true},
	{`{"x":"\\","id":8}`, `8`, false},
	{`{"id":1,"id":2}`, `2`, false},
	{`{"id":1,"id":{}}`, ``, false},
	{`{"id":1,"id":true}`, ``, false},
	{`{"id":{"id":1}}`, ``, false},
	{`{"id":[1]}`, ``, false},
	{`{"id":["","x"]}`, ``, false},
	{`{"id":{"a":"b"}}`, ``, false},
	{`{"\u0069d":1,"m\u0065thod":"x"}`, `1`, true},
	{`{"i\u0064":1}`, `1`, false},
	{`{"\u0069\u0064":1}`, `1`, false},
	{`{"\u0169d":1,"id\u0000":2,"\id":3}`, ``, false},
	{`{"ID":1,"i":2,"idx":3,"i\td":4,"methods":5,"metho":6}`, ``, false},
	{`{"ids":1,"method":"x"}`, ``, true},
	{`{"id":5,"result":{"method":"x"}}`, `5`, false},
	{`{"id":` + longestID + `}`, longestID, false},
	{`{"id":` + tooLongID + `}`, ``, false},
	{`{"id":` + tooLongID + `,"id":3}`, `3`, false},
	{`{"id":` + strings.Repeat("1", maxID+1) + `}`, ``, false},
	{`{}`, ``, false},
	{`{"id":1,}`, ``, false},
	{`{"id":1`, ``, false},
	{`{"id":`, ``, false},
	{`{"id"`, ``, false},
	{`{"id":1}}`, ``, false},
	{`{"id":1} {"id":2}`, ``, false},
	{`{"id":01}`, ``, false},
	{`{"id":1x}`, ``, false},
	{`{"id":nul}`, ``, false},
	{`{"id":"` + "\x01" + `"}`, ``, false},
	{`{"id":"\x"}`, ``, false},
	{`{id:1}`, ``, false},
	{`{"\u00zz":1,"\u006"d":2}`, ``, false},
	{`[{"id":1,"method":"x"}]`, ``, false},
	{`"id"`, ``, false},
	{`1`, ``, false},
	{``, ``, false},
	{"\x16\x03\x01\x02\x00\x01\x00", ``, false},
	{"GET / HTTP/1.1\r", ``, false},
}

func TestIDScanner(t *testing.T) {
	t.Parallel()
	for _, message := range messages {
		for _, pieces := range [][][]byte{{[]byte(message.in)}, oneByOne([]byte(message.in))} {
			var s IDScanner
			for _, piece := range pieces {
				s.Feed(piece)
			}
			if id := s.ID(); string(id) != message.id || (id == nil) != (message.id == "") {
				t.Errorf("%s in %d pieces: id %q, want %q", message.in, len(pieces), id, message.id)
			}
			if request := s.Request(); request != message.request {
				t.Errorf("%s in %d pieces: Request() = %v", message.in, len(pieces), request)
			}
		}
	}
}

// parsedID returns the raw id that encoding/json finds, and whether there is a
// method; ok is false if data is not a JSON object.
func parsedID(data []byte) (id []byte, method, ok bool) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return nil, false, false
	}
	_, method = members["method"]
	id = members["id"]
	if len(id) == 0 || len(id) > maxID || bytes.ContainsAny(id[:1], "{[tf") {
		return nil, method, true
	}
	return id, method, true
}

func FuzzIDScanner(f *testing.F) {
	for i, message := range messages {
		f.Add([]byte(message.in), uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		wantID, wantMethod, ok := parsedID(data)
		var s IDScanner
		for _, pieces := range [][][]byte{{data}, oneByOne(data), chunks(data, seed)} {
			s.Reset()
			for _, piece := range pieces {
				s.Feed(piece)
			}
			id := s.ID()
			if ok && (!bytes.Equal(id, wantID) || s.Request() != wantMethod) {
				t.Fatalf("%q: id %q, request %v; want %q, %v", data, id, s.Request(), wantID, wantMethod)
			}
			if id != nil && (!json.Valid(id) || len(id) > maxID || bytes.ContainsAny(id, "\r\n")) {
				t.Fatalf("%q: invalid id %q", data, id)
			}
		}
	})
}

func TestIDScannerAllocates(t *testing.T) {
	message := []byte(`{"jsonrpc":"2.0","id":"0b1a5c3e","method":"tools/call","params":{"name":"echo","arguments":{"a":[1,2]}}}`)
	var s IDScanner
	n := testing.AllocsPerRun(100, func() {
		s.Reset()
		s.Feed(message)
		if s.ID() == nil {
			t.Error("no id")
		}
	})
	if n != 0 {
		t.Errorf("scanning allocates %v times, want 0", n)
	}
}

func BenchmarkIDScanner(b *testing.B) {
	for _, size := range []int{10, 64 << 10} {
		message := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%s"}}}`,
			strings.Repeat("x", size))
		b.Run(fmt.Sprint(len(message)), func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			var s IDScanner
			for b.Loop() {
				s.Reset()
				s.Feed(message)
				if s.ID() == nil {
					b.Fatal("no id")
				}
			}
		})
	}
}

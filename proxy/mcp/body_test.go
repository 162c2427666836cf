package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// bodies are request bodies, complete or truncated, with the expected results
// of a BodyScanner; an id of "" means none.
var bodies = []struct {
	in, id string
	method Method
	done   bool
}{
	{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"id":2}}`, `1`, MethodToolsCall, true},
	{`{"jsonrpc":"2.0","id":1,"method":"tools/call","par`, `1`, MethodToolsCall, true},
	{`{"method":"tools/call","params":{"id":2},"jsonrpc":"2.0","id":"a"}`, `"a"`, MethodToolsCall, true},
	{`{"method":"tools/call","params":{"id":2},"jsonrpc":"2.0","id":12`, ``, MethodToolsCall, false},
	{`{"method":"tools/call","params":{"id":2},"jsonrpc":"2.0","id":12}`, `12`, MethodToolsCall, true},
	{`{"method":"tools\/call","id":12}`, `12`, MethodToolsCall, true},
	{`{"method":"\u0074ools/call","id":12}`, `12`, MethodToolsCall, true},
	{`{"method":"tools\tcall","id":12}`, `12`, MethodOther, true},
	{`{"method":"tools/call\u0000","id":12}`, `12`, MethodOther, true},
	{`{"method":"custom","id":12}`, `12`, MethodOther, true},
	{`{"method":"","id":12}`, `12`, MethodOther, true},
	{`{"method":7,"id":12}`, `12`, MethodOther, true},
	{`{"method":{"method":"ping"},"id":12}`, `12`, MethodOther, true},
	{`{"method":"` + strings.Repeat("x", 300) + `","id":12}`, `12`, MethodOther, true},
	{`{"id":12,"method":"pin`, `12`, MethodOther, false},
	{`{"id":12,"jsonrpc":"2.0"`, ``, MethodNone, false},
	{`{"id":12,"result":{"method":"ping"}}`, ``, MethodNone, true},
	{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, ``, MethodNotificationsInitialized, true},
	{`{"id":null,"method":"ping"}`, `null`, MethodPing, true},
	{`{"id":true,"method":"ping"}`, ``, MethodPing, true},
	{`{"id":{},"method":"ping"}`, ``, MethodPing, true},
	{`{"id":"` + strings.Repeat("i", maxID) + `","method":"ping"}`, ``, MethodPing, true},
	{`{"id":1,"method":"ping","id":2}`, `1`, MethodPing, true},
	{`{"id":1,"id":2,"method":"ping"}`, `2`, MethodPing, true},
	{`{"id":1,"id":2`, ``, MethodNone, false},
	{`[{"id":1,"method":"ping"}]`, ``, MethodNone, true},
	{`{"id":1 garbage "method":"ping"}`, ``, MethodNone, true},
	{`{"id":1,"method":"ping"} garbage`, `1`, MethodPing, true},
	{`name=value&id=1`, ``, MethodNone, true},
	{``, ``, MethodNone, false},
	{`{"method":"tools/call","params":"` + strings.Repeat("x", MaxBodyScan) + `","id":12}`, ``, MethodToolsCall, true},
	{`{"id":12,"method":"tools/call","params":"` + strings.Repeat("x", MaxBodyScan) + `"}`, `12`, MethodToolsCall, true},
}

func TestBodyScanner(t *testing.T) {
	t.Parallel()
	for _, body := range bodies {
		in := []byte(body.in)
		for _, pieces := range [][][]byte{{in}, oneByOne(in), chunks(in, 1)} {
			var s BodyScanner
			for _, piece := range pieces {
				s.Feed(piece)
			}
			if id := s.ID(); string(id) != body.id || s.Method() != body.method || s.Done() != body.done {
				t.Errorf("%.70s in %d pieces: id %q, method %v, done %v; want %q, %v, %v", body.in, len(pieces),
					id, s.Method(), s.Done(), body.id, body.method, body.done)
			}
		}
	}
}

// parsedMethod returns the method that encoding/json finds in a message.
func parsedMethod(data []byte) Method {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members["method"] == nil {
		return MethodNone
	}
	var name string
	if json.Unmarshal(members["method"], &name) != nil || name == "" {
		return MethodOther
	}
	return MethodOf([]byte(name))
}

// repeats reports whether data may contain id or method twice: then a
// BodyScanner and a parser may differ.
func repeats(data []byte) bool {
	return bytes.Contains(data, []byte(`\u`)) || bytes.Count(data, []byte(`"id"`)) > 1 || bytes.Count(data, []byte(`"method"`)) > 1
}

func FuzzBodyScanner(f *testing.F) {
	for i, body := range bodies {
		if len(body.in) < 1000 {
			f.Add([]byte(body.in), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		var unsplit BodyScanner
		unsplit.Feed(data)
		id, method := unsplit.ID(), unsplit.Method()
		if id != nil && (!json.Valid(id) || len(id) > maxID) {
			t.Fatalf("%q: invalid id %q", data, id)
		}
		var s BodyScanner
		for _, pieces := range [][][]byte{oneByOne(data), chunks(data, seed)} {
			s.Reset()
			for _, piece := range pieces {
				s.Feed(piece)
			}
			if !bytes.Equal(s.ID(), id) || s.Method() != method || s.Done() != unsplit.Done() {
				t.Fatalf("%q in %d pieces: id %q, method %v, done %v; want %q, %v, %v", data, len(pieces),
					s.ID(), s.Method(), s.Done(), id, method, unsplit.Done())
			}
		}
		wantID, isRequest, ok := parsedID(data)
		if !ok || len(data) > MaxBodyScan || repeats(data) {
			return
		}
		if !isRequest {
			wantID = nil
		}
		if !bytes.Equal(id, wantID) || method != parsedMethod(data) {
			t.Fatalf("%q: id %q, method %v; want %q, %v", data, id, method, wantID, parsedMethod(data))
		}
	})
}

func TestBodyScannerAllocates(t *testing.T) {
	message := []byte(`{"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,2]}},"jsonrpc":"2.0","id":"0b1a5c3e"}`)
	var s BodyScanner
	n := testing.AllocsPerRun(100, func() {
		s.Reset()
		s.Feed(message)
		if s.ID() == nil || s.Method() != MethodToolsCall {
			t.Error("nothing found")
		}
	})
	if n != 0 {
		t.Errorf("scanning allocates %v times, want 0", n)
	}
}

func BenchmarkBodyScanner(b *testing.B) {
	text := strings.Repeat("x", 16<<10)
	for name, message := range map[string]string{
		"id_first": `{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}`,
		"id_last":  `{"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}},"jsonrpc":"2.0","id":12345}`,
		"16_KiB":   fmt.Sprintf(`{"method":"tools/call","params":{"name":"echo","arguments":{"text":"%s"}},"jsonrpc":"2.0","id":12345}`, text),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			body := []byte(message)
			var s BodyScanner
			for b.Loop() {
				s.Reset()
				s.Feed(body)
				if !s.Done() {
					b.Fatal("not done")
				}
			}
		})
	}
}

package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// callsOf are the calls of a body as one text, such as "tools/call(echo) ping", with
// "*n" where there are n messages of one kind, or its fault.
func callsOf(r *Reader) string {
	if f := r.End(); f != FaultNone {
		return "!" + f.String()
	}
	var list []string
	for _, c := range r.Calls() {
		text := string(c.Method)
		if c.Named {
			text += "(" + string(c.Name) + ")"
		}
		if c.Count > 1 {
			text += fmt.Sprintf("*%d", c.Count)
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

const callEcho = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"name":"x","method":"y"}}}`

// readerBodies are bodies and what they ask for. A wrong one lets a denied tool through, or
// refuses what an honest client sends.
var readerBodies = []struct{ in, want string }{
	// what honest clients send
	{callEcho, "tools/call(echo)"},
	{" \r\n\t" + callEcho + "\r\n ", "tools/call(echo)"},
	{`{"method":"ping","id":1}`, "ping"},
	{`{"id":1,"result":{"method":"tools/call","params":{"name":"x"}}}`, ""},
	{`{"method":"resources/read","params":{"uri":"file:///etc/passwd"}}`, "resources/read(file:///etc/passwd)"},
	{`{"method":"prompts/get","params":{"name":"p"}}`, "prompts/get(p)"},
	{`{"method":"tasks/get","params":{"taskId":"t"}}`, "tasks/get(t)"},
	{`{"params":{"name":"echo"},"method":"tools/call"}`, "tools/call(echo)"},
	{`{"method":"tools/call","params":{"uri":"u","name":"n","taskId":"t"}}`, "tools/call(n)"},
	{`{"method":"custom/x","params":{"uri":"u","name":"n","taskId":"t"}}`, "custom/x(n) custom/x(u) custom/x(t)"},
	{`{"method":"tools/call","params":{"name":""}}`, "tools/call()"},
	{`{"method":"tools/call","params":["name","x"]}`, "tools/call"},
	{`{"method":"tools/call","params":{"x":[{"name":"y"}],"y":{"name":"z"}}}`, "tools/call"},
	{`{"method":"tools/call","params":{"name":"e","a":[1,-0,2.5e+10,1E-2,0.1,true,false,null,[],{},"\"\\\/\b\f\n\r\t"]}}`, "tools/call(e)"},
	{`{}`, ""},
	{``, ""},
	{"  \n", ""},
	// the batches of 2025-03-26
	{`[` + callEcho + `,{"method":"ping"},` + callEcho + `]`, "tools/call(echo)*2 ping"},
	{`[]`, ""},
	{`[[` + callEcho + `]]`, ""},
	{`[1,"x",null,` + callEcho + `]`, "tools/call(echo)"},
	// readings that differ between servers
	{`{"method":"ping","method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}`, "ping(a) ping(b) tools/call(a) tools/call(b)"},
	{`{"method":"tools/call","params":{"name":"a","name":"b"}}`, "tools/call(a) tools/call(b)"},
	{`{"method":"tools/call","params":{"name":"b","name":"a","name":"b"}}`, "tools/call(a) tools/call(b)"},
	{`{"method":"tools/call","params":{"name":"a"},"params":null}`, "tools/call(a)"},
	{`{"method":"tools/call","method":null,"params":{"name":"a","name":7}}`, "tools/call(a)"},
	{`{"METHOD":"tools/call","Params":{"nAme":"a"}}`, "tools/call(a)"},
	{`{"method":"tools/call","param\u017f":{"name":"a"}}`, "tools/call(a)"},
	{"{\"method\":\"tasks/get\",\"param\u017f\":{\"ta\u017f\u212aId\":\"a\"}}", "tasks/get(a)"},
	{"{\"method\":\"tasks/get\",\"params\":{\"task\u0131d\":\"a\"}}", "tasks/get(a)"},
	{`{"method":"tasks/get","params":{"task_id":"a"}}`, "tasks/get(a)"},
	{`{"me-_-thod":"tasks/get","params":{"task-Id":"a"}}`, "tasks/get(a)"},
	// spellings
	{`{"\u006dethod":"tools\/call","params":{"n\u0061me":"\u0064elete_x"}}`, "tools/call(delete_x)"},
	{`{"method":"\u0074\u006F\u006fls/call","params":{"name":"\ud83d\ude00"}}`, "tools/call(😀)"},
	{`{"method":"tools/call","params":{"name":"\ud83dx\ude00\ud83d"}}`, "tools/call(\ufffdx\ufffd\ufffd)"},
	{`{"method":"tools/call","params":{"name":"\ud83d\ud83d\ude00é"}}`, "tools/call(\ufffd😀é)"},
	{`{"method":"tools/call","params":{"name":"a\tb\"c\\\b\f\n\r"}}`, "tools/call(a\tb\"c\\\b\f\n\r)"},
	// refused
	{`{"method":"tools/call","params":{"name":"a\u0000b"}}`, "!ambiguous"},
	{`{"method\u0000":"tools/call"}`, "!ambiguous"},
	{`{"method":"a","method":"b","method":"c","method":"d","method":"e"}`, "!ambiguous"},
	{callEcho + callEcho, "!trailing"},
	{callEcho + "\n" + callEcho, "!trailing"},
	{callEcho + "x", "!trailing"},
	{callEcho + "]", "!trailing"},
	{callEcho + "\x00", "!trailing"},
	{callEcho[:len(callEcho)-1], "!syntax"},
	{`[` + callEcho, "!syntax"},
	{`[` + callEcho + `,]`, "!syntax"},
	{`{"method":"tools/call",}`, "!syntax"},
	{`{'method':'tools/call'}`, "!syntax"},
	{`{method:"tools/call"}`, "!syntax"},
	{`{"method":"tools/call" "x":1}`, "!syntax"},
	{`{"method":"tools/call"]`, "!syntax"},
	{`{/**/"method":"tools/call"}`, "!syntax"},
	{`/**/` + callEcho, "!syntax"},
	{`# x` + callEcho, "!syntax"},
	{`{"a":NaN}`, "!syntax"},
	{`{"a":01}`, "!syntax"},
	{`{"a":-}`, "!syntax"},
	{`{"a":1.}`, "!syntax"},
	{`{"a":1e}`, "!syntax"},
	{`{"a":+1}`, "!syntax"},
	{`{"a":tru}`, "!syntax"},
	{`{"a":truex}`, "!syntax"},
	{`{"a":"\x41"}`, "!syntax"},
	{`{"a":"\u00g1"}`, "!syntax"},
	{"{\"a\":\"\n\"}", "!syntax"},
	{"{\"a\":\"\xff\"}", "!encoding"},
	{"{\"a\":\"\xc0\xaf\"}", "!encoding"},
	{"{\"a\":\"\xed\xa0\x80\"}", "!encoding"},
	{"{\"a\":\"\xf4\x90\x80\x80\"}", "!encoding"},
	{"{\"a\":\"\xe2\x84\"}", "!encoding"},
	{"\ufeff" + callEcho, "!encoding"},
	{"\xff\xfe{\x00", "!encoding"},
	{"\xfe\xff\x00{", "!encoding"},
	{"\x00{\x00\"", "!encoding"},
	{"{\x00\"\x00", "!syntax"},
	{"{\x00\x00\x00\"", "!syntax"},
	{"\x00\x00\x00{", "!encoding"},
	{" \x00{\x00", "!encoding"},
	{"\v" + callEcho, "!encoding"},
	{"\u00a0" + callEcho, "!encoding"},
	{strings.Repeat("[", maxDepth+1), "!depth"},
	{strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), ""},
	{`{"a":` + strings.Repeat(`{"a":`, maxDepth) + "1", "!depth"},
	// not JSON-RPC, and not to be taken for it
	{`grant_type=client_credentials&method=tools/call`, ""},
	{"--boundary\r\nContent-Disposition: form-data\r\n\r\n" + callEcho, ""},
	{`<xml/>`, ""},
	{`"text"`, ""},
	{`12`, ""},
}

func TestReader(t *testing.T) {
	t.Parallel()
	var r Reader // one for all: nothing of a body may stay
	for _, body := range readerBodies {
		r.Reset()
		r.Feed([]byte(body.in))
		if got := callsOf(&r); got != body.want {
			t.Errorf("%.200q:\n got %s\nwant %s", body.in, got, body.want)
		}
	}
}

// TestReaderPieces splits every body at every byte, and into single bytes: a client must
// not get another reading by how it sends.
func TestReaderPieces(t *testing.T) {
	t.Parallel()
	var r Reader
	for _, body := range readerBodies {
		if len(body.in) > 500 {
			continue
		}
		for at := range len(body.in) {
			r.Reset()
			first := r.Feed([]byte(body.in[:at]))
			second := r.Feed([]byte(body.in[at:]))
			if got := callsOf(&r); got != body.want {
				t.Fatalf("%q split at %d: %s, want %s", body.in, at, got, body.want)
			}
			if passed := first + second; r.fault == FaultNone && passed != passedAtOnce(body.in) {
				t.Fatalf("%q split at %d: %d bytes pass, at once %d", body.in, at, passed, passedAtOnce(body.in))
			}
		}
		r.Reset()
		for i := range len(body.in) {
			r.Feed([]byte(body.in[i : i+1]))
		}
		if got := callsOf(&r); got != body.want {
			t.Fatalf("%q byte by byte: %s, want %s", body.in, got, body.want)
		}
	}
}

func passedAtOnce(body string) int {
	var r Reader
	return r.Feed([]byte(body))
}

// TestReaderHoldsBack: what passes before the body is judged never has a complete message,
// or a server that reads a stream of values would run it.
func TestReaderHoldsBack(t *testing.T) {
	t.Parallel()
	for _, body := range []string{callEcho, callEcho + strings.Repeat(" ", 100), `[` + callEcho + `,` + callEcho + `]`, ` {} `} {
		passed := body[:passedAtOnce(body)]
		if want := strings.IndexByte(body, '}'); body != callEcho && passed != body[:strings.Index(body, "}}}")+2] && passed != body[:want] {
			t.Errorf("of %q, %q passes", body, passed)
		}
		var value any
		inner := strings.TrimPrefix(passed, "[")
		if json.NewDecoder(strings.NewReader(inner)).Decode(&value) == nil {
			t.Errorf("of %q, a complete message passes: %q", body, passed)
		}
	}
	if form := "a=b&c=d"; passedAtOnce(form) != len(form) {
		t.Error("a form is held back")
	}
}

// TestReaderBounds: what a client sends must not take memory without bound.
func TestReaderBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 3*maxCallName)
	var r Reader
	r.Feed([]byte(`{"method":"tools/call","params":{"name":"` + long + `"}}`))
	if call, ok := r.First(); !ok || string(call.Name) != long[:maxCallName] {
		t.Errorf("a long name: %d bytes kept", len(call.Name))
	}
	r.Reset()
	r.Feed([]byte(`{"` + strings.Repeat("_", 1000) + `method` + strings.Repeat("-", 1000) + `":"ping"}`))
	if got := callsOf(&r); got != "ping" {
		t.Errorf("a key of many dashes: %s", got)
	}
	var batch strings.Builder
	for i := range maxCalls + 1 {
		fmt.Fprintf(&batch, `%c{"method":"m%d"}`, "[,"[min(i, 1)], i)
	}
	r.Reset()
	r.Feed([]byte(batch.String() + "]"))
	if got := callsOf(&r); got != "!too_many" {
		t.Errorf("a batch of %d calls: %s", maxCalls+1, got)
	}
	r.Reset()
	for i := range 20 {
		fmt.Fprintf(&batch, `%c{"method":"%d%s"}`, "[,"[min(i, 1)], i, long)
	}
	r.Reset()
	r.Feed([]byte(batch.String()[strings.LastIndexByte(batch.String(), '['):] + "]"))
	if got := callsOf(&r); got != "!ambiguous" {
		t.Errorf("a batch of long names: %s", got)
	}
	r.Reset()
	r.Feed([]byte("[" + strings.Repeat(callEcho+",", 10_000) + callEcho + "]"))
	if got := callsOf(&r); got != "tools/call(echo)*10001" || cap(r.calls.text) > 2*maxCallText {
		t.Errorf("a batch of equal calls: %s, %d bytes kept", got, cap(r.calls.text))
	}
	if r.Messages() != 10_001 {
		t.Errorf("%d messages", r.Messages())
	}
}

func TestReaderAllocatesNothing(t *testing.T) {
	var r Reader
	body := []byte(callEcho)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		r.Feed(body)
		r.End()
	}); n != 0 {
		t.Errorf("%v allocations for a body", n)
	}
}

// message is how a server in Go declares what it reads.
type message struct {
	Method string `json:"method"`
	Params *struct {
		Name   *string `json:"name"`
		URI    *string `json:"uri"`
		TaskID *string `json:"taskId"`
	} `json:"params"`
}

// goReadings are readings of one message by encoding/json: into a struct, and into maps. A value of
// another type does not count: such a server refuses the message.
func goReadings(body []byte) (readings []Call) {
	var m message
	if json.Unmarshal(body, &m) == nil {
		c := Call{Method: []byte(m.Method)}
		if m.Params != nil {
			c.nameOf(m.Params.Name, m.Params.URI, m.Params.TaskID)
		}
		readings = append(readings, c)
	}
	var members map[string]any
	if json.Unmarshal(body, &members) == nil {
		method, _ := members["method"].(string)
		params, _ := members["params"].(map[string]any)
		c := Call{Method: []byte(method)}
		texts := [3]*string{}
		for i, key := range []string{"name", "uri", "taskId"} {
			if s, ok := params[key].(string); ok {
				texts[i] = &s
			}
		}
		c.nameOf(texts[0], texts[1], texts[2])
		readings = append(readings, c)
	}
	return readings
}

// nameOf sets the name that the method's servers look at.
func (c *Call) nameOf(texts ...*string) {
	fields, n := namedBy(c.Method)
	for _, f := range fields[:n] {
		if s := texts[f-fieldName]; s != nil {
			c.Name, c.Named = []byte(*s), true
			return
		}
	}
}

// sees reports whether a reading is among the calls. One without method cannot be
// denied by method, nor one without name by name.
func sees(calls []Call, reading Call) bool {
	return slices.ContainsFunc(calls, func(c Call) bool {
		name := reading.Name
		name = name[:min(len(name), maxCallName)]
		return (len(reading.Method) == 0 || bytes.Equal(c.Method, reading.Method)) &&
			(!reading.Named || c.Named && bytes.Equal(c.Name, name))
	})
}

// FuzzReader compares a Reader with encoding/json: it accepts only what that accepts, refuses
// only what it says, and sees what a server in Go would see, however the body is split.
func FuzzReader(f *testing.F) {
	for _, body := range readerBodies {
		if len(body.in) < 1000 {
			f.Add([]byte(body.in), 7)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, at int) {
		var r, split Reader
		r.Feed(body)
		fault := r.End()
		at = max(0, min(at, len(body)))
		split.Feed(body[:at])
		split.Feed(body[at:])
		split.End()
		if a, b := callsOf(&r), callsOf(&split); a != b {
			t.Fatalf("split at %d: %s, at once %s", at, b, a)
		}
		trimmed := bytes.Trim(body, " \t\r\n")
		if len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
			return
		}
		valid := json.Valid(body) && utf8.Valid(body)
		switch fault {
		case FaultNone:
			if !valid {
				t.Fatal("accepted, but not valid")
			}
		case FaultAmbiguous, FaultTooMany:
			return
		default:
			if valid {
				t.Fatalf("valid, but refused: %s", fault)
			}
			return
		}
		messages := []json.RawMessage{trimmed}
		if trimmed[0] == '[' {
			messages = nil
			if err := json.Unmarshal(trimmed, &messages); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range messages {
			for _, reading := range goReadings(m) {
				if len(reading.Method) > 0 && !sees(r.Calls(), reading) {
					t.Fatalf("Go reads %s(%s), which is not among %s", reading.Method, reading.Name, callsOf(&r))
				}
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	body := []byte(callEcho)
	big := []byte(`{"method":"tools/call","params":{"name":"echo","arguments":{"text":"` + strings.Repeat("x", 1<<20) + `"}}}`)
	for name, body := range map[string][]byte{"small": body, "1MiB": big} {
		b.Run(name, func(b *testing.B) {
			var r Reader
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				r.Reset()
				r.Feed(body)
				r.End()
			}
		})
	}
}

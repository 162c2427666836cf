package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// tagTasks rewrites a response in pieces of the size given; 0 = in one.
func tagTasks(input string, asked, stream bool, size int) (output string, tagged int) {
	var r TaskRewriter
	r.Reset(TagOf("node1"), asked, stream)
	p := []byte(input)
	var out []byte
	for size > 0 && len(p) > size {
		out = r.Append(out, p[:size])
		p = p[size:]
	}
	out = r.Flush(r.Append(out, p))
	return string(out), r.Tagged()
}

// In the outputs, T stands for the tag.
var taskResponses = []struct {
	name   string
	asked  bool // for a task with a tag
	stream bool
	body   string // T stands for where the tag is put in
}{
	{"a task", false, false, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"abcT","status":"working"}}`},
	{"resultType behind taskId", false, false, `{"result":{"taskId":"abcT","status":"working","resultType":"task"},"id":1}`},
	{"resultType behind much", false, false, `{"result":{"taskId":"abcT","x":"` + strings.Repeat("y", 60<<10) + `","resultType":"task"}}`},
	{"resultType behind too much", false, false, `{"result":{"taskId":"abc","x":"` + strings.Repeat("y", 66<<10) + `","resultType":"task"}}`},
	{"no task", false, false, `{"result":{"resultType":"complete","taskId":"abc","content":[]}}`},
	{"no task, said late", false, false, `{"result":{"taskId":"abc","content":[],"resultType":"complete"}}`},
	{"no resultType", false, false, `{"result":{"taskId":"abc","content":[]}}`},
	{"input required", false, false, `{"result":{"resultType":"input_required","taskId":"abc","requestState":"x"}}`},
	{"deeper look-alikes", false, false, `{"result":{"resultType":"complete","content":[{"resultType":"task","taskId":"a"}],"structuredContent":{"resultType":"task","taskId":"b","result":{"resultType":"task","taskId":"c"}}}}`},
	{"look-alikes in a task", false, false, `{"result":{"resultType":"task","x":{"taskId":"a"},"y":["taskId","b"],"z":"\"taskId\":\"c\"","taskId":"dT","_meta":{"taskId":"e"}}}`},
	{"outside of result", false, false, `{"taskId":"a","resultType":"task","error":{"resultType":"task","taskId":"b"},"params":{"taskId":"c"}}`},
	{"at the top", false, false, `{"resultType":"task","taskId":"a"}`},
	{"resultType of the message", false, false, `{"resultType":"task","result":{"taskId":"a"}}`},
	{"resultType deeper", false, false, `{"result":{"taskId":"a","x":{"resultType":"task"}}}`},
	{"other types", false, false, `{"result":{"resultType":"task","taskId":17}}`},
	{"a list", false, false, `{"result":{"resultType":"task","taskId":["a"]}}`},
	{"an empty id", false, false, `{"result":{"resultType":"task","taskId":""}}`},
	{"white space", false, false, " {\n\t\"result\" : {\r\n \"resultType\" :\t\"task\" , \"taskId\" : \"abcT\" } } \n"},
	{"escapes in keys and values", false, false, `{"re\u0073ult":{"\u0072esultType":"\u0074ask","task\u0049d":"a\"\\\/\u00e9bT"}}`},
	{"an id that ends in a backslash", false, false, `{"result":{"resultType":"task","taskId":"abc\\T"}}`},
	{"an id of quotes", false, false, `{"result":{"resultType":"task","taskId":"\"\"T"}}`},
	{"text like JSON", false, false, `{"result":{"resultType":"complete","content":[{"type":"text","text":"{\"result\":{\"resultType\":\"task\",\"taskId\":\"abc\"}}"}]}}`},
	{"a batch", false, false, `[{"id":1,"result":{"resultType":"task","taskId":"aT"}},{"id":2,"result":{"resultType":"complete","taskId":"b"}},{"id":3,"result":{"taskId":"cT","resultType":"task"}}]`},
	{"a batch in a batch", false, false, `[[{"result":{"resultType":"task","taskId":"a"}}]]`},
	{"an id twice", false, false, `{"result":{"resultType":"task","taskId":"aT","taskId":"bT"}}`},
	{"a tag already", false, false, `{"result":{"resultType":"task","taskId":"abc.aaaaaaaaT"}}`},
	{"two messages", false, false, `{"result":{"taskId":"a"}} {"result":{"resultType":"task","taskId":"b"}}`},
	{"broken off", false, false, `{"result":{"taskId":"a","st`},
	{"broken off in the id", false, false, `{"result":{"resultType":"task","taskId":"a`},
	{"broken off behind the id", false, false, `{"result":{"resultType":"task","taskId":"aT"`},
	{"no JSON", false, false, `<html>{"result":{"resultType":"task","taskId":"a"}}`},
	{"a text alone", false, false, `"result"`},
	{"wrong brackets", false, false, `{"result":{"taskId":"a"],"resultType":"task"}}`},
	{"nothing", false, false, ``},
	{"notifications are not looked at", false, false, `{"method":"notifications/tasks","params":{"taskId":"a"}}`},

	{"tasks/get", true, false, `{"id":1,"result":{"resultType":"complete","taskId":"abcT","status":"working"}}`},
	{"tasks/get, completed", true, false, `{"id":1,"result":{"resultType":"complete","result":{"taskId":"x","structuredContent":{"taskId":"y"}},"taskId":"abcT","inputRequests":{"k":{"params":{"taskId":"z"}}}}}`},
	{"tasks/get, the result behind very much", true, false, `{"result":{"result":{"content":"` + strings.Repeat("y", 100<<10) + `"},"taskId":"abcT"}}`},
	{"an acknowledgement", true, false, `{"id":1,"result":{"resultType":"complete"}}`},
	{"an error", true, false, `{"id":1,"error":{"code":-32602,"message":"no task abc","data":{"taskId":"abc"}}}`},

	{"a stream", false, true, "event: message\nid: 7\ndata: {\"method\":\"notifications/progress\",\"params\":{\"taskId\":\"a\"}}\n\n: comment\n\ndata: {\"result\":{\"resultType\":\"task\",\"taskId\":\"bT\"}}\n\n"},
	{"CRLF", false, true, "data: {\"result\":{\"taskId\":\"bT\",\"resultType\":\"task\"}}\r\n\r\n"},
	{"CR", false, true, "data:{\"result\":{\"taskId\":\"bT\",\"resultType\":\"task\"}}\r\rdata: {\"result\":{\"taskId\":\"c\"}}\r\r"},
	{"a message on several lines", false, true, "data: {\"result\":\ndata:{\"taskId\":\ndata:\ndata\nid: {\ndata: \"bT\",\ndata: \"resultType\":\"task\"}\ndata: }\n\n"},
	{"a byte order mark", false, true, "\ufeffdata: {\"result\":{\"taskId\":\"bT\",\"resultType\":\"task\"}}\n\n"},
	{"half a byte order mark", false, true, "\xef\xbbdata: {\"result\":{\"taskId\":\"b\",\"resultType\":\"task\"}}\n\ndata: {\"result\":{\"taskId\":\"cT\",\"resultType\":\"task\"}}\n\n"},
	{"other fields", false, true, "dat: {\"result\":{\"resultType\":\"task\",\"taskId\":\"b\"}}\ndatax: {\"result\":{\"resultType\":\"task\",\"taskId\":\"b\"}}\n: {\"result\":{\"resultType\":\"task\",\"taskId\":\"b\"}}\n\n"},
	{"an event that is no JSON", false, true, "data: hello\n\ndata: {\"result\":{\"resultType\":\"task\",\"taskId\":\"bT\"}}\n\n"},
	{"an event that ends early", false, true, "data: {\"result\":{\"taskId\":\"a\"\n\ndata: \"resultType\":\"task\"}}\n\ndata: {\"result\":{\"resultType\":\"task\",\"taskId\":\"bT\"}}\n\n"},
	{"a subscription", true, true, "data: {\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{\"taskIds\":[\"aT\",\"bT\",7,{\"taskIds\":[\"x\"]},[\"y\"]],\"taskId\":\"z\"}}}\n\n" +
		"data: {\"method\":\"notifications/tasks\",\"params\":{\"taskId\":\"aT\",\"result\":{\"taskId\":\"x\"},\"notifications\":{\"taskIds\":[\"y\"]}}}\n\n" +
		"data: {\"method\":\"notifications/message\",\"params\":{\"taskId\":\"x\"}}\n\n"},
	{"a subscription, the method last", true, true, "data: {\"params\":{\"notifications\":{\"taskIds\":[\"aT\",\"bT\"]},\"taskId\":\"c\"},\"method\":\"notifications/subscriptions/acknowledged\"}\n\n" +
		"data: {\"params\":{\"taskId\":\"aT\",\"notifications\":{\"taskIds\":[\"x\"]}},\"method\":\"notifications/tasks\",\"params\":{\"taskId\":\"bT\"}}\n\n" +
		"data: {\"params\":{\"taskId\":\"a\"},\"jsonrpc\":\"2.0\"}\n\n"},
	{"taskIds that is no list", true, true, "data: {\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{\"taskIds\":\"a\"}}}\n\n"},
}

// If it fails, clients get ids that lead to any server, or content that tools have not
// written.
func TestTaskRewriter(t *testing.T) {
	tag := TagOf("node1")
	for _, c := range taskResponses {
		input, want := strings.ReplaceAll(c.body, "T\"", "\""), strings.ReplaceAll(c.body, "T\"", "."+tag.String()+"\"")
		for size := range 70 {
			if len(input) > 10<<10 && size > 1 {
				break
			}
			got, tagged := tagTasks(input, c.asked, c.stream, size)
			if got != want {
				t.Errorf("%s, in pieces of %d: got %.300q, want %.300q", c.name, size, got, want)
				break
			}
			if n := strings.Count(c.body, "T\""); tagged != n {
				t.Errorf("%s: %d tagged, want %d", c.name, tagged, n)
			}
		}
	}
}

// If it fails, a client waits for bytes of a message that cannot change any more.
func TestTaskRewriterHoldsBackNoMoreThanNeeded(t *testing.T) {
	var r TaskRewriter
	r.Reset(TagOf("node1"), false, true)
	for _, step := range []struct{ in, out string }{
		{"data: {\"method\":\"notifications/pro", "data: {\"method\":\"notifications/pro"},
		{"gress\"}\n\ndata: {\"result\":{\"taskId\":\"a", "gress\"}\n\ndata: {\"result\":{\"taskId\":\"a"},
		{"bc\",\"status\":1,", "bc"},
		{"\"resultType\":\"complete", ""},
		{"\",", "\",\"status\":1,\"resultType\":\"complete\","},
	} {
		if got := string(r.Append(nil, []byte(step.in))); got != step.out {
			t.Fatalf("after %q: got %q, want %q", step.in, got, step.out)
		}
	}
}

// If it fails, a server can make the balancer hold any amount of memory.
func TestTaskRewriterIsBounded(t *testing.T) {
	var r TaskRewriter
	r.Reset(TagOf("node1"), true, false)
	out := r.Append(nil, []byte(`{"params":{"notifications":{"taskIds":[`))
	for range 100_000 {
		out = r.Append(out[:0], []byte(`"a","bc",`))
		if len(r.marks) > maxTaskMarks || len(r.held) > maxTaskHeld+10 {
			t.Fatalf("%d ids, %d bytes are held back", len(r.marks), len(r.held))
		}
	}
}

// If it fails, an upgrade breaks a stream in the middle of a message.
func TestTaskRewriterMoves(t *testing.T) {
	for _, c := range taskResponses {
		if len(c.body) > 10<<10 {
			continue
		}
		input, want := strings.ReplaceAll(c.body, "T\"", "\""), strings.ReplaceAll(c.body, "T\"", "."+TagOf("node1").String()+"\"")
		for cut := range len(input) {
			var r TaskRewriter
			r.Reset(TagOf("node1"), c.asked, c.stream)
			out := r.Append(nil, []byte(input[:cut]))
			state, err := r.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var moved TaskRewriter
			if err := moved.UnmarshalBinary(state); err != nil {
				t.Fatalf("%s, cut at %d: %v", c.name, cut, err)
			}
			out = moved.Flush(moved.Append(out, []byte(input[cut:])))
			if string(out) != want {
				t.Fatalf("%s, cut at %d: got %q, want %q", c.name, cut, out, want)
			}
		}
	}
}

func FuzzTaskRewriterState(f *testing.F) {
	var r TaskRewriter
	r.Reset(TagOf("node1"), true, true)
	r.Append(nil, []byte("data: {\"params\":{\"taskId\":\"a\",\"x\":[{"))
	state, _ := r.MarshalBinary()
	f.Add(state)
	f.Fuzz(func(t *testing.T, p []byte) {
		var r TaskRewriter
		if r.UnmarshalBinary(p) != nil {
			return
		}
		r.Flush(r.Append(nil, []byte("\"x\"],}\"}]\n\ndata: {\"result\":{\"taskId\":\"a\"}}\n\n")))
	})
}

// FuzzTaskRewriter compares with a reader of JSON that has all of the response, and
// any way of splitting with another.
func FuzzTaskRewriter(f *testing.F) {
	for _, c := range taskResponses {
		if len(c.body) < 10<<10 {
			f.Add([]byte(strings.ReplaceAll(c.body, "T\"", "\"")), c.asked, c.stream, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte, asked, stream bool, size uint8) {
		out, tagged := tagTasks(string(p), asked, stream, 0)
		if split, _ := tagTasks(string(p), asked, stream, int(size)); split != out {
			t.Fatalf("in pieces of %d: %q, in one: %q", size, split, out)
		}
		tag := "." + TagOf("node1").String()
		if len(out) != len(p)+tagged*TagSize {
			t.Fatalf("%d tags make %d bytes of %d", tagged, len(out), len(p))
		}
		if strings.ReplaceAll(out, tag, "") != strings.ReplaceAll(string(p), tag, "") {
			t.Fatalf("other bytes have changed: %q, %q", p, out)
		}
		if !stream && uniqueKeys(p) {
			compareTasks(t, p, []byte(out), asked)
		}
	})
}

// compareTasks checks the output by reading JSON.
func compareTasks(t *testing.T, in, out []byte, asked bool) {
	var want, got any
	if json.Unmarshal(in, &want) != nil {
		return
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%q became %q: %v", in, out, err)
	}
	batch, isBatch := want.([]any)
	if !isBatch {
		batch = []any{want}
	}
	for _, m := range batch {
		if message, ok := m.(map[string]any); ok {
			tagMessage(message, asked)
		}
	}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("%q became %q, want %v", in, out, want)
	}
}

func tagMessage(m map[string]any, asked bool) {
	tag := "." + TagOf("node1").String()
	put := func(of any) any {
		if id, ok := of.(string); ok && id != "" {
			return id + tag
		}
		return of
	}
	result, _ := m["result"].(map[string]any)
	if id, has := result["taskId"]; has && (asked || result["resultType"] == "task") {
		result["taskId"] = put(id)
	}
	params, _ := m["params"].(map[string]any)
	method, _ := m["method"].(string)
	if id, has := params["taskId"]; has && asked && strings.HasPrefix(method, "notifications/tasks") {
		params["taskId"] = put(id)
	}
	notifications, _ := params["notifications"].(map[string]any)
	ids, _ := notifications["taskIds"].([]any)
	for i := range ids {
		if asked && method == "notifications/subscriptions/acknowledged" {
			ids[i] = put(ids[i])
		}
	}
}

// uniqueKeys reports whether no object in p has a key twice.
func uniqueKeys(p []byte) bool {
	d := json.NewDecoder(bytes.NewReader(p))
	var levels []map[string]bool // nil = an array
	isKey := false
	for {
		token, err := d.Token()
		if err != nil {
			return true
		}
		switch token {
		case json.Delim('{'):
			levels, isKey = append(levels, map[string]bool{}), true
			continue
		case json.Delim('['):
			levels = append(levels, nil)
			isKey = false
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
			isKey = len(levels) > 0 && levels[len(levels)-1] != nil
			continue
		}
		if len(levels) == 0 || levels[len(levels)-1] == nil {
			continue
		}
		if isKey {
			if key := token.(string); levels[len(levels)-1][key] {
				return false
			} else {
				levels[len(levels)-1][key] = true
			}
		}
		isKey = !isKey
	}
}

var taskRequests = []struct {
	name, body string // T stands for a tag of node1, U for one of node2
}{
	{"tasks/get", `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"abcT"}}`},
	{"no tag", `{"method":"tasks/get","params":{"taskId":"abc.abcdefgh"}}`},
	{"a tag alone", `{"method":"tasks/get","params":{"taskId":"T"}}`},
	{"two tags", `{"method":"tasks/get","params":{"taskId":"abc.wtjb7wi3T"}}`},
	{"params first", `{"params":{"_meta":{"taskId":"x.wtjb7wi3"},"inputResponses":{"taskId":"y.wtjb7wi3"},"taskId":"abcT"},"method":"tasks/update"}`},
	{"a subscription", `{"method":"subscriptions/listen","params":{"notifications":{"taskIds":["aT","b",7,"cU","x"],"resourceSubscriptions":["r.wtjb7wi3"]}}}`},
	{"a batch", `[{"method":"tasks/get","params":{"taskId":"aT"}},{"method":"tasks/get","params":{"taskId":"bU"}}]`},
	{"of the result of a client", `{"id":1,"result":{"taskId":"a.wtjb7wi3"}}`},
	{"no JSON", `taskId=abc.wtjb7wi3`},
}

// If it fails, a request for a task goes to any server, or reaches its server with an id
// that it has not given.
func TestAppendTaskTags(t *testing.T) {
	node1, node2 := TagOf("node1"), TagOf("node2")
	for _, c := range taskRequests {
		body := strings.NewReplacer(`T"`, "."+node1.String()+`"`, `U"`, "."+node2.String()+`"`).Replace(c.body)
		want := strings.NewReplacer(`T"`, `"`, `U"`, `"`).Replace(c.body)
		if c.name == "a tag alone" {
			want = body
		}
		var got []byte
		at := 0
		for _, tag := range AppendTaskTags(nil, []byte(body)) {
			if tag.Tag != node1 && tag.Tag != node2 {
				t.Errorf("%s: tag %s", c.name, tag.Tag)
			}
			got = append(got, body[at:tag.Start]...)
			at = tag.End
		}
		if got = append(got, body[at:]...); string(got) != want {
			t.Errorf("%s: without tags it is %q, want %q", c.name, got, want)
		}
	}
}

// If it fails, clients that escape what need not be escaped do not find their tasks.
func TestAppendTaskTagsReadsEscapes(t *testing.T) {
	tag := TagOf("node1").String()
	for id, rest := range map[string]string{
		`a\"\\\/é.` + tag: `a\"\\\/é`,
		`abc\u002e` + tag: `abc`,
		`abc.\u` + fmt.Sprintf("%04X", tag[0]) + tag[1:]: `abc`,
		`\u00e9\\.` + tag:     `\u00e9\\`,
		`abc\u002E` + tag:     `abc`,
		`abc.` + tag + `\n`:   `abc.` + tag + `\n`,
		`abc\n` + tag:         `abc\n` + tag,
		`abc.\` + tag:         `abc.\` + tag,
		`abc\u012e` + tag:     `abc\u012e` + tag,
		`\ud83d\ude00.` + tag: `\ud83d\ude00`,
	} {
		body := `{"params":{"taskId":"` + id + `"}}`
		got := body
		for _, tag := range AppendTaskTags(nil, []byte(body)) {
			got = body[:tag.Start] + body[tag.End:]
		}
		if want := `{"params":{"taskId":"` + rest + `"}}`; got != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
	}
}

// FuzzTaskTags takes off what a TaskRewriter has put on.
func FuzzTaskTags(f *testing.F) {
	for _, c := range taskRequests {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		at := 0
		for _, tag := range AppendTaskTags(nil, p) {
			if tag.Start <= at || tag.End < tag.Start+TagSize || tag.End > len(p) || p[tag.End] != '"' {
				t.Fatalf("%q: %+v", p, tag)
			}
			at = tag.End
		}
	})
}

func TestSplitTaskName(t *testing.T) {
	tag := TagOf("node1")
	for value, want := range map[string]string{
		"abc." + tag.String():          "abc",
		"abc":                          "",
		"=?base64?YcOpLnd0amI3d2kz?=":  "=?base64?YcOp?=", // aé.wtjb7wi3
		"=?base64?YcOp?=":              "",
		"=?base64?***?=":               "",
		"." + tag.String():             "",
		"=?base64?abc." + tag.String(): "=?base64?abc",
		"a.wtjb7wi3." + tag.String():   "a.wtjb7wi3",
	} {
		name, got, ok := SplitTaskName(nil, []byte(value))
		if ok != (want != "") || string(name) != want || ok && got != tag {
			t.Errorf("%s: %q, %s, %v, want %q", value, name, got, ok, want)
		}
	}
}

// If it fails, each response that is watched costs garbage.
func TestTaskRewriterAllocates(t *testing.T) {
	p := []byte(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"abc","status":"working","content":[{"type":"text","text":"hello \"you\""}]}}`)
	var r TaskRewriter
	out := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(TagOf("node1"), false, false)
		out = r.Flush(r.Append(out[:0], p))
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTaskRewriter(b *testing.B) {
	small := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello, how are you today?"}],"resultType":"complete"}}`
	for name, c := range map[string]struct {
		body   string
		stream bool
	}{
		"small JSON":   {small, false},
		"small event":  {"event: message\ndata: " + small + "\n\n", true},
		"100 KB text":  {`{"result":{"content":[{"type":"text","text":"` + strings.Repeat("hello, how are you today?\\n", 4000) + `"}],"resultType":"complete"}}`, false},
		"100 KB dense": {`{"result":{"structuredContent":[` + strings.Repeat(`{"a":1,"b":[true,"c"]},`, 4500) + `0],"resultType":"complete"}}`, false},
	} {
		b.Run(name, func(b *testing.B) {
			p := []byte(c.body)
			b.SetBytes(int64(len(p)))
			var r TaskRewriter
			out := make([]byte, 0, 200<<10)
			for b.Loop() {
				r.Reset(TagOf("node1"), false, c.stream)
				out = r.Flush(r.Append(out[:0], p))
			}
		})
	}
}

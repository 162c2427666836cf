package mcp

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestAppendErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"too long", AppendTooLong(nil, 16<<20),
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"message longer than 16777216 bytes"}}`},
		{"rate limited", AppendRateLimited(nil, []byte(`"a\"b"`), 1500*time.Microsecond),
			`{"jsonrpc":"2.0","id":"a\"b","error":{"code":429,"message":"rate limit exceeded","data":{"retryAfterMs":2}}}`},
		{"rate limited, no telling how long", AppendRateLimited(nil, []byte(`7`), 0),
			`{"jsonrpc":"2.0","id":7,"error":{"code":429,"message":"rate limit exceeded"}}`},
		{"no server", AppendNoServer(nil, nil),
			`{"jsonrpc":"2.0","id":null,"error":{"code":503,"message":"no server available"}}`},
		{"escapes", AppendError(nil, []byte(`0`), 1, "\"\\\n\x00é\xff", time.Nanosecond),
			`{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"\"\\\u000a\u0000é` + "\ufffd" + `","data":{"retryAfterMs":1}}}`},
	}
	for _, test := range tests {
		if string(test.got) != test.want+"\n" {
			t.Errorf("%s:\n got %s want %s", test.name, test.got, test.want)
		}
	}
	if got := AppendNoServer([]byte("before "), nil); !bytes.HasPrefix(got, []byte("before {")) {
		t.Errorf("AppendNoServer does not append: %s", got)
	}
}

func TestAppendHTTPError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		id     string
		reason string
		after  time.Duration
		want   string
	}{
		{400, "", "Host is missing", 0, `null,"error":{"code":-32600,"message":"invalid request: Host is missing"}`},
		{403, "1", "Origin is not allowed", 0, `1,"error":{"code":403,"message":"forbidden: Origin is not allowed"}`},
		{404, `"a"`, "its server is gone, initialize again", 0, `"a","error":{"code":-32001,"message":"session not found: its server is gone, initialize again"}`},
		{408, "", "", 0, `null,"error":{"code":408,"message":"request timed out"}`},
		{413, "7", "more than 16777216 bytes", 0, `7,"error":{"code":-32600,"message":"request too large: more than 16777216 bytes"}`},
		{429, "7", "", 1500 * time.Millisecond, `7,"error":{"code":429,"message":"rate limit exceeded","data":{"retryAfterMs":1500}}`},
		{502, "7", `a "quoted" reason`, 0, `7,"error":{"code":502,"message":"bad gateway: a \"quoted\" reason"}`},
		{503, "7", "", time.Second, `7,"error":{"code":503,"message":"no server available","data":{"retryAfterMs":1000}}`},
		{504, "7", "", 0, `7,"error":{"code":504,"message":"server timed out"}`},
		{418, "7", "", 0, `7,"error":{"code":418,"message":"request failed"}`},
	}
	for _, test := range tests {
		var id []byte
		if test.id != "" {
			id = []byte(test.id)
		}
		want := `{"jsonrpc":"2.0","id":` + test.want + "}\n"
		if got := AppendHTTPError(nil, test.status, id, test.reason, test.after); string(got) != want {
			t.Errorf("%d:\n got %s want %s", test.status, got, want)
		}
	}
}

type errorBody struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    *struct {
			RetryAfterMs int64 `json:"retryAfterMs"`
		} `json:"data"`
	} `json:"error"`
}

func FuzzAppendError(f *testing.F) {
	f.Add([]byte(`1`), -32600, "message longer than 10 bytes", int64(0))
	f.Add([]byte(`"x"`), 429, "a \"quoted\" \\ \t\u2028 é 😀 \xff\xed\xa0\x80 text", int64(time.Second))
	f.Add([]byte(nil), 0, "", int64(-1))
	f.Add([]byte(`null`), math.MinInt, "\x7f\x1f", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, id []byte, code int, message string, retryAfter int64) {
		if !json.Valid(id) || bytes.ContainsAny(id, " \t\r\n") {
			id = nil
		}
		line := AppendError(nil, id, code, message, time.Duration(retryAfter))
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("%q is not one line", line)
		}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		var body errorBody
		if err := decoder.Decode(&body); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if id == nil {
			id = []byte("null")
		}
		if body.JSONRPC != "2.0" || !bytes.Equal(body.ID, id) || body.Error.Code != code {
			t.Fatalf("%s has another content", line)
		}
		if want := strings.ToValidUTF8(message, "\xff"); body.Error.Message != string([]rune(message)) {
			t.Fatalf("message %q, want %q", body.Error.Message, want)
		}
		checkRetryAfter(t, body, time.Duration(retryAfter))
	})
}

func checkRetryAfter(t *testing.T, body errorBody, want time.Duration) {
	t.Helper()
	if (body.Error.Data != nil) != (want > 0) {
		t.Fatalf("retryAfterMs is present: %v, for %v", body.Error.Data != nil, want)
	}
	if body.Error.Data == nil {
		return
	}
	ms := body.Error.Data.RetryAfterMs
	if exact := float64(want) / 1e6; float64(ms) < exact-1e-3 || float64(ms) > exact+1 {
		t.Fatalf("retryAfterMs %d for %v", ms, want)
	}
}

func TestAppendErrorAllocates(t *testing.T) {
	dst := make([]byte, 0, 256)
	id := []byte(`"0b1a5c3e"`)
	n := testing.AllocsPerRun(100, func() {
		dst = AppendRateLimited(dst[:0], id, time.Second)
		dst = AppendNoServer(dst[:0], nil)
		dst = AppendHTTPError(dst[:0], 404, id, "its server is gone", 0)
	})
	if n != 0 {
		t.Errorf("AppendError allocates %v times, want 0", n)
	}
}

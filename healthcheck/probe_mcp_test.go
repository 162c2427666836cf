package healthcheck

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"mcplb/conf"
)

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line string
		want answer
	}{
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, pong},
		{` {"jsonrpc":"2.0","id":1,"result":null} ` + "\r\n", pong},
		{`{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"initialize first"}}`, pong},
		{``, unrelated},
		{"\r\n", unrelated},
		{`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`, unrelated},
		{`{"jsonrpc":"2.0","id":1,"method":"ping"}`, unrelated},
		{`{"jsonrpc":"2.0","id":"1","result":{}}`, garbage},
		{`{"jsonrpc":"2.0","id":10,"result":{}}`, garbage},
		{`{"jsonrpc":"2.0","id":1}`, garbage},
		{`{"jsonrpc":"2.0","result":{}}`, garbage},
		{`{"jsonrpc":"1.0","id":1,"result":{}}`, garbage},
		{`{"id":1,"result":{}}`, garbage},
		{`[]`, garbage},
		{`null`, garbage},
		{`{"jsonrpc":"2.0","id":1,"result":{}`, garbage},
		{`{"jsonrpc":"2.0","id":1,"result":{}}{}`, garbage},
		{`{"jsonrpc":2,"id":1,"result":{}}`, garbage},
		{"\x00\xff", garbage},
	} {
		got, detail := parseAnswer([]byte(test.line))
		if got != test.want {
			t.Errorf("%q: %d %q, want %d", test.line, got, detail, test.want)
		}
	}
}

// Requests of the server and other lines are reliably distinguished from responses.
// What the result quotes of them is short and printable.
func FuzzParseAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":"1","result":null}`,
		`[{"jsonrpc":"2.0","id":1,"result":{}}]`,
		"\r\n", "null", "{}", "\x00\xff\xfe", strings.Repeat("[", 20000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, detail := parseAnswer(line)
		if got == pong && (!json.Valid(bytes.TrimSpace(line)) || !bytes.Contains(line, []byte(pingID))) {
			t.Errorf("%q was accepted as a response", line)
		}
		if got == unrelated && detail != "" {
			t.Errorf("%q: detail %q", line, detail)
		}
		if len(detail) > 5*maxDetail+100 || !utf8.ValidString(detail) || strings.ContainsAny(detail, "\n\r\x00") {
			t.Errorf("%q: detail %q", line, detail)
		}
	})
}

// Whatever a server sends, reading ends with a result.
func FuzzReadPong(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","method":"x"}` + "\n" + `{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"))
	f.Add([]byte("\n\n\n"))
	f.Add(bytes.Repeat([]byte("x"), maxLine+1))
	f.Fuzz(func(t *testing.T, sent []byte) {
		result := readPong(bytes.NewReader(sent))
		if result.Code != L7OK && result.Code != L7RSP {
			t.Errorf("%q: %q", sent, result)
		}
	})
}

// The same for HTTP.
func FuzzReadHTTP(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 No\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\n\r\n"))
	f.Add([]byte("SSH-2.0\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		result := readHTTP(bytes.NewReader(sent), &conf.Check{Expect: conf.Statuses{{First: 200, Last: 200}}, ExpectBody: "ok"}, "node1")
		switch result.Code {
		case L7OK, L7RSP, L7STS:
		default:
			t.Errorf("%q: %q", sent, result)
		}
		if result.Code == L7OK && !bytes.Contains(sent, []byte("200")) {
			t.Errorf("%q was accepted as status 200", sent)
		}
	})
}

package clients

import (
	"bytes"
	"testing"
)

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]answer{
		`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"node1"}]}}`:                 {id: 7, text: []byte("node1")},
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}`:                                     {id: 7, error: true},
		`{"jsonrpc":"2.0","id":7,"result":{}}`:                                                           {id: 7},
		`{"jsonrpc":"2.0","id":3,"method":"ping"}`:                                                       {request: true},
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"\"id\":1"}}`: {request: true},
	} {
		var r answerReader
		got, ok := r.read([]byte(message), false)
		if !ok || got.id != want.id || got.request != want.request || got.error != want.error || !bytes.Equal(got.text, want.text) {
			t.Errorf("%s: %+v, %v", message, got, ok)
		}
	}
	for _, message := range []string{"", "x", `{"id":null}`, `{"id":"1"}`, `{"id":-1}`, `{"id":1`} {
		var r answerReader
		if got, ok := r.read([]byte(message), false); ok {
			t.Errorf("%s: %+v", message, got)
		}
	}
}

func TestAnswersAllocateNothing(t *testing.T) {
	var r answerReader
	message := []byte(`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"node1"}]}}`)
	if n := testing.AllocsPerRun(100, func() { r.read(message, false) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseMessage(t *testing.T) {
	t.Parallel()
	for m := range numMessages {
		if got, err := ParseMessage(m.String()); err != nil || got != m {
			t.Errorf("%v is read as %v, %v", m, got, err)
		}
	}
	if _, err := ParseMessage("x"); err == nil || err.Error() != "there are whoami, echo, ping" {
		t.Errorf("x: %v", err)
	}
}

package mcp

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// TestReaderSeesWhatOthersRead: whatever Node's JSON.parse and Python's json.loads read in a
// body, a rule sees, or the body is refused: otherwise a spelling would pass a denial on the
// way to a server in that language. testdata/readings.py makes the data.
func TestReaderSeesWhatOthersRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/readings.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Body         []byte
		Node, Python []*string
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	read, refused := 0, 0
	var r Reader
	for _, row := range rows {
		r.Reset()
		r.Feed(row.Body)
		fault := r.End()
		for server, reading := range map[string][]*string{"Node": row.Node, "Python": row.Python} {
			if reading == nil {
				continue
			}
			if fault != FaultNone {
				refused++
				continue
			}
			read++
			c := Call{Method: []byte(*reading[0])}
			if reading[1] != nil {
				c.Name, c.Named = []byte(*reading[1]), true
			}
			if !sees(r.Calls(), c) {
				t.Errorf("%s reads %s(%s) in %q, a rule sees %s", server, c.Method, c.Name, row.Body, callsOf(&r))
			}
		}
		if fault != FaultNone && row.Node != nil && fault != FaultAmbiguous && fault != FaultEncoding {
			t.Errorf("%q is refused (%s), but Node reads it", row.Body, fault)
		}
	}
	if read < 500 || refused > read/10 {
		t.Errorf("%d readings compared, %d refused: the data say nothing", read, refused)
	}
}

func encoded(t *testing.T, make func(io.Writer) io.WriteCloser, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := make(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestInflater: a compressed body is judged by what a server finds in it, or refused.
func TestInflater(t *testing.T) {
	t.Parallel()
	zipped := func(s string) []byte {
		return encoded(t, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, s)
	}
	deflated := func(s string) []byte {
		return encoded(t, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, s)
	}
	half := len(callEcho) / 2
	tests := []struct {
		name   string
		coding string
		body   []byte
		want   string
	}{
		{"gzip", "gzip", zipped(callEcho), "tools/call(echo)"},
		{"x-gzip", "X-GZip", zipped(callEcho), "tools/call(echo)"},
		{"deflate", " deflate ", deflated(callEcho), "tools/call(echo)"},
		{"two members", "gzip", append(zipped(callEcho[:half]), zipped(callEcho[half:])...), "tools/call(echo)"},
		{"a value in each member", "gzip", append(zipped(callEcho), zipped(callEcho)...), "!trailing"},
		{"cut", "gzip", zipped(callEcho)[:half], "!coding"},
		{"garbage behind", "gzip", append(zipped(callEcho), "x"...), "!coding"},
		{"garbage behind", "deflate", append(deflated(callEcho), "x"...), "!coding"},
		{"plain", "gzip", []byte(callEcho), "!coding"},
		{"plain", "deflate", []byte(callEcho), "!coding"},
		{"empty", "gzip", nil, "!coding"},
		{"not JSON", "gzip", zipped(`{"a"`), "!syntax"},
		{"a bomb", "gzip", zipped(strings.Repeat(" ", 1<<20)), "too long"},
	}
	var f Inflater
	var r Reader
	for _, test := range tests {
		r.Reset()
		f.Begin(CodingOf([]byte(test.coding)), test.body, 100<<10)
		var done, tooLong bool
		for scratch := make([]byte, 100); !done; {
			done, tooLong = f.Step(&r, scratch)
		}
		got := "too long"
		if !tooLong {
			got = callsOf(&r)
		}
		if got != test.want {
			t.Errorf("%s, %s: %s, want %s", test.name, test.coding, got, test.want)
		}
	}
}

func TestCodingOf(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]Coding{
		"": CodingNone, "Identity": CodingNone, "gzip": CodingGzip, "deflate": CodingDeflate,
		"br": CodingUnknown, "gzip, gzip": CodingUnknown, "gzip,": CodingUnknown, "zstd": CodingUnknown,
	} {
		if got := CodingOf([]byte(value)); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}

func TestIsUTF8(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true, `text/json;a=b ; CharSet="UTF-8"`: true,
		"application/json;charset=utf-16": false, "application/json; charset=utf-7": false, "a/b;charset=utf-8;charset=IBM037": false,
		"application/json; charset=iso-8859-1": false, "application/json; charset": false,
	} {
		if got := IsUTF8([]byte(value)); got != want {
			t.Errorf("%q: %t, want %t", value, got, want)
		}
	}
}

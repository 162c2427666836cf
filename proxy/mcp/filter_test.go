package mcp

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// script is an Admitter: message i passes if admit(i).
type script struct {
	asked int
	admit func(i int) bool
}

func (s *script) Admit() bool {
	s.asked++
	return s.admit(s.asked - 1)
}

func all(int) bool      { return true }
func none(int) bool     { return false }
func second(i int) bool { return i%2 == 1 }

// run filters the pieces and returns all that passed and the ids of the refused
// messages, "-" for one without.
func run(f *Filter, admitter Admitter, pieces [][]byte) (passed string, ids []string) {
	var out strings.Builder
	for _, p := range pieces {
		for len(p) > 0 {
			var pass []byte
			var refused bool
			pass, p, refused = f.Next(p, admitter)
			out.Write(pass)
			if !refused {
				continue
			}
			if id := f.RefusedID(); id != nil {
				ids = append(ids, string(id))
			} else {
				ids = append(ids, "-")
			}
		}
	}
	return out.String(), ids
}

func TestFilter(t *testing.T) {
	t.Parallel()
	const (
		ping   = `{"id":1,"method":"ping"}` + "\n"
		call   = `{"id":"x","method":"tools/call","params":{"id":9}}` + "\r\n"
		notify = `{"method":"notifications/initialized"}` + "\n"
		answer = `{"id":3,"result":{}}` + "\n"
		null   = `{"id":null,"method":"ping"}` + "\n"
		batch  = `[{"id":1,"method":"ping"}]` + "\n"
	)
	tests := []struct {
		name   string
		in     string
		admit  func(int) bool
		passed string
		ids    string
	}{
		{"all pass", ping + call + notify, all, ping + call + notify, ""},
		{"none passes", ping + call + notify + answer + null + batch, none, "", `1 "x" - - null -`},
		{"every second", ping + call + ping + notify, second, call + notify, `1 1`},
		{"blank lines pass", "\n\r\n" + ping + "\n" + call + "\r\n", all, "\n\r\n" + ping + "\n" + call + "\r\n", ""},
		{"blank lines are refused", "\n\r\n" + ping + "\n" + call + "\r\n", none, "", `- - 1 - "x" -`},
		{"carriage return before a message", "\r" + ping, none, "", `1`},
		{"unfinished, passing", `{"id":1`, all, `{"id":1`, ""},
		{"unfinished, refused", `{"id":1`, none, "", ""},
		{"garbage", "\x00\xff}{\n" + ping + "[[[[\n" + ping, none, "", "- 1 - 1"},
		{"an object cut by a newline", "{\"id\":1,\n\"method\":\"x\"}\n" + ping, second, "\"method\":\"x\"}\n", "- 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := []byte(test.in)
			for _, pieces := range [][][]byte{{in}, oneByOne(in), chunks(in, 1)} {
				var f Filter
				passed, ids := run(&f, &script{admit: test.admit}, pieces)
				if passed != test.passed || strings.Join(ids, " ") != test.ids {
					t.Errorf("in %d pieces: passed %q, refused %v; want %q, %s", len(pieces), passed, ids, test.passed, test.ids)
				}
			}
		})
	}
}

// TestFilterPassesUnsplit checks that bytes that may pass leave in one piece,
// so that one system call writes them.
func TestFilterPassesUnsplit(t *testing.T) {
	t.Parallel()
	in := []byte("{}\n\n{}\r\n{}")
	var f Filter
	pass, rest, refused := f.Next(in, &script{admit: all})
	if &pass[0] != &in[0] || len(pass) != len(in) || len(rest) != 0 || refused {
		t.Errorf("Next = %q, %q, %v; want all of it at once", pass, rest, refused)
	}
}

// filterSlowly is a naive Filter that splits the stream.
func filterSlowly(data []byte, admitter Admitter) (passed string, refused int) {
	var out strings.Builder
	for line := range bytes.SplitAfterSeq(data, []byte("\n")) {
		if len(line) == 0 || admitter.Admit() {
			out.Write(line)
			continue
		}
		if bytes.HasSuffix(line, []byte("\n")) {
			refused++
		}
	}
	return out.String(), refused
}

func FuzzFilter(f *testing.F) {
	for i, stream := range streams {
		f.Add([]byte(stream), uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		admit := func(i int) bool { return rand.NewPCG(seed, uint64(i)).Uint64()%2 == 0 }
		slow := &script{admit: admit}
		wantPassed, wantRefused := filterSlowly(data, slow)
		for _, pieces := range [][][]byte{{data}, oneByOne(data), chunks(data, seed)} {
			var filter Filter
			admitter := &script{admit: admit}
			passed, ids := run(&filter, admitter, pieces)
			if passed != wantPassed || len(ids) != wantRefused || admitter.asked != slow.asked {
				t.Fatalf("%q in %d pieces: passed %q, refused %d, Admit called %d times; want %q, %d, %d", data, len(pieces),
					passed, len(ids), admitter.asked, wantPassed, wantRefused, slow.asked)
			}
		}
		var m Meter
		if n := m.Begun(data); n != slow.asked {
			t.Fatalf("%q: %d lines begin for the meter, %d for the filter", data, n, slow.asked)
		}
	})
}

func TestFilterAllocates(t *testing.T) {
	in := []byte(strings.Join(streams, ""))
	var f Filter
	admitter := Admitter(&script{admit: all})
	if n := testing.AllocsPerRun(100, func() { f.Next(in, admitter) }); n != 0 {
		t.Errorf("passing allocates %v times, want 0", n)
	}
	refuse := &script{admit: none}
	reply := make([]byte, 0, 1<<10)
	drain := func() {
		for p := in; len(p) > 0; {
			var refused bool
			_, p, refused = f.Next(p, refuse)
			if id := f.RefusedID(); refused && id != nil {
				reply = AppendRateLimited(reply[:0], id, time.Second)
			}
		}
	}
	drain()
	if n := testing.AllocsPerRun(100, drain); n != 0 {
		t.Errorf("refusing allocates %v times after the first, want 0", n)
	}
}

func BenchmarkFilter(b *testing.B) {
	in := []byte(strings.Repeat(`{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}`+"\n", 64))
	for name, admit := range map[string]func(int) bool{"passing": all, "refusing": none} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var f Filter
			admitter := &script{admit: admit}
			for b.Loop() {
				for p := in; len(p) > 0; {
					_, p, _ = f.Next(p, admitter)
				}
			}
		})
	}
}

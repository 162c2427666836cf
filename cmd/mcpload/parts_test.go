package main

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseMix(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"tcp":                         "tcp=1",
		"tcp=70,http=10,ws=10,sse=10": "tcp=70,http=10,ws=10,sse=10",
		" sse=1, tls=2 ":              "sse=1,tls=2",
		"":                            "is no kind",
		"udp":                         "is no kind",
		"tcp=x":                       "whole number",
		"tcp=-1":                      "whole number",
		"tcp=0":                       "asks for nobody",
	} {
		m, err := parseMix(text)
		got := m.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestPattern counts the kinds in every part of a pattern.
func TestPattern(t *testing.T) {
	t.Parallel()
	m := mix{kindTCP: 70, kindHTTP: 10, kindWS: 10, kindSSE: 10}
	var got mix
	for i, k := range m.pattern() {
		got[k]++
		for k, share := range m {
			if off := abs(float64(got[k]) - float64(share*(i+1))/100); off > 1.5 {
				t.Errorf("after %d: %v", i+1, got)
			}
		}
	}
	if got != m {
		t.Errorf("in all: %v", got)
	}
}

// TestSources spreads clients over addresses.
func TestSources(t *testing.T) {
	t.Parallel()
	o := shortRun()
	o.sources = 300
	w := &worker{options: &o}
	count := map[netip.Addr]int{}
	for number := range uint32(3000) {
		c := &client{worker: w, number: number}
		count[c.source()]++
	}
	if len(count) != 300 || count[netip.MustParseAddr("127.200.0.1")] != 10 || count[netip.MustParseAddr("127.200.1.44")] != 10 {
		t.Errorf("%d sources: %v", len(count), count)
	}
}

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]answer{
		`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"node1"}]}}`:                 {id: 7, text: []byte("node1")},
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}`:                                     {id: 7, error: true},
		`{"jsonrpc":"2.0","id":7,"result":{}}`:                                                           {id: 7},
		`{"jsonrpc":"2.0","id":3,"method":"ping"}`:                                                       {call: true},
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"\"id\":1"}}`: {call: true},
	} {
		var r answerReader
		got, ok := r.read([]byte(message), false)
		if !ok || got.id != want.id || got.call != want.call || got.error != want.error || !bytes.Equal(got.text, want.text) {
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

func TestNextFrame(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	whole := append([]byte{0x81, 126, 1, 44}, long...)
	for n := range whole {
		if _, _, size, fault := nextFrame(whole[:n]); size != 0 || fault != "" {
			t.Fatalf("%d bytes: %d, %q", n, size, fault)
		}
	}
	if opcode, payload, n, fault := nextFrame(append(whole, 9)); opcode != opText || string(payload) != long || n != len(whole) || fault != "" {
		t.Errorf("%d, %d bytes, %d, %q", opcode, len(payload), n, fault)
	}
	for _, bad := range [][]byte{{0x81, 0x81}, {0x01, 0}, {0x82, 0}, {0x80, 0}, {0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0}} {
		if _, _, _, fault := nextFrame(bad); fault == "" {
			t.Errorf("%x is taken", bad)
		}
	}
}

func FuzzNextFrame(f *testing.F) {
	f.Add([]byte{0x81, 1, 'x'})
	f.Add([]byte{0x89, 126, 0, 200})
	f.Add([]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, p []byte) {
		_, payload, n, fault := nextFrame(p)
		if n > len(p) || len(payload) > n || fault != "" && n != 0 {
			t.Errorf("%x: %d bytes of payload in a frame of %d, %q", p, len(payload), n, fault)
		}
	})
}

func TestNextEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stream, event, data, rest string }{
		{"event: message\ndata: {}\n\nx", "message", "{}", "x"},
		{"event:message\r\ndata:{}\r\n\r\n", "message", "{}", ""},
		{": comment\n\nrest", "", "", "rest"},
		{"id: 1\nretry: 5\ndata: a: b\n\n", "", "a: b", ""},
	} {
		event, data, rest, complete := nextEvent([]byte(c.stream))
		if !complete || string(event) != c.event || string(data) != c.data || string(rest) != c.rest {
			t.Errorf("%q: %q, %q, %q, %v", c.stream, event, data, rest, complete)
		}
		if _, _, _, complete := nextEvent([]byte(c.stream[:len(c.stream)-len(c.rest)-1])); complete {
			t.Errorf("%q without its end is complete", c.stream)
		}
	}
}

func FuzzNextEvent(f *testing.F) {
	f.Add([]byte("event: message\r\ndata: {}\n\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if event, data, rest, complete := nextEvent(p); len(event)+len(data)+len(rest) > len(p) || complete && len(rest) >= len(p) {
			t.Errorf("%q: %q, %q, %q", p, event, data, rest)
		}
	})
}

func TestRunOptions(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"-n 0":                     "-n must",
		"-rate 0":                  "-rate must",
		"-load -1s":                "negative",
		"-mix x":                   "no kind",
		"-message x":               "there are whoami",
		"-from 127.0.0.0/30":       "fewer than",
		"-tcp nowhere":             "write host:port",
		"-fault true -fault-at 1h": "within -load",
		"-watch x":                 "name=pid",
		"-expect-memory x":         "name=MB",
		"-expect-distribution 0":   "above zero",
		"extra":                    "unexpected argument",
		"-expect-memory a=1 -watch a=1 -expect-spread 5% -expect-p99 1s -from 10.0.0.0/8": "",
	} {
		_, err := parseRunOptions(strings.Fields(line), io.Discard)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// TestJudge fails every expectation, one at a time.
func TestJudge(t *testing.T) {
	t.Parallel()
	good := func() (*report, *options) {
		o := shortRun()
		detected, recovered := 1.0, 2.0
		o.expect = expectations{distribution: 2, p50: time.Second, p95: time.Second, p99: time.Second, spread: 5, sticky: true,
			failover: 5 * time.Second, recovery: 5 * time.Second, undisturbed: true, memory: memoryList{{"lb", 100}}}
		return &report{Held: 20, Monitor: monitorReport{20, 20}, Off: 1, Load: loadReport{Spread: 1, Latency: quantiles{10, 1, 1, 1, 1}},
			Fault: &faultReport{Detected: &detected, Recovered: &recovered}, Watched: []watchReport{{Name: "lb", Peak: 50e6}}}, &o
	}
	p, o := good()
	p.Verdict = o.expect.judge(p, o)
	if p.failed() || len(p.Verdict) != 12 {
		t.Fatalf("%d: %+v", len(p.Verdict), p.Verdict)
	}
	late := 6.0
	for name, spoil := range map[string]func(*report){
		"held":        func(p *report) { p.Held = 19 },
		"answered":    func(p *report) { p.Monitor.Answered = 19 },
		"off":         func(p *report) { p.Off = 2.1 },
		"p50":         func(p *report) { p.Load.Latency.P50 = 1001 },
		"p95":         func(p *report) { p.Load.Latency.P95 = 1001 },
		"p99":         func(p *report) { p.Load.Latency.P99 = 1001 },
		"nobody":      func(p *report) { p.Load.Latency.Count = 0 },
		"spread":      func(p *report) { p.Load.Spread = 6 },
		"wrong node":  func(p *report) { p.Sticky.WrongNode = 1 },
		"late":        func(p *report) { p.Fault.Detected = &late },
		"not back":    func(p *report) { p.Fault.Recovered = nil },
		"disturbed":   func(p *report) { p.Fault.Disturbed = 1 },
		"memory":      func(p *report) { p.Watched[0].Peak = 101e6 },
		"not watched": func(p *report) { p.Watched = nil },
		"lost":        func(p *report) { p.Fault, p.Lost = nil, map[string]uint64{"x": 1} },
		"moved":       func(p *report) { p.Fault, p.Sticky.Moved = nil, 1 },
	} {
		p, o := good()
		spoil(p)
		p.Verdict = o.expect.judge(p, o)
		if !p.failed() {
			t.Errorf("%s: %+v", name, p.Verdict)
		}
	}
}

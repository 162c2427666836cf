package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEveryKind has clients of every kind open sessions, ask, be silent and ask
// again.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"tcp", "http", "ws", "sse", "tls", "https", "tcp=2,http,ws,sse"} {
		for _, asked := range []message{messageWhoami, messageEcho, messagePing} {
			t.Run(fmt.Sprint(m, " ", asked), func(t *testing.T) {
				t.Parallel()
				server := &fakeServer{name: "fake1", plain: asked == messageEcho}
				o := shortRun()
				o.mix, _ = parseMix(m)
				secured := server.web(t, true)
				o.targets[kindTCP] = server.lines(t, nil)
				o.targets[kindHTTP] = server.web(t, false).Listener.Addr().String()
				o.targets[kindTLS] = server.lines(t, &tls.Config{Certificates: secured.TLS.Certificates})
				o.targets[kindHTTPS] = secured.Listener.Addr().String()
				o.insecure, o.message, o.threads = true, asked, 2
				report := mustRun(t, o)
				if report.failed() {
					t.Errorf("%+v, lost %v", report.Verdict, report.Lost)
				}
				if n := report.Load.Sent + report.Monitor.Answered; n != uint64(server.served.Load()) || report.Load.Answered != report.Load.Sent {
					t.Errorf("%d sent and %d asked at the end, the server answered %d", report.Load.Sent, report.Monitor.Answered, server.served.Load())
				}
				if len(report.Nodes) != 1 || report.Nodes[0].Name != "fake1" || report.Nodes[0].Sessions != o.clients {
					t.Errorf("nodes: %+v", report.Nodes)
				}
			})
		}
	}
}

// TestWrongAnswers has the server answer in ways that must be noticed.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		message message
		spoil   func(int, string) (int, string)
	}{
		"answer to another message":   {messageWhoami, func(id int, s string) (int, string) { return id + 1, s }},
		"answer of another node":      {messageWhoami, func(id int, s string) (int, string) { return id, s + "x" }},
		"answer with another content": {messageEcho, func(id int, s string) (int, string) { return id, s + "x" }},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			server := &fakeServer{name: "fake1", spoil: c.spoil}
			o := shortRun()
			o.message, o.reconnect = c.message, 0
			o.targets[kindTCP] = server.lines(t, nil)
			report := mustRun(t, o)
			if report.Lost[reason] != uint64(o.clients) || report.Held != 0 || !report.failed() {
				t.Errorf("lost %v, held %d, failed %v", report.Lost, report.Held, report.failed())
			}
		})
	}
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	server.silent.Store(true)
	o := shortRun()
	o.timeout, o.reconnect = 50*time.Millisecond, 0
	o.targets[kindTCP] = server.lines(t, nil)
	if report := mustRun(t, o); report.Lost["not answered in time"] != uint64(o.clients) {
		t.Errorf("lost %v", report.Lost)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	o := shortRun()
	o.targets[kindTCP] = "127.0.0.1:1"
	o.openTimeout = time.Second
	report := mustRun(t, o)
	if report.Lost["connect: connection refused"] < uint64(o.clients) || !report.failed() {
		t.Errorf("lost %v, failed %v", report.Lost, report.failed())
	}
}

// TestFault cuts every connection of one of two servers: its clients, and only
// they, come back.
func TestFault(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	o := shortRun()
	o.targets[kindTCP] = server.lines(t, nil)
	done := filepath.Join(t.TempDir(), "done")
	o.load = 2 * time.Second
	o.faultCommand, o.faultAt, o.faultNode = "touch "+done, 50*time.Millisecond, "fake1"
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(done); err == nil {
				server.cut()
				return
			}
		}
	}()
	report := mustRun(t, o)
	f := report.Fault
	if f == nil || f.Before != o.clients || f.Lost != uint64(o.clients) || f.Disturbed != 0 || f.Recovered == nil || *f.Recovered <= 0 {
		t.Fatalf("fault: %+v", f)
	}
	if report.Sticky.Returned != uint64(o.clients) || report.Sticky.Moved != 0 || report.failed() {
		t.Errorf("sticky: %+v, verdict %+v", report.Sticky, report.Verdict)
	}
}

// TestInterrupted ends a run early: it reports what it saw.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	o := shortRun()
	o.targets[kindTCP], o.load = server.lines(t, nil), time.Hour
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		for server.served.Load() < 100 {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	report, err := doRun(ctx, &o, io.Discard)
	if err != nil || !report.Interrupted || report.Load.Answered < 100 || report.Held != o.clients {
		t.Errorf("%v: %+v", err, report)
	}
}

func TestReportFiles(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	o := shortRun()
	directory := t.TempDir()
	o.targets[kindTCP] = server.lines(t, nil)
	o.jsonFile, o.csvFile, o.htmlFile = directory+"/r.json", directory+"/r.csv", directory+"/r.html"
	o.watch = watchList{{"self", os.Getpid()}}
	written := mustRun(t, o)
	if err := written.write(&o); err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, file := range []string{"r.json", "r.csv", "r.html"} {
		content, err := os.ReadFile(filepath.Join(directory, file))
		if err != nil {
			t.Fatal(err)
		}
		text[file] = string(content)
	}
	var read report
	if err := json.Unmarshal([]byte(text["r.json"]), &read); err != nil || read.Load.Answered != written.Load.Answered {
		t.Errorf("the JSON: %v", err)
	}
	if lines := strings.Split(strings.TrimSpace(text["r.csv"]), "\n"); len(lines) != 1+len(written.Samples) || !strings.Contains(lines[0], "fake1_sessions,self_resident_mb") {
		t.Errorf("the CSV:\n%s", text["r.csv"])
	}
	if html := text["r.html"]; strings.Count(html, "<svg") != 6 || strings.Contains(html, "NaN") || !strings.Contains(html, "fake1") {
		t.Errorf("the page has %d plots:\n%.2000s", strings.Count(html, "<svg"), html)
	}
}

// TestLimit asks for more than the open-files limit allows.
func TestLimit(t *testing.T) {
	t.Parallel()
	o := shortRun()
	o.clients = 100_000_000
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := doRun(t.Context(), &o, io.Discard); err == nil || !strings.Contains(err.Error(), "ulimit -n 100000100") {
		t.Errorf("got %v", err)
	}
}

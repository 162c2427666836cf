package run

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

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/report"
)

// Clients of every kind open sessions, send messages, are silent, and send one more.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"tcp", "http", "ws", "sse", "tls", "https", "h2", "h2c", "tcp=2,http,ws,sse"} {
		for _, asked := range []clients.Message{clients.Whoami, clients.Echo, clients.Ping} {
			t.Run(fmt.Sprint(m, " ", asked), func(t *testing.T) {
				t.Parallel()
				server := &fakeServer{name: "fake1", plain: asked == clients.Echo}
				o := shortRun()
				o.Mix, _ = clients.ParseMix(m)
				secured := server.web(t, true)
				o.Addresses[clients.TCP] = server.lines(t, nil)
				o.Addresses[clients.HTTP] = server.web(t, false).Listener.Addr().String()
				o.Addresses[clients.TLS] = server.lines(t, &tls.Config{Certificates: secured.TLS.Certificates})
				o.Addresses[clients.HTTPS] = secured.Listener.Addr().String()
				o.Insecure, o.Message, o.Threads = true, asked, 2
				got := mustRun(t, o)
				for range 3 { // Go's server cuts off a client of HTTP/2 that a busy machine delays for 2 s
					if !strings.HasPrefix(m, "h2") || !got.Failed() {
						break
					}
					server.served.Store(0)
					got = mustRun(t, o)
				}
				if got.Failed() {
					t.Errorf("%+v, lost %v", got.Verdict, got.Lost)
				}
				if n := got.Load.Sent + got.Monitor.Answered; n != uint64(server.served.Load()) || got.Load.Answered != got.Load.Sent {
					t.Errorf("%d sent and %d at the end, the server answered %d", got.Load.Sent, got.Monitor.Answered, server.served.Load())
				}
				if len(got.Nodes) != 1 || got.Nodes[0].Name != "fake1" || got.Nodes[0].Sessions != o.Clients {
					t.Errorf("nodes: %+v", got.Nodes)
				}
			})
		}
	}
}

// A wrong answer ends the session, with a reason.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		message clients.Message
		alter   func(int, string) (int, string)
	}{
		"answer to another message":   {clients.Whoami, func(id int, s string) (int, string) { return id + 1, s }},
		"answer of another node":      {clients.Whoami, func(id int, s string) (int, string) { return id, s + "x" }},
		"answer with another content": {clients.Echo, func(id int, s string) (int, string) { return id, s + "x" }},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			server := &fakeServer{name: "fake1", alter: c.alter}
			o := shortRun()
			o.Message, o.Reconnect = c.message, 0
			o.Addresses[clients.TCP] = server.lines(t, nil)
			got := mustRun(t, o)
			if got.Lost[reason] != uint64(o.Clients) || got.Held != 0 || !got.Failed() {
				t.Errorf("lost %v, held %d, failed %v", got.Lost, got.Held, got.Failed())
			}
		})
	}
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	server.silent.Store(true)
	o := shortRun()
	o.Timeout, o.Reconnect = 50*time.Millisecond, 0
	o.Addresses[clients.TCP] = server.lines(t, nil)
	if got := mustRun(t, o); got.Lost["not answered in time"] != uint64(o.Clients) {
		t.Errorf("lost %v", got.Lost)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	o := shortRun()
	o.Addresses[clients.TCP] = "127.0.0.1:1"
	o.OpenTimeout = time.Second
	got := mustRun(t, o)
	if got.Lost["connect: connection refused"] < uint64(o.Clients) || !got.Failed() {
		t.Errorf("lost %v, failed %v", got.Lost, got.Failed())
	}
}

// No count of answers exceeds what was asked, although clients that return are asked
// again: "2015 of 2000 answered, ok" says nothing about the 2000.
func TestAnswersDoNotExceedClients(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1", hangUp: true}
	o := shortRun()
	o.Addresses[clients.TCP] = server.lines(t, nil)
	o.Message = clients.Whoami
	o.Load, o.Monitor = time.Second, 500*time.Millisecond
	got := mustRun(t, o)
	if got.Load.Answered > got.Load.Sent || got.Load.Answered == 0 {
		t.Errorf("%d of %d messages were answered", got.Load.Answered, got.Load.Sent)
	}
	if got.Monitor.Answered > uint64(o.Clients) {
		t.Errorf("%d of %d clients have answered", got.Monitor.Answered, o.Clients)
	}
}

// A fault that closes every connection is reported, and all clients return to their
// node. On a busy machine, the command or the clients may take longer than the load.
func TestFault(t *testing.T) {
	t.Parallel()
	var complaint error
	for _, load := range []time.Duration{2 * time.Second, 10 * time.Second, 40 * time.Second} {
		if complaint = cutConnections(t, load); complaint == nil {
			return
		}
	}
	t.Error(complaint)
}

// cutConnections makes a run with a fault, and returns what is wrong with its report.
func cutConnections(t *testing.T, load time.Duration) error {
	t.Helper()
	server := &fakeServer{name: "fake1"}
	o := shortRun()
	o.Addresses[clients.TCP] = server.lines(t, nil)
	done := filepath.Join(t.TempDir(), "done")
	o.Load = load
	o.Fault = Fault{Command: "touch " + done, At: 50 * time.Millisecond, Node: "fake1"}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(done); err == nil {
				server.cut()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	got := mustRun(t, o)
	f := got.Fault
	if f == nil || f.Before != o.Clients || f.Lost != uint64(o.Clients) || f.Disturbed != 0 || f.Recovered == nil || *f.Recovered <= 0 {
		return fmt.Errorf("fault: %+v", f)
	}
	if got.Sticky.Returned != uint64(o.Clients) || got.Sticky.Moved != 0 || got.Failed() {
		return fmt.Errorf("sticky: %+v, verdict %+v", got.Sticky, got.Verdict)
	}
	return nil
}

// A run that is interrupted reports what happened until then.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	o := shortRun()
	o.Addresses[clients.TCP], o.Load = server.lines(t, nil), time.Hour
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		for server.served.Load() < 100 {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	got, err := Do(ctx, &o, io.Discard)
	if err != nil || !got.Interrupted || got.Load.Answered < 100 || got.Held != o.Clients {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestReportFiles(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	o := shortRun()
	directory := t.TempDir()
	o.Addresses[clients.TCP] = server.lines(t, nil)
	o.Watch = []Watched{{"self", os.Getpid()}}
	written := mustRun(t, o)
	if err := written.WriteFiles(report.Files{JSON: directory + "/r.json", CSV: directory + "/r.csv", HTML: directory + "/r.html"}); err != nil {
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
	var read report.Report
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

// A run that needs more files than the limit allows is refused.
func TestLimit(t *testing.T) {
	t.Parallel()
	o := shortRun()
	o.Clients = 100_000_000
	if _, err := Do(t.Context(), &o, io.Discard); err == nil || !strings.Contains(err.Error(), "ulimit -n 100000100") {
		t.Errorf("got %v", err)
	}
}

// The ramp starts clients at the set rate, from the first on.
func TestRampRate(t *testing.T) {
	t.Parallel()
	server := &fakeServer{name: "fake1"}
	o := shortRun()
	o.Addresses[clients.TCP] = server.lines(t, nil)
	o.Clients, o.Rate, o.Load, o.Monitor = 40, 100, 0, 0
	if got := mustRun(t, o); got.Ramp.Seconds < 0.39 || got.Ramp.Held != 40 {
		t.Errorf("40 clients at 100 per second: %+v", got.Ramp)
	}
}

//go:build linux

package l4

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/accesslog"
)

// line is one of the access log's.
type line struct {
	Client, Frontend, Backend, Server string
	Queue                             *float64 `json:"queue_ms"`
	Connect                           *float64 `json:"connect_ms"`
	Response                          *float64 `json:"response_ms"`
	Total                             float64  `json:"total_ms"`
	BytesIn                           uint64   `json:"bytes_in"`
	BytesOut                          uint64   `json:"bytes_out"`
	MessagesIn                        uint64   `json:"messages_in"`
	MessagesOut                       uint64   `json:"messages_out"`
	Reason, Phase                     string
	Retries                           int
	FrontendConns                     int `json:"frontend_conns"`
	ServerConns                       int `json:"server_conns"`
}

// withoutLog has the access log off.
func withoutLog(s *setup) { s.logOff = true }

// openLog turns the bed's access log on.
func (b *bed) openLog(s *setup) {
	b.Helper()
	b.log = accesslog.New(accesslog.Options{Loops: s.loops, Now: b.engine.Now, Log: slog.Default()})
	b.log.SetJSON(true)
	b.Cleanup(b.log.Close)
	if s.logOff {
		return
	}
	b.logPath = filepath.Join(b.TempDir(), "access.log")
	opened, err := accesslog.Open(b.logPath)
	if err != nil {
		b.Fatal(err)
	}
	b.log.Use(opened)
}

// lines are those of the log, which is closed.
func (b *bed) lines() (all []line) {
	b.Helper()
	b.log.Close()
	file, err := os.Open(b.logPath)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			b.Fatalf("%v: %s", err, scanner.Bytes())
		}
		all = append(all, l)
	}
	return all
}

// checkLog checks that every session has one line, with the reason it is counted
// by, and that the lines' bytes and messages are those that are counted.
func (b *bed) checkLog(totals *Totals) {
	b.Helper()
	if b.logPath == "" || b.log.Stats().Dropped > 0 {
		return
	}
	var got Totals
	reasons := map[string]uint64{}
	for _, l := range b.lines() {
		reasons[l.Reason]++
		got.BytesIn += l.BytesIn
		got.BytesOut += l.BytesOut
		got.MessagesIn += l.MessagesIn
		got.MessagesOut += l.MessagesOut
		if l.Phase == "" || l.Frontend != "f" || l.Client == "" || l.FrontendConns < 1 || l.Total < 0 {
			b.Errorf("the access log has %+v", l)
		}
	}
	for _, counts := range []map[string]uint64{totals.Ended, totals.Refused} {
		for reason, n := range counts {
			if reasons[reason] != n {
				b.Errorf("the access log has %d lines with reason %s, want %d", reasons[reason], reason, n)
			}
		}
	}
	in, out := got.BytesIn == totals.BytesIn && got.MessagesIn == totals.MessagesIn, got.BytesOut == totals.BytesOut && got.MessagesOut == totals.MessagesOut
	if !in || !out {
		b.Errorf("the lines of the access log sum up to %d bytes and %d messages in, %d and %d out; want %d, %d, %d, %d", got.BytesIn, got.MessagesIn,
			got.BytesOut, got.MessagesOut, totals.BytesIn, totals.MessagesIn, totals.BytesOut, totals.MessagesOut)
	}
}

// A line says how long what took.
func TestLogTimes(t *testing.T) {
	t.Parallel()
	a := accept(t)
	b := begin(t, []string{a.address}, inMode(conf.ModeMCP), withMaxConn(1), withClock)
	first, server := b.meet(a)
	first.say(request(1))
	server.hear(request(1))
	second := b.dial()
	b.eventually("it waits", func() bool { return b.pool.Queued() == 1 })
	b.advance(2 * time.Second)
	server.say(request(2))
	first.hear(request(2))
	b.advance(time.Second)
	first.finish()
	server.hearEnd()
	server.Close()
	b.expect(ClientClosed, 1)
	a.next()
	b.eventually("it is relayed", func() bool { return b.pool.Servers()[0].Totals().Connections == 2 })
	b.advance(time.Second)
	reset(second.TCPConn)
	b.expect(ClientReset, 1)
	lines := b.lines()
	if len(lines) != 2 {
		t.Fatalf("%+v", lines)
	}
	l := lines[0]
	if l.Queue != nil || l.Connect == nil || *l.Connect != 0 || l.Response == nil || *l.Response < 2000 || *l.Response >= 3000 || l.Total < *l.Response+1000 ||
		l.MessagesIn != 1 || l.MessagesOut != 1 || l.BytesIn == 0 || l.BytesOut != l.BytesIn || l.Server != "s1" || l.Backend != "b" ||
		l.Reason != "client_closed" || l.Phase != "data" || l.Retries != 0 || l.FrontendConns != 2 || l.ServerConns != 1 {
		t.Errorf("first: %+v", l)
	}
	l = lines[1]
	if l.Queue == nil || *l.Queue < 3000 || *l.Queue >= 4000 || l.Connect == nil || l.Response != nil || l.Total < *l.Queue+1000 ||
		l.Reason != "client_reset" || l.Phase != "data" || l.FrontendConns != 1 {
		t.Errorf("second: %+v", l)
	}
}

// A line says what was under way, and which server was tried.
func TestLogPhases(t *testing.T) {
	t.Parallel()
	nowhere := []string{refuse(t).address, refuse(t).address}
	for name, c := range map[string]struct {
		change func(*setup)
		want   line
	}{
		"limits": {func(s *setup) {
			s.backend.Retries, s.limits = 0, conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, TableSize: 10}
		},
			line{Reason: "connection_rate", Phase: "admission"}},
		"connect":   {func(s *setup) { s.backend.Retries = 0 }, line{Reason: "connect_refused", Phase: "connect", Server: "s1"}},
		"another":   {func(s *setup) { s.backend.Retries = 1 }, line{Reason: "connect_refused", Phase: "connect", Server: "s2", Retries: 1}},
		"no server": {func(s *setup) { s.backend.Servers[0].Weight, s.backend.Servers[1].Weight = 0, 0 }, line{Reason: "no_server", Phase: "queue"}},
		"no proxy":  {func(s *setup) { s.frontend.AcceptProxy = true }, line{Reason: "untrusted_proxy", Phase: "proxy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := begin(t, nowhere, c.change)
			if name == "limits" {
				b.turnedAway() // for another reason, and takes the only token
			}
			b.turnedAway()
			b.eventually("everybody has ended", func() bool { return b.engine.Load() == 0 })
			lines := b.lines()
			got := lines[len(lines)-1]
			if got.Reason != c.want.Reason || got.Phase != c.want.Phase || got.Server != c.want.Server || got.Retries != c.want.Retries ||
				got.Backend != "b" || got.Connect != nil || got.Response != nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

package harness

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"mcplb/proxy/accesslog"
)

// Line is one of the access log's, as JSON has it: what its keys are called is in
// the README. Of a session that is no request, what a request has is zero.
type Line struct {
	Client, Frontend, Backend, Server string
	Method, Path, Era                 string
	Call                              string `json:"mcp_method"`
	Status                            int
	Request                           *float64 `json:"request_ms"`
	Queue                             *float64 `json:"queue_ms"`
	Connect                           *float64 `json:"connect_ms"`
	Response                          *float64 `json:"response_ms"`
	Total                             float64  `json:"total_ms"`
	BytesIn                           uint64   `json:"bytes_in"`
	BytesOut                          uint64   `json:"bytes_out"`
	MessagesIn                        uint64   `json:"messages_in"`
	MessagesOut                       uint64   `json:"messages_out"`
	Reason, Detail, Phase             string
	Retries                           int
	FrontendConns                     int `json:"frontend_conns"`
	ServerConns                       int `json:"server_conns"`
}

// openLog turns the access log on.
func (r *Harness) openLog(s Setup) {
	r.Helper()
	r.AccessLog = accesslog.New(accesslog.Options{Loops: s.Loops, Now: r.Engine.Now, Log: slog.Default()})
	r.AccessLog.SetJSON(true)
	r.Cleanup(r.AccessLog.Close)
	if s.LogOff {
		return
	}
	r.logPath = filepath.Join(r.TempDir(), "access.log")
	opened, err := accesslog.Open(r.logPath)
	if err != nil {
		r.Fatal(err)
	}
	r.AccessLog.Use(opened)
}

// Logged tells whether the log is on and has dropped nothing: whether Lines are
// all that there were.
func (r *Harness) Logged() bool { return r.logPath != "" && r.AccessLog.Stats().Dropped == 0 }

// Lines are those of the log, which is closed: nothing more is written.
func (r *Harness) Lines() (all []Line) {
	r.Helper()
	r.AccessLog.Close()
	file, err := os.Open(r.logPath)
	if err != nil {
		r.Fatal(err)
	}
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var l Line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			r.Fatalf("%v: %s", err, scanner.Bytes())
		}
		all = append(all, l)
	}
	return all
}

// CheckLines checks that a log says so of as many lines as were counted: lines by
// what they say, and what was counted under the same names.
func CheckLines(t testing.TB, of string, lines Counts, counted ...Counts) {
	t.Helper()
	for _, counts := range counted {
		for name, n := range counts {
			if lines[name] != n {
				t.Errorf("the access log has %d lines with %s %s, want %d", lines[name], of, name, n)
			}
		}
	}
}

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

// Line is a line of the access log in its JSON form; docs/operations.md describes the
// keys. Without a request, the fields of a request are zero.
type Line struct {
	Client, Proxy             string
	Frontend, Backend, Server string
	Method, Path, Era         string
	Protocol                  string
	Call                      string `json:"mcp_method"`
	RequestID                 string `json:"request_id"`
	Status                    int
	Request                   *float64 `json:"request_ms"`
	Queue                     *float64 `json:"queue_ms"`
	Connect                   *float64 `json:"connect_ms"`
	Response                  *float64 `json:"response_ms"`
	Total                     float64  `json:"total_ms"`
	BytesIn                   uint64   `json:"bytes_in"`
	BytesOut                  uint64   `json:"bytes_out"`
	MessagesIn                uint64   `json:"messages_in"`
	MessagesOut               uint64   `json:"messages_out"`
	Reason, Detail, Phase     string
	Retries                   int
	FrontendConns             int `json:"frontend_conns"`
	ServerConns               int `json:"server_conns"`
}

// openLog turns the access log on.
func (h *Harness) openLog(s Setup) {
	h.Helper()
	h.AccessLog = accesslog.New(accesslog.Options{Loops: s.Loops, Now: h.Engine.Now, Log: slog.Default()})
	h.AccessLog.SetJSON(true)
	h.Cleanup(h.AccessLog.Close)
	if s.LogOff {
		return
	}
	h.logPath = filepath.Join(h.TempDir(), "access.log")
	opened, err := accesslog.Open(h.logPath)
	if err != nil {
		h.Fatal(err)
	}
	h.AccessLog.Use(opened)
}

// Logged reports whether the log is on and has dropped nothing, so that Lines
// returns all lines.
func (h *Harness) Logged() bool { return h.logPath != "" && h.AccessLog.Stats().Dropped == 0 }

// Lines closes the log and returns its lines.
func (h *Harness) Lines() (all []Line) {
	h.Helper()
	h.AccessLog.Close()
	file, err := os.Open(h.logPath)
	if err != nil {
		h.Fatal(err)
	}
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var l Line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			h.Fatalf("%v: %s", err, scanner.Bytes())
		}
		all = append(all, l)
	}
	return all
}

// CheckLines checks that the log has as many lines with each value of the key
// of as were counted: lines counts the log's lines by value, counted the events
// by the same names.
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

package admin

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/internal/golden"
)

// startSocket serves a stats socket and returns its path.
func startSocket(t *testing.T, control Control) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stats")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := NewStatsSocket(Options{Source: &fixed{build: example}, Control: control, Log: slog.New(slog.DiscardHandler)})
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(listener)
	}()
	t.Cleanup(func() {
		listener.Close()
		<-served
		s.Close()
	})
	return path
}

// askSocket sends a line and returns everything until the socket closes, as socat does.
func askSocket(t *testing.T, path, line string) string {
	t.Helper()
	conn, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, line); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return string(text)
}

// Scripts that read HAProxy's stats socket go on to work.
func TestStatsSocketShows(t *testing.T) {
	t.Parallel()
	path := startSocket(t, &recorder{})
	var all strings.Builder
	for _, line := range []string{
		"show info\n", "show stat\n", "show stat -1 4 -1\n", "show stat 1 1 0\n", "show servers state\n", "show servers state nodes\n",
		"show servers state nothing\n", "show backend\n", "get weight nodes/node1\n", "show version;show backend\n", "help\n", "nonsense\n", "show stat x y z\n", "show stat nodes 2 -1\n",
	} {
		all.WriteString("$ " + line + askSocket(t, path, line))
	}
	golden.Compare(t, "statssocket.txt", all.String())
}

// Scripts that change servers by HAProxy's stats socket do what they say, and nothing
// if they are mistaken.
func TestStatsSocketChanges(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		asked  string
		answer string
	}{
		"set server nodes/node1 state drain":    {`set nodes/node1 {"admin":"drain","reason":"by the stats socket"}`, "\n"},
		"set server nodes/node1 state maint":    {`set nodes/node1 {"admin":"maint","reason":"by the stats socket"}`, "\n"},
		"set server nodes/node1 state ready":    {`set nodes/node1 {"admin":"ready","reason":"by the stats socket"}`, "\n"},
		"set server nodes/node1 state up":       {"", "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"},
		"set server nodes/node1 weight 50%":     {`set nodes/node1 {"weight":45,"reason":"by the stats socket"}`, "\n"},
		"set server nodes/node1 addr 192.0.2.1": {"", "'set server <srv>' only supports 'state', 'weight' and 'maxconn' here, not 'addr'.\n\n"},
		"set server nodes/node1":                {"", "'set server' takes a server, one of state, weight and maxconn, and a value.\n\n"},
		"set weight nodes/node1 7":              {`set nodes/node1 {"weight":7,"reason":"by the stats socket"}`, "\n"},
		"set weight nodes/node1 -7":             {"", "Invalid weight.\n\n"},
		"set maxconn server nodes/node1 9":      {`set nodes/node1 {"maxconn":9,"reason":"by the stats socket"}`, "\n"},
		"set maxconn server nodes/node1 many":   {"", "Integer value expected.\n\n"},
		"disable server nodes/node1":            {`set nodes/node1 {"admin":"maint","reason":"by the stats socket"}`, "\n"},
		"enable server nodes/node1":             {`set nodes/node1 {"admin":"ready","reason":"by the stats socket"}`, "\n"},
		"disable server nodes/nothing":          {"", "No such server.\n\n"},
		"disable server nothing/node1":          {"", "No such backend.\n\n"},
		"set maxconn server nodes/node1":        {"", "Require <maxconn>.\n\n"},
		"clear counters":                        {"clear peaks", "\n"},
		"set timeout cli 60":                    {"", "\n"},
		"set timeout cli 5m":                    {"", "\n"},
		"set timeout cli 99999999d":             {"", "\n"},
		"set timeout cli":                       {"", "Expects an integer value.\n\n"},
		"set timeout cli soon":                  {"", "Invalid timeout value.\n\n"},
		"set timeout cli 0":                     {"", "Invalid timeout value.\n\n"},
		"set timeout client 5":                  {"", "'set timeout' only supports 'cli'.\n\n"},
		"disable server nodes":                  {"", "Require 'backend/server'.\n\n"},
		"shutdown sessions server nodes/node1":  {"kill {Backend:nodes Server:node1 Client:invalid Prefix}", "\n"},
		"clear counters all":                    {"clear peaks", "\n"},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			control := &recorder{}
			if got := askSocket(t, startSocket(t, control), line+"\n"); got != want.answer {
				t.Errorf("the answer is %q, want %q", got, want.answer)
			}
			if got := strings.Join(control.asked, "; "); got != want.asked {
				t.Errorf("asked for %q, want %q", got, want.asked)
			}
		})
	}
}

// Hatop keeps its connection and reads up to the prompt.
func TestStatsSocketPrompt(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("unix", startSocket(t, &recorder{}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	for _, step := range []struct{ line, want string }{
		{"prompt\n", "\n> "}, {"show backend\n", "# name\nnodes\n\n> "}, {"show backend;show backend\n", "# name\nnodes\n\n# name\nnodes\n\n> "},
	} {
		if _, err := io.WriteString(conn, step.line); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(step.want))
		if _, err := io.ReadFull(lines, got); err != nil || string(got) != step.want {
			t.Fatalf("%q is answered %q, %v, want %q", step.line, got, err, step.want)
		}
	}
	if _, err := io.WriteString(conn, "quit\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Errorf("quit leaves the connection open: %v", err)
	}
}

// A client that stays on the socket must not keep others out for ever, and a line
// without end costs no memory.
func TestStatsSocketIsBounded(t *testing.T) {
	t.Parallel()
	path := startSocket(t, &recorder{})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, strings.Repeat("x", 2*socketLine)) // it is closed while this is sent
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(conn); len(text) > 0 {
		t.Errorf("a line without end is answered: %q", text)
	}
	if got := askSocket(t, path, "show backend\n"); !strings.Contains(got, "nodes") {
		t.Errorf("the next client gets %q", got)
	}
}

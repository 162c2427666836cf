package admin

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// StatsSocket answers a subset of the commands of HAProxy's stats socket (HAProxy
// management guide, section 9.3), for tools and scripts made for it: socat, hatop,
// exporters. As there, a connection is for one line of commands, separated by
// semicolons, unless it begins with "prompt".
//
// Who can open the socket may use every command: its file's mode decides. Its
// methods may be called by any goroutine.
type StatsSocket struct {
	view    *view
	control Control
	log     *slog.Logger

	mu     sync.Mutex
	open   map[net.Conn]struct{} // guarded by mu; nil = closed
	ending sync.WaitGroup        // of the connections
}

// NewStatsSocket returns a socket that shows and changes what o says. It serves
// nothing yet.
func NewStatsSocket(o Options) *StatsSocket {
	return &StatsSocket{
		view: &view{source: o.Source, history: o.History}, control: o.Control, log: o.Log,
		open: map[net.Conn]struct{}{},
	}
}

const (
	socketIdle    = 10 * time.Second // waiting for a command, as HAProxy's "stats timeout"
	socketLine    = 16 << 10         // the longest line of commands
	socketClients = 10               // at once, as HAProxy's "stats maxconn"
)

// Serve accepts connections until the listener is closed.
func (s *StatsSocket) Serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("stats socket: accept failed; trying again in a second", "error", err)
			time.Sleep(time.Second)
			continue
		}
		if !s.admit(conn) {
			conn.Close()
			continue
		}
		go s.converse(conn)
	}
}

// admit adds a connection, unless there are too many or the socket is closed.
func (s *StatsSocket) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil || len(s.open) >= socketClients {
		return false
	}
	s.open[conn] = struct{}{}
	s.ending.Add(1)
	return true
}

// Close ends all connections and waits for them. The listener is the caller's.
func (s *StatsSocket) Close() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	for conn := range open {
		conn.Close()
	}
	s.mu.Unlock()
	s.ending.Wait()
}

// converse answers the lines of one connection.
func (s *StatsSocket) converse(conn net.Conn) {
	defer s.ending.Done()
	defer func() {
		s.mu.Lock()
		delete(s.open, conn) // of nil, too
		s.mu.Unlock()
		conn.Close()
	}()
	lines := bufio.NewReaderSize(conn, socketLine)
	for c := (conversation{StatsSocket: s, idle: socketIdle}); ; {
		_ = conn.SetDeadline(time.Now().Add(c.idle)) // fails only on a closed connection
		line, err := lines.ReadSlice('\n')
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return // the line is too long, the client silent or gone
		}
		text := c.run(strings.TrimRight(string(line), "\r\n"))
		if c.quit {
			return
		}
		if c.prompt {
			text = cmp.Or(text, "\n") + "> "
		}
		if _, err := io.WriteString(conn, text); err != nil || !c.prompt {
			return
		}
	}
}

// conversation is the state of one connection.
type conversation struct {
	*StatsSocket
	prompt, quit bool
	idle         time.Duration // how long a command may be waited for
}

// run executes the commands of a line and returns their responses.
func (c *conversation) run(line string) string {
	var all strings.Builder
	for command := range strings.SplitSeq(line, ";") {
		words := strings.Fields(command)
		switch {
		case len(words) == 0:
			continue
		case words[0] == "prompt":
			c.prompt = !c.prompt
			continue
		case words[0] == "quit":
			c.quit = true
			return ""
		case len(words) > 1 && words[0] == "set" && words[1] == "timeout":
			all.WriteString(c.setTimeout(words[2:]) + "\n")
		default:
			all.WriteString(c.execute(words) + "\n") // HAProxy ends each response with an empty line
		}
	}
	return all.String()
}

// socketCommand is a command by its first words.
type socketCommand struct {
	words string
	help  string // arguments, and what it does
	run   func(s *StatsSocket, args []string) (string, error)
}

// socketCommands returns all commands but prompt and quit.
func socketCommands() []socketCommand {
	return []socketCommand{
		{"show info", "show the state of the process", (*StatsSocket).showInfo},
		{"show stat", "[iid|proxy type sid]: show counters as CSV", (*StatsSocket).showStat},
		{"show servers state", "[backend]: show the state of servers", (*StatsSocket).showServersState},
		{"show backend", "list backends", (*StatsSocket).showBackend},
		{"show version", "show the version", (*StatsSocket).showVersion},
		{"set server", "backend/server state|weight|maxconn value: change a server", (*StatsSocket).setServer},
		{"set weight", "backend/server weight[%]: change a server's weight", (*StatsSocket).setWeight},
		{"get weight", "backend/server: show a server's weight", (*StatsSocket).getWeight},
		{"set maxconn server", "backend/server number: change a server's limit", (*StatsSocket).setMaxConn},
		{"disable server", "backend/server: put a server into maintenance", (*StatsSocket).disableServer},
		{"enable server", "backend/server: end maintenance and draining", (*StatsSocket).enableServer},
		{"shutdown sessions server", "backend/server: end a server's connections", (*StatsSocket).shutdownSessions},
		{"clear counters all", "reset peaks, and the counters that this socket shows", (*StatsSocket).clearCounters},
		{"clear counters", "reset peaks", (*StatsSocket).clearPeaks},
		{"help", "show this list", (*StatsSocket).help},
	}
}

// execute runs one command. An error is its response, as in HAProxy.
func (s *StatsSocket) execute(words []string) string {
	for _, c := range socketCommands() {
		names := strings.Fields(c.words)
		if len(words) < len(names) || strings.Join(words[:len(names)], " ") != c.words {
			continue
		}
		text, err := c.run(s, words[len(names):])
		if err != nil {
			return err.Error() + "\n"
		}
		return text
	}
	text, _ := s.help(nil)
	return fmt.Sprintf("Unknown command: '%s'\n", strings.Join(words, " ")) + advice(words) + text
}

func (s *StatsSocket) help([]string) (string, error) {
	var b strings.Builder
	b.WriteString("The commands of this socket (mcplb answers these of HAProxy):\n")
	for _, c := range socketCommands() {
		fmt.Fprintf(&b, "  %-25s %s\n", c.words, c.help)
	}
	for _, c := range [][2]string{
		{"set timeout cli", "time: how long to wait for the next command, as 60, 90s or 5m"},
		{"prompt", "stay connected for further commands"}, {"quit", "disconnect"},
	} {
		fmt.Fprintf(&b, "  %-25s %s\n", c[0], c[1])
	}
	return b.String(), nil
}

// longestIdle bounds "set timeout cli": a client that has gone without a word is
// noticed some day.
const longestIdle = 24 * time.Hour

// setTimeout is "set timeout cli TIME" without its first two words: hatop sends it.
// TIME is a number with a unit of HAProxy, or seconds.
func (c *conversation) setTimeout(args []string) string {
	switch {
	case len(args) == 0 || args[0] != "cli":
		return "'set timeout' only supports 'cli'.\n"
	case len(args) == 1:
		return "Expects an integer value.\n"
	}
	idle, ok := haproxyTime(args[1])
	if !ok || idle < time.Second {
		return "Invalid timeout value.\n"
	}
	c.idle = min(idle, longestIdle)
	return ""
}

// haproxyTime parses a time in HAProxy's format (configuration manual, section 2.5)
// whose usual unit is the second.
func haproxyTime(text string) (time.Duration, bool) {
	digits := strings.TrimRight(text, "usmhd")
	unit, known := map[string]time.Duration{
		"us": time.Microsecond, "ms": time.Millisecond, "": time.Second, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[text[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 31)
	if !known || err != nil {
		return 0, false
	}
	return time.Duration(min(n, uint64(longestIdle/unit))) * unit, true
}

// commandContext bounds a command that waits for the loops.
func commandContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), socketIdle)
}

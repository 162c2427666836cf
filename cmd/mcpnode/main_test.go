package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"mcplb/internal/leak"
)

// asNode in the environment makes the test binary the program itself.
const asNode = "MCPNODE_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		main()
		return
	}
	// The race detector would delay the exit of each child by a second.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	leak.Main(m)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	busy := holdPort(t)
	for _, test := range []struct {
		name   string
		args   []string
		status int
		output string // a regular expression that stdout and stderr together match
	}{
		{"help", []string{"-h"}, 0, `Usage: mcpnode -name NAME \[-tcp HOST:PORT\] \[-http HOST:PORT\]`},
		{"version", []string{"-version"}, 0, `^mcpnode \S+\n$`},
		{"command version", []string{"version"}, 0, `^mcpnode \S+\n$`},
		{"no address", nil, 2, `nothing to serve: .*-tcp 127\.0\.0\.11:9001`},
		{"unknown flag", []string{"-nonsense"}, 2, `not defined: -nonsense`},
		{"argument", []string{"-tcp", "127.0.0.1:0", "surplus"}, 2, `unexpected argument "surplus"`},
		{"argument of version", []string{"version", "surplus"}, 2, `unexpected argument "surplus"`},
		{"argument of -version", []string{"-version", "surplus"}, 2, `unexpected argument "surplus"`},
		{"repeated flag", []string{"-tcp", "127.0.0.1:0", "--tcp=127.0.0.1:1"}, 2, `-tcp is given twice`},
		{"no name", []string{"-name", "", "-tcp", "127.0.0.1:0"}, 2, `-name must not be empty`},
		{"bad level", []string{"-log-level", "loud"}, 2, `invalid value "loud" for flag -log-level`},
		{"busy port", []string{"-tcp", busy}, 1, `another process listens there: stop it \(ss -ltnp shows it\)`},
		{"foreign address", []string{"-tcp", "192.0.2.1:9001"}, 1, `does not have that address`},
		{"no port", []string{"-tcp", "127.0.0.1"}, 1, `-tcp 127\.0\.0\.1: .*it takes host:port`},
		{"busy HTTP port", []string{"-tcp", "127.0.0.1:0", "-http", busy}, 1, `-http \S+: .*another process listens there`},
		{"busy SSE port", []string{"-http", "127.0.0.1:0", "-sse", busy}, 1, `-sse \S+: .*another process listens there`},
		{"negative idle time", []string{"-http", "127.0.0.1:0", "-idle", "-1s"}, 2, `-idle must not be negative`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var output bytes.Buffer
			if status := run(t.Context(), test.args, &output, &output); status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			if !regexp.MustCompile(test.output).MatchString(output.String()) {
				t.Errorf("output %q does not match %q", &output, test.output)
			}
		})
	}
}

func TestSignalEndsTheNode(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			node := startNode(t, exec.Command(os.Args[0], "-name", "nodeX", "-tcp", "127.0.0.1:0", "-http", "127.0.0.1:0"))
			streams := openEverything(t, node.addresses["http"])
			session := connect(t, node.addresses["tcp"])
			go session.CallTool(t.Context(), call("slow", map[string]any{"seconds": 600}))
			start := time.Now()
			if err := node.command.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := node.command.Wait(); err != nil {
				t.Errorf("the node ended with %v, want status 0", err)
			}
			if took := time.Since(start); took > 20*time.Second { // less than 2 s on an idle machine; the call takes 600 s
				t.Errorf("the node took %v to end", took)
			}
			streams.expectEnd(t)
			if !strings.Contains(node.firstLine, "name=nodeX") {
				t.Errorf("the first line %q does not name the node", node.firstLine)
			}
		})
	}
}

// Since 1.19, Go raises the soft limit at start to the hard limit or one below it
// (which marks the limit as raised by Go).
func TestOpenFilesLimitIsRaised(t *testing.T) {
	t.Parallel()
	node := startNode(t, exec.Command("sh", "-c", `ulimit -S -n 64 && exec "$0" -tcp 127.0.0.1:0`, os.Args[0]))
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", node.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`Max open files +(\d+) +(\d+)`).FindSubmatch(limits)
	if match == nil {
		t.Fatalf("no limit of open files in %q", limits)
	}
	soft, _ := strconv.Atoi(string(match[1]))
	hard, _ := strconv.Atoi(string(match[2]))
	if soft < hard-1 || soft <= 64 {
		t.Errorf("open files: the soft limit is %d and the hard one %d, want it raised", soft, hard)
	}
}

// 25,000 sessions must fit in 2 GB, 80 KB each.
func TestIdleSessionsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes several times the memory")
	}
	for _, test := range []struct {
		transport      string
		open           func(t *testing.T, node nodeProcess)
		sessions, most int
	}{
		{"tcp", openLineSession, 2000, 40 << 10},
		{"http", openStreamableSession, 500, 80 << 10},
		{"ws", openSocketSession, 500, 60 << 10},
		{"sse", openEventSession, 500, 80 << 10},
	} {
		t.Run(test.transport, func(t *testing.T) {
			node := startNode(t, exec.Command(os.Args[0], "-tcp", "127.0.0.1:0", "-http", "127.0.0.1:0"))
			test.open(t, node) // costs of the first session only
			before := resident(t, node.command.Process.Pid)
			for range test.sessions {
				test.open(t, node)
			}
			each := (resident(t, node.command.Process.Pid) - before) / test.sessions
			t.Logf("an idle session takes %d bytes resident", each)
			if each > test.most {
				t.Errorf("an idle session takes %d bytes resident, want at most %d", each, test.most)
			}
		})
	}
}

func openLineSession(t *testing.T, node nodeProcess) {
	conn := dial(t, node.addresses["tcp"])
	fmt.Fprintln(conn, initializeLine)
	fmt.Fprintln(conn, initializedLine)
	fmt.Fprintln(conn, pingLine)
	expectLines(t, conn, `"serverInfo"`, `"result":{}`)
}

// openStreamableSession leaves two connections open: one with the session's GET
// stream, one that is kept alive.
func openStreamableSession(t *testing.T, node nodeProcess) {
	conn := dial(t, node.addresses["http"])
	answer := exchange(t, conn, post(initializeLine))
	session := http.Header{"Mcp-Session-Id": answer.Header["Mcp-Session-Id"]}
	exchange(t, conn, post(initializedLine, session))
	exchange(t, conn, post(pingLine, session))
	begin(t, dial(t, node.addresses["http"]), get(pathMCP, session))
}

// openEventSession leaves two connections open, too.
func openEventSession(t *testing.T, node nodeProcess) {
	stream := begin(t, dial(t, node.addresses["http"]), get(pathSSE))
	endpoint := nextEvent(t, stream)["data"]
	conn := dial(t, node.addresses["http"])
	for _, message := range []string{initializeLine, initializedLine, pingLine} {
		request := post(message)
		request.URL.Path, request.URL.RawQuery, _ = strings.Cut(endpoint, "?")
		exchange(t, conn, request)
	}
	nextEvent(t, stream)
	nextEvent(t, stream)
}

func openSocketSession(t *testing.T, node nodeProcess) {
	socket := dialSocket(t, node.addresses["http"])
	for _, message := range []string{initializeLine, initializedLine, pingLine} {
		if err := socket.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, _, err := socket.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// resident is a process's resident memory in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if match == nil {
		t.Fatalf("no VmRSS in %q", status)
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// nodeProcess is the program running as a separate process.
type nodeProcess struct {
	command   *exec.Cmd
	firstLine string            // of its log
	log       io.Closer         // the reading end
	addresses map[string]string // by transport, from the first line
}

// startNode runs command as the program and waits until it is ready.
func startNode(t *testing.T, command *exec.Cmd) nodeProcess {
	t.Helper()
	command.Env = append(os.Environ(), asNode+"=1")
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	log := bufio.NewReader(stderr)
	first, err := log.ReadString('\n')
	if err != nil {
		t.Fatalf("the node said %q and then: %v", first, err)
	}
	node := nodeProcess{command: command, firstLine: first, log: stderr, addresses: map[string]string{}}
	for _, match := range regexp.MustCompile(`\b(tcp|http|ws|sse)=(\S+)`).FindAllStringSubmatch(first, -1) {
		node.addresses[match[1]] = match[2]
	}
	return node
}

// The reader of the log goes away, and the node logs: SIGPIPE must not end it, with
// the sessions of all clients.
func TestReaderOfLogGone(t *testing.T) {
	t.Parallel()
	node := startNode(t, exec.Command(os.Args[0], "-tcp", "127.0.0.1:0"))
	if err := node.log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := node.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.command.Wait(); err != nil { // it logs that it stops
		t.Errorf("the node ends with %v", err)
	}
}

// holdPort occupies a free port until the test ends.
func holdPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// expectLines reads one line for each of want and checks that it contains it.
func expectLines(t *testing.T, from io.Reader, want ...string) {
	t.Helper()
	lines := bufio.NewReader(from)
	for _, part := range want {
		line, err := lines.ReadString('\n')
		if err != nil || !strings.Contains(line, part) {
			t.Fatalf("got %q, %v; want a line with %q", line, err, part)
		}
	}
}

// untilDone is a context that is also valid in cleanups.
func untilDone(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

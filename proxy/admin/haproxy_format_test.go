package admin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// startHAProxy runs HAProxy with the backend of the example, and returns the path of its
// stats socket.
func startHAProxy(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed (apt-get install haproxy)")
	}
	directory, err := os.MkdirTemp("", "haproxy") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	socket, file := filepath.Join(directory, "socket"), filepath.Join(directory, "haproxy.cfg")
	text := fmt.Sprintf(`global
	stats socket %s level admin
defaults
	mode tcp
	timeout connect 1s
	timeout client 10s
	timeout server 10s
backend nodes
	server node1 127.0.0.11:9001 weight 90
	server node2 127.0.0.12:9002 weight 40
	server node3 127.0.0.13:9003 weight 200
`, socket)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "-db", "-f", file)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatal("haproxy opens no socket")
		}
	}
}

// What tools parse is as in HAProxy itself: the columns of show stat and show servers state and
// their places, the names and the order of show info, and the words of errors.
func TestFormatsOfHAProxy(t *testing.T) {
	t.Parallel()
	theirs := startHAProxy(t)
	ours := startSocket(t, &recorder{})
	heading := func(path, command string, line int) string {
		return strings.TrimRight(strings.Split(askSocket(t, path, command+"\n"), "\n")[line], ",")
	}
	if us, they := heading(ours, "show stat", 0), heading(theirs, "show stat", 0); !strings.HasPrefix(they+",", us+",") {
		t.Errorf("show stat has\n%s\nand HAProxy\n%s", us, they)
	}
	for line := range 2 {
		if us, they := heading(ours, "show servers state nodes", line), heading(theirs, "show servers state nodes", line); us != they {
			t.Errorf("show servers state has\n%s\nand HAProxy\n%s", us, they)
		}
	}
	name := regexp.MustCompile(`(?m)^\w[\w-]*:`)
	rest := name.FindAllString(askSocket(t, theirs, "show info\n"), -1)
	for _, shown := range name.FindAllString(askSocket(t, ours, "show info\n"), -1) {
		at := slices.Index(rest, shown)
		if at < 0 {
			t.Errorf("show info has %s, and HAProxy has not, or elsewhere", shown)
			continue
		}
		rest = rest[at+1:]
	}
	for _, command := range []string{
		"disable server", "disable server nodes", "disable server nodes/nothing", "disable server nothing/node1", "enable server nodes/nothing",
		"set server nodes/node1 state up", "set weight nodes/node1", "set maxconn server nodes/node1", "get weight nodes/nothing",
		"show servers state nothing", "show stat nothing 2 -1", "show backend", "set timeout cli", "set timeout cli soon", "set timeout cli 60", "set timeout client 5",
		"shutdown sessions server nodes/nothing", "clear counters", "clear counters all", "set server nodes/node1 state drain", "disable server nodes/node1", "enable server nodes/node1",
	} {
		if us, they := askSocket(t, ours, command+"\n"), askSocket(t, theirs, command+"\n"); us != they {
			t.Errorf("%q is answered\n%q, and by HAProxy\n%q", command, us, they)
		}
	}
}

// A script of shell, socat and cut gets from mcplb what it gets from HAProxy.
func TestScriptsOfHAProxy(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("socat"); err != nil {
		t.Skip("socat is not installed (apt-get install socat)")
	}
	path := startSocket(t, &recorder{})
	for script, want := range map[string]string{
		`echo "show stat" | socat stdio unix-connect:$S | grep -v '^#' | cut -d, -f1,2,18 | grep ,node`: "nodes,node1,UP\nnodes,node2,DOWN 1/2\nnodes,node3,no check\n",
		`echo "show stat" | socat unix-connect:$S stdio | awk -F, '$2=="BACKEND"{print $1,$20}'`:        "nodes 2\n",
		`echo "show info;show stat" | socat stdio $S | sed -n 's/^CurrConns: //p'`:                      "30\n",
		`echo "show servers state nodes" | socat stdio $S | awk '$4=="node1"{print $5":"$19}'`:          "127.0.0.11:9001\n",
		`printf 'set server nodes/node1 state maint' | socat - UNIX-CONNECT:$S`:                         "\n",
		`echo "disable server nodes/node1; enable server nodes/node1" | socat stdio $S | wc -l`:         "2\n",
		`echo "set server nodes/nothing state maint" | socat stdio $S | grep -c 'No such server'`:       "1\n",
	} {
		command := exec.CommandContext(t.Context(), "sh", "-c", script)
		command.Env = append(os.Environ(), "S="+path)
		if got, err := command.CombinedOutput(); string(got) != want || err != nil {
			t.Errorf("%s\nprints %q, %v, want %q", script, got, err, want)
		}
	}
}

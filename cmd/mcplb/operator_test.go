package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mcplb/proxy/admin"
)

// mcplb runs a command in this process and returns its exit status and output.
func mcplb(args ...string) (status int, stdout, stderr string) {
	var out, errors bytes.Buffer
	status = run(args, &out, &errors)
	return status, out.String(), errors.String()
}

// A session of an operator uses every command.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t), startEcho(t))
	third := startEcho(t)
	s.backend = "balance = 'roundrobin'"
	b := startBalancer(t, s)
	held := connect(t, b.frontend)
	held.expectEcho(t)
	for _, step := range []struct {
		args           string
		status         int
		stdout, stderr string // patterns
	}{
		{"status", 0, `HEALTHY\n(?s).*main +tcp.*node1 +(up|unchecked).*node2`, `^$`},
		{"top", 0, `HEALTHY`, `^$`}, // the test has no terminal
		{"drain nodes/node1 -reason repair", 0, `^nodes/node1: admin ready -> drain\n$`, `^$`},
		{"drain node1", 0, `^nodes/node1: nothing to change`, `^$`},
		{"status", 0, `NOTICE server nodes/node1 is in drain \(repair, by 127\.0\.0\.1:`, `^$`},
		{"maint node1 node2", 0, `drain -> maint\n.*node2: admin ready -> maint\n$`, `^$`},
		{"status", 2, `CRITICAL\n(?s).*CRITICAL backend nodes has no usable server`, `^$`},
		{"status -alive", 0, `^$`, `^$`}, // for health checks: its servers are not its fault
		{"status -alive -json", 64, `^$`, `\[alive json\]`},
		{"ready node1 node2", 0, `maint -> ready\n.*maint -> ready`, `^$`},
		{"weight node1 50%", 0, `^nodes/node1: weight 100 -> 50\n$`, `^$`},
		{"weight node1 5000", 1, `^$`, `weight must be from 0 to 1000`},
		{"weight node1 much", 64, `^$`, `a weight is a number(?s).*usage: mcplb weight`},
		{"weight node1 -5", 1, `^$`, `weight must be from 0 to 1000, not -5`},
		{"weight node1 99999999999999999999", 64, `^$`, `weight must be from 0 to 1000, not 9`},
		{"weight node1 9223372036854775807%", 64, `^$`, `weight must be from 0 to 1000, not 9`},
		{"maxconn node1 -5", 64, `^$`, `maxconn must be from 0 \(no limit\) to 10000000, not -5\n`},
		{"maxconn node1 10000001", 64, `^$`, `maxconn must be from 0 \(no limit\) to 10000000, not 10000001\n`},
		{"maxconn node1 99999999999999999999", 64, `^$`, `maxconn must be from 0 \(no limit\)`},
		{"maxconn node1 many", 64, `^$`, `maxconn is a number, not "many"`},
		{"maxconn node1 5.5", 64, `^$`, `maxconn is a number, not "5.5"`},
		{"maxconn node1 -x", 64, `^$`, `unknown.* flag`},
		{"maxconn node1 5 6", 64, `^$`, `unexpected argument "6"`},
		{"status -timeout -5s", 64, `^$`, `-timeout must not be negative`},
		{"drain node1 -reason a -reason b", 64, `^$`, `-reason is given twice, as "a" and as "b"`},
		{"maxconn nodes/node1 7", 0, `^nodes/node1: maxconn 25000 -> 7\n$`, `^$`},
		{"add nodes/node3 -tcp " + third + " -maxconn 7 -weight 0", 0, `^nodes/node3: added\n$`, `^$`},
		{"status", 0, `node3 +(up|down|unchecked), added .*`, `^$`},
		{"add nodes/node3 -tcp " + third + " -maxconn 8 -weight 0", 0, `^nodes/node3: maxconn 7 -> 8\n$`, `^$`},
		{"add nodes/node3 -tcp " + third + " -maxconn 8 -weight 0", 0, `^nodes/node3: nothing to change`, `^$`},
		{"add nodes/node4 -maxconn x", 1, `^$`, `has no address(?s:.*)maxconn: must be a whole number`},
		{"add nodes/node1 -tcp 127.0.0.1:9", 1, `^$`, `server nodes/node1 is in the file`},
		{"add node4 -tcp 127.0.0.1:9", 64, `^$`, `name the server as BACKEND/SERVER`},
		{"add other/node4 -tcp 127.0.0.1:9", 1, `^$`, `there is no backend "other"; there is nodes`},
		{"remove nodes/node1", 1, `^$`, `server nodes/node1 is in the file`},
		{"remove nodes/node3", 0, `^nodes/node3: removed\n$`, `^$`},
		{"remove nodes/node3", 1, `^$`, `no server "node3"`},
		{"drain nodes/node9", 1, `^$`, `no server "node9"; it has node1, node2`},
		{"drain node9", 1, `^$`, `there is nodes/node1, nodes/node2`},
		{"drain", 64, `^$`, `^mcplb drain: missing argument: BACKEND/SERVER\nusage: mcplb drain \[flags\] BACKEND/SERVER`},
		{"status surplus", 64, `^$`, `^mcplb status: unexpected argument "surplus"\n`},
		{"drain -reson x node1", 64, `^$`, `^mcplb drain: unknown flag: --reson\n`},
		{"ban 192.0.2.7 -for 1h", 0, `^192\.0\.2\.7/32: banned for 1h0m0s\n$`, `^$`},
		{"bans", 0, `192\.0\.2\.7/32 +manual`, `^$`},
		{"unban 192.0.2.7", 0, `no longer banned`, `^$`},
		{"unban 192.0.2.7", 1, `^$`, `is not banned`},
		{"ban 10.0.0.0/8", 0, `^10\.0\.0\.0/8: banned for 5m0s\n$`, `^$`},
		{"ban 2001:db8::/29 -for 0", 0, `^2001:db8::/29: banned until it is lifted\n$`, `^$`},
		{"bans", 0, `10\.0\.0\.0/8 +manual(?s:.*)2001:db8::/29 +manual`, `^$`},
		{"ban 10.1.2.3/8", 1, `^$`, `write 10\.0\.0\.0/8 for the network, or 10\.1\.2\.3 for the address`},
		{"ban 0.0.0.0/0", 1, `^$`, `would refuse every client`},
		{"kill -client 10.0.0.0/8", 0, `^0 connections ended\n$`, `^$`},
		{"unban 10.1.2.3", 1, `^$`, `mcplb unban 10\.0\.0\.0/8`},
		{"ban 10.1.2.3", 0, `10\.1\.2\.3/32: banned`, `^$`},
		{"unban 10.1.2.3", 0, `^10\.1\.2\.3: no longer banned by itself, but still within 10\.0\.0\.0/8: mcplb unban 10\.0\.0\.0/8\n$`, `^$`},
		{"unban 10.0.0.0/8 2001:db8::/29", 0, `10\.0\.0\.0/8: no longer banned`, `^$`},
		{"connections", 0, `0 of 0 connections\n$`, `^$`}, // maint has ended it
		{"kill -client 127.0.0.1", 0, `^0 connections ended\n$`, `^$`},
		{"kill", 64, `^$`, `name a server`},
		{"kill nodes/node1 nodes/node2", 0, `^0 connections ended\n$`, `^$`},
		{"kill nodes/node1 nodes/node9", 1, `^$`, `no server "node9"`},
		{"status -watch 0s", 64, `^$`, `-watch must be positive`},
		{"status -watch -1s", 64, `^$`, `-watch must be positive(?s).*usage: mcplb status`},
		{"kill nodes/node1 4f2", 64, `^$`, `name a server`},
		{"sticky nodes", 0, `^SOURCE`, `^$`},
		{"clear -all", 0, `peaks and counters: cleared`, `^$`},
		{"reload", 0, `^reloaded: nothing changed\n$`, `^$`},
	} {
		status, stdout, stderr := mcplb(append(strings.Fields(step.args), "-admin", b.admin)...)
		if status != step.status || !regexp.MustCompile(step.stdout).MatchString(stdout) || !regexp.MustCompile(step.stderr).MatchString(stderr) {
			t.Errorf("mcplb %s: status %d, want %d; said %q and %q, want %q and %q", step.args, status, step.status, stdout, stderr, step.stdout, step.stderr)
		}
	}
	b.await(t, `msg=command by=127\.0\.0\.1:\d+ changed=admin of=nodes/node1 old=ready new=drain`)
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("maintenance left a connection")
	}
}

// A command finds the balancer and its token by the -c file, whatever mistakes the
// file has.
func TestCommandFindsBalancer(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, startEcho(t))
	s.adminLines = fmt.Sprintf("token_file = '%s'\n", token)
	b := startBalancer(t, s)
	if status, _, stderr := mcplb("drain", "node1", "-admin", b.admin); status != 1 || !strings.Contains(stderr, "bearer token") {
		t.Errorf("without a token: %d %s", status, stderr)
	}
	if status, stdout, stderr := mcplb("weight", "node1", "50", "-c", b.path); status != 0 {
		t.Errorf("with the file: %d %s%s", status, stdout, stderr)
	}
	s.backend = "nonsense = 5"
	s.write(t)
	status, stdout, stderr := mcplb("reload", "-c", b.path)
	if status != 1 || !strings.Contains(stderr, "nonsense") {
		t.Errorf("a reload of a broken file: %d %s%s", status, stdout, stderr)
	}
	status, stdout, _ = mcplb("status", "-json", "-c", b.path)
	var shown admin.Snapshot
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || status != 1 || shown.Summary.Level != admin.Degraded {
		t.Errorf("after it the status is %d, %s, %v", status, shown.Summary.Level, err)
	}
	if status, _, stderr := mcplb("check", "-c", b.path); status != 2 || !strings.Contains(stderr, "nonsense") {
		t.Errorf("check: %d %s", status, stderr)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"status", "status -alive", "drain a/b", "status -json", "bans"} {
		if status, _, stderr := mcplb(append(strings.Fields(args), "-admin", freeAddress(t))...); status != 3 || !strings.Contains(stderr, "no balancer answers") {
			t.Errorf("%s: %d %s", args, status, stderr)
		}
	}
}

// Every command has a help with an example, and a manual page.
func TestHelp(t *testing.T) {
	t.Parallel()
	pages := t.TempDir()
	if status, _, stderr := mcplb("man", pages); status != 0 {
		t.Fatal(status, stderr)
	}
	root := rootCommand(nil, nil)
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		name := c.Name()
		for _, args := range [][]string{{name, "-h"}, {name, "--help"}, {"help", name}} {
			status, stdout, stderr := mcplb(args...)
			if status != 0 || stderr != "" || !strings.Contains(stdout, "Usage:\n  mcplb "+name) {
				t.Errorf("mcplb %s: %d %s %s", strings.Join(args, " "), status, stdout, stderr)
			}
		}
		if c.GroupID != "" && c.Example == "" {
			t.Errorf("mcplb %s has no example", name)
		}
		if _, err := os.Stat(filepath.Join(pages, "mcplb-"+name+".1")); err != nil {
			t.Error(err)
		}
	}
}

// The shells themselves read the completion scripts.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for shell, check := range map[string]string{"bash": "-n", "zsh": "-n", "fish": "--no-execute"} {
		status, script, _ := mcplb("completion", shell)
		if status != 0 || !strings.Contains(script, "__complete") {
			t.Errorf("%s: %d %s", shell, status, script)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed: its script is not checked", shell)
			continue
		}
		command := exec.Command(path, check)
		command.Stdin = strings.NewReader(script)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
	if status, _, stderr := mcplb("completion", "tcsh"); status != 64 || !strings.Contains(stderr, `"tcsh"`) {
		t.Errorf("completion tcsh: %d %s", status, stderr)
	}
}

// Completion offers the servers of the running balancer.
func TestCompletion(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t), startEcho(t)))
	for args, want := range map[string]string{
		"drain -admin ADMIN ":              "nodes/node1\nnodes/node2\n:4\n",
		"drain nodes/node1 -admin ADMIN ":  "nodes/node2\n:4\n",
		"drain -admin ADMIN -reason ":      ":4\n", // neither servers nor files
		"weight -c CONFIG ":                "nodes/node1\nnodes/node2\n:4\n",
		"weight nodes/node1 -c CONFIG ":    ":4\n",
		"sticky --admin=ADMIN ":            "nodes\n:4\n",
		"kill -admin ADMIN nodes/node":     "nodes/node1\nnodes/node2\n:4\n",
		"drain -admin 127.0.0.1:1 ":        ":4\n", // no balancer
		"drain -admin ADMIN --rea":         "--reason\n:4\n",
		"unba":                             "unban\n:4\n",
		"check -c ":                        ":0\n", // files
		"connections nodes/node1 -admin A": ":4\n",
	} {
		words := strings.Split(strings.NewReplacer("ADMIN", b.admin, "CONFIG", b.path).Replace(args), " ")
		status, stdout, _ := mcplb(append([]string{"__completeNoDesc"}, words...)...)
		if status != 0 || stdout != want {
			t.Errorf("%s: status %d, %q, want %q", args, status, stdout, want)
		}
	}
	t.Run("fish", func(t *testing.T) { completeInFish(t, b.admin) })
}

// completeInFish lets fish, if it is installed, complete a command line with the
// script and the binary.
func completeInFish(t *testing.T, address string) {
	path, err := exec.LookPath("fish")
	if err != nil {
		t.Skip("fish is not installed")
	}
	script := filepath.Join(t.TempDir(), "mcplb.fish")
	_, text, _ := mcplb("completion", "fish")
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, "--no-config", "-c", "source "+script+"; complete -C 'mcplb drain '")
	command.Env = append(os.Environ(), "HOME="+t.TempDir(), "PATH="+binaries+":"+os.Getenv("PATH"), "MCPLB_ADMIN="+address)
	out, err := command.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "nodes/node1\nnodes/node2\n") {
		t.Errorf("%v, %s", err, out)
	}
}

func TestScreen(t *testing.T) {
	t.Parallel()
	s := screen{width: 10, height: 4}
	for i := range 9 {
		s.lines = append(s.lines, fmt.Sprintf("line %d of many", i))
	}
	for _, step := range []struct {
		key   string
		first string
	}{{"", "line 0 of "}, {"j", "line 1 of "}, {" ", "line 3 of "}, {"k", "line 2 of "}, {"\x1b[6~", "line 4 of "}, {" ", "line 6 of "}, {" ", "line 6 of "}, {"g", "line 0 of "}, {"k", "line 0 of "}} {
		if step.key != "" && !s.press(step.key) {
			t.Fatalf("%q ended it", step.key)
		}
		rows := strings.Split(s.draw(), "\r\n")
		if len(rows) != 4 || !strings.HasPrefix(rows[0], "\x1b[H"+step.first+"\x1b[K") {
			t.Errorf("after %q the screen is %q", step.key, rows)
		}
	}
	if s.press("q") {
		t.Error("q does not end it")
	}
}

func TestShownNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ got, want string }{
		{roughly(42), "42s"}, {roughly(754), "12m34s"}, {roughly(12000), "3h20m"}, {roughly(450000), "5d5h"},
		{latency(0), "-"}, {latency(0.00025), "0.25ms"}, {latency(0.25), "250ms"}, {latency(2.5), "2.50s"},
		{scaled(0), "0"}, {scaled(999), "999"}, {scaled(45_600_000), "45.6M"}, {scaled(1e15), "1000T"},
		{perSecond(9999), "10k"}, {percent(0.256), "25.6%"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// The wrong number of files is an error: a check that looks at one of two, or a balancer that
// serves the last of two, says "valid" of a file that nobody has read.
func TestOneFile(t *testing.T) {
	good, broken := filepath.Join(t.TempDir(), "good.toml"), filepath.Join(t.TempDir(), "broken.toml")
	const text = "[frontend.f]\nlisten = '127.65.0.9:1'\nmode = 'tcp'\nbackend = 'b'\n[[backend.b.server]]\nname = 's'\ntcp = '127.65.0.9:2'\n"
	for path, text := range map[string]string{good: text, broken: "nonsense = 5\n" + text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"check", good}, 0, "is valid"},
		{[]string{"check", "-c", good}, 0, "is valid"},
		{[]string{"check", broken}, 2, "nonsense"},
		{[]string{"check", "-c", broken, good}, 64, "give one file"},
		{[]string{"check", good, "-c", broken}, 64, "give one file"},
		{[]string{"check", good, broken}, 64, "unexpected argument"},
		{[]string{"check", "-c", broken, "-c", good}, 2, "is defined in"},
		{[]string{"check", "-c", good, "-c", good}, 0, "is valid"},
		{[]string{"check"}, 64, "name the file"},
		{[]string{"-t", "-c", good}, 0, "is valid"},
		{[]string{"-t", "-c", good, "-c", broken}, 2, "broken.toml:2: frontend.f: is defined in " + good + ":1 already"},
		{[]string{"-t", "-c", broken, "-config", good}, 2, "good.toml:1: frontend.f: is defined in " + broken + ":2 already"},
		{[]string{"-t", "-c", good, broken}, 2, "there is no command"},
		{[]string{"-t", good}, 2, "there is no command"},
		{[]string{"version", "surplus"}, 64, "unexpected argument"},
	} {
		status, stdout, stderr := mcplb(test.args...)
		if status != test.status || !strings.Contains(stdout+stderr, test.says) {
			t.Errorf("mcplb %q: status %d, want %d; said %q and %q, want %q", test.args, status, test.status, stdout, stderr, test.says)
		}
	}
	t.Setenv("MCPLB_CONFIG", broken) // a default, which an argument replaces
	if status, _, stderr := mcplb("check", good); status != 0 {
		t.Errorf("an argument beside MCPLB_CONFIG: %d %s", status, stderr)
	}
}

// Whatever form of the admin address operators have in mind works, or the message says
// what to write.
func TestAdminAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                            "",
		"10.0.0.5:8404":               "10.0.0.5:8404",
		"lb.internal:9000":            "lb.internal:9000",
		":9000":                       ":9000",
		"[::1]:9000":                  "[::1]:9000",
		"http://10.0.0.5:8404":        "10.0.0.5:8404",
		"http://10.0.0.5:8404/":       "10.0.0.5:8404",
		"HTTP://lb.internal:9000":     "lb.internal:9000",
		"http://[::1]:9000/":          "[::1]:9000",
		"10.0.0.5":                    "10.0.0.5:8404",
		"lb.internal":                 "lb.internal:8404",
		"localhost":                   "localhost:8404",
		"::1":                         "[::1]:8404",
		"[::1]":                       "[::1]:8404",
		"https://10.0.0.5:8404":       "error: plain HTTP",
		"unix:///run/mcplb.sock":      "error: plain HTTP",
		"http://10.0.0.5":             "error: no port",
		"http://":                     "error: no port",
		"http://10.0.0.5:8404/api/v1": "error: HOST:PORT",
		"10.0.0.5:8404/":              "error: HOST:PORT",
		"http://u:p@10.0.0.5:8404":    "error: HOST:PORT",
		"10.0.0.5:":                   "error: HOST:PORT",
		"10.0.0.5:admin":              "error: HOST:PORT",
		"10.0.0.5:70000":              "error: HOST:PORT",
		"10.0.0.5:0":                  "error: HOST:PORT",
		"8404":                        "error: HOST:PORT",
		"a:b:c":                       "error: HOST:PORT",
		"/run/mcplb.sock":             "error: HOST:PORT",
	} {
		got, err := adminAddress(text)
		says, fails := strings.CutPrefix(want, "error: ")
		if fails && (err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "127.0.0.1:8404")) || !fails && (err != nil || got != want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// A wrong token says where it came from and where the right one belongs; the token is
// not in the message.
func TestWrongToken(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	right, wrong, words, empty := file("right", "0123456789abcdef\n"), file("wrong", "fedcba9876543210\n"), file("words", "two words\n"), file("empty", "\n")
	s := newSetup(t, startEcho(t))
	s.adminLines = fmt.Sprintf("token_file = '%s'\n", right)
	b := startBalancer(t, s)
	for _, test := range []struct {
		file   string
		status int
		says   []string
	}{
		{right, 0, nil},
		{"", 1, []string{"admin.token_file", "no token was given", "-token-file", "MCPLB_TOKEN"}},
		{wrong, 1, []string{"wrong token", "the token came from the file " + wrong, "-token-file", "reload"}},
		{words, 64, []string{words, "one word"}},
		{empty, 64, []string{empty, "is empty"}},
		{filepath.Join(directory, "missing"), 64, []string{"reading the token", "missing", "MCPLB_TOKEN"}},
	} {
		args := []string{"weight", "node1", "50", "-admin", "http://" + b.admin + "/"}
		if test.file != "" {
			args = append(args, "-token-file", test.file)
		}
		status, _, stderr := mcplb(args...)
		if status != test.status || strings.Contains(stderr, "fedcba") {
			t.Errorf("%s: status %d, %s", test.file, status, stderr)
		}
		for _, says := range test.says {
			if !strings.Contains(stderr, says) {
				t.Errorf("%s: %q does not say %q", test.file, stderr, says)
			}
		}
	}
}

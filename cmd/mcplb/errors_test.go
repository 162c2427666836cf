package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Every error of a command says what is wrong and what to do next. An operator who has
// to look that up is slow when it matters.
func TestErrorsNameTheNextStep(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t), startEcho(t))
	s.tables = fmt.Sprintf("[frontend.second]\nlisten = '%s'\nmode = 'tcp'\nbackend = 'others'\n[backend.others]\n[[backend.others.server]]\nname = 'node1'\ntcp = '%s'\n", freeAddress(t), startEcho(t))
	b := startBalancer(t, s)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	silent := listen(t)
	defer silent.Close()
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer strange.Close()
	for _, test := range []struct {
		args   string
		status int
		says   string // a pattern
	}{
		{"status -admin " + freeAddress(t), 3, `no balancer answers on 127\S+: .*connection refused \(is it running\? -c FILE or -admin ADDRESS says`},
		{"drain node1 -admin " + web.Listener.Addr().String(), 3, `the answer is not a balancer's: 404 Not Found \(another program listens there.*-admin ADDRESS`},
		{"status -admin " + strange.Listener.Addr().String(), 3, `the answer is not a balancer's: .*\(another program listens there`},
		{"status -admin " + b.health, 3, `or it is health_listen: -c FILE`},
		{"status -timeout 200ms -admin " + silent.Addr().String(), 3, `no answer in time \(its process hangs.*longer -timeout`},
		{"status -c " + filepath.Join(t.TempDir(), "missing.toml"), 64, `cannot be read: no such file or directory \(-c or MCPLB_CONFIG names this file`},
		{"status -admin https://127.0.0.1:8404", 64, `write HOST:PORT, such as`},
		{"status -token-file missing", 64, `reading the token: .*-token-file FILE, MCPLB_TOKEN_FILE or MCPLB_TOKEN`},
		{"drain node1", 1, `several backends have a server node1: write nodes/node1 or others/node1\n`},
		{"weight node1 50%", 1, `several backends have a server node1: write nodes/node1 or others/node1\n`},
		{"drain nod2", 1, `no server "nod2"; there is nodes/node1, nodes/node2, others/node1; did you mean "node2"\?`},
		{"weight nodes/nod2 50%", 1, `no server "nodes/nod2"; there is .*; did you mean "nodes/node2"\?`},
		{"drain nodes/nod2", 1, `backend nodes has no server "nod2"; it has node1, node2; did you mean "node2"\?`},
		{"maint nodse/node1", 1, `there is no backend "nodse"; there is nodes, others; did you mean "nodes"\?`},
		{"connections nodse/node1", 1, `there is no backend "nodse"; .*did you mean "nodes"\?`},
		{"sticky node", 1, `there is no backend "node"; there is nodes, others; did you mean "nodes"\?`},
		{"drain nodes", 1, `nodes is a backend: name servers of it, such as nodes/node1`},
		{"drain nodes/", 64, `name a server as BACKEND/SERVER, such as nodes/node1, not "nodes/"(?s).*usage: mcplb drain`},
		{"kill /node1", 64, `name a server as BACKEND/SERVER`},
		{"kill node2", 1, `there is no connection "node2"; .*mcplb connections lists what is open; a server is BACKEND/SERVER`},
		{"kill 0-fffff", 1, `it may have ended \(mcplb connections`},
		{"kill nodes/node1 0-1", 64, `name a server, a client, or connections by their IDs, and only one kind`},
		{"unban 192.0.2.9", 1, `192\.0\.2\.9/32 is not banned; mcplb bans lists what is`},
		{"unban nonsense", 1, `must be an address, such as 192\.0\.2\.7, or a CIDR`},
		{"ban 192.0.2.9 -for -5s", 64, `-for must not be negative.*0 = until mcplb unban`},
		{"bans -limit 0", 1, `limit must be a number from 1 to 10000`},
		{"drain", 64, `missing argument: BACKEND/SERVER\nusage: mcplb drain(?s).*'mcplb drain -h' shows more`},
		{"drian node1", 2, `there is no command "drian"; did you mean drain\?`},
		{"doctor -c a.toml b.toml", 64, `give one file`},
		{"doctor missing.toml", 2, `cannot be read`},
	} {
		args := strings.Fields(test.args)
		if !strings.Contains(test.args, "-admin") && !strings.Contains(test.args, "-c ") && args[0] != "doctor" {
			args = append(args, "-admin", b.admin)
		}
		if args[0] == "drian" {
			args = args[:2]
		}
		status, stdout, stderr := mcplb(args...)
		if status != test.status || stdout != "" || !regexp.MustCompile(test.says).MatchString(stderr) {
			t.Errorf("mcplb %s: status %d, want %d; it says %q and %q, want %q", test.args, status, test.status, stdout, stderr, test.says)
		}
	}
}

// The advice fits the cause.
func TestUnreachableAdvice(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"check the name":            cause(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "lb", IsNotFound: true}}),
		"check the address and the": fmt.Errorf("dial: %w", syscall.EHOSTUNREACH),
		"a longer -timeout":         cause(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", Name: "lb", IsTimeout: true}}),
		"is it running?":            errors.New("EOF"),
	} {
		if got := (&unreachableError{"lb:8404", err}).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %q does not say %q", err, got, want)
		}
	}
}

// The reason of drain and maintenance is in status and log, also that of a server which is
// in the state already.
func TestReason(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t)))
	for _, step := range []struct{ args, says, status string }{
		{"drain node1 -reason=swap", `ready -> drain\n`, `is in drain \(swap, by `},
		{"drain node1", `nothing to change`, `is in drain \(swap, by `},
		{"drain node1 -reason=disk", `reason swap, by \S+ -> disk, by `, `is in drain \(disk, by `},
		{"maint node1 -reason=fan", `drain -> maint\n`, `is in maint \(fan, by `},
		{"ready node1 -reason=done", `maint -> ready\n`, `HEALTHY`},
	} {
		if status, stdout, stderr := mcplb(append(strings.Fields(step.args), "-admin", b.admin)...); status != 0 || !regexp.MustCompile(step.says).MatchString(stdout) {
			t.Errorf("%s: %d %s%s, want %s", step.args, status, stdout, stderr, step.says)
		}
		if _, stdout, _ := mcplb("status", "-admin", b.admin); !regexp.MustCompile(step.status).MatchString(stdout) {
			t.Errorf("after %s the status is %s, want %s", step.args, stdout, step.status)
		}
	}
	b.await(t, `msg=command .*old=ready new=drain reason=swap`)
	b.await(t, `msg=command .*changed=reason .*reason=disk`)
	b.await(t, `msg=command .*old=drain new=maint reason=fan`)
}

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// If a resource is not available, mcplb ends at once with status 1 and reports which
// one and what to do.
func TestStartFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*setup)
		output string // a regular expression; FRONTEND, ADMIN and HEALTH stand for the addresses
	}{
		{"frontend's port taken", func(s *setup) { s.frontend = occupy(t) },
			`frontend main: listening on FRONTEND: address already in use \(find who has it with: ss -ltnp\)`},
		{"admin port taken", func(s *setup) { s.admin = occupy(t) },
			`admin\.listen: listen tcp ADMIN: bind: address already in use \(ss -ltnp shows which process listens; stop it or choose another address\)`},
		{"health port taken", func(s *setup) { s.health = occupy(t) },
			`admin\.health_listen: listen tcp HEALTH: bind: address already in use \(ss -ltnp shows which process listens`},
		{"foreign address", func(s *setup) { s.frontend = "192.0.2.1:8000" },
			`frontend main: listening on 192\.0\.2\.1:8000: cannot assign requested address \(no interface has this address; see: ip address\)\. For an address that comes later, .*net\.ipv4\.ip_nonlocal_bind=1`},
		{"foreign admin address", func(s *setup) { s.admin = "192.0.2.1:8404" },
			`admin\.listen: listen tcp 192\.0\.2\.1:8404: bind: cannot assign requested address \(no interface has this address.*net\.ipv4\.ip_nonlocal_bind=1`},
		{"a name that does not resolve", func(s *setup) { s.admin = "nowhere.invalid:8404" }, `admin\.listen: .*lookup nowhere\.invalid`},
		{"two ports taken", func(s *setup) {
			s.frontend = occupy(t)
			s.tables = fmt.Sprintf("[frontend.other]\nlisten = '%s'\nmode = 'tcp'\nbackend = 'nodes'\n", occupy(t))
		}, `frontend main: listening on FRONTEND: (?s:.*)frontend other: listening on `},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, "127.0.0.1:9")
			test.change(s)
			b := startMcplb(t, s)
			b.expectExit(t, exitError)
			addresses := strings.NewReplacer("FRONTEND", regexp.QuoteMeta(s.frontend),
				"ADMIN", regexp.QuoteMeta(s.admin), "HEALTH", regexp.QuoteMeta(s.health))
			b.expectLog(t, `^mcplb: cannot start: `+addresses.Replace(test.output))
		})
	}
}

// TestOpenFilesLimit checks that a maxconn that the limit of open files cannot hold
// ends the start, that -t says the same, and that both name what to change.
func TestOpenFilesLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		limit   int
		maxconn int
		output  string // of a failed start
	}{
		{"too low for maxconn", 1000, 600, `global\.maxconn = 600 needs an open-files limit of 13\d\d, and it is 1000: raise it \(ulimit -n, or LimitNOFILE= in the systemd unit\) or lower maxconn to 4\d\d`},
		{"enough", 1000, 400, ""},
		{"too low for anything", 30, 0, `the open-files limit is 30, too low for any client: raise it to \d\d at least`},
		{"maxconn by the limit", 1000, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, startEcho(t))
			s.global = fmt.Sprintf("maxconn = %d", test.maxconn)
			limited := func(command string) *process {
				command = fmt.Sprintf("ulimit -n %d && exec %s", test.limit, command)
				return startProcess(t, exec.Command("sh", "-c", command, filepath.Join(binaries, "mcplb"), s.write(t)))
			}
			checked, p := limited(`"$0" -t -c "$1"`), limited(`"$0" -c "$1"`)
			if test.output != "" {
				checked.expectExit(t, exitUsage)
				checked.expectLog(t, `^mcplb: cannot start: `+test.output)
				p.expectExit(t, exitError)
				p.expectLog(t, `^mcplb: cannot start: `+test.output)
				return
			}
			checked.expectExit(t, exitOK)
			p.await(t, `msg=serving .*maxconn=4\d\d\b`)
			connect(t, s.frontend).expectEcho(t)
		})
	}
}

// The pages may be turned off.
func TestWithoutPages(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.admin, s.health = "", ""
	b := startBalancer(t, s)
	connect(t, b.frontend).expectEcho(t)
}

// What -t accepts, a start accepts: names to listen on that do not resolve are reported by both,
// wherever they stand. Otherwise the check before a restart says yes, and the service is gone.
func TestCheckNamesToListenOn(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*setup){
		`frontend main: listening on nowhere\.invalid:1: lookup nowhere\.invalid`: func(s *setup) { s.frontend = "nowhere.invalid:1" },
		`admin\.listen: lookup nowhere\.invalid`:                                  func(s *setup) { s.admin = "nowhere.invalid:1" },
		`admin\.health_listen: lookup nowhere\.invalid`:                           func(s *setup) { s.health = "nowhere.invalid:1" },
	} {
		s := newSetup(t, "127.0.0.1:9")
		change(s)
		if status, _, stderr := mcplb("-t", "-c", s.write(t)); status != exitUsage || !regexp.MustCompile(want).MatchString(stderr) {
			t.Errorf("status %d, said %q, want %q", status, stderr, want)
		}
	}
}

// A name with the dot of the root is the same name, also of the hosts file and to listen on.
func TestListenOnRootedName(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "127.0.0.1:9")
	s.frontend, s.admin, s.health = "localhost.:0", "localhost.:0", "localhost.:0"
	if status, _, stderr := mcplb("-t", "-c", s.write(t)); status != exitOK {
		t.Errorf("-t: status %d, said %q", status, stderr)
	}
	startMcplb(t, s).await(t, `msg=serving`)
}

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"mcplb/proxy/admin"
)

// frontendSection is a further frontend of a setup.
func frontendSection(name, address string) string {
	return fmt.Sprintf("[frontend.%s]\nlisten = '%s'\nmode = 'tcp'\nbackend = 'nodes'\n", name, address)
}

// TestReload adds and removes frontends and changes servers, and a connected client
// notices nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t), startEcho(t))
	b := startBalancer(t, s)
	c := connect(t, b.frontend)
	c.expectEcho(t)

	other := freeAddress(t)
	s.tables = frontendSection("other", other)
	s.backend = "balance = 'leastconn'"
	s.global = "log_level = 'debug'"
	reload(t, b, `msg=reloaded .*changes="~global\.log_level "?.*info.*debug.*, \+frontend other, ~backend\.nodes\.balance .*source.*leastconn`)
	fresh := connect(t, other)
	fresh.expectEcho(t)
	expectReload(t, b, "", "main", "other")

	s.tables, s.global = "", ""
	s.servers = s.servers[:1]
	reload(t, b, `msg=reloaded .*-frontend other, .*-server nodes/node2`)
	expectNoNewClients(t, other)
	fresh.expectEcho(t)
	c.expectEcho(t)
	expectReload(t, b, "", "main")

	reload(t, b, `msg=reloaded .*changes="nothing changed"`)
	c.expectEcho(t)
}

// A reload moves the pages to other addresses, also to each other's, without an
// interruption. An address that cannot be opened leaves them where they are.
func TestReloadMovesPages(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	b := startBalancer(t, s)
	expectPages := func() {
		t.Helper()
		expectReload(t, b, "", "main")
		if code, _ := get(t, s.health, "/health"); code != http.StatusOK {
			t.Errorf("/health on health_listen answers %d", code)
		}
		if code, _ := get(t, s.health, "/metrics"); code != http.StatusNotFound {
			t.Errorf("/metrics on health_listen answers %d", code)
		}
	}
	was := s.admin
	s.admin = freeAddress(t)
	reload(t, b, `msg=reloaded .*changes="~admin\.listen `)
	expectPages()
	expectNoNewClients(t, was)

	s.admin, s.health = s.health, s.admin
	reload(t, b, `msg=reloaded .*~admin\.listen .*~admin\.health_listen`)
	expectPages()

	good := s.admin
	s.admin = occupy(t)
	reload(t, b, `reload failed.*admin\.listen: .*address already in use`)
	s.admin = good
	expectReload(t, b, "admin.listen", "main")

	s.health = ""
	reload(t, b, `msg=reloaded .*~admin\.health_listen \S+ -> \\"\\""`)
	expectReload(t, b, "", "main")
}

// A reload changes the level and the format of the log.
func TestReloadChangesTheLog(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	b := startBalancer(t, s)
	s.global = "log_format = 'json'"
	reload(t, b, `"msg":"reloaded",.*"changes":"~global.log_format`)
	s.global = "log_format = 'text'\nlog_level = 'error'"
	b.write(t)
	before := b.status(t).Process.Reload.Time
	b.signal(t, syscall.SIGHUP)
	eventually(t, func() error { // nothing is logged any more
		if !b.status(t).Process.Reload.Time.After(before) {
			return errors.New("nothing was reloaded")
		}
		return nil
	})
	s.backend = "retries = -1" // the next line reports this failure
	reload(t, b, `level=ERROR msg="reload failed`)
	if text := b.log.String(); strings.Contains(text, `"level":"ERROR"`) || strings.Contains(text, "info -> error") {
		t.Errorf("the log has not changed: %s", text)
	}
}

// A reload that fails changes nothing. The log reports it, and the status shows it
// until a reload succeeds.
func TestReloadFails(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	b := startBalancer(t, s)
	c := connect(t, b.frontend)
	opened, taken := freeAddress(t), occupy(t)
	for _, test := range []struct {
		name   string
		change func(*setup)
		reason string // in log and status
	}{
		{"mistakes in the file", func(s *setup) { s.backend = "balanse = 'source'\nretries = -1" }, `lb.toml:`},
		{"invalid TOML", func(s *setup) { s.global = "maxconn = = 3" }, `not valid TOML`},
		{"port taken", func(s *setup) { s.tables += frontendSection("third", taken) }, "frontend third: listening on " + taken + ": address already in use"},
		{"maxconn above the limit", func(s *setup) { s.global = "maxconn = 100_000_000" }, "global.maxconn = 100000000 needs an open-files limit of 2000001"},
		{"missing file", nil, "no such file or directory"},
	} {
		bad := *s
		bad.tables = frontendSection("other", opened) // valid, but must not be opened
		if test.change != nil {
			test.change(&bad)
		}
		bad.write(t)
		if test.change == nil {
			if err := os.Remove(s.path); err != nil {
				t.Fatal(err)
			}
		}
		before := strings.Count(b.log.String(), "reload failed")
		b.signal(t, syscall.SIGHUP)
		b.await(t, fmt.Sprintf(`(?s:(reload failed, the old configuration stays in force.*){%d})`, before+1))
		expectReload(t, b, test.reason, "main")
		if c, err := dialFrom("", opened); err == nil {
			c.Close()
			t.Errorf("%s: the other frontend of the file is served", test.name)
		}
		c.expectEcho(t)
		connect(t, b.frontend).expectEcho(t)
	}
	b.expectLog(t, `balanse.*did you mean`)
	reload(t, b, `msg=reloaded`)
	expectReload(t, b, "", "main")
}

// reload writes the file, sends SIGHUP, and waits for a line of the balancer's log.
func reload(t *testing.T, b *balancer, pattern string) {
	t.Helper()
	b.write(t)
	b.signal(t, syscall.SIGHUP)
	b.await(t, pattern)
}

// expectReload checks the last reload in the status (reason "" is success), and the
// frontends.
func expectReload(t *testing.T, b *balancer, reason string, frontends ...string) {
	t.Helper()
	s := b.status(t)
	if last := s.Process.Reload; last.Success != (reason == "") || !strings.Contains(last.Error, reason) {
		t.Errorf("the status shows success=%v %q, want %q", last.Success, last.Error, reason)
	}
	if value := b.metrics(t)["mcplb_config_last_reload_successful"]; (value == 1) != (reason == "") {
		t.Errorf("mcplb_config_last_reload_successful is %v", value)
	}
	if got := names(s.Frontends); got != strings.Join(frontends, " ") {
		t.Errorf("the status shows frontends %q, want %q", got, frontends)
	}
}

func names(frontends []admin.Frontend) string {
	var list []string
	for _, f := range frontends {
		list = append(list, f.Name)
	}
	return strings.Join(list, " ")
}

package accesslog

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// syslogPatience only ends tests that hang.
const syslogPatience = 3 * time.Minute

// receive returns the next datagram.
func receive(t *testing.T, c net.PacketConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(syslogPatience)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 64<<10)
	n, _, err := c.ReadFrom(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(p[:n])
}

// TestSyslog writes the log to a syslog server, by UDP and by a Unix socket: one
// datagram a line, in the form that syslog takes.
func TestSyslog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	host, _ := os.Hostname()
	for _, c := range []struct{ network, address, spec, host string }{
		{"udp", "127.0.0.1:0", "syslog:server=%s,facility=local7", regexp.QuoteMeta(host) + " "}, {"unixgram", path, "syslog:server=unix:%s,facility=local7", ""},
	} {
		server, err := net.ListenPacket(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		opened, err := Open(fmt.Sprintf(c.spec, server.LocalAddr()))
		if err != nil {
			t.Fatal(err)
		}
		l := New(Options{Loops: 1, Now: func() int64 { return 0 }, Log: slog.New(slog.DiscardHandler)})
		l.Use(opened)
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
		b := l.Buffer(0)
		for range 3 {
			b.End(b.Begin())
		}
		form := regexp.MustCompile(`^<190>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ` + c.host + `mcplb\[\d+\]: \S+=.*\S$`)
		for range 3 {
			if got := receive(t, server); !form.MatchString(got) || strings.Contains(got, "\n") {
				t.Errorf("%s: the datagram is %q", c.network, got)
			}
		}
		l.Close()
		if got := l.Stats(); got.Lines != 3 || got.Dropped != 0 {
			t.Errorf("%s: %+v", c.network, got)
		}
	}
}

// TestSyslogComesBack starts the log while there is no syslog: lines wait, and are sent
// once it is there. A start or a reload neither fails nor waits for it.
func TestSyslogComesBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	opened, err := Open("syslog:server=unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	l := New(Options{Loops: 1, Now: func() int64 { return 0 }, Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	l.Use(opened)
	b := l.Buffer(0)
	b.End(b.Begin())
	for deadline := time.Now().Add(syslogPatience); l.Stats().Error == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the failure is not reported")
		}
	}
	server, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	receive(t, server)
}

// TestSyslogHangs checks that a syslog that reads nothing holds up neither a change of
// the log nor its end.
func TestSyslogHangs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	server, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s, err := openSyslog("syslog:server=unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Write([]byte(strings.Repeat(strings.Repeat("x", 1000)+"\n", 10_000)))
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("everything was written")
		}
	case <-time.After(syslogPatience):
		t.Fatal("a write waits for ever")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

package conf

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAccessLog checks the words that other programs use for a log: each works, or is
// refused with what to write. Otherwise a file of that name fills the disk unseen.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "stdout", "stderr", "access.log", "./off", "./stderr", "./local0", "audit", "log@1", "udp.log", "files:1/x", "logs/a:1", "my log", "./stdout raw", "/dev/null", "syslog:", "syslog:server=127.0.0.1:514",
		"syslog:server=log.example.com.,facility=local7,tag=lb-1,severity=notice", "syslog://[::1]:1514", "syslog:server=unix:/dev/log", "syslog:facility=local0"} {
		accepted(t, accessLog, s, s, `"`+s+`"`)
	}
	for s, want := range map[string]string{"STDERR": "stderr", "Stdout": "stdout", "/dev/stderr": "stderr", "/dev/stdout": "stdout"} {
		accepted(t, accessLog, s, want, `"`+want+`"`)
	}
	for s, want := range map[string]string{
		"/dev/log": `write "syslog:"`, "off": `write "" for off`, "None": `write "" for off`, "-": `write "" for off`, "syslog": `"syslog:"`, "journald": `"syslog:"`,
		"127.0.0.1:514": `write "syslog:server=127.0.0.1:514"`, "loghost:514": `write "syslog:server=loghost:514"`, "[::1]:514": "syslog:server=",
		"on": `write "" for off`, "TRUE": `write "" for off`, "disabled": `write "" for off`, "0": `write "" for off`, "local0": `"syslog:"`, "daemon": `"syslog:"`,
		"10.0.0.1": `write "syslog:server=10.0.0.1"`, "::1": `write "syslog:server=::1"`, "stderr ": "ends with a space", " ": "ends with a space",
		"udp@127.0.0.1:514": "another program", "fd@1": "another program", "ring@log": "another program", "unix@/dev/log": "another program", "ipv4@10.0.0.1": "another program",
		"tcp+ipv6@[::1]:514": "another program", "memory:32m": "another program", "udp:127.0.0.1:514": "another program", "unix:/dev/log": "another program",
		"/dev/log local0": "HAProxy and nginx", "access.log combined": "HAProxy and nginx", "/dev/null main buffer=32k": "HAProxy and nginx", "stdout raw": "HAProxy and nginx", "127.0.0.1:514 local7": "HAProxy and nginx",
		"/dev/null gzip flush=5m": "HAProxy and nginx", "off all": "HAProxy and nginx", "stderr format raw": "HAProxy and nginx",
		"|logger -t x": "mkfifo", "| logger": "mkfifo", "udp://127.0.0.1:514": "is a URL", "file:///var/log/x": "is a URL",
		"syslog:server=": "write \"syslog:\"", "syslog:server=:514": "no host", "syslog:server=a:0": "port 0", "syslog:facility=local9": "a facility is kern",
		"syslog:severity=loud": "a severity is emerg", "syslog:tag=a b": "write \"syslog:\"", "syslog:127.0.0.1": "write \"syslog:\"", "syslog:server=a:b": "no valid port",
	} {
		var got string
		accessLog.read(s, func(_, reason string) { got = reason })
		if !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q in it", s, got, want)
		}
	}
	socket := filepath.Join(t.TempDir(), "log")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := checkLog(socket); err == nil || !strings.Contains(err.Error(), `write "syslog:"`) {
		t.Errorf("a socket: %v", err)
	}
}

// What -t accepts can be opened, links without a target included: a reload fails otherwise.
func TestAccessLogLinks(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for link, c := range map[string]struct{ target, want string }{
		"new":     {"file", ""},
		"chain":   {"new", ""},
		"far":     {filepath.Join(directory, "no", "file"), "there is no directory"},
		"through": {"far", "there is no directory"},
		"loop":    {"loop", "too many levels of symbolic links"},
	} {
		path := filepath.Join(directory, link)
		if err := os.Symlink(c.target, path); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := checkLog(path); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s -> %s: %v, want %q", link, c.target, err, c.want)
			}
		}()
	}
}

func TestParseSyslog(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Syslog{
		"syslog:":                    {Priority: 3<<3 | 6, Tag: "mcplb"},
		"syslog:server=a.test":       {Network: "udp", Address: "a.test:514", Priority: 30, Tag: "mcplb"},
		"syslog://10.0.0.1:1514":     {Network: "udp", Address: "10.0.0.1:1514", Priority: 30, Tag: "mcplb"},
		"syslog:server=unix:/run/l":  {Network: "unixgram", Address: "/run/l", Priority: 30, Tag: "mcplb"},
		"syslog:facility=local7":     {Priority: 23<<3 | 6, Tag: "mcplb"},
		"SYSLOG:severity=err,tag=lb": {Priority: 3<<3 | 3, Tag: "lb"},
	} {
		if got, err := ParseSyslog(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/backend/discovery"
	"mcplb/cmd/internal/holder"
	"mcplb/conf"
	"mcplb/healthcheck"
	"mcplb/internal/certificate"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// sound is a machine on which nothing is wrong.
func sound() Machine {
	return Machine{
		Now:       time.Now,
		OpenFiles: func() (uint64, error) { return 1_000_000, nil },
		ReadFile: files(map[string]string{
			"net/core/somaxconn": "65535", "net/ipv4/tcp_max_syn_backlog": "65535", "net/ipv4/tcp_max_orphans": "262144",
			"net/ipv4/ip_local_port_range": "32768\t60999",
		}),
		ClockError: func() (bool, error) { return true, nil },
		Lookup: func(context.Context, conf.Resolver, string, conf.Family) (netip.Addr, error) {
			return netip.MustParseAddr("192.0.2.1"), nil
		},
		Dial: func(context.Context, string) error { return nil },
		Check: func(context.Context, conf.Check, healthcheck.Target) healthcheck.Result {
			return healthcheck.Result{Code: healthcheck.L7OK}
		},
		Bind:   func(string) error { return nil },
		Holder: func(string) (holder.Holder, bool) { return holder.Holder{}, false },
	}
}

// failing is a check with that result.
func failing(result healthcheck.Result) func(context.Context, conf.Check, healthcheck.Target) healthcheck.Result {
	return func(context.Context, conf.Check, healthcheck.Target) healthcheck.Result { return result }
}

// taken is a machine on which another program has every address.
func taken(m *Machine, by holder.Holder) {
	m.Bind = func(string) error { return fmt.Errorf("bind: %w", syscall.EADDRINUSE) }
	m.Holder = func(string) (holder.Holder, bool) { return by, by.Name != "" }
}

// files reads kernel settings from a map.
func files(settings map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		text, ok := settings[strings.TrimPrefix(path, "/proc/sys/")]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text + "\n"), nil
	}
}

func parse(t *testing.T, global, backend, servers string) *conf.Config {
	t.Helper()
	config, err := conf.Parse("lb.toml", []byte("[global]\n"+global+"\n[frontend.a]\nlisten = ':1'\nmode = 'tcp'\nbackend = 'b'\n[backend.b]\n"+backend+"\n"+servers))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// shown is the findings as text.
func shown(findings []Finding) string {
	var all strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&all, "%s | %s | %s | %s\n", f.Level, f.Subject, f.Text, f.Advice)
	}
	return all.String()
}

const oneServer = "[[backend.b.server]]\nname = 'n1'\ntcp = 'node.example.com:9001'\n"

// Where all is well, the doctor says so: an operator who trusts it looks elsewhere.
func TestAllIsWell(t *testing.T) {
	t.Parallel()
	for _, f := range Examine(t.Context(), parse(t, "", "", oneServer), sound()) {
		if f.Level != OK || f.Advice != "" {
			t.Errorf("found %s", shown([]Finding{f}))
		}
	}
	if got := shown(Examine(t.Context(), nil, sound())); strings.Contains(got, "server") || !strings.Contains(got, "open files") {
		t.Errorf("without a configuration it finds %s", got)
	}
}

// Each fault of a machine is found, with what to do. Without that, an operator learns
// of it from clients.
func TestFindings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		global  string
		backend string
		change  func(*Machine)
		want    string // a line of the findings
	}{
		{"too few files for maxconn", "maxconn = 600_000", "", func(*Machine) {},
			"PROBLEM | open files | 1000000 are allowed, and global.maxconn = 600000 needs more than 1200000 | raise LimitNOFILE"},
		{"few files", "", "", func(m *Machine) { m.OpenFiles = func() (uint64, error) { return 1024, nil } },
			"warning | open files | 1024 are allowed: some 512 clients fit | raise LimitNOFILE"},
		{"a short queue", "", "", func(m *Machine) { m.ReadFile = files(map[string]string{"net/core/somaxconn": "128"}) },
			"warning | kernel | net.core.somaxconn is 128: a burst of new clients"},
		{"a small table of the firewall", "maxconn = 100_000", "", func(m *Machine) {
			m.ReadFile = files(map[string]string{"net/netfilter/nf_conntrack_max": "65536"})
		}, "PROBLEM | kernel | the firewall follows at most 65536 connections, and global.maxconn needs 200000 | sysctl -w net.netfilter.nf_conntrack_max=400000"},
		{"too few ports", "", "", func(m *Machine) { m.ReadFile = files(map[string]string{"net/ipv4/ip_local_port_range": "40000 49999"}) },
			"warning | ports | 10000 connections to one server are possible, and maxconn of b/n1 is 25000 | set the backend's source"},
		{"enough ports with several sources", "", "source = ['192.0.2.1', '192.0.2.2', '192.0.2.3']", func(m *Machine) {
			m.ReadFile = files(map[string]string{"net/ipv4/ip_local_port_range": "40000 49999"})
		}, "ok | ports | 10000 for each server"},
		{"a clock that is wrong", "", "", func(m *Machine) { m.ClockError = func() (bool, error) { return false, nil } },
			"warning | clock | is not synchronized"},
		{"a name that is not found", "", "", func(m *Machine) {
			m.Lookup = func(context.Context, conf.Resolver, string, conf.Family) (netip.Addr, error) {
				return netip.Addr{}, &discovery.Error{Kind: discovery.NoSuchName, Detail: "no such host"}
			}
		}, "PROBLEM | server b/n1 | tcp: the name node.example.com is not found: no such host | check the name"},
		{"a server that refuses", "", "", func(m *Machine) {
			m.Dial = func(context.Context, string) error { return fmt.Errorf("dial: %w", syscall.ECONNREFUSED) }
		}, "PROBLEM | server b/n1 | tcp: node.example.com:9001 cannot be reached: connection refused | start the server"},
		{"a server without a route", "", "", func(m *Machine) {
			m.Dial = func(context.Context, string) error { return fmt.Errorf("dial: %w", syscall.EHOSTUNREACH) }
		}, "PROBLEM | server b/n1 | tcp: node.example.com:9001 cannot be reached: no route to host | check the route"},
		{"a server that is silent", "", "", func(m *Machine) {
			m.Dial = func(context.Context, string) error { return context.DeadlineExceeded }
		}, "PROBLEM | server b/n1 | tcp: node.example.com:9001 cannot be reached: no answer within 3s | a firewall"},
		{"a server that fails its check", "", "check = { type = 'mcp' }", func(m *Machine) {
			m.Check = failing(healthcheck.Result{Code: healthcheck.L7RSP, Detail: "not JSON"})
		}, "PROBLEM | server b/n1 | can be reached, but its check (mcp) fails: L7RSP not JSON | does the server speak MCP"},
		{"a server that hangs", "", "check = { type = 'mcp' }", func(m *Machine) {
			m.Check = failing(healthcheck.Result{Code: healthcheck.L7TOUT})
		}, "PROBLEM | server b/n1 | can be reached, but its check (mcp) fails: L7TOUT no response in time | the server accepts connections and says nothing"},
		{"an address in use", "", "", func(m *Machine) { taken(m, holder.Holder{Name: "nginx", PID: 7}) },
			"PROBLEM | listen | :1 (frontend.a.listen) is in use by nginx, pid 7 | stop that program, or change frontend.a.listen"},
		{"an address of another user's program", "", "", func(m *Machine) { taken(m, holder.Holder{}) },
			"warning | listen | :1 (frontend.a.listen) is in use, by a program that this user may not see | nothing, if that is mcplb itself"},
		{"an address that mcplb serves", "", "", func(m *Machine) { taken(m, holder.Holder{Name: "mcplb", PID: 7}) },
			"ok | listen | :1 is served by mcplb, pid 7"},
		{"a port that is not allowed", "", "", func(m *Machine) { m.Bind = func(string) error { return syscall.EACCES } },
			"PROBLEM | listen | :1 (frontend.a.listen) is not allowed to this user: permission denied | keep AmbientCapabilities=CAP_NET_BIND_SERVICE"},
		{"an address that is missing", "", "", func(m *Machine) { m.Bind = func(string) error { return syscall.EADDRNOTAVAIL } },
			"PROBLEM | listen | this machine does not have 127.0.0.1:8404 (admin.listen) | correct admin.listen, or add the address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			machine := sound()
			test.change(&machine)
			if got := shown(Examine(t.Context(), parse(t, test.global, test.backend, oneServer), machine)); !strings.Contains(got, test.want) {
				t.Errorf("found\n%swant %s", got, test.want)
			}
		})
	}
}

// An expired certificate is a problem, one that ends soon a warning.
func TestCertificates(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	valid := certificate.UntilThen(time.Now().Add(24 * time.Hour))
	certificate.Write(t, directory, "lb", certificate.New(t, nil, certificate.ECDSA(t), valid, "lb.example.com"))
	pem, key := filepath.Join(directory, "lb.pem"), filepath.Join(directory, "lb.key")
	config := parse(t, "", "", oneServer+fmt.Sprintf("[frontend.s]\nlisten = ':2'\nmode = 'tcp'\nbackend = 'b'\ntls = { certificates = [{ cert = %q, key = %q }] }\n", pem, key))
	machine := sound()
	if got := shown(Examine(t.Context(), config, machine)); !strings.Contains(got, "warning | certificate | ") {
		t.Errorf("found %s", got)
	}
	machine.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	if got := shown(Examine(t.Context(), config, machine)); !strings.Contains(got, "PROBLEM | certificate | ") {
		t.Errorf("found %s", got)
	}
}

// The functions of ThisMachine work on the machine that runs the test.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	machine := ThisMachine()
	if err := machine.Bind(listener.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address in use: %v", err)
	}
	if found, ok := machine.Holder(listener.Addr().String()); !ok || !found.Self {
		t.Errorf("it is held by %v, %v", found, ok)
	}
	for _, free := range []string{":0", "127.0.0.1:0", "0.0.0.0:0"} {
		if err := machine.Bind(free); err != nil {
			t.Errorf("%s: %v", free, err)
		}
	}
	if err := machine.Bind("192.0.2.1:0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("an address of another machine: %v", err)
	}
	if err := machine.Dial(t.Context(), listener.Addr().String()); err != nil {
		t.Error(err)
	}
	if n, err := machine.OpenFiles(); err != nil || n == 0 {
		t.Errorf("%d open files, %v", n, err)
	}
	if found := Examine(t.Context(), nil, machine); len(found) < 3 {
		t.Errorf("found %s", shown(found))
	}
}

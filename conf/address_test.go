package conf

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// loopback returns the loopback interface of this machine.
func loopback(t *testing.T) net.Interface {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Skip("no interfaces can be listed: ", err)
	}
	i := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	if i < 0 {
		t.Skip("this machine has no loopback interface")
	}
	return interfaces[i]
}

// TestInterfaces checks that an address that names an interface is accepted only if
// the machine has it: otherwise the check of the file passes, and the connections
// fail or take any way.
func TestInterfaces(t *testing.T) {
	t.Parallel()
	lo := loopback(t)
	const absent = "names the interface \"eth99\", which this machine does not have: it has "
	for address, want := range map[string]string{
		"[fe80::1%" + lo.Name + "]:80": "", "[::1%" + lo.Name + "]:80": "", "[fe80::1%" + strconv.Itoa(lo.Index) + "]:80": "",
		"[::1%eth99]:80": absent, "[fe80::1%eth99]:80": absent, "[fe80::1%99999]:80": "which this machine does not have",
		"192.0.2.1%" + lo.Name + ":80": "only an IPv6 address can", "[192.0.2.1%" + lo.Name + "]:80": "only an IPv6 address can",
		"[::ffff:192.0.2.1%" + lo.Name + "]:80": "only an IPv6 address can", "[::1%]:80": "no interface after its percent sign",
		"name%" + lo.Name + ":80": "what is no IPv6 address", "[fe80::1]:80": "link-local address", "[fe80::1%" + lo.Name + "%x]:80": "does not have",
	} {
		for kind, parse := range map[string]func(string) (string, error){"listen": parseListen, "server": parseServer} {
			_, err := parse(address)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s %s: %v, want %q", kind, address, err, want)
			}
			if want == absent && !strings.Contains(err.Error(), lo.Name) {
				t.Errorf("%s %s: %v does not say which interfaces there are", kind, address, err)
			}
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil || strings.HasPrefix(host, "name") {
			continue
		}
		accepted := true
		sourceAddress.read(host, func(string, string) { accepted = false })
		if accepted != (want == "") {
			t.Errorf("source %s: accepted %t", host, accepted)
		}
	}
}

// TestTrailingDot checks that a name may end with a dot, as absolute names do in the
// DNS: without it, search domains are tried first, or an operator has to rewrite
// names copied from there.
func TestTrailingDot(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"node1.example.com.:9000": "node1.example.com.:9000", "LocalHost.:9000": "localhost.:9000",
		".:9000": "", "node1..:9000": "", "..:9000": "", ".node1:9000": "", "192.0.2.1.:9000": "", "node1-.:9000": "",
		strings.Repeat("abcdefghi.", 25) + "abc.:1": strings.Repeat("abcdefghi.", 25) + "abc.:1",
	} {
		for _, parse := range []func(string) (string, error){parseListen, parseServer} {
			if got, err := parse(address); got != want || (err == nil) != (want != "") {
				t.Errorf("%s: %q, %v; want %q", address, got, err, want)
			}
		}
	}
	text := minimal + "\n[[backend.nodes.server]]\nname = \"a\"\ntcp = \"a.test:1\"\n[[backend.nodes.server]]\nname = \"b\"\ntcp = \"a.test.:1\"\n"
	if _, err := Parse("lb.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), `is an address of server "a" already`) {
		t.Errorf("one address with a dot and without: %v", err)
	}
}

// TestBothFamilies checks that every IPv4 address and every IPv6 address may be
// listened on apart, as many files of HAProxy and nginx have it, and that a plan
// binds [::] again when 0.0.0.0 comes or goes: a bound socket cannot change.
func TestBothFamilies(t *testing.T) {
	t.Parallel()
	with := func(listen string) *Config {
		return mustParse(t, strings.Replace(minimal, `listen = ":8000"`, "listen = "+listen, 1))
	}
	both, wide, v4 := with(`["0.0.0.0:8000", "[::]:8000"]`), with(`"[::]:8000"`), with(`"0.0.0.0:8000"`)
	if !both.IPv6Only("[::]:8000") || both.IPv6Only("0.0.0.0:8000") || wide.IPv6Only("[::]:8000") || both.IPv6Only("[::]:8001") {
		t.Error("IPv6Only is wrong")
	}
	for name, c := range map[string]struct {
		before, after *Config
		want          []ListenerChange
	}{
		"same":         {both, both, nil},
		"IPv4 added":   {wide, both, []ListenerChange{{"0.0.0.0:8000", "", "tcp", false}, {"[::]:8000", "", "tcp", true}, {"[::]:8000", "tcp", "", false}}},
		"IPv4 removed": {both, wide, []ListenerChange{{"[::]:8000", "", "tcp", false}, {"0.0.0.0:8000", "tcp", "", false}, {"[::]:8000", "tcp", "", true}}},
		"IPv6 added":   {v4, both, []ListenerChange{{"[::]:8000", "", "tcp", true}}},
		"IPv6 removed": {both, v4, []ListenerChange{{"[::]:8000", "tcp", "", true}}},
	} {
		if got := Diff(c.before, c.after).Listeners; !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	admin := mustParse(t, minimal+"\n[admin]\nlisten = \"[::]:8404\"\nhealth_listen = \"0.0.0.0:8404\"\n")
	if !slices.Equal(admin.Admin.IPv6Only, []string{"[::]:8404"}) {
		t.Errorf("the pages' addresses for IPv6 alone: %v", admin.Admin.IPv6Only)
	}
}

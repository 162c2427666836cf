package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/nameserver"
)

// fixture is a resolver with files of its own, and the name server that it asks.
type fixture struct {
	*Resolver
	server   *nameserver.Server
	settings conf.Resolver
	folder   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{server: nameserver.Serve(t), folder: t.TempDir()}
	f.settings = conf.Resolver{
		NameServers: []netip.AddrPort{f.server.Address},
		Timeout:     20 * time.Second, MinTTL: time.Second, MaxTTL: time.Minute, Hold: time.Minute,
	}
	f.write(t, "hosts", "127.0.0.1 localhost\n")
	f.write(t, "resolv.conf", "search one.test two.test\noptions attempts:1\n")
	f.Resolver = New(f.settings, System{Hosts: filepath.Join(f.folder, "hosts"), ResolvConf: filepath.Join(f.folder, "resolv.conf")})
	return f
}

// write replaces a file as an editor does: by another with its name.
func (f *fixture) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(f.folder, name)
	if err := os.WriteFile(path+"~", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

// shown is an answer, or why there is none, in a line.
func shown(a Answer, err error) string {
	if err != nil {
		return string(KindOf(err))
	}
	words := []string{}
	for _, address := range a.Addresses {
		words = append(words, address.String())
	}
	if a.Missing != "" {
		words = append(words, "not "+string(a.Missing))
	}
	return strings.Join(append(words, a.TTL.String()), " ")
}

// TestAddresses looks up what name servers hold. Otherwise a server is down, or
// clients are sent to a machine that is not it.
func TestAddresses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.server.Set("both.test", "20 A 127.0.0.2", "20 A 127.0.0.1", "10 AAAA 2001:db8::1", "20 A 127.0.0.2")
	f.server.Set("v4.test", "20 A 127.0.0.3")
	f.server.Set("v6.test", "20 AAAA 2001:db8::2")
	f.server.Set("empty.test", `TXT "x"`)
	f.server.Set("short.test", "0 A 127.0.0.4")
	f.server.Set("long.test", "86400 A 127.0.0.5")
	f.server.Set("absurd.test", "4294967295 A 127.0.0.5")
	f.server.Set("senseless.test", "A 0.0.0.0", "A 224.0.0.1", "AAAA ::")
	f.server.Set("mapped.test", "AAAA ::ffff:127.0.0.6")
	f.server.Set("alias.test", "50 CNAME second.test.")
	f.server.Set("second.test", "5 CNAME Third.TEST.")
	f.server.Set("third.test", "40 A 127.0.0.7")
	f.server.Set("dangling.test", "CNAME nowhere.test.")
	f.server.Set("circle.test", "CNAME round.test.")
	f.server.Set("round.test", "CNAME circle.test.")
	f.server.Set("chain.test", "9 CNAME second.test.")
	f.server.Behave("chain.test", nameserver.Behaviour{Chain: true})
	f.server.Set("under_score.test", "A 127.0.0.8")
	f.server.Set("servfail.test", "A 127.0.0.9")
	f.server.Behave("servfail.test", nameserver.Behaviour{Rcode: "SERVFAIL"})
	f.server.Behave("refused.test", nameserver.Behaviour{Rcode: "REFUSED"})
	f.server.Behave("notimp.test", nameserver.Behaviour{Rcode: "NOTIMP"})
	f.server.Set("old.test", "A 127.0.0.10")
	f.server.Behave("old.test", nameserver.Behaviour{NoEDNS: true})
	for _, test := range []struct {
		host   string
		family conf.Family
		want   string
	}{
		{"both.test", conf.FamilyAny, "127.0.0.1 127.0.0.2 2001:db8::1 10s"},
		{"BOTH.test.", "", "127.0.0.1 127.0.0.2 2001:db8::1 10s"},
		{"both.test", conf.FamilyIPv4, "127.0.0.1 127.0.0.2 20s"},
		{"both.test", conf.FamilyIPv6, "2001:db8::1 10s"},
		{"v4.test", conf.FamilyAny, "127.0.0.3 20s"},
		{"v4.test", conf.FamilyIPv6, "no address"},
		{"v6.test", conf.FamilyAny, "2001:db8::2 20s"},
		{"v6.test", conf.FamilyIPv4, "no address"},
		{"empty.test", conf.FamilyAny, "no address"},
		{"absent.test", conf.FamilyAny, "no such host"},
		{"absent.test", conf.FamilyIPv6, "no such host"},
		{"short.test", conf.FamilyAny, "127.0.0.4 1s"},
		{"long.test", conf.FamilyAny, "127.0.0.5 1m0s"},
		{"absurd.test", conf.FamilyAny, "127.0.0.5 1s"},
		{"senseless.test", conf.FamilyAny, "no address"},
		{"mapped.test", conf.FamilyIPv6, "127.0.0.6 1m0s"},
		{"alias.test", conf.FamilyAny, "127.0.0.7 5s"},
		{"chain.test", conf.FamilyAny, "127.0.0.7 5s"},
		{"dangling.test", conf.FamilyAny, "no such host"},
		{"circle.test", conf.FamilyAny, "server failure"},
		{"under_score.test", conf.FamilyAny, "127.0.0.8 1m0s"},
		{"servfail.test", conf.FamilyAny, "server failure"},
		{"refused.test", conf.FamilyIPv4, "server failure"},
		{"notimp.test", conf.FamilyIPv4, "server failure"},
		{"old.test", conf.FamilyAny, "127.0.0.10 1m0s"},
		{"192.0.2.1", conf.FamilyAny, "192.0.2.1 1m0s"},
		{"fe80::1%7", conf.FamilyAny, "fe80::1%7 1m0s"},
	} {
		a, err := f.Addresses(t.Context(), test.host, test.family)
		if got := shown(a, err); got != test.want {
			t.Errorf("%s, %s: %s (%v), want %s", test.host, test.family, got, err, test.want)
		}
	}
}

// TestManyAddresses looks up a name with 500 addresses: over UDP there is room for a
// few. Otherwise such a service has as many servers as fit into a datagram.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var records []string
	for i := range 500 {
		records = append(records, fmt.Sprintf("A 127.1.%d.%d", i/250, i%250+1))
	}
	f.server.Set("many.test", records...)
	var before []netip.Addr
	for range 3 { // in another order each time
		a, err := f.Addresses(t.Context(), "many.test", conf.FamilyIPv4)
		if err != nil || len(a.Addresses) != 500 || !slices.IsSortedFunc(a.Addresses, netip.Addr.Compare) {
			t.Fatalf("%d addresses, %v", len(a.Addresses), err)
		}
		if before != nil && !slices.Equal(a.Addresses, before) {
			t.Error("another order of the answer shows")
		}
		before = a.Addresses
	}
	if n := f.server.AskedOver("tcp"); n != 3 {
		t.Errorf("asked %d times over TCP, want 3", n)
	}
	f.server.Set("cut.test", "A 127.0.0.1", "A 127.0.0.2")
	f.server.Behave("cut.test", nameserver.Behaviour{Truncate: true})
	a, err := f.Addresses(t.Context(), "cut.test", conf.FamilyIPv4)
	if got := shown(a, err); got != "127.0.0.1 127.0.0.2 1m0s" {
		t.Errorf("a truncated answer: %s", got)
	}
}

// TestLies puts what is not the answer before the answer, over UDP and TCP. Otherwise
// anyone who guesses a port sends clients to a machine of his choice, or a late answer
// does.
func TestLies(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		f := newFixture(t)
		if network == "tcp" {
			f.write(t, "resolv.conf", "options use-vc\n")
		}
		f.server.Set("true.test", "A 127.0.0.1", "AAAA ::1")
		f.server.Behave(".", nameserver.Behaviour{Lies: true})
		a, err := f.Addresses(t.Context(), "true.test", conf.FamilyAny)
		if got := shown(a, err); got != "127.0.0.1 ::1 1m0s" {
			t.Errorf("%s: %s, %v", network, got, err)
		}
		a, err = f.Addresses(t.Context(), "false.test.", conf.FamilyAny)
		if got := shown(a, err); got != "no such host" {
			t.Errorf("%s: %s, %v", network, got, err)
		}
		if f.server.AskedOver(network) != 4 {
			t.Errorf("%d of 4 questions over %s", f.server.AskedOver(network), network)
		}
	}
}

// TestDroppedAAAA asks name servers that never answer for IPv6: IPv4 addresses come
// at once. Otherwise each server waits for the time limit at every start.
func TestDroppedAAAA(t *testing.T) {
	t.Parallel()
	for _, options := range []string{"", "options single-request\n"} {
		f := newFixture(t)
		f.write(t, "resolv.conf", options+"search one.test two.test\n")
		f.server.Set("a.two.test", "A 127.0.0.1")
		f.server.Behave(".", nameserver.Behaviour{Drop: []string{"AAAA"}})
		begin := time.Now()
		a, err := f.Addresses(t.Context(), "a", conf.FamilyAny) // one.test has no such name
		if got := shown(a, err); got != "127.0.0.1 not ipv6 1m0s" {
			t.Errorf("%s, %v", got, err)
		}
		if took := time.Since(begin); took >= f.settings.Timeout {
			t.Errorf("%q: it took %v", options, took)
		}
	}
}

// TestNameServers asks several, of which some are of no use. Otherwise one broken
// name server takes the names away that the others know.
func TestNameServers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first nameserver.Behaviour
		host  string
		want  string
		asked bool // the second
	}{
		"silent":    {nameserver.Behaviour{Drop: []string{"*"}}, "a.test", "127.0.0.1 1m0s", true},
		"SERVFAIL":  {nameserver.Behaviour{Rcode: "SERVFAIL"}, "a.test", "127.0.0.1 1m0s", true},
		"REFUSED":   {nameserver.Behaviour{Rcode: "REFUSED"}, "a.test", "127.0.0.1 1m0s", true},
		"sure":      {nameserver.Behaviour{}, "b.test", "no such host", false},
		"all fail":  {nameserver.Behaviour{Drop: []string{"*"}}, "fail.test", "server failure", true},
		"all drops": {nameserver.Behaviour{Drop: []string{"*"}}, "drop.test", "timeout", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			second := nameserver.Serve(t)
			f.server.Behave(".", test.first)
			second.Set("a.test", "A 127.0.0.1")
			second.Set("b.test", "A 127.0.0.1")
			second.Behave("fail.test", nameserver.Behaviour{Rcode: "SERVFAIL"})
			second.Behave("drop.test", nameserver.Behaviour{Drop: []string{"*"}})
			f.settings.NameServers = append(f.settings.NameServers, second.Address)
			f.settings.Timeout = 4 * time.Second
			f.Apply(f.settings)
			a, err := f.Addresses(t.Context(), test.host+".", conf.FamilyIPv4)
			if got := shown(a, err); got != test.want {
				t.Errorf("%s (%v), want %s", got, err, test.want)
			}
			if asked := second.Asked(test.host, "A") > 0; asked != test.asked {
				t.Errorf("the second name server was asked: %t", asked)
			}
		})
	}
}

// TestDroppedEDNS asks through a firewall that drops questions with EDNS: the second
// attempt has none. Otherwise nothing resolves there.
func TestDroppedEDNS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "resolv.conf", "options attempts:2\n")
	f.server.Set("a.test", "A 127.0.0.1")
	f.server.Behave(".", nameserver.Behaviour{DropEDNS: true})
	f.settings.Timeout = 4 * time.Second
	f.Apply(f.settings)
	a, err := f.Addresses(t.Context(), "a.test", conf.FamilyIPv4)
	if got := shown(a, err); got != "127.0.0.1 1m0s" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestBrokenOff ends a look-up before all name servers were asked: that says nothing
// of the name. Otherwise a reload with one slow name server makes names fail.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.server.Behave(".", nameserver.Behaviour{Drop: []string{"*"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := f.Addresses(ctx, "a.test", conf.FamilyAny); KindOf(err) != NotAsked {
		t.Errorf("%s: %v", KindOf(err), err)
	}
}

// TestRotate spreads the questions over the name servers where resolv.conf says so.
func TestRotate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "resolv.conf", "options rotate\n")
	second := nameserver.Serve(t)
	f.settings.NameServers = append(f.settings.NameServers, second.Address)
	f.Apply(f.settings)
	for range 6 {
		_, _ = f.Addresses(t.Context(), "a.test.", conf.FamilyIPv4)
	}
	if one, two := f.server.Asked("a.test", "A"), second.Asked("a.test", "A"); one != 3 || two != 3 {
		t.Errorf("asked %d and %d times", one, two)
	}
}

// TestNoNameServer asks where nobody listens: that is known at once, and said.
func TestNoNameServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.settings.NameServers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}
	f.Apply(f.settings)
	_, err := f.Addresses(t.Context(), "a.test", conf.FamilyAny)
	if KindOf(err) != Unreachable || err.Error() != "the name server 127.0.0.1:1 cannot be reached: connection refused" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.settings.NameServers = []netip.AddrPort{f.server.Address}
	f.Apply(f.settings)
	if _, err := f.Addresses(ctx, "a.test", conf.FamilyAny); KindOf(err) != NotAsked {
		t.Errorf("%v", err)
	}
}

// TestSearch completes names as the system does. Otherwise the short names of
// containers do not resolve, or an outside machine is taken for one inside.
func TestSearch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.server.Set("a.one.test", "A 127.0.0.1")
	f.server.Set("a.two.test", "A 127.0.0.2")
	f.server.Set("b.two.test", "A 127.0.0.3")
	f.server.Set("c.d", "A 127.0.0.4")
	f.server.Set("c.d.one.test", "A 127.0.0.5")
	f.server.Set("e.one.test", `TXT "no address"`)
	f.server.Set("e.two.test", "A 127.0.0.6")
	f.server.Set("s.two.test", "A 127.0.0.7")
	f.server.Behave("s.one.test", nameserver.Behaviour{Rcode: "SERVFAIL"})
	f.server.Behave("t.one.test", nameserver.Behaviour{Rcode: "SERVFAIL"})
	f.server.Set("u.two.test", "A 127.0.0.8")
	f.server.Behave("u.one.test", nameserver.Behaviour{Drop: []string{"*"}})
	for _, test := range []struct{ system, host, want string }{
		{"search one.test two.test", "a", "127.0.0.1 1m0s"},
		{"search two.test. one.test", "a", "127.0.0.2 1m0s"},
		{"search one.test two.test", "b", "127.0.0.3 1m0s"},
		{"search one.test two.test", "a.", "no such host"},
		{"domain two.test", "a", "127.0.0.2 1m0s"},
		{"search one.test", "c.d", "127.0.0.4 1m0s"},
		{"search one.test\noptions ndots:2", "c.d", "127.0.0.5 1m0s"},
		{"options ndots:2\nsearch one.test", "c.d.", "127.0.0.4 1m0s"},
		{"search one.test two.test", "e", "127.0.0.6 1m0s"},
		{"search one.test", "e", "no address"},
		{"search one.test two.test", "s", "127.0.0.7 1m0s"},
		{"search one.test two.test", "t", "server failure"},
		{"search one.test two.test\noptions attempts:1", "u", "timeout"}, // it may be in one.test
		{"search .", "a", "no such host"},
		{"# search one.test\n; search one.test\nsearch", "zz", "no such host"},
	} {
		f.write(t, "resolv.conf", test.system+"\n")
		f.settings.Timeout = 20 * time.Second
		if test.host == "u" {
			f.settings.Timeout = 300 * time.Millisecond
		}
		f.Apply(f.settings)
		a, err := f.Addresses(t.Context(), test.host, conf.FamilyIPv4)
		if got := shown(a, err); got != test.want {
			t.Errorf("%q, %s: %s (%v), want %s", test.system, test.host, got, err, test.want)
		}
	}
}

// TestFiles edits hosts file and resolv.conf: the next look-up goes by them, and
// Changed says so once. Otherwise an edit has no effect until a restart.
func TestFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.server.Set("a.test", "A 127.0.0.1", "AAAA 2001:db8::1")
	look := func(want string) {
		t.Helper()
		a, err := f.Addresses(t.Context(), "a.test", conf.FamilyAny)
		if got := shown(a, err); got != want {
			t.Errorf("%s (%v), want %s", got, err, want)
		}
	}
	look("127.0.0.1 2001:db8::1 1m0s")
	if f.Changed() {
		t.Error("the files have changed before they did")
	}
	f.write(t, "hosts", "127.0.0.9 x A.test. # comment\n::1 a.test\nrubbish a.test\n127.0.0.8 a.test\n127.0.0.7\n#127.0.0.6 a.test\n")
	if !f.Changed() || f.Changed() {
		t.Error("the edit of the hosts file is not noticed once")
	}
	look("127.0.0.9 127.0.0.8 ::1 1m0s")
	f.server.Set("x.one.test", "A 127.0.0.66", "AAAA 2001:db8::2")
	for family, want := range map[conf.Family]string{conf.FamilyIPv6: "2001:db8::2 1m0s", conf.FamilyAny: "127.0.0.9 1m0s"} {
		a, err := f.Addresses(t.Context(), "x", family)
		if got := shown(a, err); got != want {
			t.Errorf("the hosts file has IPv4 alone: %s (%v), want %s", got, err, want)
		}
	}
	if err := os.Remove(filepath.Join(f.folder, "hosts")); err != nil {
		t.Fatal(err)
	}
	look("127.0.0.1 2001:db8::1 1m0s")
	f.write(t, "resolv.conf", "search three.test\noptions ndots:3\n")
	f.server.Set("a.test.three.test", "A 127.0.0.3")
	look("127.0.0.3 1m0s")
	if !f.Changed() || f.Changed() {
		t.Error("the edit of resolv.conf is not noticed once")
	}
	for _, host := range []string{"localhost", "x.localhost.", "LOCALHOST"} { // no hosts file has it
		a, err := f.Addresses(t.Context(), host, conf.FamilyAny)
		if got := shown(a, err); got != "127.0.0.1 ::1 1m0s" {
			t.Errorf("%s: %s", host, got)
		}
	}
}

// TestSystemNameServers reads which name servers the system has.
func TestSystemNameServers(t *testing.T) {
	t.Parallel()
	c := parseResolvConf("nameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver rubbish\nnameserver 10.0.0.3\nnameserver 10.0.0.4\noptions attempts:99 ndots:-1 timeout:3 unknown\n")
	if want := []string{"10.0.0.1:53", "[fe80::1%eth0]:53", "10.0.0.3:53"}; !slices.Equal(c.servers, want) {
		t.Errorf("%v, want %v", c.servers, want)
	}
	if c.attempts != 5 || c.ndots != 0 {
		t.Errorf("%+v", c)
	}
	if c := parseResolvConf(""); !slices.Equal(c.servers, []string{"127.0.0.1:53"}) || c.ndots != 1 || c.attempts != 2 {
		t.Errorf("without a file: %+v", c)
	}
}

// TestServices looks up SRV records. Otherwise discovery by SRV finds no servers, or
// one target that no name server answers for holds up the others, at a start for 10 s.
func TestServices(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.server.Set("_mcp._tcp.one.test", "30 SRV 10 5 9001 N1.test.", "30 SRV 10 5 9001 n1.test.", "30 SRV 5 1 9002 n2.test.",
		"30 SRV 10 5 9000 n1.test.", "30 SRV 20 1 9003 absent.test.", "30 SRV 30 0 0 n1.test.")
	f.server.Behave("n2.test", nameserver.Behaviour{Drop: []string{"*"}})
	s, err := f.Services(t.Context(), "_mcp._tcp")
	if err != nil || s.TTL != 30*time.Second {
		t.Fatalf("TTL %v, %v", s.TTL, err)
	}
	var got []string
	for _, v := range s.List {
		got = append(got, fmt.Sprint(v.Priority, v.Weight, v.Target, v.Port))
		if target := v.Target + "."; f.server.Asked(target, "A")+f.server.Asked(target, "AAAA") > 0 {
			t.Errorf("the target %s was looked up", target)
		}
	}
	want := []string{"5 1n2.test9002", "10 5n1.test9000", "10 5n1.test9001", "20 1absent.test9003"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	f.server.Set("_off._tcp.one.test", "SRV 0 0 0 .")
	f.server.Set("_none._tcp.one.test", "A 127.0.0.1")
	for name, kind := range map[string]Kind{"_off._tcp": NoAddress, "_none._tcp": NoAddress, "_absent._tcp": NoSuchName} {
		if _, err := f.Services(t.Context(), name); KindOf(err) != kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

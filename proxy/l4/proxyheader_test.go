package l4

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"
)

// v2 writes a version 2 header by hand (proxy-protocol.txt, section 2.2).
func v2(versionCommand, family byte, payload string) string {
	return string(v2Signature) + string([]byte{versionCommand, family, byte(len(payload) >> 8), byte(len(payload))}) + payload
}

const (
	v4Addresses = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x30\x39\x00\x50" // 192.0.2.1:12345 to 192.0.2.2:80
	v6Addresses = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x30\x39\x00\x50"
)

// goodHeaders are headers that are taken, and the client that each names; ""
// is the proxy itself.
var goodHeaders = []struct{ name, header, client string }{
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n", "192.0.2.1:12345"},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 12345 80\r\n", "[2001:db8::1]:12345"},
	{"v1 TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 12345 80\r\n", "192.0.2.1:12345"},
	{"v1 TCP6, longest", "PROXY TCP6 2001:0db8:1111:2222:3333:4444:5555:6666 2001:0db8:1111:2222:3333:4444:5555:7777 65535 65534\r\n", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", ""},
	{"v1 UNKNOWN, addresses", "PROXY UNKNOWN 192.0.2.1 192.0.2.2 12345 80\r\n", ""},
	{"v1 UNKNOWN, longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ""},
	{"v2 TCP4", v2(0x21, 0x11, v4Addresses), "192.0.2.1:12345"},
	{"v2 TCP6", v2(0x21, 0x21, v6Addresses), "[2001:db8::1]:12345"},
	{"v2 TCP4, TLVs", v2(0x21, 0x11, v4Addresses+"\x04\x00\x01\x00"), "192.0.2.1:12345"},
	{"v2 TCP4, longest", v2(0x21, 0x11, v4Addresses+"\x04\x0f\xf1"+strings.Repeat("\x00", 4096-12-3)), "192.0.2.1:12345"},
	{"v2 LOCAL", v2(0x20, 0x00, ""), ""},
	{"v2 LOCAL, addresses", v2(0x20, 0x11, v4Addresses), ""},
	{"v2 unspecified family", v2(0x21, 0x00, ""), ""},
	{"v2 UDP", v2(0x21, 0x12, v4Addresses), ""},
	{"v2 unix", v2(0x21, 0x31, strings.Repeat("\x00", 216)), ""},
}

// badHeaders are none, or none that is whole.
var badHeaders = []struct{ name, header string }{
	{"HTTP", "GET / HTTP/1.1\r\n\r\n"},
	{"JSON", "{\"jsonrpc\":\"2.0\"}\n"},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
	{"v1 without end", "PROXY TCP4 " + strings.Repeat("1", 107-11)},
	{"v1 with a newline alone", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\nhello\r\n"},
	{"v1 with an address too few", "PROXY TCP4 192.0.2.1 12345 80\r\n"},
	{"v1 with a word too many", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80 x\r\n"},
	{"v1 of another family", "PROXY TCP4 2001:db8::1 2001:db8::2 12345 80\r\n"},
	{"v1 with no port", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n"},
	{"v1 of no family", "PROXY SCTP 192.0.2.1 192.0.2.2 12345 80\r\n"},
	{"v1 in lower case", "proxy TCP4 192.0.2.1 192.0.2.2 12345 80\r\n"},
	{"v2 too long", v2(0x21, 0x11, v4Addresses+strings.Repeat("\x00", 5000))},
	{"v2 of version 3", v2(0x31, 0x11, v4Addresses)},
	{"v2 of an unknown command", v2(0x22, 0x11, v4Addresses)},
	{"v2 shorter than its addresses", v2(0x21, 0x11, v4Addresses[:8])},
	{"v2 with a wrong signature", "\r\n\r\n\x00\r\nQUIT\r" + v2(0x21, 0x11, v4Addresses)},
}

// headers that break off: the end must come right behind.
var shortHeaders = []string{
	"", "P", "PROXY", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r",
	"\r", string(v2Signature), v2(0x21, 0x11, v4Addresses)[:15], v2(0x21, 0x11, v4Addresses)[:27],
}

// behindProxy has the frontend expect a header from this machine, and the
// server be told the client's address, to see what came of it.
func behindProxy(s *setup) {
	s.frontend.AcceptProxy = true
	s.frontend.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/29"), netip.MustParsePrefix("::1/128")}
	s.backend.SendProxy = conf.SendProxyV2
}

// hearHeader receives a PROXY header, as the reference implementation reads it.
func hearHeader(c *endpoint.Conn) *proxyproto.Header {
	c.Helper()
	header, err := proxyproto.Read(c.Reader)
	if err != nil {
		c.Fatalf("reading the PROXY header: %v", err)
	}
	return header
}

func TestHeaderTaken(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := begin(t, []string{a.Address}, behindProxy)
	for _, test := range goodHeaders {
		ways := map[string]func(c *endpoint.Conn){
			"at once": func(c *endpoint.Conn) { c.Say(test.header + "hello\n") },
			"with the end": func(c *endpoint.Conn) {
				c.Say(test.header + "hello\n")
				c.Finish()
			},
			"in two": func(c *endpoint.Conn) {
				half := len(test.header) / 2
				c.Say(test.header[:half])
				b.Turns(2)
				c.Say(test.header[half:])
				b.Turns(2)
				c.Say("hello\n")
			},
		}
		if len(test.header) < 1000 {
			ways["byte by byte"] = func(c *endpoint.Conn) {
				for i := range len(test.header) {
					c.Say(test.header[i : i+1])
				}
				c.Say("hello\n")
			}
		}
		for way, send := range ways {
			c := b.dial()
			send(c)
			s := a.Next()
			want := test.client
			if want == "" {
				want = c.LocalAddr().String()
			}
			if header := hearHeader(s); header.SourceAddr.String() != want && header.SourceAddr.String() != mapped(want) {
				t.Errorf("%s, %s: the client is %v, want %s", test.name, way, header.SourceAddr, want)
			}
			s.Hear("hello\n")
			s.Say("welcome\n")
			c.Hear("welcome\n")
		}
	}
}

// mapped is how an IPv4 address looks beside an IPv6 one.
func mapped(address string) string {
	from := netip.MustParseAddrPort(address)
	return netip.AddrPortFrom(netip.AddrFrom16(from.Addr().As16()), from.Port()).String()
}

func TestHeaderRefused(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := begin(t, []string{s.Address}, behindProxy)
	for _, test := range badHeaders {
		c := b.dial()
		c.Say(test.header)
		c.HearReset()
	}
	for _, header := range shortHeaders {
		c := b.dial()
		c.Say(header)
		c.Finish()
		c.HearReset()
	}
	b.expect(ProxyHeaderInvalid, uint64(len(badHeaders)+len(shortHeaders)))
	if n := s.Accepted(); n != 0 {
		t.Errorf("the server was connected to %d times", n)
	}
}

func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := begin(t, []string{s.Address}, behindProxy, withClock)
	silent, slow := b.dial(), b.dial()
	b.Eventually("both are there", func() bool { return b.frontend.Current() == 2 })
	slow.Say("PROXY")
	b.Advance(HeaderTimeout - time.Second)
	slow.Say(" TCP4")
	if n := b.frontend.Current(); n != 2 {
		t.Fatalf("%d sessions, want 2", n)
	}
	b.Advance(time.Second)
	b.expect(ProxyHeaderTimeout, 2)
	silent.HearReset()
	slow.HearReset()
}

// Who has sent half a header is waited for, not asked again and again.
func TestHeaderIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	var looks atomic.Int64
	b := begin(t, []string{s.Address}, behindProxy, func(s *setup) {
		peek := s.System.Peek
		s.System.Peek = func(fd int, p []byte) (int, unix.Errno) {
			looks.Add(1)
			return peek(fd, p)
		}
	})
	c := b.dial()
	c.Say("PROXY TCP4")
	b.Eventually("it is looked at", func() bool { return looks.Load() > 0 })
	b.Turns(100)
	if n := looks.Load(); n > 2 {
		t.Errorf("it was looked at %d times", n)
	}
}

func TestUntrustedProxy(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := begin(t, []string{s.Address}, behindProxy)
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.9")}}).Dial("tcp", b.Address)
	if err == nil {
		defer c.Close()
	}
	b.expect(UntrustedProxy, 1)
}

func TestGoneBeforeTheHeader(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := begin(t, []string{s.Address}, behindProxy)
	for _, header := range []string{"", "PROXY"} {
		c := b.dial()
		c.Say(header)
		c.Reset()
	}
	b.expect(ClientGone, 2)
}

// The limits and the balancing go by the client that the header names.
func TestHeaderNamesTheSource(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := begin(t, []string{a.Address}, behindProxy, func(s *setup) { s.Limits.MaxConnections = 1 })
	header := func(client int) string { return fmt.Sprintf("PROXY TCP4 192.0.2.%d 192.0.2.200 12345 80\r\n", client) }
	for client := range 3 {
		b.dial().Say(header(client))
		hearHeader(a.Next())
	}
	again := b.dial()
	again.Say(header(1))
	again.HearReset()
	b.expect(SourceConnections, 1)
}

// What the server is told is what the reference implementation reads.
func TestHeaderSent(t *testing.T) {
	t.Parallel()
	for _, version := range []conf.SendProxy{conf.SendProxyV1, conf.SendProxyV2} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			for _, early := range []string{"", "early\n"} {
				a := endpoint.Accept(t)
				b := begin(t, []string{a.Address}, func(s *setup) {
					s.backend.SendProxy = version
					s.frontend.Listen = []string{net.JoinHostPort(host, "0")}
				})
				c := b.dial()
				c.Say(early)
				s := a.Next()
				header := hearHeader(s)
				if header.SourceAddr.String() != c.LocalAddr().String() || header.DestinationAddr.String() != c.RemoteAddr().String() ||
					header.Command != proxyproto.PROXY || string(version) != fmt.Sprintf("v%d", header.Version) {
					t.Errorf("%s: the server was told %+v, want %s to %s", version, header, c.LocalAddr(), c.RemoteAddr())
				}
				s.Hear(early)
				s.Say("welcome\n")
				c.Hear("welcome\n")
			}
		}
	}
}

func TestHeaderFormat(t *testing.T) {
	t.Parallel()
	at := func(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
	tests := []struct {
		version    conf.SendProxy
		client, at string
		want       string
	}{
		{conf.SendProxyV1, "192.0.2.1:12345", "192.0.2.2:80", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n"},
		{conf.SendProxyV1, "[2001:db8::1]:12345", "[2001:db8::2]:80", "PROXY TCP6 2001:db8::1 2001:db8::2 12345 80\r\n"},
		{conf.SendProxyV1, "192.0.2.1:12345", "[2001:db8::2]:80", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 12345 80\r\n"},
		{conf.SendProxyV2, "192.0.2.1:12345", "192.0.2.2:80", v2(0x21, 0x11, v4Addresses)},
		{conf.SendProxyV2, "[2001:db8::1]:12345", "[2001:db8::2]:80", v2(0x21, 0x21, v6Addresses)},
	}
	for _, test := range tests {
		got, err := formatHeader(test.version, at(test.client), at(test.at))
		if err != nil || string(got) != test.want {
			t.Errorf("%s for %s at %s: %q, %v, want %q", test.version, test.client, test.at, got, err, test.want)
		}
	}
}

func TestHeaderLength(t *testing.T) {
	t.Parallel()
	for _, test := range goodHeaders {
		if n := headerLength([]byte(test.header + "payload\r\n")); n != len(test.header) {
			t.Errorf("%s: %d bytes, want %d", test.name, n, len(test.header))
		}
		for i := range len(test.header) {
			if n := headerLength([]byte(test.header[:i])); n != 0 {
				t.Errorf("%s: of the first %d bytes it says %d, want 0", test.name, i, n)
			}
		}
	}
	for _, header := range shortHeaders {
		if n := headerLength([]byte(header)); n != 0 {
			t.Errorf("%q: %d bytes, want 0", header, n)
		}
	}
}

// FuzzHeader checks that a header's length does not depend on how it comes
// in, that it is bounded, and that the whole of it can be read without harm.
func FuzzHeader(f *testing.F) {
	for _, test := range goodHeaders {
		f.Add([]byte(test.header+"payload"), uint16(5))
	}
	for _, test := range badHeaders {
		f.Add([]byte(test.header), uint16(9))
	}
	for _, header := range shortHeaders {
		f.Add([]byte(header), uint16(0))
	}
	f.Fuzz(func(t *testing.T, p []byte, cut uint16) {
		whole := headerLength(p)
		if whole > len(p) || whole > v2Longest || whole < -1 {
			t.Fatalf("%d of %d bytes", whole, len(p))
		}
		short := headerLength(p[:min(int(cut), len(p))])
		switch {
		case short > 0 && whole != short, short < 0 && whole >= 0:
			t.Fatalf("cut at %d it is %d bytes, whole %d", cut, short, whole)
		case short == 0 && whole > 0 && whole <= int(cut):
			t.Fatalf("it needs more than the %d bytes that it has", whole)
		case whole <= 0:
			return
		}
		if len(p) >= v2Longest && whole == 0 {
			t.Fatal("it wants more than the longest header has")
		}
		client, err := parseHeader(bytes.Clone(p[:whole]))
		if err != nil && client.IsValid() {
			t.Fatalf("a client %v and an error: %v", client, err)
		}
		if client.IsValid() && (client.Addr().Is4In6() || client.Addr().Zone() != "") {
			t.Fatalf("the client's address is %v: limits and prefixes do not know such", client)
		}
	})
}

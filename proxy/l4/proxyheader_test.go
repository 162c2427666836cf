package l4

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/proxyheaders"
	"mcplb/proxy/session"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"
)

// behindProxy makes the frontend expect a header from this machine, and send the
// client's address to the server, which shows the result.
func behindProxy(s *setup) {
	s.frontend.AcceptProxy = true
	s.frontend.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/29"), netip.MustParsePrefix("::1/128")}
	s.backend.SendProxy = conf.SendProxyV2
}

// hearHeader receives a PROXY header, parsed by the reference implementation.
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
	b := start(t, []string{a.Address}, behindProxy)
	for _, test := range proxyheaders.Good {
		ways := map[string]func(c *endpoint.Conn){
			"at once": func(c *endpoint.Conn) { c.Say(test.Header + "hello\n") },
			"with the end": func(c *endpoint.Conn) {
				c.Say(test.Header + "hello\n")
				c.Finish()
			},
			"in two": func(c *endpoint.Conn) {
				half := len(test.Header) / 2
				c.Say(test.Header[:half])
				b.Turns(2)
				c.Say(test.Header[half:])
				b.Turns(2)
				c.Say("hello\n")
			},
		}
		if len(test.Header) < 1000 {
			ways["byte by byte"] = func(c *endpoint.Conn) {
				for i := range len(test.Header) {
					c.Say(test.Header[i : i+1])
				}
				c.Say("hello\n")
			}
		}
		for way, send := range ways {
			c := b.dial()
			send(c)
			s := a.Next()
			want := test.Client
			if want == "" {
				want = c.LocalAddr().String()
			}
			if header := hearHeader(s); header.SourceAddr.String() != want && header.SourceAddr.String() != mapped(want) {
				t.Errorf("%s, %s: the client is %v, want %s", test.Name, way, header.SourceAddr, want)
			}
			s.Hear("hello\n")
			s.Say("welcome\n")
			c.Hear("welcome\n")
		}
	}
}

// mapped returns an address as an IPv6 one, as a header shows it whose other address
// is IPv6.
func mapped(address string) string {
	from := netip.MustParseAddrPort(address)
	return netip.AddrPortFrom(netip.AddrFrom16(from.Addr().As16()), from.Port()).String()
}

func TestHeaderRefused(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, behindProxy)
	for _, test := range proxyheaders.Bad {
		c := b.dial()
		c.Say(test.Header)
		c.HearReset()
	}
	for _, header := range proxyheaders.Short {
		c := b.dial()
		c.Say(header)
		c.Finish()
		c.HearReset()
	}
	b.expect(session.ProxyHeaderInvalid, uint64(len(proxyheaders.Bad)+len(proxyheaders.Short)))
	if n := s.Accepted(); n != 0 {
		t.Errorf("the server was connected to %d times", n)
	}
}

func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, behindProxy, withStoppedTime)
	silent, slow := b.dial(), b.dial()
	b.Eventually("both are accepted", func() bool { return b.frontend.Current() == 2 })
	slow.Say("PROXY")
	b.Advance(session.HeaderTimeout - time.Second)
	slow.Say(" TCP4")
	if n := b.frontend.Current(); n != 2 {
		t.Fatalf("%d sessions, want 2", n)
	}
	b.Advance(time.Second)
	b.expect(session.ProxyHeaderTimeout, 2)
	silent.HearReset()
	slow.HearReset()
}

// A client that has sent half a header is not polled: the balancer waits for an event.
func TestHeaderIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	var looks atomic.Int64
	b := start(t, []string{s.Address}, behindProxy, func(s *setup) {
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
	b := start(t, []string{s.Address}, behindProxy)
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.9")}}).Dial("tcp", b.Address)
	if err == nil {
		defer c.Close()
	}
	b.expect(session.UntrustedProxy, 1)
}

func TestGoneBeforeTheHeader(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address}, behindProxy)
	for _, header := range []string{"", "PROXY"} {
		c := b.dial()
		c.Say(header)
		c.Reset()
	}
	b.expect(session.ClientGone, 2)
}

// The limits and the balancing apply to the client that the header names.
func TestHeaderNamesTheSource(t *testing.T) {
	t.Parallel()
	a := endpoint.Accept(t)
	b := start(t, []string{a.Address}, behindProxy, func(s *setup) { s.Limits.MaxConnections = 1 })
	header := func(client int) string { return fmt.Sprintf("PROXY TCP4 192.0.2.%d 192.0.2.200 12345 80\r\n", client) }
	for client := range 3 {
		b.dial().Say(header(client))
		hearHeader(a.Next())
	}
	again := b.dial()
	again.Say(header(1))
	again.HearReset()
	b.expect(session.SourceConnections, 1)
}

// The reference implementation understands the header that the server receives.
func TestHeaderSent(t *testing.T) {
	t.Parallel()
	for _, version := range []conf.SendProxy{conf.SendProxyV1, conf.SendProxyV2} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			for _, early := range []string{"", "early\n"} {
				a := endpoint.Accept(t)
				b := start(t, []string{a.Address}, func(s *setup) {
					s.backend.SendProxy = version
					s.frontend.Listen = []string{net.JoinHostPort(host, "0")}
				})
				c := b.dial()
				c.Say(early)
				s := a.Next()
				header := hearHeader(s)
				if header.SourceAddr.String() != c.LocalAddr().String() || header.DestinationAddr.String() != c.RemoteAddr().String() ||
					header.Command != proxyproto.PROXY || string(version) != fmt.Sprintf("v%d", header.Version) {
					t.Errorf("%s: the server received %+v, want %s to %s", version, header, c.LocalAddr(), c.RemoteAddr())
				}
				s.Hear(early)
				s.Say("welcome\n")
				c.Hear("welcome\n")
			}
		}
	}
}

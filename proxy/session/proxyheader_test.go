package session

import (
	"bytes"
	"net/netip"
	"testing"

	"mcplb/conf"
	"mcplb/internal/proxyheaders"
)

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
		{conf.SendProxyV2, "192.0.2.1:12345", "192.0.2.2:80", proxyheaders.V2(0x21, 0x11, proxyheaders.IPv4)},
		{conf.SendProxyV2, "[2001:db8::1]:12345", "[2001:db8::2]:80", proxyheaders.V2(0x21, 0x21, proxyheaders.IPv6)},
	}
	for _, test := range tests {
		got, err := FormatProxyHeader(test.version, at(test.client), at(test.at))
		if err != nil || string(got) != test.want {
			t.Errorf("%s for %s at %s: %q, %v, want %q", test.version, test.client, test.at, got, err, test.want)
		}
	}
}

func TestHeaderLength(t *testing.T) {
	t.Parallel()
	for _, test := range proxyheaders.Good {
		if n := headerLength([]byte(test.Header + "payload\r\n")); n != len(test.Header) {
			t.Errorf("%s: %d bytes, want %d", test.Name, n, len(test.Header))
		}
		for i := range len(test.Header) {
			if n := headerLength([]byte(test.Header[:i])); n != 0 {
				t.Errorf("%s: the length of the first %d bytes is %d, want 0", test.Name, i, n)
			}
		}
	}
	for _, header := range proxyheaders.Short {
		if n := headerLength([]byte(header)); n != 0 {
			t.Errorf("%q: %d bytes, want 0", header, n)
		}
	}
}

// FuzzHeader checks that a header's length does not depend on how much has arrived, that
// it is bounded, and that every complete header is parsed without a panic.
func FuzzHeader(f *testing.F) {
	for _, test := range proxyheaders.Good {
		f.Add([]byte(test.Header+"payload"), uint16(5))
	}
	for _, test := range proxyheaders.Bad {
		f.Add([]byte(test.Header), uint16(9))
	}
	for _, header := range proxyheaders.Short {
		f.Add([]byte(header), uint16(0))
	}
	f.Fuzz(func(t *testing.T, p []byte, cut uint16) {
		complete := headerLength(p)
		if complete > len(p) || complete > v2Longest || complete < -1 {
			t.Fatalf("the header has %d of %d bytes", complete, len(p))
		}
		short := headerLength(p[:min(int(cut), len(p))])
		switch {
		case short > 0 && complete != short, short < 0 && complete >= 0:
			t.Fatalf("cut at %d, the header has %d bytes; complete, it has %d", cut, short, complete)
		case short == 0 && complete > 0 && complete <= int(cut):
			t.Fatalf("more than the %d bytes of the header are needed", complete)
		case complete <= 0:
			return
		}
		if len(p) >= v2Longest && complete == 0 {
			t.Fatal("more bytes are needed than the longest header has")
		}
		client, err := parseHeader(bytes.Clone(p[:complete]))
		if err != nil && client.IsValid() {
			t.Fatalf("a client %v and an error: %v", client, err)
		}
		if client.IsValid() && (client.Addr().Is4In6() || client.Addr().Zone() != "") {
			t.Fatalf("the client's address is %v: limits and prefixes do not match such addresses", client)
		}
	})
}

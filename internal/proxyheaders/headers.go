package proxyheaders

import "strings"

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// V2 returns a version 2 header (proxy-protocol.txt, section 2.2).
func V2(versionCommand, family byte, payload string) string {
	return signature + string([]byte{versionCommand, family, byte(len(payload) >> 8), byte(len(payload))}) + payload
}

// The addresses of Good headers in the format of version 2.
const (
	IPv4 = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x30\x39\x00\x50" // 192.0.2.1:12345 to 192.0.2.2:80
	IPv6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x30\x39\x00\x50"
)

// Good are headers that are accepted, with the client that each names. If Client is "",
// the client is the proxy itself.
var Good = []struct{ Name, Header, Client string }{
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n", "192.0.2.1:12345"},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 12345 80\r\n", "[2001:db8::1]:12345"},
	{"v1 TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 12345 80\r\n", "192.0.2.1:12345"},
	{"v1 TCP6, longest", "PROXY TCP6 2001:0db8:1111:2222:3333:4444:5555:6666 2001:0db8:1111:2222:3333:4444:5555:7777 65535 65534\r\n", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", ""},
	{"v1 UNKNOWN, addresses", "PROXY UNKNOWN 192.0.2.1 192.0.2.2 12345 80\r\n", ""},
	{"v1 UNKNOWN, longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ""},
	{"v2 TCP4", V2(0x21, 0x11, IPv4), "192.0.2.1:12345"},
	{"v2 TCP6", V2(0x21, 0x21, IPv6), "[2001:db8::1]:12345"},
	{"v2 TCP4, TLVs", V2(0x21, 0x11, IPv4+"\x04\x00\x01\x00"), "192.0.2.1:12345"},
	{"v2 TCP4, longest", V2(0x21, 0x11, IPv4+"\x04\x0f\xf1"+strings.Repeat("\x00", 4096-12-3)), "192.0.2.1:12345"},
	{"v2 LOCAL", V2(0x20, 0x00, ""), ""},
	{"v2 LOCAL, addresses", V2(0x20, 0x11, IPv4), ""},
	{"v2 unspecified family", V2(0x21, 0x00, ""), ""},
	{"v2 UDP", V2(0x21, 0x12, IPv4), ""},
	{"v2 unix", V2(0x21, 0x31, strings.Repeat("\x00", 216)), ""},
}

// Bad are malformed headers, and bytes that are no header.
var Bad = []struct{ Name, Header string }{
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
	{"v2 too long", V2(0x21, 0x11, IPv4+strings.Repeat("\x00", 5000))},
	{"v2 of version 3", V2(0x31, 0x11, IPv4)},
	{"v2 of an unknown command", V2(0x22, 0x11, IPv4)},
	{"v2 shorter than its addresses", V2(0x21, 0x11, IPv4[:8])},
	{"v2 with a wrong signature", "\r\n\r\n\x00\r\nQUIT\r" + V2(0x21, 0x11, IPv4)},
}

// Short are headers that are incomplete.
var Short = []string{
	"", "P", "PROXY", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r",
	"\r", signature, V2(0x21, 0x11, IPv4)[:15], V2(0x21, 0x11, IPv4)[:27],
}

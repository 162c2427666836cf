package session

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"

	"mcplb/conf"
	"mcplb/proxy/reactor"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"
)

// The two versions of the PROXY protocol
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
const (
	v1Longest = 107 // a version 1 header, CR LF included (section 2.1)
	v2Fixed   = 16  // signature, version, family, length (section 2.2)
	v2Longest = v2Fixed + 4096

	v2Proxy       = 0x21 // the version, and the command PROXY
	v2Unspecified = 0x00 // the family of no address
)

var (
	v1Signature = []byte("PROXY ")
	v2Signature = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// headerLength returns the length of the PROXY header at the beginning of p: 0
// when p is too short to tell, -1 when there is none or it is too long.
func headerLength(p []byte) int {
	switch {
	case begins(p, v1Signature):
		end := bytes.Index(p[:min(len(p), v1Longest)], []byte("\r\n"))
		if end >= 0 {
			return end + 2
		}
		if len(p) >= v1Longest {
			return -1
		}
		return 0
	case begins(p, v2Signature):
		if len(p) < v2Fixed {
			return 0
		}
		length := v2Fixed + int(p[14])<<8 + int(p[15])
		if length > v2Longest {
			return -1
		}
		if len(p) < length {
			return 0
		}
		return length
	}
	return -1
}

// begins reports whether p begins with the signature, as far as p goes.
func begins(p, signature []byte) bool {
	n := min(len(p), len(signature))
	return bytes.Equal(p[:n], signature[:n])
}

// parseHeader reads a complete PROXY header. The client is invalid when the
// header does not name one: the proxy speaks for itself (LOCAL, UNKNOWN), or for
// a client without an address, as HAProxy does for Unix sockets.
func parseHeader(p []byte) (client netip.AddrPort, err error) {
	if bytes.HasPrefix(p, v2Signature) && p[12] == v2Proxy && p[13] == v2Unspecified {
		return netip.AddrPort{}, nil // the package refuses it, as it is free to
	}
	parsed, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(p)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	source, _, ok := parsed.TCPAddrs()
	if parsed.Command.IsLocal() || !ok {
		return netip.AddrPort{}, nil
	}
	client = source.AddrPort()
	return netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), nil
}

// ReadProxyHeader looks at what a client has sent and, when that begins with a
// complete PROXY header, takes the header out of the socket: what follows stays
// there. While done is false more has to come; call it again at the next Ready. A
// refusal other than 0 says that none will: ClientGone, or ProxyHeaderInvalid. The
// client is invalid when the header does not name one. It must be called on the
// connection's loop, before anything else is read.
func ReadProxyHeader(c *reactor.Conn) (client netip.AddrPort, done bool, refusal Reason) {
	if !c.Readable() {
		return netip.AddrPort{}, false, 0
	}
	buffer := c.Loop().Scratch()[:v2Longest]
	n, errno := c.Peek(buffer)
	if errno == unix.EAGAIN {
		return netip.AddrPort{}, false, 0
	}
	length := headerLength(buffer[:n])
	switch {
	case errno != 0:
		return netip.AddrPort{}, true, ClientGone
	case length < 0, n == 0, length == 0 && c.HungUp():
		return netip.AddrPort{}, true, ProxyHeaderInvalid
	case length == 0:
		c.AwaitMore()
		return netip.AddrPort{}, false, 0
	}
	client, err := parseHeader(buffer[:length])
	if n, errno := c.Take(buffer[:length]); err != nil || errno != 0 || n != length {
		return netip.AddrPort{}, true, ProxyHeaderInvalid
	}
	return client, true, 0
}

// FormatProxyHeader writes the PROXY header of a client that connected at an
// address of the balancer's.
func FormatProxyHeader(version conf.SendProxy, client, at netip.AddrPort) ([]byte, error) {
	number := byte(1)
	if version == conf.SendProxyV2 {
		number = 2
	}
	header := proxyproto.HeaderProxyFromAddrs(number, net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(at))
	return header.Format()
}

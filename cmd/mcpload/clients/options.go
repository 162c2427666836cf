package clients

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// Options are what the clients of a fleet do. They do not change while it runs.
type Options struct {
	Mix     Mix
	Targets [NumKinds]netip.AddrPort // of the kinds in the mix
	Host    string                   // the Host header
	TLS     *tls.Config              // for TLS, HTTPS and H2; nil = the defaults
	Threads int                      // event loops, at least 1

	MCPPath string // of Streamable HTTP
	WSPath  string // of WebSocket
	SSEPath string // of HTTP+SSE

	From    netip.Prefix // the network of the source addresses
	Sources int          // how many of its addresses are used; 0 = the kernel chooses one

	Message  Message
	Size     int           // bytes of an echo's text
	Interval time.Duration // between two messages of a client; 0 = it sends the next one when the last is answered

	OpenTimeout time.Duration // for opening a session
	Timeout     time.Duration // for an answer
	Reconnect   time.Duration // the first pause before a lost client returns; 0 = it does not return
}

// source returns the address that client number n comes from: neighbors have
// different ones, and every address serves, in time, every kind of client.
func (o *Options) source(n int) netip.Addr {
	if o.Sources == 0 {
		return netip.Addr{}
	}
	return offset(o.From.Addr(), (n+n/o.Sources)%o.Sources+1)
}

// offset returns the n-th address after a.
func offset(a netip.Addr, n int) netip.Addr {
	bytes := a.As16()
	for i := 15; i >= 0 && n > 0; i-- {
		n += int(bytes[i])
		bytes[i] = byte(n)
		n >>= 8
	}
	moved := netip.AddrFrom16(bytes)
	if a.Is4() {
		return moved.Unmap()
	}
	return moved
}

package l7

import (
	"bytes"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"mcplb/proxy/http1"
	"mcplb/proxy/session"
)

// forwarded is the client of the present request on a connection of a trusted
// proxy, which carries requests of many: limits, bans, policies, log and lists go by
// it. Only such connections have one.
//
//	connection  request                  client.from   client.Source
//	a client's  any                      the client    the client's, as long as it is connected
//	a proxy's   none                     the proxy     nil
//	a proxy's   names a client           that client   that client's, until the exchange is over
//	a proxy's   names none, malformed    the proxy     the proxy's, never banned
//	a proxy's   of a banned client       that client   that client's: 403, at its rate
//	a proxy's   became a WebSocket       that client   that client's, until the tunnel ends
type forwarded struct {
	from netip.AddrPort // invalid: no request, or it is the proxy's own; port 0: not known
}

// requester is who sent the present request, and its account with the rate limits. It
// is a part of its client connection.
type requester struct{ *client }

// from is the client: that of the present request, where a trusted proxy has named
// one.
func (c requester) from() netip.AddrPort {
	if c.forwarded != nil && c.forwarded.from.IsValid() {
		return c.forwarded.from
	}
	return c.From
}

// proxy is the trusted proxy that has named the client of the present request;
// invalid: the client has connected itself.
func (c requester) proxy() netip.AddrPort {
	if c.forwarded != nil && c.forwarded.from.IsValid() {
		return c.From
	}
	return netip.AddrPort{}
}

// identify finds out who sent the request that is parsed, and makes that client's
// source the one in charge. Unless the head is wellFormed, its fields name no client. A
// request of a banned client is refused by itself, since its connection carries others'
// as well; remaining is how long the ban lasts, 0 = until it is lifted.
//
// A request that waits for the rate is parsed again: it keeps its source, and its
// turn there.
func (c requester) identify(wellFormed bool) (remaining time.Duration, banned bool) {
	settings := &c.settings().Settings
	named := settings.NamesClients(c.From.Addr())
	if !named && c.forwarded == nil {
		return 0, false // the client's own connection, which was admitted
	}
	if c.forwarded == nil {
		c.forwarded = new(forwarded)
	}
	var from netip.AddrPort // invalid: the proxy itself
	if named && wellFormed {
		from, _ = forwardedFor(&c.worker.request, settings)
	}
	limiter, now := c.frontend.Limiter, c.loop().Now()
	if c.turn.Waits() && from == c.forwarded.from {
		remaining, banned = limiter.Banned(c.from().Addr(), now)
		return remaining, banned && !settings.Trusts(c.from().Addr())
	}
	c.unidentify()
	c.forwarded.from = from
	proxy := named && settings.Trusts(c.from().Addr())
	c.Source, remaining, banned = limiter.Enter(c.from().Addr(), proxy, now)
	return remaining, banned
}

// unidentify ends what identify began, when the exchange is over.
func (c requester) unidentify() {
	if c.forwarded == nil {
		return
	}
	c.Source.Leave(&c.turn)
	c.Source.Release()
	c.Source, c.forwarded.from = nil, netip.AddrPort{}
}

// mostHops is how many proxies in front of this one are looked through.
const mostHops = 64

// forwardedFor returns the client that X-Forwarded-For names to a peer who is
// believed: the last address that is not a trusted proxy itself, since every proxy
// adds the address of its peer behind the others. What stands before it may be
// forged. If all are trusted, it is the first; where an element is no address, the
// one behind it. ok is false if the last element is none already, or there is none.
func forwardedFor(head *http1.RequestHead, settings *session.Settings) (from netip.AddrPort, ok bool) {
	if !head.Has(http1.HeaderXForwardedFor) {
		return from, false
	}
	hops := 0
	for i := head.NumFields() - 1; i >= 0; i-- {
		if head.ID(i) != http1.HeaderXForwardedFor {
			continue
		}
		for value := head.Value(i); len(value) > 0 && hops < mostHops; {
			comma := bytes.LastIndexByte(value, ',')
			element := bytes.Trim(value[comma+1:], " \t")
			value = value[:max(comma, 0)]
			if len(element) == 0 {
				continue
			}
			address, valid := parseAddress(element)
			if !valid {
				return from, ok
			}
			if from, ok = address, true; !settings.Trusts(address.Addr()) {
				return from, ok
			}
			hops++
		}
	}
	return from, ok
}

// longestAddress is the length of an IPv6 address in brackets with a port.
const longestAddress = len("[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535")

// parseAddress reads an element of X-Forwarded-For: an address, with or without a
// port, in brackets if it is IPv6 and has one. The port is 0 where there is none.
func parseAddress(p []byte) (netip.AddrPort, bool) {
	if len(p) > longestAddress || bytes.IndexByte(p, '%') >= 0 {
		return netip.AddrPort{}, false // a zone means nothing here
	}
	// The string lives no longer than this call: an address without a zone refers to
	// nothing, and the error is not looked at.
	text := unsafe.String(unsafe.SliceData(p), len(p))
	inner := len(text) - 1
	switch {
	case text[0] == '[' && text[inner] == ']':
		address, err := netip.ParseAddr(text[1:inner])
		return unmapped(netip.AddrPortFrom(address, 0)), err == nil && address.Is6()
	case text[0] == '[', strings.Count(text, ":") == 1:
		both, err := netip.ParseAddrPort(text)
		return unmapped(both), err == nil
	}
	address, err := netip.ParseAddr(text)
	return unmapped(netip.AddrPortFrom(address, 0)), err == nil
}

// unmapped returns an IPv4 address that is written as one of IPv6 as what it is.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

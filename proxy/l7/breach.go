package l7

import (
	"bytes"
	"math/rand/v2"
	"strings"

	"mcplb/proxy/http1"
)

// BREACH (CVE-2013-3587): compression shows, by the length of an encrypted response,
// what a secret in it has in common with text that the attacker had sent. It takes a
// client that sends that text with the victim's credentials. A browser does so for
// any page that it shows, with what it adds by itself: cookies, certificates, its
// place in the network. A program with a bearer token, which is what MCP clients are,
// does not. Therefore, over TLS,
//
//   - responses to what a browser may have sent are not compressed,
//   - nor those that set cookies,
//   - and others have a random length, against clients that act on text of others
//     (agents): a guess takes thousands of requests instead of one.
//
// docs/http.md says this to operators.

// mostPadding is by how many bytes the length of a compressed response varies.
const mostPadding = 64

var padding = strings.Repeat(" ", mostPadding)

// randomPadding returns a comment for the head of a gzip stream.
func randomPadding() string { return padding[:rand.IntN(mostPadding)] }

// overTLS reports whether the client gets its responses over TLS: of this balancer, or
// of a trusted proxy before it that says so, whichever of several it is.
func (c *client) overTLS(settings *Settings) bool {
	if c.Conn.HasTransport() {
		return true
	}
	return settings.Trusts(c.From.Addr()) && saysTLS(&c.worker.request)
}

// saysTLS reports whether X-Forwarded-Proto, Forwarded (RFC 7239) or one of their
// predecessors names https.
func saysTLS(head *http1.RequestHead) bool {
	for i := head.Find(http1.HeaderXForwardedProto, 0); i >= 0; i = head.Find(http1.HeaderXForwardedProto, i+1) {
		if http1.HasToken(head.Value(i), "https") {
			return true
		}
	}
	for i := head.Find(http1.HeaderForwarded, 0); i >= 0; i = head.Find(http1.HeaderForwarded, i+1) {
		if namesHTTPS(head.Value(i)) {
			return true
		}
	}
	for i := range head.NumFields() {
		if id := head.ID(i); (id == http1.HeaderOther || id == http1.HeaderXForwardedOther) && saysTLSOddly(head.Name(i), head.Value(i)) {
			return true
		}
	}
	return false
}

// saysTLSOddly reports whether a field is one of those in which proxies said so before
// X-Forwarded-Proto, and does.
func saysTLSOddly(name, value []byte) bool {
	for _, one := range [...]string{"X-Forwarded-Ssl", "Front-End-Https", "X-Forwarded-Scheme", "X-Forwarded-Protocol", "X-Url-Scheme", "X-Scheme"} {
		if http1.EqualFold(name, one) {
			return http1.HasToken(value, "on") || http1.HasToken(value, "https") || http1.HasToken(value, "ssl")
		}
	}
	return false
}

// namesHTTPS reports whether proto=https stands in the value of a Forwarded field.
func namesHTTPS(value []byte) bool {
	for element, rest := http1.NextElement(value); element != nil; element, rest = http1.NextElement(rest) {
		for pair := range bytes.SplitSeq(element, []byte{';'}) {
			name, proto, _ := bytes.Cut(bytes.TrimSpace(pair), []byte{'='})
			if http1.EqualFold(name, "proto") && http1.EqualFold(bytes.Trim(proto, "\""), "https") {
				return true
			}
		}
	}
	return false
}

// mayBeBrowser reports whether a browser may have sent the request, for a page that
// need not be the server's: it bears cookies, other than the balancer's own, or
// credentials that browsers add by themselves, or a field that says where a page is
// from.
func mayBeBrowser(head *http1.RequestHead, ownCookie string) bool {
	if head.Has(http1.HeaderOrigin) || hasCookies(head, ownCookie) || hasAmbientCredentials(head) {
		return true
	}
	for i := head.Find(http1.HeaderOther, 0); i >= 0; i = head.Find(http1.HeaderOther, i+1) {
		if name := head.Name(i); http1.EqualFold(name, "Sec-Fetch-Site") || http1.EqualFold(name, "Referer") {
			return true
		}
	}
	return false
}

// hasCookies reports whether the request bears a cookie of another name than own.
func hasCookies(head *http1.RequestHead, own string) bool {
	for i := head.Find(http1.HeaderCookie, 0); i >= 0; i = head.Find(http1.HeaderCookie, i+1) {
		for name, _, rest := http1.NextCookie(head.Value(i)); name != nil; name, _, rest = http1.NextCookie(rest) {
			if own == "" || string(name) != own {
				return true
			}
		}
	}
	return false
}

// hasAmbientCredentials reports whether Authorization is of a scheme that browsers
// repeat by themselves: any but Bearer (RFC 6750).
func hasAmbientCredentials(head *http1.RequestHead) bool {
	const scheme = "Bearer "
	for i := head.Find(http1.HeaderAuthorization, 0); i >= 0; i = head.Find(http1.HeaderAuthorization, i+1) {
		if value := head.Value(i); len(value) < len(scheme) || !http1.EqualFold(value[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

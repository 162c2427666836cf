package l7

import (
	"bytes"
	"time"

	"mcplb/proxy/http1"
)

// keptByCaches reports whether a shared cache may keep the answer for other
// clients than the one that asked, which must not get its cookie (RFC 9111
// sections 3 and 5.2, RFC 9213): the server says so by public, by s-maxage or
// max-age above 0, or by an Expires to come. now is the present time.
//
// In doubt it is yes: the method does not matter, nor whether the request had
// credentials, and a lifetime that is not a number counts as far as it is one. A
// 304 renews what a cache has, so it is yes, too. That a cache may keep an answer
// by a guess (RFC 9111 section 4.2.2) does not count: it holds for nearly every
// answer, and the common caches do not keep one that sets a cookie.
func keptByCaches(head *http1.ResponseHead, now time.Time) bool {
	if head.Status == 304 {
		return true
	}
	var general, targeted caching
	for i := head.Find(http1.HeaderCacheControl, 0); i >= 0; i = head.Find(http1.HeaderCacheControl, i+1) {
		general.read(head.Value(i))
	}
	expires := false
	for i := head.Find(http1.HeaderOther, 0); i >= 0; i = head.Find(http1.HeaderOther, i+1) {
		switch name := head.Name(i); {
		case http1.EqualFold(name, "Expires"):
			expires = expires || isFuture(head.Value(i), head.Get(http1.HeaderDate), now)
		case http1.EqualFold(name, "X-Accel-Expires"):
			targeted.lives = targeted.lives || positive(bytes.TrimPrefix(head.Value(i), []byte("@")))
		case isTargeted(name):
			targeted.read(head.Value(i))
		}
	}
	return targeted.kept(false) || general.kept(expires)
}

// isTargeted reports whether a field is Cache-Control for certain caches:
// CDN-Cache-Control, under the names of several products, or Surrogate-Control.
func isTargeted(name []byte) bool {
	const cdn = "CDN-Cache-Control"
	return http1.EqualFold(name, "Surrogate-Control") || http1.EqualFold(name, "Akamai-Cache-Control") ||
		len(name) >= len(cdn) && http1.EqualFold(name[len(name)-len(cdn):], cdn)
}

// caching is what Cache-Control says to shared caches.
type caching struct {
	public  bool
	lives   bool // max-age or s-maxage is above 0
	shared  bool // s-maxage is there, which goes before max-age
	aged    bool // max-age is there; it and s-maxage go before Expires
	private bool // or no-store: not for shared caches
	spared  bool // Set-Cookie is not for them
}

// read reads the value of one line.
func (c *caching) read(value []byte) {
	for e, rest := http1.NextElement(value); e != nil; e, rest = http1.NextElement(rest) {
		name, argument, given := bytes.Cut(e, []byte("="))
		name, argument = bytes.TrimSpace(name), bytes.Trim(argument, " \t\"")
		switch {
		case http1.EqualFold(name, "public"):
			c.public = true
		case http1.EqualFold(name, "no-store"), http1.EqualFold(name, "private") && !given:
			c.private = true
		case http1.EqualFold(name, "private"), http1.EqualFold(name, "no-cache"):
			c.spared = c.spared || http1.HasToken(argument, "set-cookie")
		case http1.EqualFold(name, "s-maxage"):
			if !c.shared {
				c.shared, c.lives = true, false
			}
			c.lives = c.lives || positive(argument)
		case http1.EqualFold(name, "max-age"):
			c.aged = true
			c.lives = c.lives || !c.shared && positive(argument)
		}
	}
}

// kept reports whether a shared cache may keep the answer with its Set-Cookie;
// expires is what Expires says.
func (c *caching) kept(expires bool) bool {
	if c.private || c.spared {
		return false
	}
	return c.public || c.lives || expires && !c.shared && !c.aged
}

// positive reports whether text begins with a number above 0.
func positive(text []byte) bool {
	for _, c := range text {
		switch {
		case c < '0' || c > '9':
			return false
		case c > '0':
			return true
		}
	}
	return false
}

// dateForms are those of RFC 9110 section 5.6.7.
var dateForms = []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// isFuture reports whether Expires is a time after Date, or after now where the
// clocks differ. What is no time, such as 0, is past.
func isFuture(expires, date []byte, now time.Time) bool {
	end, ok := parseTime(expires)
	if !ok {
		return false
	}
	begin, dated := parseTime(date)
	return end.After(now) || dated && end.After(begin)
}

func parseTime(p []byte) (t time.Time, ok bool) {
	const longest = 40
	if len(p) == 0 || len(p) > longest {
		return t, false
	}
	for _, form := range dateForms {
		if t, err := time.Parse(form, string(p)); err == nil {
			return t, true
		}
	}
	return t, false
}

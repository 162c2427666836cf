package l7

import (
	"bytes"
	"strings"
	"time"

	"mcplb/proxy/http1"
)

// keptByCaches reports whether a shared cache may keep an answer for other clients than
// the one that asked, which must not get its cookie (RFC 9111 sections 3 and 5.2, RFC
// 9213). Its fields say so by public, by s-maxage or max-age above 0, by a time for
// which a stale answer may be used (RFC 5861), or by an Expires to come. now is the
// present time.
//
// In doubt it is yes: the method does not matter, nor whether the request had
// credentials; a lifetime that is not a number counts as far as it is one, and
// directives count where a semicolon or a space stands for the comma, as nginx reads
// them. A 304 renews what a cache has, so it is yes, too. That a cache may keep an answer
// by a guess (RFC 9111 section 4.2.2) does not count: it holds for nearly every
// answer, and the common caches do not keep one that sets a cookie.
func keptByCaches(head *http1.ResponseHead, now time.Time) bool {
	if head.Status == 304 {
		return true
	}
	var f freshness
	for i := head.Find(http1.HeaderCacheControl, 0); i >= 0; i = head.Find(http1.HeaderCacheControl, i+1) {
		f.general.read(head.Value(i))
	}
	for i := head.Find(http1.HeaderOther, 0); i >= 0; i = head.Find(http1.HeaderOther, i+1) {
		f.add(head.Name(i), head.Value(i), now)
	}
	f.date = head.Get(http1.HeaderDate)
	return f.kept(now)
}

// keptByCachesEdited is keptByCaches for an answer whose fields a route has edited: lines,
// complete, are those that the client gets.
func keptByCachesEdited(status int, lines []byte, now time.Time) bool {
	var f freshness
	for line := range bytes.Lines(lines) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		f.add(name, bytes.TrimSpace(value), now)
	}
	return status == 304 || f.kept(now)
}

// freshness is what the fields of an answer say about how long caches may keep it.
type freshness struct {
	general, targeted caching
	end               time.Time // Expires, the last of several
	date              []byte    // the value of Date
}

func (f *freshness) add(name, value []byte, now time.Time) {
	switch {
	case http1.EqualFold(name, "Cache-Control"):
		f.general.read(value)
	case http1.EqualFold(name, "Expires"):
		if end, ok := parseTime(value, now); ok && end.After(f.end) {
			f.end = end
		}
	case http1.EqualFold(name, "Date"):
		f.date = value
	case http1.EqualFold(name, "X-Accel-Expires"):
		f.targeted.lives = f.targeted.lives || positive(bytes.TrimPrefix(value, []byte("@")))
	case isTargeted(name):
		f.targeted.read(value)
	}
}

func (f *freshness) kept(now time.Time) bool {
	return f.targeted.kept(false) || f.general.kept(!f.end.IsZero() && f.expires(now))
}

// expires reports whether Expires is a time after Date, or after now where the clocks
// differ.
func (f *freshness) expires(now time.Time) bool {
	begin, dated := parseTime(f.date, now)
	return f.end.After(now) || dated && f.end.After(begin)
}

// isTargeted reports whether a field is Cache-Control for certain caches:
// CDN-Cache-Control, under the names of several products, or one of its predecessors.
func isTargeted(name []byte) bool {
	const cdn = "CDN-Cache-Control"
	return http1.EqualFold(name, "Surrogate-Control") || http1.EqualFold(name, "Akamai-Cache-Control") || http1.EqualFold(name, "Edge-Control") ||
		len(name) >= len(cdn) && http1.EqualFold(name[len(name)-len(cdn):], cdn)
}

// caching is what Cache-Control says to shared caches.
type caching struct {
	public     bool
	lives      bool // max-age or s-maxage is above 0
	shared     bool // s-maxage is there, which goes before max-age
	aged       bool // max-age is there; it and s-maxage go before Expires
	stale      bool // it may be used for some time although it is stale
	private    bool // not for shared caches
	unstored   bool // no-store is there
	understood bool // must-understand is there: caches ignore no-store (RFC 9111 section 5.2.2.3)
	spared     bool // Set-Cookie is not for them
	unchanged  bool // no-transform is there: for every intermediary, not only caches
}

// read reads the value of one line.
func (c *caching) read(value []byte) {
	for e, rest := http1.NextElement(value); e != nil; e, rest = http1.NextElement(rest) {
		for d, more := nextDirective(e); d != nil; d, more = nextDirective(more) {
			c.directive(d)
		}
	}
}

// nextDirective returns the first directive of p, an element without a comma, and what
// is behind it. There is one, unless others stand behind semicolons or spaces.
func nextDirective(p []byte) (directive, rest []byte) {
	p = bytes.TrimLeft(p, "; \t")
	if len(p) == 0 {
		return nil, nil
	}
	quoted := false
	for i, b := range p {
		if b == '"' {
			quoted = !quoted
		}
		if !quoted && (b == ';' || isBlank(b) && !besideEquals(p, i)) {
			return p[:i], p[i:]
		}
	}
	return p, nil
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// besideEquals reports whether the blank p[i] stands before or behind an equals sign,
// with nothing but others between.
func besideEquals(p []byte, i int) bool {
	before, behind := bytes.TrimRight(p[:i], " \t"), bytes.TrimLeft(p[i:], " \t")
	return bytes.HasSuffix(before, []byte("=")) || bytes.HasPrefix(behind, []byte("="))
}

func (c *caching) directive(directive []byte) {
	name, argument, given := bytes.Cut(directive, []byte("="))
	name, argument = bytes.TrimSpace(name), bytes.Trim(argument, " \t\"")
	switch {
	case http1.EqualFold(name, "public"):
		c.public = true
	case http1.EqualFold(name, "no-store"):
		c.unstored = true
	case http1.EqualFold(name, "no-transform"):
		c.unchanged = true
	case http1.EqualFold(name, "must-understand"):
		c.understood = true
	case http1.EqualFold(name, "private") && !given:
		c.private = true
	case http1.EqualFold(name, "private"), http1.EqualFold(name, "no-cache"):
		c.spared = c.spared || http1.HasToken(argument, "set-cookie")
	case http1.EqualFold(name, "stale-while-revalidate"), http1.EqualFold(name, "stale-if-error"):
		c.stale = c.stale || positive(argument)
	default:
		c.lifetime(name, argument)
	}
}

func (c *caching) lifetime(name, argument []byte) {
	switch {
	case http1.EqualFold(name, "s-maxage"):
		if !c.shared {
			c.shared, c.lives = true, false
		}
		c.lives = c.lives || positive(argument)
	case http1.EqualFold(name, "max-age"), http1.EqualFold(name, "cache-maxage"): // of Edge-Control
		c.aged = true
		c.lives = c.lives || !c.shared && positive(argument)
	}
}

// kept reports whether a shared cache may keep the answer with its Set-Cookie;
// expires is what Expires says.
func (c *caching) kept(expires bool) bool {
	if c.private || c.spared || c.unstored && !c.understood {
		return false
	}
	return c.public || c.lives || c.stale || expires && !c.shared && !c.aged
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

// dateForms are those of RFC 9110 section 5.6.7, as generous caches read them: with one
// digit for the day, another name of the zone, or four digits for a year behind
// hyphens, as cookies have it.
var dateForms = []string{
	"Mon, _2 Jan 2006 15:04:05 MST", "Monday, _2-Jan-06 15:04:05 MST", time.ANSIC,
	"Mon, _2-Jan-2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700",
}

// parseTime reads a date. What is none, such as 0, is past for caches.
func parseTime(p []byte, now time.Time) (t time.Time, ok bool) {
	const longest = 64
	if len(p) == 0 || len(p) > longest {
		return t, false
	}
	for _, form := range dateForms {
		if t, err := time.Parse(form, string(p)); err == nil {
			return ofCentury(t, form, now), true
		}
	}
	return parseLooseTime(p, now)
}

// looseForms are dates without what parseLooseTime leaves out.
var looseForms = []string{
	"2 Jan 2006 15:04:05", "2 January 2006 15:04:05", "2 Jan 06 15:04:05", "Jan 2 15:04:05 2006",
	"2006 01 02 15:04:05", "2006 01 02T15:04:05", "2006 01 02T15:04:05Z",
}

// parseLooseTime reads a date as caches do that look for day, month, year and time alone:
// whatever the name of the day, quotes, commas, hyphens, letters of either case, and what
// is behind it, the zone too.
func parseLooseTime(p []byte, now time.Time) (t time.Time, ok bool) {
	words := bytes.FieldsFunc(p, func(r rune) bool { return strings.ContainsRune(" \t,;-\"", r) })
	if len(words) > 0 && (words[0][0] < '0' || words[0][0] > '9') {
		words = words[1:]
	}
	for size := min(len(words), 4); size >= 3; size-- {
		text := string(bytes.ToUpper(bytes.Join(words[:size], []byte(" "))))
		for _, form := range looseForms {
			if t, err := time.Parse(form, text); err == nil {
				return ofCentury(t, form, now), true
			}
		}
	}
	return t, false
}

// ofCentury returns t in the century that is meant, where a form has but two digits for
// the year: it is at most 50 years ahead.
func ofCentury(t time.Time, form string, now time.Time) time.Time {
	if strings.Contains(form, "2006") {
		return t
	}
	if later := t.AddDate(100, 0, 0); !later.After(now.AddDate(50, 0, 0)) {
		return later
	}
	if t.After(now.AddDate(50, 0, 0)) {
		return t.AddDate(-100, 0, 0)
	}
	return t
}

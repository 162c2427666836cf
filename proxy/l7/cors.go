package l7

import (
	"strconv"
	"strings"
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// cors lets pages of other origins read the responses that the balancer generates
// (Fetch Standard, section 3.2): without it a browser hides from its client even
// that the session is gone. It is immutable.
//
// The zero value lets none.
type cors struct {
	allowed   []string // as allowed_origins; empty = every origin
	expose    string   // a complete field line; "" = none
	preflight bool     // preflights are answered
	methods   answerTo
	headers   answerTo
	age       string
	on        bool
}

// answerTo is a list in the answer to a preflight.
type answerTo struct {
	list string
	echo bool // what was asked for is answered instead
}

func newCORS(f *conf.Frontend) cors {
	c := &f.CORS
	made := cors{
		allowed: f.AllowedOrigins, preflight: c.Preflight, on: true,
		methods: newAnswerTo(c.AllowMethods), headers: newAnswerTo(c.AllowHeaders),
		age: strconv.FormatInt(int64(c.MaxAge/time.Second), 10),
	}
	if len(c.Expose) > 0 {
		made.expose = string(http1.AppendField(nil, "Access-Control-Expose-Headers", strings.Join(c.Expose, ", ")))
	}
	return made
}

func newAnswerTo(list []string) answerTo {
	for _, one := range list {
		if one == "*" {
			return answerTo{echo: true}
		}
	}
	return answerTo{list: strings.Join(list, ", ")}
}

// appendFields appends the fields of a response to a page of that origin, Vary
// aside; none if the origin is not allowed, or "".
func (c *cors) appendFields(dst []byte, origin string) []byte {
	if !c.allows(origin) {
		return dst
	}
	return append(c.appendAllowed(dst, origin), c.expose...)
}

// allows reports whether pages of the origin may read responses.
func (c *cors) allows(origin string) bool {
	return c.on && origin != "" && (len(c.allowed) == 0 || listsOrigin(c.allowed, origin))
}

// appendAllowed appends the fields that allow an origin. Credentials are allowed to
// those alone that the operator has named.
func (c *cors) appendAllowed(dst []byte, origin string) []byte {
	dst = http1.AppendField(dst, "Access-Control-Allow-Origin", origin)
	if len(c.allowed) > 0 {
		dst = http1.AppendField(dst, "Access-Control-Allow-Credentials", "true")
	}
	return dst
}

// answers reports whether the request is a preflight that is answered here (Fetch
// Standard, section 3.2.2).
func (c *cors) answers(head *http1.RequestHead, origin string) bool {
	return c.preflight && head.Method == http1.MethodOptions && c.allows(origin) &&
		fieldCalled(head, "Access-Control-Request-Method") >= 0
}

// preflightFields are the fields of the answer to a preflight.
func (c *cors) preflightFields(head *http1.RequestHead, origin string) []byte {
	dst := http1.AppendField(nil, "Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	dst = c.appendAllowed(dst, origin)
	dst = c.methods.appendTo(dst, "Access-Control-Allow-Methods", head, "Access-Control-Request-Method")
	dst = c.headers.appendTo(dst, "Access-Control-Allow-Headers", head, "Access-Control-Request-Headers")
	return http1.AppendField(dst, "Access-Control-Max-Age", c.age)
}

// appendTo appends the field called name, which answers the one called asked.
func (a *answerTo) appendTo(dst []byte, name string, head *http1.RequestHead, asked string) []byte {
	if !a.echo {
		if a.list == "" {
			return dst
		}
		return http1.AppendField(dst, name, a.list)
	}
	if i := fieldCalled(head, asked); i >= 0 && isTokenList(head.Value(i)) {
		return http1.AppendField(dst, name, head.Value(i))
	}
	return dst
}

// fieldCalled returns the index of the first field with a name that has no
// HeaderID, -1 if there is none.
func fieldCalled(head *http1.RequestHead, name string) int {
	for i := head.Find(http1.HeaderOther, 0); i >= 0; i = head.Find(http1.HeaderOther, i+1) {
		if http1.EqualFold(head.Name(i), name) {
			return i
		}
	}
	return -1
}

// isTokenList reports whether value is a list that may be repeated in a response.
func isTokenList(value []byte) bool {
	const longest = 4 << 10
	for _, b := range value {
		if b <= ' ' && b != ' ' || b >= 0x7f || strings.IndexByte("\"(){}<>@:;\\/[]?=", b) >= 0 {
			return false
		}
	}
	return len(value) > 0 && len(value) <= longest
}

// origins are the origins that the clients of one loop have sent lately, so that a
// request need not keep a copy of its own.
type origins map[string]string

const (
	mostOrigins   = 256
	longestOrigin = 300
)

// of returns the origin of a request whose head is parsed: "" if it has none.
func (o *origins) of(head *http1.RequestHead) string {
	if !head.Has(http1.HeaderOrigin) || head.Repeated(http1.HeaderOrigin) {
		return ""
	}
	return o.keep(head.Get(http1.HeaderOrigin))
}

// ofRefused returns the origin in a head that is malformed or not complete: the
// page that has sent it is to learn that.
func (o *origins) ofRefused(p []byte) string { return o.keep(http1.LooseField(p, "Origin")) }

// keep returns the text of an Origin field; "" if no browser sends it.
func (o *origins) keep(sent []byte) string {
	if known, ok := (*o)[string(sent)]; ok {
		return known
	}
	if !isOrigin(sent) {
		return ""
	}
	if *o == nil || len(*o) >= mostOrigins {
		*o = make(origins)
	}
	kept := string(sent)
	(*o)[kept] = kept
	return kept
}

// isOrigin reports whether a field's value may be an origin: a word (HTML Standard,
// section 7.1.1).
func isOrigin(value []byte) bool {
	for _, b := range value {
		if b <= ' ' || b >= 0x7f || b == ',' || b == '"' || b == '*' {
			return false
		}
	}
	return len(value) > 0 && len(value) <= longestOrigin
}

// listsOrigin reports whether an origin is one of those allowed.
func listsOrigin[T string | []byte](allowed []string, origin T) bool {
	for _, one := range allowed {
		if http1.EqualFold(origin, one) {
			return true
		}
	}
	return false
}

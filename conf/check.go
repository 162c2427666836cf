package conf

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Statuses is a set of HTTP statuses. The zero value has none.
type Statuses []StatusRange

// StatusRange is one status, or a class of them: First to Last, both included.
type StatusRange struct{ First, Last int }

// Has reports whether status is in the set.
func (s Statuses) Has(status int) bool {
	return slices.ContainsFunc(s, func(r StatusRange) bool { return r.First <= status && status <= r.Last })
}

// String lists the statuses in words: "200, 204 or 3xx"; "none" without any.
func (s Statuses) String() string {
	words := make([]string, len(s))
	for i, r := range s {
		words[i] = r.String()
	}
	return cmp.Or(enumerate(words, "or"), "none")
}

// String returns the status, or the class as "3xx".
func (r StatusRange) String() string {
	if r.First != r.Last {
		return strconv.Itoa(r.First/100) + "xx"
	}
	return strconv.Itoa(r.First)
}

// overlap returns the first range of s that shares a status with one of other.
func (s Statuses) overlap(other Statuses) (StatusRange, bool) {
	for _, r := range s {
		for _, o := range other {
			if r.First <= o.Last && o.First <= r.Last {
				return r, true
			}
		}
	}
	return StatusRange{}, false
}

// statusRange is one status, or a class.
var statusRange = scalar(func(raw any) (StatusRange, error) {
	const want = "a whole number from 200 to 599"
	switch v := raw.(type) {
	case int64:
		if v >= 200 && v <= 599 {
			return StatusRange{int(v), int(v)}, nil
		}
	case string:
		if len(v) == 3 && v[0] >= '2' && v[0] <= '5' && strings.EqualFold(v[1:], "xx") {
			first := int(v[0]-'0') * 100
			return StatusRange{first, first + 99}, nil
		}
		if n, err := strconv.Atoi(v); err == nil && n >= 200 && n <= 599 {
			return StatusRange{}, fmt.Errorf("must be %s without quotes: write %d", want, n)
		}
		return StatusRange{}, mustBe(want+`, or a class from "2xx" to "5xx"`, raw)
	}
	return StatusRange{}, mustBe(want, raw)
}, func(r StatusRange) string {
	if r.First != r.Last {
		return strconv.Quote(r.String())
	}
	return r.String()
}).in(node{"anyOf": []node{{"type": "integer", "minimum": 200, "maximum": 599}, {"type": "string", "pattern": "^[2-5][xX][xX]$"}}})

// expectedStatuses is one status or class, or a list that is not empty.
// statusList may be empty, and is always shown as a list.
var (
	expectedStatuses = statuses(true)
	statusList       = statuses(false)
)

func statuses(needed bool) valueType[Statuses] {
	list := listOf(statusRange, `[200, 204, "3xx"]`)
	list.show = func(s []StatusRange) string {
		shown := make([]string, len(s))
		for i, r := range s {
			shown[i] = statusRange.show(r)
		}
		if needed && len(shown) == 1 {
			return shown[0]
		}
		return "[" + strings.Join(shown, ", ") + "]"
	}
	items := node{"type": "array", "items": statusRange.schema, "uniqueItems": true}
	if needed {
		items["minItems"] = 1
	}
	return valueType[Statuses]{
		read: func(raw any, fail failure) Statuses {
			if _, isList := elements(raw); !isList {
				return Statuses{statusRange.read(raw, fail)}
			}
			found := list.read(raw, fail)
			if values, _ := elements(raw); needed && len(values) == 0 {
				fail("", "must not be empty, since no answer would do: write the statuses of a healthy server, such as [200, 204]")
			}
			return found
		},
		show:   func(s Statuses) string { return list.show(s) },
		schema: node{"anyOf": []node{statusRange.schema, items}},
	}
}

// Header is one field of an HTTP request.
type Header struct{ Name, Value string }

// secretWords are parts of the names of fields whose values are not shown.
var secretWords = []string{"authorization", "cookie", "token", "key", "secret", "password", "credential"}

// String shows the field as the file has it. A value that may be a secret is replaced by
// a part of its hash, which tells two apart.
func (h Header) String() string {
	name := strings.ToLower(h.Name)
	value := h.Value
	if slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) }) {
		value = fmt.Sprintf("(hidden, %.4x)", sha256.Sum256([]byte(h.Value)))
	}
	return join("", h.Name) + " = " + strconv.Quote(value)
}

// checkHeaders is a table of the fields that checks send, in the order of their names.
var checkHeaders = valueType[[]Header]{
	read: func(raw any, fail failure) []Header {
		table, ok := raw.(map[string]any)
		if !ok {
			fail("", mustBe(`a table of names and values, such as { "X-Check" = "mcplb" }`, raw).Error())
		}
		return readHeaders(table, fail)
	},
	show: func(headers []Header) string {
		shown := make([]string, len(headers))
		for i, h := range headers {
			shown[i] = h.String()
		}
		if len(shown) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(shown, ", ") + " }"
	},
	schema: node{"type": "object", "additionalProperties": node{"type": "string"}},
}

func readHeaders(table map[string]any, fail failure) []Header {
	var headers []Header
	for _, name := range slices.Sorted(maps.Keys(table)) {
		value, isString := table[name].(string)
		err := checkHeaderName(name)
		switch {
		case err != nil:
		case !isString:
			err = mustBe("a string in quotes", table[name])
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			err = fmt.Errorf("must be a value without line breaks and other control characters, not %s", quoted(value))
		case strings.Trim(value, " \t") != value:
			err = fmt.Errorf("must not begin or end with a space: servers would not see it; it is %s", quoted(value))
		case slices.ContainsFunc(headers, func(h Header) bool { return strings.EqualFold(h.Name, name) }):
			err = errors.New("is there twice, since the case of names means nothing: leave one out")
		}
		if err != nil {
			fail("."+join("", name), err.Error())
			continue
		}
		headers = append(headers, Header{name, value})
	}
	return headers
}

// framingFields are the fields that say where a request ends or how its connection is
// used (RFC 9110 sections 7.6.1 and 10.1.1, RFC 9112 section 6).
var framingFields = []string{"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect",
	"http2-settings"}

// checkHeaderName returns what is wrong with a field that a check is to send.
func checkHeaderName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case !isToken(name):
		return fmt.Errorf("must be the name of a header, such as \"X-Check\", not %s", quoted(name))
	case lower == "host":
		return errors.New("is not set here: write host = above")
	case slices.Contains(framingFields, lower):
		return errors.New("is about the connection or the length of the request, which the check sets itself: leave it out")
	}
	return nil
}

// mcpFields are the fields that a check of type mcp sets itself.
var mcpFields = []string{"accept", "content-type", "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id"}

// checkHost is the Host of checks: a host name or an address, with a port or without; or
// "".
var checkHost = word(`a host name, such as "mcp.example.com"`, func(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "1"
		if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
			host = strings.TrimSuffix(inner, "]")
		}
	}
	number, wrong := strconv.ParseUint(port, 10, 16)
	addr, notIP := netip.ParseAddr(host)
	switch {
	case s == "":
		return s, nil
	case strings.Contains(s, "://"):
		return "", fmt.Errorf(`must be a host name without a scheme, such as "mcp.example.com", not %s`, quoted(s))
	case !isASCII(s):
		return "", notPunycode(s)
	case notIP == nil && addr.Is6() && !strings.HasPrefix(s, "["):
		return "", fmt.Errorf("is an IPv6 address without brackets: write %q", "["+s+"]")
	case notIP != nil && !isHostName(host) || wrong != nil || number == 0 || notIP == nil && addr.Zone() != "":
		return "", fmt.Errorf(`must be a host name or an address, with a port or without, such as "mcp.example.com" or "localhost:3000", not %s`, quoted(s))
	}
	return s, nil
})

// checkMethod is the method of a check's request.
var checkMethod = word(`a method, such as "GET"`, func(s string) (string, error) {
	switch {
	case s == "CONNECT":
		return "", errors.New(`must not be "CONNECT", which asks for a tunnel: write "GET" or "HEAD"`)
	case s == "*":
		return "", errors.New(`must be one method, such as "GET", not "*"`)
	}
	return checkMethodName(s)
})

// checkPath is the path of a check, with a query or without.
var checkPath = word(`a path, such as "/health"`, func(s string) (string, error) {
	path, _, _ := strings.Cut(s, "?")
	if _, err := checkURLPath(path); err != nil {
		return "", err
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
		return "", fmt.Errorf("must be a path of visible ASCII characters without #, not %s", quoted(s))
	}
	return s, nil
})

// mostExpectedBody is how much of a body is searched for expect_body, in bytes.
const mostExpectedBody = 64 << 10

// expectedBody is what a body must have; "" = anything.
var expectedBody = word("a string in quotes", func(s string) (string, error) {
	if len(s) > mostExpectedBody {
		return "", fmt.Errorf("is %d bytes long, and only the first 64 KiB of a body are searched: write less", len(s))
	}
	return s, nil
})

// validateCheck reports keys of a check that contradict each other.
func validateCheck(b *Backend, path string, d *decoder) {
	check := &b.Check
	if d.sound(path+".interval", path+".fast_interval") && check.FastInterval > check.Interval {
		d.fail(path+".fast_interval", "is longer (%s) than interval (%s): it must not be longer, since it serves to detect a change sooner",
			showDuration(check.FastInterval), showDuration(check.Interval))
	}
	if d.sound(path + ".type") {
		validateCheckType(check, path, d)
	}
	if d.sound(path+".drain_on", path+".expect") && check.Type == CheckHTTP {
		if r, found := check.DrainOn.overlap(check.Expect); found {
			d.report(path+".drain_on", "has %s, which is in expect (%s), too: a status says either that the server is well or that it asks to be drained, so leave it out of one", r, check.Expect)
		}
	}
	if check.Type == CheckHTTP && check.Method == "HEAD" && check.ExpectBody != "" && d.sound(path+".method", path+".expect_body") {
		d.report(path+".expect_body", `cannot be in an answer to method = "HEAD", which has no body: write method = "GET", or leave this out`)
	}
}

// validateCheckType reports keys that do nothing with the type of the check.
func validateCheckType(check *Check, path string, d *decoder) {
	for _, k := range []struct {
		key string
		set bool
		mcp bool // type mcp has it, too
	}{
		{"expect_body", check.ExpectBody != "", false},
		{"drain_on", len(check.DrainOn) > 0, false},
		{"method", check.Method != "" && check.Method != "GET", false},
		{"host", check.Host != "", true},
		{"headers", len(check.Headers) > 0, true},
	} {
		switch {
		case !k.set || check.Type == CheckHTTP || !d.sound(path+"."+k.key):
		case check.Type == CheckTCP && k.mcp:
			d.report(path+"."+k.key, `does nothing with type = "tcp": write type = "http" or "mcp", or leave it out`)
		case check.Type == CheckTCP || !k.mcp:
			d.report(path+"."+k.key, `does nothing with type = %q: write type = "http", or leave it out`, check.Type)
		}
	}
	for _, h := range check.Headers {
		if check.Type == CheckMCP && slices.Contains(mcpFields, strings.ToLower(h.Name)) {
			d.report(path+".headers"+"."+join("", h.Name), `is set by checks of type = "mcp" themselves: leave it out`)
		}
	}
}

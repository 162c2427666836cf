package haproxy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// httpCheck translates a line of "http-check".
func httpCheck(p *proxy, l *line) {
	if p.asksAgain(l) {
		l.Impossible("a check asks once: what stands before it counts")
		return
	}
	switch l.arg(1) {
	case "send":
		p.checkSend(l, l.args(2))
	case "expect":
		p.checkExpect(l, l.args(2))
	case "disable-on-404":
		p.check.Set("drain_on", []int{404}, l.Directive)
	case "send-state":
		l.Impossible("checks do not say what the balancer knows")
	case "connect":
		p.checkConnect(l, l.args(2))
	case "comment", "set-var", "unset-var":
		l.Unneeded("it checks nothing")
	}
}

// checkSequence is how far the lines of a check have come.
type checkSequence struct {
	section  string // in which they stand: those of defaults are replaced
	expected bool   // a request has its expectation
	again    bool   // another request follows it
}

// asksAgain reports whether a line of http-check is of a second request, which mcplb's checks do
// not have.
func (p *proxy) asksAgain(l *line) bool {
	if p.sequence.section != l.Section {
		p.sequence = checkSequence{section: l.Section}
	}
	switch l.arg(1) {
	case "expect":
		p.sequence.expected = true
	case "send", "connect":
		p.sequence.again = p.sequence.again || p.sequence.expected
	default:
		return false
	}
	return p.sequence.again
}

// tcpCheck translates a line of "tcp-check".
func tcpCheck(p *proxy, l *line) {
	switch l.arg(1) {
	case "connect":
		p.checkConnect(l, l.args(2))
	case "comment":
		l.Unneeded("it checks nothing")
	default:
		l.Impossible("mcplb checks that a connection is accepted, HTTP, or a JSON-RPC ping (type = \"mcp\")")
	}
}

func (p *proxy) checkConnect(l *line, words []string) {
	for i, w := range words {
		if w == "port" && i+1 < len(words) {
			if n, err := strconv.Atoi(words[i+1]); err == nil {
				p.check.Set("port", n, l.Directive)
			}
		}
	}
	p.check.Differ(l.Directive, "", "checks connect as clients do: with TLS and the PROXY header where the backend has them")
}

// checkSend translates what a check asks.
func (p *proxy) checkSend(l *line, words []string) {
	for i := 0; i+1 < len(words); i += 2 {
		value := words[i+1]
		switch words[i] {
		case "meth":
			p.check.Set("method", strings.ToUpper(value), l.Directive)
		case "uri", "uri-lf":
			p.check.Set("path", value, l.Directive)
		case "ver":
			l.Translated()
		case "hdr":
			if i+2 >= len(words) {
				return
			}
			p.checkHeader(l, value, words[i+2])
			i++
		default:
			l.Impossible("checks have no %s", words[i])
		}
	}
	l.Translated()
}

func (p *proxy) checkHeader(l *line, name, value string) {
	if strings.Contains(value, "%[") {
		l.Impossible("headers of checks are fixed")
		return
	}
	if strings.EqualFold(name, "host") {
		p.check.Set("host", value, l.Directive)
		return
	}
	if strings.EqualFold(name, "connection") {
		l.Translated()
		return
	}
	headers, _ := p.check.Get("headers").(lb.Inline)
	p.check.Set("headers", append(slices.Clone(headers), lb.Pair{Key: name, Value: value}), l.Directive)
}

// status is a status or a range of them.
var status = regexp.MustCompile(`^(\d{3})(?:-(\d{3}))?$`)

// checkExpect translates what a check expects.
func (p *proxy) checkExpect(l *line, words []string) {
	for len(words) > 2 && (words[0] == "comment" || words[0] == "min-recv" || strings.HasSuffix(words[0], "-status") || strings.HasPrefix(words[0], "on-")) {
		words = words[2:]
	}
	if len(words) < 2 {
		l.Impossible("it expects nothing that mcplb knows")
		return
	}
	switch words[0] {
	case "status":
		expected, ok := statuses(words[1])
		if !ok {
			l.Impossible("%q is no status, and no range of classes", words[1])
			return
		}
		p.check.Set("expect", expected, l.Directive)
	case "rstatus":
		if class := regexp.MustCompile(`^\^?([1-5])(\.\.|\[0-9\]\[0-9\]|\\d\\d|\[0-9\]\{2\})\$?$`).FindStringSubmatch(words[1]); class != nil {
			p.check.Set("expect", []any{class[1] + "xx"}, l.Directive)
			return
		}
		if alternatives := regexp.MustCompile(`^\^?\(?(\d{3}(?:\|\d{3})*)\)?\$?$`).FindStringSubmatch(words[1]); alternatives != nil {
			if expected, ok := statuses(strings.ReplaceAll(alternatives[1], "|", ",")); ok {
				p.check.Set("expect", expected, l.Directive)
				return
			}
		}
		if regexp.MustCompile(`^\^?\(?[2-3](\|[2-3])*\)?`).MatchString(words[1]) && strings.Contains(words[1], "2") && strings.Contains(words[1], "3") {
			p.check.Set("expect", []any{"2xx", "3xx"}, l.Directive)
			return
		}
		l.Impossible("statuses are numbers and classes, no regular expressions")
	case "string":
		p.check.Set("expect_body", strings.Join(words[1:], " "), l.Directive)
		p.check.Default("expect", []any{"1xx", "2xx", "3xx", "4xx", "5xx"})
	default:
		l.Impossible("mcplb's checks expect a status, or a text in the body, not %q", words[0])
	}
}

// statuses reads "200", "200,204" or "200-399"; ranges are of complete classes, or short.
func statuses(text string) (list []any, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		found := status.FindStringSubmatch(part)
		if found == nil {
			return nil, false
		}
		from, _ := strconv.Atoi(found[1])
		to := from
		if found[2] != "" {
			to, _ = strconv.Atoi(found[2])
		}
		for from <= to {
			if from%100 == 0 && from+99 <= to {
				list = append(list, strconv.Itoa(from/100)+"xx")
				from += 100
				continue
			}
			list = append(list, from)
			from++
		}
	}
	return list, len(list) > 0 && len(list) < 50
}

// writeCheck writes the check of a backend.
func (p *proxy) writeCheck(b *lb.Backend) {
	l := p.options["httpchk"]
	if l != nil {
		p.httpCheckLine(l)
	}
	if l := p.options["tcp-check"]; l != nil {
		l.Translated()
	}
	p.checkOverTLS()
	p.checkedAddress(b)
	if p.check.Get("type") != "http" {
		for _, key := range []string{"path", "method", "host", "headers", "expect", "expect_body", "drain_on"} {
			p.check.Delete(key)
		}
	}
	b.Check.Set("type", "tcp")
	b.Check.Merge(&p.check)
	b.Check.Default("interval", 2*time.Second)
	interval, _ := b.Check.Get("interval").(time.Duration)
	if fast, ok := b.Check.Get("fast_interval").(time.Duration); ok && fast > interval {
		b.Check.Set("fast_interval", interval)
		b.Check.Comment("fast_interval", "fastinter is longer than inter: not longer here")
	}
	b.Check.Default("fast_interval", interval)
	b.Check.Default("timeout", interval)
	b.Check.Default("rise", 2)
	b.Check.Default("fall", 3)
	b.Check.Default("observe", false)
}

// checkOverTLS takes the request out of a check that speaks TLS where clients do not: mcplb would
// ask without TLS, and find every server down.
func (p *proxy) checkOverTLS() {
	if p.checkTLS == nil || p.tls != nil || p.check.Get("type") != "http" {
		return
	}
	p.check.Delete("type")
	p.options["httpchk"].Impossible("mcplb's checks speak TLS where the backend does, which this one does not: the check is a connection")
}

// checkedAddress says where servers of mode tcp are asked over HTTP: at their own address.
func (p *proxy) checkedAddress(b *lb.Backend) {
	if p.mode != "tcp" || p.check.Get("type") != "http" || p.check.Has("port") {
		return
	}
	var addresses []string
	for _, s := range b.Servers {
		address, _ := s.Get("tcp").(string)
		addresses = append(addresses, address)
	}
	if n, err := strconv.Atoi(lb.CommonPort(addresses)); err == nil {
		p.check.Set("port", n)
		return
	}
	for i, s := range b.Servers {
		s.Set("http", addresses[i])
	}
}

// httpCheckLine translates option httpchk [[METHOD] URI [VERSION]].
func (p *proxy) httpCheckLine(l *line) {
	words := l.args(2)
	method, path := "OPTIONS", "/"
	switch {
	case len(words) == 1:
		path = words[0]
	case len(words) > 1:
		method, path = strings.ToUpper(words[0]), words[1]
	}
	p.check.Set("type", "http", l.Directive)
	if !p.check.Has("method") {
		p.check.Set("method", method, l.Directive)
	}
	if !p.check.Has("path") {
		p.check.Set("path", path, l.Directive)
	}
	if len(words) > 2 {
		p.legacyHeaders(l, strings.Join(words[2:], " "))
	}
	p.check.Default("expect", []any{"2xx", "3xx"})
}

// legacyHeaders reads headers behind the version, as was usual before http-check send.
func (p *proxy) legacyHeaders(l *line, version string) {
	for i, h := range strings.Split(strings.ReplaceAll(version, "\r", ""), "\n") {
		name, value, ok := strings.Cut(h, ":")
		if i > 0 && ok {
			p.checkHeader(l, strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
}

package haproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// acls are the named criteria of a section, each one or more lines.
type acls map[string][]*line

// predefined are HAProxy's named criteria that every section has.
var predefined = map[string][]string{
	"TRUE": {"always_true"}, "FALSE": {"always_false"}, "LOCALHOST": {"src", "127.0.0.0/8", "::1"}, "HTTP": {"req.proto_http"}, "WAIT_END": {"always_true"},
	"METH_CONNECT": {"method", "CONNECT"}, "METH_DELETE": {"method", "DELETE"}, "METH_GET": {"method", "GET", "HEAD"}, "METH_HEAD": {"method", "HEAD"},
	"HTTP_CONTENT": {"req.body_len"}, "HTTP_1.0": {"req.ver"}, "HTTP_1.1": {"req.ver"}, "HTTP_2.0": {"req.ver"}, "HTTP_URL_SLASH": {"url_beg", "/"}, "HTTP_URL_STAR": {"url", "*"}, "REQ_CONTENT": {"req.len"}, "RDP_COOKIE": {"req.rdp_cookie_cnt"},
	"METH_OPTIONS": {"method", "OPTIONS"}, "METH_POST": {"method", "POST"}, "METH_PUT": {"method", "PUT"}, "METH_TRACE": {"method", "TRACE"},
	"HTTP_URL_ABS": {"unknown"},
}

// criteria evaluates conditions for the listeners of a group.
type criteria struct {
	named acls
	group *group
	used  map[*line]bool
	notes []string // what differs in what was evaluated last
	lost  []error  // of the cases of a condition, one of which has to hold, why some cannot be said

	at    *line // the rule that asks
	depth int   // of the variables on the way to it

	closes bool    // the condition is of a rule that refuses
	more   bool    // and what is evaluated now makes it refuse more
	closed []error // of its exceptions, why some cannot be said
}

// parse reads "if ..." or "unless ...", or nothing, which always holds.
func (c *criteria) parse(words []string) (condition, error) {
	c.lost, c.closed = nil, nil
	if len(words) == 0 {
		return condition{{}}, nil
	}
	if words[0] != "if" && words[0] != "unless" {
		return nil, fmt.Errorf("%q is not understood", words[0])
	}
	if words[0] == "unless" {
		result, err := c.cases(words[1:], false)
		if err != nil {
			return nil, err
		}
		return result.not()
	}
	return c.cases(words[1:], true)
}

// cases reads cases that are joined by "||" and "or". If some will do, those that cannot be
// said are left out, as long as there is another.
func (c *criteria) cases(words []string, some bool) (result condition, err error) {
	var lost []error
	said := false
	for {
		end := endOfCase(words)
		one := words
		if end >= 0 {
			one = words[:end]
		}
		found, err := c.all(one, some)
		switch {
		case err == nil:
			said = true
			result = append(result, found...)
		case !some:
			return nil, err
		default:
			lost = append(lost, err)
		}
		if end < 0 {
			break
		}
		words = words[end+1:]
	}
	if !said {
		return nil, lost[0]
	}
	c.lost = append(c.lost, lost...)
	if len(result) > mostConjunctions {
		return nil, fmt.Errorf("the condition has more than %d cases", mostConjunctions)
	}
	return result, nil
}

// endOfCase returns where "||" or "or" ends a case, or less than 0.
func endOfCase(words []string) int {
	inside := false
	return slices.IndexFunc(words, func(w string) bool {
		switch {
		case strings.TrimLeft(w, "!") == "{":
			inside = true
		case w == "}":
			inside = false
		}
		return !inside && (w == "||" || w == "or")
	})
}

// account says of a rule which cases of its condition are left out.
func (c *criteria) account(l *line) {
	for _, err := range c.lost {
		l.lost("%v; the other cases of its condition are translated", err)
	}
	for _, err := range c.closed {
		l.Impossible("%v; it is an exception from what is refused: that is refused without it", err)
	}
}

// all reads terms that are joined by nothing: all have to hold.
func (c *criteria) all(words []string, some bool) (condition, error) {
	if len(words) == 0 {
		return nil, errors.New("the condition is incomplete")
	}
	all := condition{{}}
	var exceptions []error
	for len(words) > 0 {
		term, rest, err := c.term(words, some)
		if err != nil && rest != nil && c.closes && some && strings.HasPrefix(words[0], "!") {
			exceptions = append(exceptions, err)
			words = rest
			continue
		}
		if err != nil {
			return nil, err
		}
		if all, err = all.and(term); err != nil {
			return nil, err
		}
		words = rest
	}
	if len(exceptions) > 0 && !all.narrowed() {
		return nil, exceptions[0]
	}
	c.closed = append(c.closed, exceptions...)
	return all, nil
}

// term reads NAME, !NAME, { CRITERION }, or !{ CRITERION }.
func (c *criteria) term(words []string, some bool) (term condition, rest []string, err error) {
	negated := false
	word := words[0]
	for strings.HasPrefix(word, "!") {
		negated, word = !negated, word[1:]
	}
	words = words[1:]
	c.more = c.closes && some && !negated
	if word == "" && len(words) > 0 {
		word, words = words[0], words[1:]
	}
	if word == "{" {
		end := slices.Index(words, "}")
		if end < 0 {
			return nil, nil, errors.New(`"{" is not closed`)
		}
		term, err = c.criterion(words[:end])
		if err != nil && c.more {
			term, err = c.privateTerm(words[:end], err)
		}
		words = words[end+1:]
	} else {
		term, err = c.byName(word, some && !negated)
	}
	if words == nil {
		words = []string{}
	}
	if err == nil && negated {
		term, err = term.not()
	}
	return term, words, err
}

// byName evaluates a named criterion: one of its lines has to hold. If some will do, those
// that cannot be said are left out, as long as there is another.
func (c *criteria) byName(name string, some bool) (any condition, err error) {
	lines, ok := c.named[name]
	if !ok {
		if words, ok := predefined[name]; ok {
			return c.criterion(words)
		}
		return nil, fmt.Errorf("there is no acl %q", name)
	}
	var lost []error
	for _, l := range lines {
		one, err := c.criterion(l.args(2))
		if err != nil && c.more {
			one, err = c.privateTerm(l.args(2), err)
		}
		if err != nil {
			lost = append(lost, fmt.Errorf("acl %s (line %d): %w", name, l.Line, err))
			continue
		}
		c.used[l] = true
		any = append(any, one...)
	}
	if len(lost) > 0 && (!some || len(lost) == len(lines)) {
		return nil, lost[0]
	}
	c.lost = append(c.lost, lost...)
	return any, nil
}

// pattern is a criterion's words, read.
type pattern struct {
	sample, argument string // such as "hdr" and "host"
	converters       []string
	fold             bool   // -i
	match            string // -m
	values           []string
}

// criterion evaluates SAMPLE [flags] values...
func (c *criteria) criterion(words []string) (condition, error) {
	if len(words) == 0 {
		return nil, errors.New("a criterion is empty")
	}
	p, err := c.readPattern(words)
	if err != nil {
		return nil, err
	}
	if p.sample == "var" && c.at != nil && !strings.Contains(p.argument, ",") {
		return c.variable(p.argument, p.converters, words[1:])
	}
	evaluate, ok := samples[p.sample]
	if !ok {
		return nil, fmt.Errorf("mcplb has no condition on %s", words[0])
	}
	for _, converter := range p.converters {
		switch {
		case converter == "lower":
			p.fold = true
		case strings.EqualFold(p.argument, "host") && (converter == "field(1,:)" || converter == "host_only" || converter == "regsub(:.*,)"):
			// hosts are compared without their port
		case converter == "url_dec" && strings.HasPrefix(p.sample, "path"):
			// paths are compared as they read
		default:
			return nil, fmt.Errorf("mcplb has no conversion %q", converter)
		}
	}
	return evaluate(c, p)
}

// readPattern reads the flags and values of a criterion.
func (c *criteria) readPattern(words []string) (p pattern, err error) {
	parts := splitTop(words[0])
	p.converters = parts[1:]
	sample := parts[0]
	if name, argument, ok := strings.Cut(sample, "("); ok {
		sample, p.argument = name, strings.TrimSuffix(argument, ")")
	}
	p.sample = sample
	words = words[1:]
	for len(words) > 0 && strings.HasPrefix(words[0], "-") && len(words[0]) == 2 {
		flag := words[0]
		words = words[1:]
		switch flag {
		case "-i":
			p.fold = true
		case "-n", "-u", "-M":
		case "--":
			p.values = append(p.values, words...)
			return p, nil
		case "-m", "-f":
			if len(words) == 0 {
				return p, fmt.Errorf("%s has no value", flag)
			}
			if flag == "-m" {
				p.match = words[0]
			} else if err := c.patternFile(&p, words[0]); err != nil {
				return p, err
			}
			words = words[1:]
		}
	}
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	p.values = append(p.values, words...)
	return p, nil
}

// patternFile adds the lines of a file of patterns.
func (c *criteria) patternFile(p *pattern, name string) error {
	text, err := c.group.env.ReadFile(name)
	if err != nil {
		return fmt.Errorf("its file of patterns cannot be read: %w", err)
	}
	for l := range strings.Lines(string(text)) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			p.values = append(p.values, l)
		}
	}
	c.note("the patterns of %s at the time of the conversion are written", name)
	return nil
}

// splitTop splits at commas that stand in no parentheses.
func splitTop(s string) (parts []string) {
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, s[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}

func (c *criteria) note(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(c.notes, note) {
		c.notes = append(c.notes, note)
	}
}

// networks reads addresses and CIDRs.
func networks(values []string) ([]string, error) {
	if len(values) == 0 {
		return nil, errors.New("it names no address")
	}
	for i, v := range values {
		if addr, err := netip.ParseAddr(v); err == nil && addr.Zone() == "" {
			continue
		}
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return nil, fmt.Errorf("%q is no address", v)
		}
		values[i] = p.Masked().String()
	}
	return values, nil
}

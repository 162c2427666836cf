package haproxy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// HAProxy's rules see the headers that those before them have set, mcplb's conditions those
// that came. What the rules before have made of a header is known here, where it is a fixed
// text or nothing, so that a condition on it holds, or does not.

// changedHeader is what rules have made of a header of the request.
type changedHeader struct {
	name   string
	gone   bool     // what came is not there any more
	values []string // what rules have set or added, as formats
}

// change is what a rule does to a header.
type change struct {
	headerEdit
	name, value string
}

// sameHost is the host as it came, but for its port and case.
var sameHost = regexp.MustCompile(`(?i)^%\[(?:req\.f?)?hdr\(host\)(?:,lower|,field\(1,:\)|,host_only)*\]$`)

// changedHeaders are the headers that rules have changed.
type changedHeaders []changedHeader

// after returns the headers after one more rule.
func (h changedHeaders) after(c *change) changedHeaders {
	if c == nil || !strings.HasSuffix(c.remove, "_request_headers") {
		return h
	}
	old := changedHeader{name: c.name}
	rest := slices.DeleteFunc(slices.Clone(h), func(other changedHeader) bool {
		if !strings.EqualFold(other.name, c.name) {
			return false
		}
		old = other
		return true
	})
	switch {
	case c.add == "": // it is removed
		old = changedHeader{name: c.name, gone: true}
	case c.set == "":
		old.values = append(slices.Clone(old.values), c.value)
	case strings.EqualFold(c.name, "host") && sameHost.MatchString(c.value):
		return h // hosts are compared without port and case
	default:
		old = changedHeader{name: c.name, gone: true, values: []string{c.value}}
	}
	return append(rest, old)
}

// before returns a condition on the headers after the changes as one on those that came.
func (h changedHeaders) before(when condition) (result condition, err error) {
	if len(h) == 0 {
		return when, nil
	}
	for _, conj := range when {
		var came conjunction
		possible := true
		for _, l := range conj {
			holds, known, err := h.known(l)
			switch {
			case err != nil:
				return nil, err
			case !known:
				came = append(came, l)
			case !holds:
				possible = false
			}
		}
		if possible {
			result = append(result, came)
		}
	}
	return result, nil
}

// known reports whether a literal holds, if the changes decide that.
func (h changedHeaders) known(l literal) (holds, known bool, err error) {
	name := l.name
	if l.asCame {
		return false, false, nil
	}
	switch l.fact {
	case host:
		name = "host"
	case header:
	default:
		return false, false, nil
	}
	i := slices.IndexFunc(h, func(c changedHeader) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return false, false, nil
	}
	changed := h[i]
	if len(l.values) == 0 && len(changed.values) > 0 {
		return !l.not, true, nil
	}
	for _, v := range changed.values {
		if strings.Contains(v, "%") {
			return false, false, fmt.Errorf("it asks for the header %s as a rule before it sets it, and mcplb's conditions are on what came", name)
		}
		if slices.ContainsFunc(l.values, func(pattern string) bool { return matches(l.fact, pattern, v) }) {
			return !l.not, true, nil
		}
	}
	return l.not, changed.gone, nil
}

// matches reports whether a value of a header, or of Host, is one that a pattern stands for.
func matches(f fact, pattern, value string) bool {
	if f == host {
		name := strings.ToLower(value)
		if h, port, ok := strings.Cut(name, ":"); ok && !strings.Contains(port, ":") {
			name = h
		}
		if domain, wild := strings.CutPrefix(pattern, "*"); wild {
			return strings.HasSuffix(name, domain)
		}
		return name == pattern
	}
	start, open := strings.CutSuffix(pattern, "*")
	for _, v := range append(strings.Split(value, ","), value) {
		if v = strings.TrimSpace(v); v == pattern || open && strings.HasPrefix(v, start) {
			return true
		}
	}
	return false
}

package haproxy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// year is the longest duration that mcplb takes.
const year = 365 * 24 * time.Hour

// duration reads a time of HAProxy's; without a unit it is in unit.
func duration(s string, unit time.Duration) (time.Duration, error) {
	digits := strings.TrimRight(s, "usmhd")
	switch s[len(digits):] {
	case "":
	case "us":
		unit = time.Microsecond
	case "ms":
		unit = time.Millisecond
	case "s":
		unit = time.Second
	case "m":
		unit = time.Minute
	case "h":
		unit = time.Hour
	case "d":
		unit = 24 * time.Hour
	default:
		return 0, fmt.Errorf("%q is no time", s)
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no time", s)
	}
	if d := time.Duration(n) * unit; d <= year && (d == 0 || d >= time.Millisecond) {
		return d, nil
	}
	return 0, fmt.Errorf("%s is no time that mcplb has (a millisecond to a year)", s)
}

// number reads a number.
func number(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return int(n), nil
}

// fetches are the names of mcplb for HAProxy's samples and log variables, in formats.
var fetches = map[string]string{
	"src": "{client_ip}", "src_port": "{client_port}", "%ci": "{client_ip}", "%cp": "{client_port}",
	"hdr(host)": "{host}", "req.hdr(host)": "{host}", "req.fhdr(host)": "{host}", "base_host": "{host}",
	"path": "{path}", "query": "{query}", "url": "{uri}", "pathq": "{uri}", "capture.req.uri": "{uri}", "method": "{method}", "capture.req.method": "{method}",
	"%HM": "{method}", "%HU": "{uri}", "%HP": "{path}", "%HQ": "?{query}", "%b": "{backend}", "%s": "{server}", "%f": "{frontend}", "%ft": "{frontend}",
	"be_name": "{backend}", "srv_name": "{server}", "fe_name": "{frontend}", "unique-id": "{request_id}", "uuid()": "{request_id}", "uuid": "{request_id}",
	"ssl_c_s_dn": "{tls_subject}", "ssl_fc_protocol": "{tls_version}", "%ID": "{request_id}", "%sslv": "{tls_version}",
}

// changing are the samples that see the path as the rules before them have made it.
var changing = []string{"path", "url", "pathq"}

// hostname is the host without its port.
var hostname = regexp.MustCompile(`(?i)^(?:req\.f?)?hdr\(host\)(?:,lower)?,(?:field\(1,:\)|host_only)(?:,lower)?$`)

// alike are the samples whose counterpart is not quite the same, with what differs.
var alike = map[string]string{
	"unique-id": "an identifier of mcplb's form", "uuid()": "an identifier of mcplb's form", "uuid": "an identifier of mcplb's form", "%ID": "an identifier of mcplb's form",
	"ssl_c_s_dn": "the subject is written as in RFC 4514",
}

// format translates a log-format string into a text with {names}. l gets the
// differences, t their comments.
func (g *group) format(l *line, t *lb.Table, s string) (string, error) {
	var b strings.Builder
	for s != "" {
		c := s[0]
		switch {
		case c == '{':
			b.WriteString("{{")
			s = s[1:]
		case c != '%':
			b.WriteByte(c)
			s = s[1:]
		case strings.HasPrefix(s, "%%"):
			b.WriteByte('%')
			s = s[2:]
		default:
			flags, name, rest, err := cutFetch(s)
			if err != nil {
				return "", err
			}
			value, err := g.fetch(l, t, name)
			if err != nil {
				return "", err
			}
			if strings.Contains(flags, "+Q") && quotable[name] {
				value = `"` + value + `"`
			}
			b.WriteString(value)
			s = rest
		}
	}
	return b.String(), nil
}

// hostNow is the host of a request as the rules before have made it.
func hostNow(t *lb.Table) string {
	list, _ := t.Get("set_request_headers").(lb.Inline)
	for _, h := range list {
		if value, ok := h.Value.(string); ok && strings.EqualFold(h.Key, "Host") {
			return value
		}
	}
	return "{host}"
}

// quotable are the log variables that the flag +Q puts in quotes. Samples, %[...], are never
// quoted in headers and locations.
var quotable = map[string]bool{"%HM": true, "%HU": true, "%HP": true, "%HQ": true, "%b": true, "%s": true, "%f": true, "%ft": true, "%ID": true, "%sslv": true}

// cutFetch cuts %{flags}[sample] or %{flags}variable from the beginning of a format.
func cutFetch(s string) (flags, name, rest string, err error) {
	body := s[1:]
	if strings.HasPrefix(body, "{") {
		inside, after, closed := strings.Cut(body[1:], "}")
		if !closed {
			return "", "", "", fmt.Errorf("%q is no format", s)
		}
		flags, body = inside, after
	}
	if strings.HasPrefix(body, "[") {
		name, rest, closed := strings.Cut(body[1:], "]")
		if !closed {
			return "", "", "", fmt.Errorf("%q is no format", s)
		}
		return flags, strings.TrimSpace(name), rest, nil
	}
	n := 0
	for n < len(body) && (body[n] >= 'a' && body[n] <= 'z' || body[n] >= 'A' && body[n] <= 'Z') {
		n++
	}
	return flags, "%" + body[:n], body[n:], nil
}

// fetch returns what stands for a sample.
func (g *group) fetch(l *line, t *lb.Table, name string) (string, error) {
	if strings.HasPrefix(name, "var(") {
		sample, err := g.standsFor(name, l)
		if err != nil {
			return "", err
		}
		return g.fetch(l, &lb.Table{}, sample) // as it came
	}
	if hostname.MatchString(name) {
		if now := hostNow(t); now == "{host}" || now == "{hostname}" {
			return "{hostname}", nil
		}
		return "", errors.New("a rule before it sets Host, and mcplb's name is of the host that came")
	}
	if folded := strings.ToLower(name); strings.HasSuffix(strings.TrimSuffix(folded, ",lower"), "hdr(host)") {
		if name = strings.TrimSuffix(folded, ",lower"); name != folded {
			t.Differ(l.Directive, "", "the host is as the client writes it, in upper or lower case")
		}
	}
	switch name {
	case "ssl_fc":
		if g.tls != nil {
			return "1", nil
		}
		return "0", nil
	case "dst_port", "%fp":
		if port := g.port(); port != "" {
			return port, nil
		}
	}
	if inside, ok := strings.CutPrefix(name, "str("); ok {
		return strings.ReplaceAll(strings.TrimSuffix(inside, ")"), "{", "{{"), nil
	}
	value, ok := fetches[name]
	if value == "{host}" {
		value = hostNow(t)
	}
	if !ok {
		return "", fmt.Errorf("mcplb has no name for %%[%s]", strings.TrimPrefix(name, "%"))
	}
	if slices.Contains(changing, name) {
		var err error
		if value, err = changeOf(t).named(value); err != nil {
			return "", err
		}
	}
	if note := alike[name]; note != "" {
		t.Differ(l.Directive, "", "%s", note)
	}
	return value, nil
}

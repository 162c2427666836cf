package nginx

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// year is the longest duration that mcplb takes.
const year = 365 * 24 * time.Hour

// units are nginx's units of time.
var units = []struct {
	name string
	unit time.Duration
}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"M", 30 * 24 * time.Hour}, {"y", 365 * 24 * time.Hour}}

// duration reads a time of nginx's, such as 60, 60s or 1h30m.
func duration(s string) (total time.Duration, err error) {
	rest := s
	for rest != "" {
		n := 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		value, err := strconv.ParseUint(rest[:n], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%q is no time", s)
		}
		rest = rest[n:]
		unit := time.Second
		for _, u := range units {
			if strings.HasPrefix(rest, u.name) {
				unit, rest = u.unit, rest[len(u.name):]
				break
			}
		}
		rest = strings.TrimPrefix(rest, " ")
		if total += time.Duration(value) * unit; total > year {
			return 0, fmt.Errorf("%s is longer than a year, the longest that mcplb has", s)
		}
	}
	if s == "" || total != 0 && total < time.Millisecond {
		return 0, fmt.Errorf("%q is no time", s)
	}
	return total, nil
}

// size reads a number of bytes, and returns it as mcplb writes it.
func size(s string) (any, error) {
	lower := strings.ToLower(s)
	digits := strings.TrimRight(lower, "kmg")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || len(lower)-len(digits) > 1 {
		return nil, fmt.Errorf("%q is no size", s)
	}
	if n == 0 || digits == lower {
		return int(n), nil
	}
	return lower, nil
}

// number reads a number.
func number(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return int(n), nil
}

// network reads an address or a CIDR as mcplb writes it.
func network(s string) (string, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return "", fmt.Errorf("%q is no address", s)
	}
	return p.Masked().String(), nil
}

// variables are nginx's variables that mcplb has a name for.
var variables = map[string]string{
	"remote_addr": "{client_ip}", "binary_remote_addr": "{client_ip}", "realip_remote_addr": "{client_ip}", "remote_port": "{client_port}", "proxy_protocol_addr": "{client_ip}",
	"host": "{hostname}", "http_host": "{host}", "request_uri": "{uri}", "uri": "{path}", "document_uri": "{path}", "args": "{query}", "query_string": "{query}",
	"request_method": "{method}", "scheme": "{scheme}", "request_id": "{request_id}", "ssl_protocol": "{tls_version}", "ssl_client_s_dn": "{tls_subject}",
	"proxy_add_x_forwarded_for": "{client_ip}", "http_x_forwarded_proto": "{scheme}", "proxy_x_forwarded_proto": "{scheme}",
}

// inexact are the variables whose counterpart is not quite the same.
var inexact = map[string]string{
	"uri":                     "{path} is the path as it came, not normalized",
	"document_uri":            "{path} is the path as it came, not normalized",
	"http_x_forwarded_proto":  "{scheme} is that of the connection",
	"proxy_x_forwarded_proto": "{scheme} is that of the connection",
	"ssl_client_s_dn":         "the subject is written as in RFC 4514",
}

// text translates a text with variables into one with {names}. The notes say what
// differs.
func (g *group) text(s string, in *scope) (text string, notes []string, err error) {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			i = len(s)
		}
		b.WriteString(strings.ReplaceAll(s[:i], "{", "{{"))
		if s = s[i:]; s == "" {
			break
		}
		var name string
		if name, s, err = cutVariable(s); err != nil {
			return "", nil, err
		}
		value, note, err := g.variable(name, in)
		if err != nil {
			return "", nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
		b.WriteString(value)
	}
	return b.String(), notes, nil
}

// cutVariable cuts $name or ${name} from the beginning of a text.
func cutVariable(s string) (name, rest string, err error) {
	s = s[1:]
	if strings.HasPrefix(s, "{") {
		name, rest, closed := strings.Cut(s[1:], "}")
		if !closed {
			return "", "", fmt.Errorf("%q is no variable", s)
		}
		return name, rest, nil
	}
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= '0' && s[n] <= '9' || s[n] >= 'a' && s[n] <= 'z' || s[n] >= 'A' && s[n] <= 'Z') {
		n++
	}
	return s[:n], s[n:], nil
}

// decided returns the value of a map of a variable that is the same for all requests here.
func (g *group) decided(name string) (value string, ok bool) {
	m := g.c.maps[name]
	if m == nil || m.name != "map" {
		return "", false
	}
	is, ok := g.known(m.arg(0))
	if !ok || slices.ContainsFunc(m.inner, func(line *node) bool {
		return len(line.args) != 1 || line.name == "include" || strings.HasPrefix(line.name, "~") || strings.Contains(line.arg(0), "$")
	}) {
		return "", false
	}
	m.Translated()
	return m.valueOf(is), true
}

// forwardedProto reports whether a map gives X-Forwarded-Proto, or the scheme where there is none.
func (g *group) forwardedProto(name string) bool {
	m := g.c.maps[name]
	if m == nil || m.name != "map" || m.arg(0) != "$http_x_forwarded_proto" {
		return false
	}
	for _, line := range m.inner {
		if line.name != "default" && line.name != "" || line.arg(0) != "$http_x_forwarded_proto" && line.arg(0) != "$scheme" {
			return false
		}
	}
	m.Translated()
	return true
}

// variable returns what stands for a variable.
func (g *group) variable(name string, in *scope) (value, note string, err error) {
	switch name {
	case "server_port":
		if port := g.port(); port != "" {
			return port, "", nil
		}
	case "https":
		if g.tls {
			return "on", "", nil
		}
		return "", "", nil
	case "server_name":
		if first, ok := in.server().firstName(); ok {
			return first, "", nil
		}
	case "scheme":
		if g.tls {
			return "https", "", nil
		}
		return "http", "", nil
	case "ssl_client_verify":
		if g.verified() {
			return "SUCCESS", "", nil
		}
	case "is_args":
		return "", "", fmt.Errorf("mcplb has no $is_args: {uri} is the path with its query")
	}
	if set := in.set(name); set != nil {
		inner, notes, err := g.text(set.arg(1), in)
		if err == nil {
			set.Translated()
			note = strings.Join(notes, "; ")
		}
		return inner, note, err
	}
	if value, ok := g.decided(name); ok {
		return strings.ReplaceAll(value, "{", "{{"), "", nil
	}
	if g.forwardedProto(name) {
		name = "http_x_forwarded_proto"
	}
	if value, ok := g.c.constant(name); ok {
		return strings.ReplaceAll(value, "{", "{{"), "", nil
	}
	value, ok := variables[name]
	if !ok {
		return "", "", fmt.Errorf("mcplb has no name for $%s", name)
	}
	return value, inexact[name], nil
}

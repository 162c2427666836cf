package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// samples are HAProxy's samples that mcplb has conditions for. A new one is one entry.
var samples = map[string]func(c *criteria, p pattern) (condition, error){
	"always_true":  func(*criteria, pattern) (condition, error) { return condition{{}}, nil },
	"always_false": func(*criteria, pattern) (condition, error) { return nil, nil },
	"path":         pathBy(""), "path_beg": pathBy("beg"), "path_reg": pathBy("reg"), "path_dir": pathBy("dir"), "path_end": pathBy("end"), "path_sub": pathBy("sub"),
	"url": pathBy(""), "url_beg": pathBy("beg"), "url_reg": pathBy("reg"),
	"hdr": headerBy(""), "req.hdr": headerBy(""), "req.fhdr": headerBy(""), "hdr_beg": headerBy("beg"), "req.hdr_beg": headerBy("beg"),
	"hdr_end": headerBy("end"), "hdr_reg": headerBy("reg"), "hdr_dom": headerBy("dom"), "hdr_sub": headerBy("sub"), "hdr_cnt": headerBy("found"), "req.hdr_cnt": headerBy("found"),
	"http_auth": authenticated, "http_auth_group": authenticated,
	"req.body_size": sizeOf, "req.hdr_val": lengthOf, "hdr_val": lengthOf,
	"src": sourceOf, "method": methodOf,
	"ssl_fc":     func(c *criteria, _ pattern) (condition, error) { return constant(c.group.tls != nil), nil },
	"ssl_c_used": certificateShown, "ssl_fc_has_crt": certificateShown, "ssl_c_verify": certificateGood,
	"dst_port":   portOf,
	"ssl_fc_sni": sniOfTLS, "req.ssl_sni": sniOfHello, "req_ssl_sni": sniOfHello,
	"req.ssl_hello_type": helloOf, "req_ssl_hello_type": helloOf,
	"req.proto_http": protocolOf, "req_proto_http": protocolOf,
	"sc_http_req_rate": counterOf("http_req_rate"), "sc0_http_req_rate": counterOf("http_req_rate"), "sc1_http_req_rate": counterOf("http_req_rate"), "src_http_req_rate": counterOf("http_req_rate"), "sc2_http_req_rate": counterOf("http_req_rate"),
	"sc_conn_rate": counterOf("conn_rate"), "sc0_conn_rate": counterOf("conn_rate"), "sc1_conn_rate": counterOf("conn_rate"), "src_conn_rate": counterOf("conn_rate"), "sc2_conn_rate": counterOf("conn_rate"),
	"sc_conn_cur": counterOf("conn_cur"), "sc0_conn_cur": counterOf("conn_cur"), "sc1_conn_cur": counterOf("conn_cur"), "src_conn_cur": counterOf("conn_cur"), "sc2_conn_cur": counterOf("conn_cur"),
}

func constant(holds bool) condition {
	if holds {
		return condition{{}}
	}
	return nil
}

// cases is the condition that one of the values holds, each a case by itself.
func cases(f fact, values []string) (result condition) {
	for _, v := range values {
		result = append(result, conjunction{{fact: f, values: []string{v}}})
	}
	return result
}

// pathBy evaluates a condition on the path.
func pathBy(usual string) func(c *criteria, p pattern) (condition, error) {
	return func(c *criteria, p pattern) (result condition, err error) {
		match := p.match
		if match == "" {
			match = usual
		}
		if match == "found" {
			return condition{{}}, nil
		}
		if p.fold && strings.ToLower(strings.Join(p.values, "")) != strings.ToUpper(strings.Join(p.values, "")) {
			c.note("paths are compared with regard to case")
		}
		for _, v := range p.values {
			one, err := c.pathCase(match, v)
			if err != nil {
				return nil, err
			}
			result = append(result, one...)
		}
		if len(result) == 0 {
			return nil, errors.New("it names no path")
		}
		return result, nil
	}
}

// pathCase evaluates one pattern of a path.
func (c *criteria) pathCase(match, v string) (condition, error) {
	switch match {
	case "reg":
		return c.pathRegular(v)
	case "", "str":
		if !isPath(v) {
			return nil, fmt.Errorf("%q is no path", v)
		}
		return cases(pathIs, []string{v}), nil
	case "beg":
		if !isPath(v) {
			return nil, fmt.Errorf("%q is no beginning of a path that mcplb has", v)
		}
		if v == "/" {
			return condition{{}}, nil
		}
		if strings.HasSuffix(v, "/") {
			c.note("prefixes are whole segments: %s holds for %s, too", v, strings.TrimRight(v, "/"))
		} else {
			c.note("prefixes are whole segments: %s holds for %s and %s/..., not for %sx", v, v, v, v)
		}
		return append(cases(path, []string{v}), c.beyondSegments(v)...), nil
	}
	return nil, fmt.Errorf("mcplb has no condition on a part of the path (%s)", v)
}

// pathRegular evaluates a regular expression that stands for a list of paths.
func (c *criteria) pathRegular(expression string) (result condition, err error) {
	paths, _, err := lb.FinitePaths(expression)
	if err != nil {
		return nil, fmt.Errorf("%q is a regular expression that mcplb's conditions cannot say: %w", expression, err)
	}
	for _, p := range paths {
		if p.Reach == lb.Segments && isPath(p.Text) {
			result = append(result, cases(path, []string{p.Text})...)
			continue
		}
		if p.Reach == lb.AnySlash && isPath(p.Text) {
			result = append(result, conjunction{{fact: pathIs, name: anySlash, values: []string{p.Text}}})
			continue
		}
		one, err := c.pathCase(map[bool]string{true: "str", false: "beg"}[p.Reach == lb.Exact], p.Text)
		if err != nil {
			return nil, err
		}
		result = append(result, one...)
	}
	return result, nil
}

// isPath reports whether mcplb takes v for a path of a route.
func isPath(v string) bool {
	return strings.HasPrefix(v, "/") && !lb.DotSegment(v) && !strings.ContainsAny(v, `\*?#%`) && !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// headerBy evaluates a condition on a header, or on the host.
func headerBy(usual string) func(c *criteria, p pattern) (condition, error) {
	return func(c *criteria, p pattern) (condition, error) {
		match := p.match
		if match == "" || match == "int" {
			match = usual
		}
		name, _, _ := strings.Cut(p.argument, ",")
		if name == "" {
			return nil, errors.New("it names no header")
		}
		if usual == "found" && p.match != "found" {
			return headerCount(name, p.values)
		}
		if strings.EqualFold(name, "host") {
			return hostBy(c, match, p.values)
		}
		if match == "found" {
			return condition{{{fact: header, name: name}}}, nil
		}
		values, err := headerValues(c, p, match)
		if err != nil {
			return nil, err
		}
		return condition{{{fact: header, name: name, values: values}}}, nil
	}
}

// headerCount evaluates a condition on how many headers of a name there are: none, or some.
// Of Host there is one, as others are refused.
func headerCount(name string, values []string) (condition, error) {
	isHost := strings.EqualFold(name, "host")
	switch strings.Join(values, " ") {
	case "", "gt 0", "ge 1":
		if isHost {
			return condition{{}}, nil
		}
		return condition{{{fact: header, name: name}}}, nil
	case "0", "eq 0", "lt 1", "le 0":
		if isHost {
			return nil, nil
		}
		return condition{{{fact: header, name: name, not: true}}}, nil
	case "gt 1", "ge 2":
		if isHost {
			return nil, nil
		}
	}
	return nil, errors.New("mcplb does not count headers")
}

// headerValues returns the values of a header as mcplb compares them.
func headerValues(c *criteria, p pattern, match string) (values []string, err error) {
	star := ""
	switch match {
	case "", "str":
	case "beg":
		star = "*"
	case "reg":
		return headerRegular(c, p)
	default:
		return nil, fmt.Errorf("mcplb compares headers with values or their beginnings, not by %q", match)
	}
	if len(p.values) == 0 {
		return nil, errors.New("it names no value")
	}
	for _, v := range p.values {
		if strings.TrimSpace(v) != v || v == "" || strings.Contains(v, "*") {
			return nil, fmt.Errorf("%q is no value that mcplb can compare", v)
		}
		forms := []string{v}
		if p.fold {
			forms = append(forms, strings.ToLower(v), strings.ToUpper(v), strings.ToUpper(v[:1])+strings.ToLower(v[1:]))
			if strings.EqualFold(v, "websocket") {
				forms = append(forms, "WebSocket")
			}
			c.note("values of headers are compared with regard to case: the usual spellings are listed")
		}
		for _, f := range forms {
			if !slices.Contains(values, f+star) {
				values = append(values, f+star)
			}
		}
	}
	return values, nil
}

// headerRegular returns the values for which regular expressions of a header stand.
func headerRegular(c *criteria, p pattern) (values []string, err error) {
	for _, v := range p.values {
		all, fold, err := lb.Finite(v)
		for _, m := range all {
			if m.Front {
				err = errors.New("mcplb compares headers with values or their beginnings")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%q is a regular expression that mcplb's conditions cannot say: %w", v, err)
		}
		for _, m := range all {
			match := "str"
			if m.Back {
				match = "beg"
			}
			one, err := headerValues(c, pattern{values: []string{m.Text}, fold: p.fold || fold}, match)
			if err != nil {
				return nil, err
			}
			values = append(values, one...)
		}
	}
	return unique(values), nil
}

// hostBy evaluates a condition on the host.
func hostBy(c *criteria, match string, values []string) (condition, error) {
	if match == "found" {
		return condition{{}}, nil
	}
	var hosts []string
	for _, v := range values {
		if match == "reg" {
			found, err := lb.FiniteHosts(v)
			if err != nil {
				return nil, fmt.Errorf("%q is a regular expression that mcplb's conditions cannot say: %w", v, err)
			}
			hosts = append(hosts, found...)
			continue
		}
		v = strings.ToLower(v)
		if name, port, found := strings.Cut(v, ":"); found && !strings.HasPrefix(v, "[") && !strings.Contains(port, ":") {
			c.note("hosts are compared without their port")
			v = name
		}
		switch {
		case match == "" || match == "str":
		case match == "end" && strings.HasPrefix(v, "."):
			v = "*" + v
		case match == "dom" && strings.Contains(v, "."):
			c.note("%s holds for the domain and its subdomains", v)
			hosts = append(hosts, v)
			v = "*." + v
		case match == "end" && strings.Contains(v, "."):
			c.note("%s holds for the domain and its subdomains, not for names that merely end so", v)
			hosts = append(hosts, v)
			v = "*." + v
		case match == "beg" && strings.HasSuffix(v, "."):
			return nil, fmt.Errorf("mcplb compares complete hosts, or domains (*.example.com), not the beginning %s", v)
		default:
			return nil, fmt.Errorf("mcplb compares complete hosts, or domains (*.example.com), not by %q", match)
		}
		if !slices.Contains(hosts, v) {
			hosts = append(hosts, v)
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("it names no host")
	}
	return condition{{{fact: host, values: unique(hosts)}}}, nil
}

func sourceOf(_ *criteria, p pattern) (condition, error) {
	values, err := networks(slices.Clone(p.values))
	return condition{{{fact: source, values: values}}}, err
}

func methodOf(_ *criteria, p pattern) (condition, error) {
	values := make([]string, len(p.values))
	for i, v := range p.values {
		values[i] = strings.ToUpper(v)
	}
	if len(values) == 0 {
		return nil, errors.New("it names no method")
	}
	return condition{{{fact: method, values: values}}}, nil
}

// portOf evaluates a condition on the listener's port, which is known.
func portOf(c *criteria, p pattern) (condition, error) {
	port := c.group.port()
	values := p.values
	if len(values) > 0 && values[0] == "eq" {
		values = values[1:]
	}
	if port == "" || len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { _, err := strconv.Atoi(v); return err != nil }) {
		return nil, errors.New("mcplb has no condition on the port, and here it could be several")
	}
	return constant(slices.Contains(values, port)), nil
}

// certificateShown evaluates whether the client has shown a certificate, which is known
// where it must, or is not asked.
func certificateShown(c *criteria, _ pattern) (condition, error) {
	switch t := c.group.tls; {
	case t == nil || !t.Has("client_verify"):
		return constant(false), nil
	case t.Get("client_verify") == "require":
		return constant(true), nil
	}
	c.note(noCertificates)
	return constant(false), nil
}

// certificateGood evaluates the result of the verification of the client's certificate: 0 for
// those without one, too, and mcplb refuses others.
func certificateGood(_ *criteria, p pattern) (condition, error) {
	if len(p.values) != 1 {
		return nil, errors.New("mcplb refuses certificates that are not good: the result is 0")
	}
	return constant(p.values[0] == "0"), nil
}

// sniOfTLS evaluates a condition on the name of a TLS connection, which browsers and
// libraries send as Host, too.
func sniOfTLS(c *criteria, p pattern) (condition, error) {
	match := p.match
	if match == "" {
		match = "str"
	}
	c.note("the host of the request counts, not the name of the TLS handshake")
	return hostBy(c, match, p.values)
}

// sniOfHello evaluates a condition on the name in a ClientHello that is passed through.
func sniOfHello(c *criteria, p pattern) (condition, error) {
	if c.group.mode == "http" {
		return sniOfTLS(c, p)
	}
	if p.match == "found" {
		return nil, errors.New("routes by SNI are for given names: none is for every client that sends a name")
	}
	result, err := hostBy(c, p.match, p.values)
	for i := range result {
		for k := range result[i] {
			result[i][k].fact = sni
		}
	}
	return result, err
}

// helloOf evaluates whether the connection begins with a ClientHello.
func helloOf(c *criteria, p pattern) (condition, error) {
	if c.group.mode == "http" {
		return condition{{}}, nil
	}
	if !slices.Equal(p.values, []string{"1"}) {
		return nil, errors.New("mcplb reads the ClientHello alone (1)")
	}
	return condition{{{fact: hello}}}, nil
}

// protocolOf evaluates whether the connection speaks HTTP, which is known in mode http.
func protocolOf(c *criteria, _ pattern) (condition, error) {
	if c.group.mode == "http" {
		return condition{{}}, nil
	}
	return nil, errors.New("frontends of mode tcp do not look for HTTP")
}

// lengthOf evaluates a condition on Content-Length.
func lengthOf(c *criteria, p pattern) (condition, error) {
	if !strings.EqualFold(p.argument, "content-length") {
		return nil, errors.New("mcplb compares headers with values or their beginnings, not with numbers")
	}
	return sizeOf(c, p)
}

// sizeOf evaluates a condition that a body is longer than a limit.
func sizeOf(_ *criteria, p pattern) (condition, error) {
	over := map[string]int{"gt": 0, "ge": 1}
	if len(p.values) != 2 {
		return nil, errors.New("mcplb's max_body is a greatest length")
	}
	less, ok := over[p.values[0]]
	limit, err := number(p.values[1])
	if !ok || err != nil || limit-less < 1 {
		return nil, errors.New("mcplb's max_body is a greatest length")
	}
	return condition{{{fact: size, limit: limit - less}}}, nil
}

// counterOf evaluates a condition that a counter of a stick table is over a limit.
func counterOf(name string) func(*criteria, pattern) (condition, error) {
	return func(_ *criteria, p pattern) (condition, error) {
		values := p.values
		over := 0
		if len(values) == 2 && (values[0] == "gt" || values[0] == "ge") {
			if values[0] == "ge" {
				over = 1
			}
			values = values[1:]
		} else {
			return nil, errors.New("mcplb's limits are greater than a number")
		}
		limit, err := number(values[0])
		if err != nil || limit-over < 1 {
			return nil, errors.New("mcplb's limits are greater than a number of 1 or more")
		}
		return condition{{{fact: rate, name: name, limit: limit - over, values: []string{p.sample, p.argument}}}}, nil
	}
}

package haproxy

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// serverLine is a server's line while it is translated, with what its backend's
// default-server says before it.
type serverLine struct {
	p       *proxy
	l       *line // the line that the option stands in
	own     *line // the server's
	table   *lb.Table
	checked bool
	weighed bool
	tls     bool
}

// options applies the options in words.
func (s *serverLine) options(l *line, words []string) {
	s.l = l
	for len(words) > 0 {
		o, known := serverOptions[words[0]]
		if !known || len(words) <= o.args {
			l.Impossible("mcplb has no counterpart for the server's option %q", words[0])
			return
		}
		o.do(s, words[1:1+o.args])
		words = words[1+o.args:]
	}
	l.Translated()
}

// serverAddress reads HOST[:PORT].
func (p *proxy) serverAddress(l *line, address string) (host string, port int, err error) {
	for _, family := range []string{"ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"} {
		address = strings.TrimPrefix(address, family)
	}
	if strings.Contains(address, "@") || strings.HasPrefix(address, "/") {
		return "", 0, fmt.Errorf("servers have an address and a port: %s", address)
	}
	host, digits := address, ""
	switch i := strings.LastIndexByte(address, ':'); {
	case strings.HasPrefix(address, "["):
		if host, digits, err = net.SplitHostPort(address); err != nil {
			host = strings.Trim(address, "[]")
		}
	case i >= 0:
		host, digits = address[:i], address[i+1:]
	}
	if digits == "" || strings.HasPrefix(digits, "+") || strings.HasPrefix(digits, "-") {
		return "", 0, fmt.Errorf("the server's port is the client's, and mcplb wants a fixed one: write %s:PORT", host)
	}
	port, err = strconv.Atoi(digits)
	if err != nil || port < 1 || port > 65535 || host == "" || host == "0.0.0.0" || host == "*" {
		return "", 0, fmt.Errorf("%q is no address of a server", address)
	}
	return host, port, nil
}

// endpoint is the key of a server's address.
func (p *proxy) endpoint() string {
	if p.mode == "http" {
		return "http"
	}
	return "tcp"
}

// addServers writes the servers into the backend.
func (p *proxy) addServers(b *lb.Backend) {
	var all []*serverLine
	anyWeight, anyUnchecked, anyTLS, anyPlain := false, false, false, false
	for _, l := range p.servers {
		if l = p.single(b, l); l.words[0] == "server-template" {
			p.template(b, l)
			continue
		}
		s := p.addServer(b, l)
		if s == nil {
			continue
		}
		all = append(all, s)
		anyWeight = anyWeight || s.weighed
		anyUnchecked = anyUnchecked || !s.checked
		anyTLS, anyPlain = anyTLS || s.tls, anyPlain || !s.tls
	}
	for _, s := range all {
		if anyWeight && !s.weighed {
			s.table.Set("weight", 1)
		}
		s.table.Default("maxconn", 0)
	}
	if anyTLS && anyPlain {
		for _, s := range all {
			if !s.tls {
				s.own.Impossible("TLS is of a backend: put servers without TLS into another one")
			}
		}
		b.Servers = slices.DeleteFunc(b.Servers, func(t *lb.Table) bool {
			return slices.ContainsFunc(all, func(s *serverLine) bool { return s.table == t && !s.tls })
		})
	}
	if !anyTLS {
		p.tls = nil
	}
	p.accountBackups(b, all)
	if anyUnchecked {
		b.Comment("", "servers without \"check\" are checked, too: mcplb checks every server")
		for _, s := range all {
			if !s.checked {
				b.Differ(s.own.Directive, "", "the server is checked, as mcplb checks every server")
			}
		}
	}
}

// accountBackups says what differs where several servers are backups: HAProxy uses the first of
// them that is up, unless option allbackups is on.
func (p *proxy) accountBackups(b *lb.Backend, all []*serverLine) {
	backups := slices.DeleteFunc(slices.Clone(all), func(s *serverLine) bool { return !s.table.Has("backup") })
	if len(backups) < 2 || p.options["allbackups"] != nil {
		return
	}
	for _, s := range backups[1:] {
		b.Differ(s.own.Directive, "", "all backups share the clients, as with option allbackups: HAProxy uses the first that is up")
	}
}

// addServer writes a server, if it can be one.
func (p *proxy) addServer(b *lb.Backend, l *line) *serverLine {
	if len(l.words) < 3 {
		l.Impossible("a server has a name and an address")
		return nil
	}
	host, port, err := p.serverAddress(l, l.words[2])
	if err != nil {
		l.Impossible("%v", err)
		return nil
	}
	s := &serverLine{p: p, own: l, table: b.AddServer(l.words[1])}
	s.table.From = append(s.table.From, l.Directive)
	if s.table.Get("name") != l.words[1] {
		b.Differ(l.Directive, "", "the server is called %s", s.table.Get("name"))
	}
	s.table.Set(p.endpoint(), net.JoinHostPort(host, strconv.Itoa(port)), l.Directive)
	for _, d := range p.usual[l] {
		s.options(d, d.args(1))
	}
	s.options(l, l.args(3))
	return s
}

// template writes a server-template as servers that are found by DNS.
func (p *proxy) template(b *lb.Backend, l *line) {
	if len(l.words) < 4 || b.Discover != nil {
		l.Impossible("a backend has one [discover]")
		return
	}
	first, last, err := templateRange(l.words[2])
	if err != nil {
		l.Impossible("%v", err)
		return
	}
	d := &lb.Table{From: []*lb.Directive{l.Directive}}
	if name := l.words[3]; strings.HasPrefix(name, "_") {
		d.Set("dns", strings.TrimSuffix(name, "."), l.Directive)
		d.Set("ports", lb.Inline{{Key: p.endpoint(), Value: 1}})
		d.Comment("ports", "of the SRV records, whatever stands here")
	} else {
		host, port, err := p.serverAddress(l, name)
		if err != nil {
			l.Impossible("%v", err)
			return
		}
		d.Set("dns", host, l.Directive)
		d.Set("ports", lb.Inline{{Key: p.endpoint(), Value: port}})
	}
	d.Set("most", last-first+1)
	s := &serverLine{p: p, own: l, table: &lb.Table{}}
	for _, def := range p.usual[l] {
		s.options(def, def.args(1))
	}
	s.options(l, l.args(4))
	d.Set("maxconn", 0)
	for _, key := range []string{"maxconn", "weight"} {
		if v := s.table.Get(key); v != nil {
			d.Set(key, v)
		}
	}
	b.Discover = d
	d.Differ(l.Directive, "most", "servers are called by their addresses, and there are as many as the name has")
}

// single returns the line of the server that stands for a template with an address, which no
// name service finds, or l as it is. mcplb has each address once.
func (p *proxy) single(b *lb.Backend, l *line) *line {
	if l.words[0] != "server-template" {
		return l
	}
	first, last, err := templateRange(l.arg(2))
	host, _, bad := p.serverAddress(l, l.arg(3))
	if err != nil || bad != nil || net.ParseIP(host) == nil {
		return l
	}
	one := &line{Directive: l.Directive, words: append([]string{"server", l.arg(1) + strconv.Itoa(first)}, l.args(3)...)}
	p.usual[one] = p.usual[l]
	if last > first {
		b.Differ(l.Directive, "", "one server, not %d with one address", last-first+1)
	}
	return one
}

// templateRange reads how many servers a template has: N, or FIRST-LAST.
func templateRange(s string) (first, last int, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		from, to = "1", from
	}
	if first, err = number(from); err == nil {
		last, err = number(to)
	}
	if err == nil && (last < max(first, 1)) {
		err = fmt.Errorf("%q is no number of servers", s)
	}
	return first, last, err
}

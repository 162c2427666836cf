package haproxy

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// group are the listeners of a section that become one frontend: they have the same
// TLS and PROXY header.
type group struct {
	*proxy
	env      Environment
	addrs    []string
	tls      *lb.Table
	accept   bool
	options  string // of the TLS, to compare
	lines    []*line
	named    map[string]bool // names that have a route by SNI
	onlyTLS  *line           // the rule that rejects what is no TLS, in mode tcp; nil = none
	frontend *lb.Frontend
}

// port returns the port of all the group's listeners, or "" if there are several.
func (g *group) port() string { return lb.CommonPort(g.addrs) }

// ipv6Bind is a bind line whose addresses are for IPv6 alone.
type ipv6Bind struct {
	l     *line
	addrs []string
}

// bindOption is an option of a bind line: how many words follow it, and what it does.
type bindOption struct {
	args int
	do   func(b *bindLine, args []string)
}

// bindLine is a bind line while it is translated.
type bindLine struct {
	l     *line
	c     *converter
	tls   *lb.Table
	front lb.Table
	mode  string
	ssl   bool
	h2    bool
	proxy bool
	v6    bool // v6only
	v4v6  bool
	lists []lb.Inline // certificates

	clients clientsTLS
	ciphers bool // the line has its own
}

// bindOptions are the options of listeners. A new one is one entry.
var bindOptions = map[string]bindOption{
	"ssl":          {0, func(b *bindLine, _ []string) { b.ssl = true }},
	"crt":          {1, func(b *bindLine, a []string) { b.certificates(a[0]) }},
	"crt-list":     {1, func(b *bindLine, a []string) { b.certificateList(a[0]) }},
	"accept-proxy": {0, func(b *bindLine, _ []string) { b.proxy = true }},
	"alpn":         {1, func(b *bindLine, a []string) { b.alpn(a[0]) }},
	"npn":          {1, nothingForListener},
	"ssl-min-ver":  {1, func(b *bindLine, a []string) { b.minVersion(a[0]) }},
	"ssl-max-ver":  {1, func(b *bindLine, _ []string) { b.differs("the newest version that both have is used") }},
	"no-sslv3":     {0, nothingForListener}, "no-tlsv10": {0, nothingForListener}, "no-tlsv11": {0, nothingForListener},
	"force-tlsv12":   {0, func(b *bindLine, _ []string) { b.differs("TLS 1.3 is used where the client has it") }},
	"force-tlsv13":   {0, func(b *bindLine, _ []string) { b.tls.Set("min_version", "1.3", b.l.Directive) }},
	"no-tls-tickets": {0, func(b *bindLine, _ []string) { b.differs("tickets are given, with keys that change daily") }},
	"ciphers":        {1, func(b *bindLine, a []string) { b.ciphers = true; b.tls.SetCiphers(b.l.Directive, a[0]) }},
	"ciphersuites":   {1, func(b *bindLine, _ []string) { b.differs("TLS 1.3's suites") }},
	"curves":         {1, func(b *bindLine, _ []string) { b.differs("the usual curves") }}, "ecdhe": {1, func(b *bindLine, _ []string) { b.differs("the usual curves") }},
	"ca-file":    {1, func(b *bindLine, a []string) { b.clients.ca = a[0] }},
	"verify":     {1, func(b *bindLine, a []string) { b.clients.verify = a[0] }},
	"crl-file":   {1, func(b *bindLine, a []string) { b.clients.crl = a[0] }},
	"strict-sni": {0, func(b *bindLine, _ []string) { b.differs("names without a certificate get the first one") }},
	"tcp-ut":     {1, func(b *bindLine, _ []string) { b.differs("timeout_tcp_user of the backend holds for clients, too") }},
	"name":       {1, nothingForListener}, "id": {1, nothingForListener}, "process": {1, nothingForListener}, "thread": {1, nothingForListener}, "shards": {1, nothingForListener},
	"maxconn": {1, func(b *bindLine, _ []string) { b.differs("maxconn is global") }},
	"backlog": {1, nothingForListener}, "defer-accept": {0, nothingForListener}, "tfo": {0, nothingForListener}, "nice": {1, nothingForListener}, "mss": {1, nothingForListener},
	"transparent": {0, func(b *bindLine, _ []string) { b.l.Impossible("mcplb listens on addresses of the machine") }},
	"interface": {1, func(b *bindLine, a []string) {
		b.l.Impossible("mcplb listens on an address, not on an interface: write that of %s", a[0])
	}},
	"v4v6": {0, func(b *bindLine, _ []string) { b.v4v6 = true }}, "v6only": {0, func(b *bindLine, _ []string) { b.v6 = true }},
	"proto":                 {1, func(b *bindLine, a []string) { b.proto(a[0]) }},
	"generate-certificates": {0, func(b *bindLine, _ []string) { b.l.Impossible("mcplb issues no certificates") }},
	"allow-0rtt":            {0, func(b *bindLine, _ []string) { b.differs("no early data is taken") }},
	"ca-ignore-err":         {1, func(b *bindLine, _ []string) { b.clients.lenient = "ca-ignore-err" }}, "crt-ignore-err": {1, func(b *bindLine, _ []string) { b.clients.lenient = "crt-ignore-err" }}, "prefer-client-ciphers": {0, nothingForListener},
	"tls-ticket-keys": {1, func(b *bindLine, a []string) { b.ticketKeys(a[0]) }}, "group": {1, nothingForListener}, "user": {1, nothingForListener}, "mode": {1, nothingForListener},
	"no-ca-names": {0, nothingForListener}, "ssl-default-bind-options": {0, nothingForListener}, "no-alpn": {0, nothingForListener}, "level": {1, nothingForListener}, "gid": {1, nothingForListener}, "uid": {1, nothingForListener},
}

func nothingForListener(*bindLine, []string) {}

func (b *bindLine) differs(note string) { b.front.Differ(b.l.Directive, "", "%s", note) }

// certificates adds a file with a certificate and its key, or those of a directory.
func (b *bindLine) certificates(name string) {
	name = absolute(b.c.crtBase, name)
	files := []string{name}
	if names, err := b.c.env.ReadDir(name); err == nil {
		files = nil
		for _, n := range names {
			if ext := filepath.Ext(n); !slices.Contains([]string{".issuer", ".ocsp", ".sctl", ".key"}, ext) {
				files = append(files, filepath.Join(name, n))
			}
		}
		b.front.Differ(b.l.Directive, "", "the files of %s at the time of the conversion are named", name)
	}
	for _, f := range files {
		b.lists = append(b.lists, lb.Inline{{Key: "cert", Value: f}, {Key: "key", Value: b.c.keyOf(f)}})
	}
}

// certificateList adds the files that a crt-list names.
func (b *bindLine) certificateList(name string) {
	name = absolute(b.c.crtBase, name)
	text, err := b.c.env.ReadFile(name)
	if err != nil {
		b.l.Impossible("its list of certificates cannot be read: %v", err)
		return
	}
	for l := range strings.Lines(string(text)) {
		fields := strings.Fields(l)
		if len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			b.certificates(fields[0])
		}
	}
	b.front.Differ(b.l.Directive, "", "the files of %s at the time of the conversion are named; options and filters of it are not there: SNI picks by the names in the certificates", name)
}

func (b *bindLine) minVersion(v string) {
	if version, ok := tlsVersions[v]; ok {
		b.tls.Set("min_version", version, b.l.Directive)
		if v != "TLSv"+version {
			b.tls.Differ(b.l.Directive, "min_version", "TLS 1.2 is the oldest that mcplb speaks")
		}
	}
}

// read reads the options of the line.
func (b *bindLine) read(words []string) error {
	for len(words) > 0 {
		o, known := bindOptions[words[0]]
		if !known || len(words) <= o.args {
			return fmt.Errorf("mcplb has no counterpart for the listener's option %q", words[0])
		}
		o.do(b, words[1:1+o.args])
		words = words[1+o.args:]
	}
	return nil
}

// groups reads the bind lines of a section, those with the same properties together.
func (p *proxy) groups() (all []*group) {
	for _, l := range p.binds {
		b := &bindLine{l: l, c: p.c, tls: &lb.Table{}, mode: p.mode}
		if err := b.read(l.args(2)); err != nil {
			l.Impossible("%v", err)
		}
		var addrs []string
		for _, a := range strings.Split(l.arg(1), ",") {
			found, err := listenAddresses(a, b.v6 || b.v4v6)
			if err != nil {
				l.Impossible("%v", err)
				continue
			}
			addrs = append(addrs, found...)
		}
		if b.v6 {
			p.c.ipv6 = append(p.c.ipv6, ipv6Bind{l, addrs})
		}
		if len(addrs) == 0 {
			if l.Unsaid() {
				l.Impossible("it names no address")
			}
			continue
		}
		if b.ssl && len(b.lists) == 0 {
			l.Impossible("it names no certificate that can be read: crt")
			continue
		}
		l.Translated()
		for _, addrs := range p.apart(addrs) {
			all = p.join(all, b, addrs)
		}
	}
	return all
}

// apart parts addresses by their port if a rule asks for it, so that it is known.
func (p *proxy) apart(addrs []string) [][]string {
	if !p.asksForPort() {
		return [][]string{addrs}
	}
	var parts [][]string
	for _, a := range addrs {
		port := lb.CommonPort([]string{a})
		i := slices.IndexFunc(parts, func(part []string) bool { return lb.CommonPort(part) == port })
		if i < 0 {
			parts = append(parts, nil)
			i = len(parts) - 1
		}
		parts[i] = append(parts[i], a)
	}
	return parts
}

// asksForPort reports whether a rule of the section, or of a backend, hangs on the listener's
// port.
func (p *proxy) asksForPort() bool {
	return slices.ContainsFunc(p.c.proxies, func(other *proxy) bool {
		return (other == p || !other.isFront()) && slices.ContainsFunc(other.lines, func(l *line) bool {
			text := strings.Join(l.words, " ")
			return strings.Contains(text, "dst_port") || strings.Contains(text, "%fp")
		})
	})
}

// join adds addresses to the group with the same properties, or to a new one.
func (p *proxy) join(all []*group, b *bindLine, addrs []string) []*group {
	var tls *lb.Table
	options := ""
	if b.ssl {
		tls = b.tls
		b.clientCertificates()
		p.c.bindTLS.apply(tls)
		if d := p.c.bindCiphers; d != nil && !b.ciphers {
			tls.SetCiphers(d.Directive, d.arg(1))
		}
		tls.Set("certificates", b.lists, b.l.Directive)
		options = strings.Join(b.l.args(2), " ")
	} else if b.h2 {
		options = "h2"
	}
	for _, g := range all {
		apart := p.asksForPort() && lb.CommonPort(g.addrs) != lb.CommonPort(addrs)
		if g.options == options && (g.tls == nil) == (tls == nil) && g.accept == b.proxy && !apart {
			g.addrs = append(g.addrs, addrs...)
			g.lines = append(g.lines, b.l)
			return all
		}
	}
	g := &group{proxy: p, env: p.c.env, addrs: addrs, tls: tls, accept: b.proxy, options: options, lines: []*line{b.l}, named: map[string]bool{}}
	g.frontend = p.c.config.AddFrontend(g.name())
	g.frontend.Merge(&b.front)
	return append(all, g)
}

// listen returns the addresses of the group without those that another one of them takes,
// which HAProxy listens on all the same, and mcplb does not.
func (g *group) listen() (addrs []string) {
	for i, a := range g.addrs {
		if !slices.Contains(g.addrs[:i], a) && !slices.ContainsFunc(g.addrs, func(wide string) bool { return g.takes(wide, a) }) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// takes reports whether an address stands for all that there are, and so for another one.
func (g *group) takes(wide, address string) bool {
	all, port, _ := net.SplitHostPort(wide)
	host, ownPort, _ := net.SplitHostPort(address)
	switch isIPv4 := !strings.Contains(host, ":"); {
	case wide == address || port != ownPort || host == "0.0.0.0" || host == "::":
		return false
	case isIPv4:
		return all == "0.0.0.0" || all == "::" && !slices.Contains(g.addrs, net.JoinHostPort("0.0.0.0", port))
	}
	return all == "::"
}

// name names the frontend of a group.
func (g *group) name() string {
	if g.proxy.name == "" {
		return g.kind
	}
	taken := slices.ContainsFunc(g.c.config.Frontends, func(f *lb.Frontend) bool { return f.Name == lb.Name(g.proxy.name) })
	if taken && g.tls != nil {
		return g.proxy.name + "_tls"
	}
	return g.proxy.name
}

// listenAddresses reads an address of a bind line, with one port or a range.
func listenAddresses(a string, both bool) (addrs []string, err error) {
	v6 := strings.HasPrefix(a, "ipv6@")
	for _, family := range []string{"ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"} {
		a = strings.TrimPrefix(a, family)
	}
	i := strings.LastIndexByte(a, ':')
	if strings.Contains(a, "@") || strings.HasPrefix(a, "/") || i < 0 {
		return nil, fmt.Errorf("mcplb listens on an address and a port of TCP, not on %q", a)
	}
	host, ports := strings.Trim(a[:i], "[]"), a[i+1:]
	switch {
	case (host == "" || host == "*") && (v6 || both), host == "::":
		host = "::"
	case host == "" || host == "*" || host == "0": // inet_aton(3)
		host = "0.0.0.0"
	}
	return lb.Ports(host, ports)
}

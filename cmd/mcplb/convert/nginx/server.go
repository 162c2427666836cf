package nginx

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// listener is an address of a server block.
type listener struct {
	address            string
	tls, proxy, defaul bool
	http2              bool
	node               *node
}

// listeners reads the listen directives of a server.
func (c *converter) listeners(s *scope) (all []listener) {
	for _, n := range s.own["listen"] {
		l, err := readListen(n)
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		all = append(all, l)
	}
	if len(s.own["listen"]) == 0 {
		all = append(all, listener{address: "0.0.0.0:80", node: s.node})
	}
	return all
}

// listenOptions are the parameters of listen that need no counterpart.
var listenOptions = []string{"reuseport", "deferred", "bind", "backlog", "rcvbuf", "sndbuf", "fastopen", "setfib", "accept_filter", "ipv6only"}

func readListen(n *node) (l listener, err error) {
	l.node = n
	if l.address, err = listenAddress(n.arg(0)); err != nil {
		return l, err
	}
	for _, a := range n.args[1:] {
		key, _, _ := strings.Cut(a, "=")
		switch {
		case a == "ssl":
			l.tls = true
		case a == "proxy_protocol":
			l.proxy = true
		case a == "default_server" || a == "default":
			l.defaul = true
		case a == "http2" || a == "spdy":
			l.http2 = true
		case a == "udp" || a == "quic":
			return l, fmt.Errorf("mcplb listens on TCP, not on %s", a)
		case key == "so_keepalive", slices.Contains(listenOptions, key):
		default:
			return l, fmt.Errorf("mcplb has no counterpart for %q", a)
		}
	}
	return l, nil
}

// listenAddress reads ADDRESS[:PORT], PORT or *:PORT.
func listenAddress(s string) (string, error) {
	if strings.HasPrefix(s, "unix:") {
		return "", fmt.Errorf("mcplb listens on an address and a port of TCP, not on %q", s)
	}
	host, port := "", s
	switch _, err := strconv.Atoi(s); {
	case err == nil:
	case strings.Contains(strings.TrimPrefix(s, "["), ":") && !strings.HasSuffix(s, "]"):
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", fmt.Errorf("%q is no address", s)
		}
	default:
		host, port = strings.Trim(s, "[]"), "80"
	}
	if host == "" || host == "*" {
		host = "0.0.0.0"
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("%q is no address with a port", s)
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

// group are the servers of one or several addresses: they become one frontend.
type group struct {
	c        *converter
	addrs    []string
	servers  []*scope // the default first
	tls      bool
	proxy    bool
	http2    bool
	from     []*node
	frontend *lb.Frontend
}

// port returns the port of all the group's listeners, or "" if there are several.
func (g *group) port() (port string) {
	for _, a := range g.addrs {
		_, p, err := net.SplitHostPort(a)
		if err != nil || port != "" && port != p {
			return ""
		}
		port = p
	}
	return port
}

// group puts servers together by their addresses.
func (c *converter) group(servers []*scope) (groups []*group) {
	byAddress := map[string]*group{}
	var order []string
	for _, s := range servers {
		for _, l := range c.listeners(s) {
			g := byAddress[l.address]
			if g == nil {
				g = &group{c: c, addrs: []string{l.address}}
				byAddress[l.address] = g
				order = append(order, l.address)
			}
			if l.defaul {
				g.servers = slices.Insert(g.servers, 0, s)
			} else if !slices.Contains(g.servers, s) {
				g.servers = append(g.servers, s)
			}
			g.tls = g.tls || l.tls || s.on("ssl")
			g.proxy, g.http2 = g.proxy || l.proxy, g.http2 || l.http2
			g.from = append(g.from, l.node)
		}
	}
	for _, address := range order {
		g := byAddress[address]
		same := slices.IndexFunc(groups, func(other *group) bool {
			return slices.Equal(other.servers, g.servers) && other.tls == g.tls && other.proxy == g.proxy
		})
		if same < 0 {
			groups = append(groups, g)
			continue
		}
		groups[same].addrs = append(groups[same].addrs, address)
		groups[same].from = append(groups[same].from, g.from...)
	}
	return groups
}

// addServers writes the frontends of http.
func (c *converter) addServers() {
	var servers []*scope
	for _, h := range c.http {
		c.levels(h)
		for _, s := range h.kids {
			if c.isStatus(s) {
				continue
			}
			servers = append(servers, s)
			for _, n := range s.node.inner {
				if n.name == "location" {
					s.kids = append(s.kids, newScope(n, s))
				}
			}
			c.levels(s)
		}
	}
	for _, g := range c.group(servers) {
		g.write()
		c.groups = append(c.groups, g)
	}
}

// levels applies the directives of http and server that count for mcplb as a process.
func (c *converter) levels(s *scope) {
	for _, n := range s.node.inner {
		apply(anywhere, n, c)
	}
}

// isStatus reports whether a server has health and statistics alone, and makes its
// address mcplb's for these.
func (c *converter) isStatus(s *scope) bool {
	found := false
	for _, n := range s.node.inner {
		switch n.name {
		case "location":
			inner := newScope(n, s)
			status := len(inner.own["stub_status"]) > 0
			health := len(inner.own["return"]) == 1 && inner.own["return"][0].arg(0) == "200" && strings.Contains(n.arg(len(n.args)-1), "health")
			if !status && !health {
				return false
			}
			found = found || status
		case "listen", "server_name", "access_log", "allow", "deny", "default_type", "keepalive_timeout", "error_log":
		default:
			return false
		}
	}
	listeners := c.listeners(s)
	if !found || c.config.Admin.Has("health_listen") || len(listeners) == 0 || listeners[0].tls {
		return false
	}
	c.writeStatus(s, listeners)
	return true
}

// writeStatus writes the address of health and statistics.
func (c *converter) writeStatus(s *scope, listeners []listener) {
	t := &c.config.Admin
	t.Set("health_listen", listeners[0].address, listeners[0].node.Directive, s.node.Directive)
	t.Comment("health_listen", "/health says 503 without servers or while draining; /nginx_status has nginx's form")
	for _, l := range listeners[1:] {
		t.Differ(l.node.Directive, "health_listen", "one address")
	}
	for _, n := range s.node.inner {
		switch n.name {
		case "location":
			path := n.arg(len(n.args) - 1)
			n.Translated()
			if path != "/health" && path != "/nginx_status" {
				t.Differ(n.Directive, "health_listen", "%s: at /health and /nginx_status", path)
			}
			for _, inner := range n.inner {
				c.statusLine(inner)
			}
		case "listen":
		default:
			c.statusLine(n)
		}
	}
}

// statusLine accounts for a directive of the status address.
func (c *converter) statusLine(n *node) {
	switch n.name {
	case "stub_status":
		n.Translated()
	case "return":
		c.config.Admin.Differ(n.Directive, "health_listen", "/health says 503 where no client could be served")
	case "allow", "deny":
		c.config.Admin.Differ(n.Directive, "health_listen", "who may ask is the business of the address: 127.0.0.1, or a firewall's")
	default:
		n.Unneeded("health and statistics need none")
	}
}

// write writes the frontend of a group.
func (g *group) write() {
	f := g.c.config.AddFrontend(g.name())
	g.frontend = f
	for _, n := range g.from {
		n.Translated()
		f.From = append(f.From, n.Directive)
	}
	f.Set("listen", g.addrs)
	f.Set("mode", "http")
	f.Set("backend", "")
	g.times()
	g.certificates()
	g.trusted()
	f.Set("min_body_rate", 0)
	f.Sticky.Set("session", false)
	f.Sticky.Set("cookie", "")
	g.compression(f)
	g.http2Key()
	for i, s := range g.servers {
		s.node.Translated()
		g.addServer(s, i == 0)
	}
	g.finish()
}

// name names the frontend: by its first server's name, or its port.
func (g *group) name() string {
	_, port, _ := net.SplitHostPort(g.addrs[0])
	for _, n := range g.servers[0].own["server_name"] {
		if host := n.arg(0); isHost(host) && !strings.HasPrefix(host, "*") && len(g.servers) == 1 {
			return host + "_" + port
		}
	}
	if g.tls {
		return "https_" + port
	}
	return "http_" + port
}

// times writes the times and sizes of the frontend, by its default server.
func (g *group) times() {
	s, f := g.servers[0], g.frontend
	head, n := s.timeOf("client_header_timeout", time.Minute)
	f.Set("timeout_http_request", head, from(n))
	keep, n := s.timeOf("keepalive_timeout", 75*time.Second)
	if keep == 0 {
		f.Set("requests_per_connection", 1, from(n))
	} else {
		f.Set("timeout_keepalive", keep, from(n))
		count := 1000
		n := s.last("keepalive_requests")
		if n != nil {
			if v, err := number(n.arg(0)); err == nil {
				count = max(v, 1)
			}
		}
		f.Set("requests_per_connection", count, from(n))
	}
	send, n := s.timeOf("send_timeout", time.Minute)
	f.Set("timeout_client", send, from(n))
	body, n := s.timeOf("client_body_timeout", time.Minute)
	if n != nil {
		f.Differ(n.Directive, "timeout_client", "one time for all pauses of a client")
	}
	f.Set("timeout_client", max(send, body))
	f.Set("timeout_half_closed", "0s")
	f.Set("keepalive", "0s")
	limit, n := bodyLimit(s)
	f.Set("max_body", limit, from(n))
	if n := s.last("large_client_header_buffers"); n != nil && len(n.args) == 2 {
		f.Set("max_header", "32k", n.Directive)
		f.Differ(n.Directive, "max_header", "of the complete head; larger ones get 431")
	}
}

// bodyLimit is the largest body of a request at a level.
func bodyLimit(s *scope) (any, *node) {
	n := s.last("client_max_body_size")
	if n == nil {
		return "1m", nil
	}
	limit, err := size(n.arg(0))
	if err != nil {
		n.Impossible("%v", err)
		return "1m", nil
	}
	return limit, n
}

// path returns the name of a file: relative ones are below nginx's directory.
func (c *converter) path(name string) string {
	if filepath.IsAbs(name) || strings.HasPrefix(name, "data:") {
		return name
	}
	return filepath.Join("/etc/nginx", name)
}

// certificates writes the TLS of the frontend: SNI picks among the certificates of its
// servers.
func (g *group) certificates() {
	if !g.tls {
		return
	}
	t := &lb.Table{}
	g.frontend.TLS = t
	var list []lb.Inline
	seen := map[string]bool{}
	for _, s := range g.servers {
		certs, keys := s.all("ssl_certificate"), s.all("ssl_certificate_key")
		for i, cert := range certs {
			if i >= len(keys) || seen[cert.arg(0)] {
				cert.Translated()
				continue
			}
			seen[cert.arg(0)] = true
			cert.Translated()
			keys[i].Translated()
			list = append(list, lb.Inline{{Key: "cert", Value: g.c.path(cert.arg(0))}, {Key: "key", Value: g.c.path(keys[i].arg(0))}})
		}
		for _, n := range s.all("ssl_certificate_key") {
			n.Translated()
		}
		g.tlsDirectives(s, t)
	}
	t.Set("certificates", list)
	t.Default("min_version", "1.2")
}

// tlsDirectives translates the ssl_ directives of a server.
func (g *group) tlsDirectives(s *scope, t *lb.Table) {
	if n := s.last("ssl_protocols"); n != nil {
		oldest := "1.2"
		if n.has("TLSv1.3") && !n.has("TLSv1.2") {
			oldest = "1.3"
		}
		t.Set("min_version", oldest, n.Directive)
		if n.has("TLSv1") || n.has("TLSv1.1") || n.has("SSLv3") {
			t.Differ(n.Directive, "min_version", "TLS 1.2 is the oldest that mcplb speaks")
		}
	}
	if n := s.last("ssl_ciphers"); n != nil {
		t.Differ(n.Directive, "", "ECDHE with AES-GCM or ChaCha20, and TLS 1.3's suites")
	}
	if n := s.last("ssl"); n != nil {
		n.Translated()
	}
	g.clientCertificates(s, t)
}

// trusted writes whom the frontend believes.
func (g *group) trusted() {
	s, f := g.servers[0], g.frontend
	header := s.last("real_ip_header")
	var nets []string
	for _, n := range s.all("set_real_ip_from") {
		p, err := network(n.arg(0))
		if err != nil {
			n.Impossible("trusted_proxies are addresses and networks: %s", n.arg(0))
			continue
		}
		n.Translated()
		nets = append(nets, p)
	}
	if header != nil {
		switch strings.ToLower(header.arg(0)) {
		case "x-forwarded-for", "proxy_protocol":
			header.Translated()
		default:
			header.Impossible("the client's address comes from X-Forwarded-For or the PROXY header, not from %s", header.arg(0))
			if !g.proxy {
				nets = nil
			}
		}
	} else if !g.proxy {
		nets = nil // nginx reads X-Real-IP, which mcplb does not
	}
	if n := s.last("real_ip_recursive"); n != nil {
		n.Translated()
		if n.arg(0) != "on" {
			f.Differ(n.Directive, "", "real_ip_recursive is always on")
		}
	}
	if g.proxy {
		f.Set("accept_proxy", true)
		if len(nets) == 0 {
			nets = []string{"0.0.0.0/0", "::/0"}
			f.Set("trusted_proxies", nets)
			f.Comment("trusted_proxies", "nginx takes the PROXY header from every peer; write the networks of the proxies in front")
		}
	}
	if len(nets) > 0 {
		f.Set("trusted_proxies", nets)
	}
}

// compression writes what is compressed, by the default server or a location.
func (g *group) compression(f *lb.Frontend) { compressAt(g.servers[0], &f.Table, true) }

func compressAt(s *scope, t *lb.Table, always bool) {
	if !s.on("gzip") {
		if always {
			t.Set("compress", []string{}, from(s.last("gzip")))
		}
		return
	}
	types := []string{"text/html"}
	n := s.last("gzip_types")
	if n != nil {
		for _, a := range n.args {
			switch {
			case a == "*":
				t.Differ(n.Directive, "compress", "mcplb compresses the media types that it is given, not *")
			case a == "text/event-stream":
				t.Differ(n.Directive, "compress", "event streams are not compressed")
			case strings.Contains(a, "/") && !slices.Contains(types, a):
				types = append(types, a)
			}
		}
	}
	t.Set("compress", types, from(n), from(s.last("gzip")))
	t.Differ(s.last("gzip").Directive, "compress", "from 1 KiB on; over TLS not for browsers: docs/http.md, BREACH")
}

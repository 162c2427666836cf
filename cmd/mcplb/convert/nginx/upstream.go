package nginx

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// upstream are servers that nginx passes to: a block, or an address of a proxy_pass.
type upstream struct {
	node *node
	name string
}

// use is an upstream as one proxy_pass or more use it: that is a backend.
type use struct {
	*upstream
	c        *converter
	endpoint string // http or tcp
	port     string // where the upstream's servers have none
	in       *scope // of the first proxy_pass
	by       *node
	tls      bool
	backend  *lb.Backend
}

// backend returns the backend for an upstream, and writes it if it is not there yet.
func (c *converter) backend(u *upstream, endpoint, port string, tls bool, in *scope, by *node) (*lb.Backend, error) {
	key := fmt.Sprintf("%s %s %s %t", endpoint, u.name, port, tls)
	settings := key + in.connectionSettings(endpoint, tls)
	if b := c.backends[settings]; b != nil {
		return b, nil
	}
	x := &use{upstream: u, c: c, endpoint: endpoint, port: port, in: in, by: by, tls: tls, backend: c.config.AddBackend(u.name)}
	b := x.backend
	b.Set("balance", "roundrobin")
	x.servers()
	if len(b.Servers) == 0 && b.Discover == nil {
		c.config.Backends = c.config.Backends[:len(c.config.Backends)-1]
		return nil, fmt.Errorf("upstream %s has no server that mcplb can have", u.name)
	}
	x.settings()
	if c.backends[key] == nil {
		c.backends[key] = b
	} else if u.node != nil {
		b.Differ(u.node.Directive, "", "used with several settings of connections: a backend for each, with its own checks, counts and maxconn")
	}
	c.backends[settings] = b
	return b, nil
}

// ofConnections are the directives that a backend has for all its connections.
var ofConnections = []string{"proxy_connect_timeout", "proxy_socket_keepalive", "proxy_next_upstream", "proxy_next_upstream_tries", "proxy_bind"}

// ofStreams are those that it has in mode tcp besides; routes of mode http have their own times.
var ofStreams = []string{"proxy_timeout", "proxy_protocol"}

// ofSecurity are those that it has where it speaks TLS.
var ofSecurity = []string{"proxy_ssl_verify", "proxy_ssl_trusted_certificate", "proxy_ssl_certificate", "proxy_ssl_certificate_key", "proxy_ssl_name", "proxy_ssl_server_name", "proxy_ssl_protocols"}

// connectionSettings returns the directives of a level that a backend has, to compare.
func (s *scope) connectionSettings(endpoint string, tls bool) string {
	names := slices.Clone(ofConnections)
	if endpoint == "tcp" {
		names = append(names, ofStreams...)
	}
	if tls {
		names = append(names, ofSecurity...)
	}
	var settings strings.Builder
	for _, name := range names {
		if n := s.last(name); n != nil {
			fmt.Fprintf(&settings, "\n%s %q", name, n.args)
		}
	}
	return settings.String()
}

// servers writes the servers.
func (x *use) servers() {
	if x.node == nil {
		x.server(x.by, []string{x.name})
		return
	}
	x.node.Translated()
	x.backend.From = append(x.backend.From, x.node.Directive)
	for _, n := range x.node.inner {
		if n.name == "server" {
			x.server(n, n.args)
			continue
		}
		if handle, ok := upstreamDirectives[n.name]; ok {
			handle(x, n)
		}
	}
	weighed := false
	for _, s := range x.backend.Servers {
		weighed = weighed || s.Has("weight")
	}
	for _, s := range x.backend.Servers {
		if weighed {
			s.Default("weight", 1)
		}
	}
}

// server writes a server of the upstream: an address and its parameters.
func (x *use) server(n *node, args []string) {
	if len(args) == 0 {
		return
	}
	address := args[0]
	if strings.HasPrefix(address, "unix:") || strings.Contains(address, "$") {
		n.Impossible("servers have an address and a port: %s", address)
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), x.port
	}
	if p, err := strconv.Atoi(port); err != nil || p < 1 || p > 65535 || host == "" {
		n.Impossible("%q is no address of a server", address)
		return
	}
	t := x.backend.AddServer(strings.ReplaceAll(strings.Trim(address, "[]"), ":", "_"))
	t.From = append(t.From, n.Directive)
	t.Set(x.endpoint, net.JoinHostPort(host, port), n.Directive)
	t.Set("maxconn", 0)
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		handle, ok := serverParameters[key]
		if !ok {
			n.Impossible("mcplb has no counterpart for the server's parameter %q", a)
			continue
		}
		handle(x, n, t, value)
	}
}

// serverParameters are the parameters of a server. A new one is one entry.
var serverParameters = map[string]func(x *use, n *node, t *lb.Table, value string){
	"weight": func(_ *use, n *node, t *lb.Table, value string) {
		if w, err := number(value); err == nil {
			t.Set("weight", w, n.Directive)
		}
	},
	"max_conns": func(x *use, n *node, t *lb.Table, value string) {
		if m, err := number(value); err == nil {
			t.Set("maxconn", m, n.Directive)
			x.backend.Differ(n.Directive, "timeout_queue", "max_conns: over it, clients wait for timeout_queue")
		}
	},
	"backup":    func(_ *use, n *node, t *lb.Table, _ string) { t.Set("backup", true, n.Directive) },
	"down":      func(_ *use, n *node, t *lb.Table, _ string) { t.Set("disabled", true, n.Directive) },
	"max_fails": maxFails,
	"fail_timeout": func(x *use, n *node, _ *lb.Table, _ string) {
		x.backend.Check.Differ(n.Directive, "observe", "fail_timeout: checks say when a server is well again")
	},
	"resolve": func(_ *use, n *node, _ *lb.Table, _ string) { n.Translated() },
	"slow_start": func(x *use, n *node, _ *lb.Table, value string) {
		if d, err := duration(value); err == nil {
			x.backend.Set("slow_start", d, n.Directive)
		}
	},
	"route": func(x *use, n *node, _ *lb.Table, _ string) {
		x.backend.Differ(n.Directive, "", "the cookie's value is a hash of the server's name")
	},
}

// maxFails converts max_fails. nginx takes a server out of service for fail_timeout after so
// many failures of clients. With observe the first one does, if the check that it starts
// fails, too, so that a server that restarts in a moment would be away for seconds: its
// clients would open sessions on other servers, and lose these when they go back. So
// observe is for max_fails=1 alone, nginx's default. Otherwise the checks decide, and
// refused requests are tried on another server meanwhile, as in nginx.
func maxFails(x *use, n *node, _ *lb.Table, value string) {
	switch value {
	case "1":
		x.backend.Check.Differ(n.Directive, "observe", "max_fails: a refused connection counts as a failed check")
	case "0":
		x.backend.Check.Set("observe", false, n.Directive)
	default:
		x.backend.Check.Set("observe", false, n.Directive)
		x.backend.Check.Differ(n.Directive, "observe", "max_fails: checks alone say when a server is down; what it refuses is tried on others at once")
	}
}

// upstreamDirectives are the directives of an upstream. A new one is one entry.
var upstreamDirectives = map[string]func(x *use, n *node){
	"least_conn": func(x *use, n *node) { x.backend.Set("balance", "leastconn", n.Directive) },
	"random": func(x *use, n *node) {
		x.backend.Set("balance", "random", n.Directive)
		if len(n.args) > 0 {
			x.backend.Differ(n.Directive, "balance", "the better of two, by connections")
		}
	},
	"least_time": func(x *use, n *node) {
		x.backend.Set("balance", "leastconn", n.Directive)
		x.backend.Differ(n.Directive, "balance", "connections count, not times")
	},
	"ip_hash": func(x *use, n *node) {
		x.bySource(n)
		x.backend.Differ(n.Directive, "balance", "all of an IPv4 address is hashed, and the /64 of an IPv6 one, not the first three bytes")
	},
	"hash": func(x *use, n *node) {
		switch n.arg(0) {
		case "$remote_addr", "$binary_remote_addr", "${remote_addr}":
			x.bySource(n)
			if !n.has("consistent") {
				x.backend.Differ(n.Directive, "balance", "hashing is always consistent: a server more or less moves few sources")
			}
		default:
			x.bySource(n)
			n.Impossible("mcplb does not hash %s: clients stay on a server by address, cookie or MCP session", n.arg(0))
		}
	},
	"sticky": func(x *use, n *node) {
		switch n.arg(0) {
		case "cookie":
			x.backend.Differ(n.Directive, "", "the cookie is one of the frontend or of its routes; its value is a hash of the server's name")
		default:
			n.Impossible("mcplb keeps clients by cookie, address or MCP session, not by sticky %s", n.arg(0))
		}
	},
	"keepalive": func(x *use, n *node) {
		if count, err := number(n.arg(0)); err == nil {
			x.backend.Set("max_idle", count, n.Directive)
		}
	},
	"keepalive_timeout": func(x *use, n *node) {
		if d, err := duration(n.arg(0)); err == nil {
			x.backend.Set("timeout_idle", d, n.Directive)
		}
	},
	"keepalive_requests": func(_ *use, n *node) {
		n.Unneeded("a connection to a server is used until it was unused for timeout_idle")
	},
	"keepalive_time": func(_ *use, n *node) {
		n.Unneeded("a connection to a server is used until it was unused for timeout_idle")
	},
	"zone":             func(_ *use, n *node) { n.Unneeded("there is one process") },
	"resolver":         func(x *use, n *node) { resolver(x.c, n) },
	"resolver_timeout": func(x *use, n *node) { resolverTimeout(x.c, n) },
	"state":            func(_ *use, n *node) { n.Unneeded("servers of commands survive reloads and upgrades") },
	"queue": func(x *use, n *node) {
		if value, ok := n.option("timeout"); ok {
			if d, err := duration(value); err == nil {
				x.backend.Set("timeout_queue", d, n.Directive)
			}
		}
	},
	"check": func(x *use, n *node) {
		x.backend.Check.Differ(n.Directive, "", "a module's check: write type, interval, rise and fall as they are meant")
	},
	"ntlm": func(_ *use, n *node) { n.Impossible("connections to servers are shared") },
}

// bySource balances by the client's address.
func (x *use) bySource(n *node) {
	x.backend.Set("balance", "source", n.Directive)
	x.backend.Set("balance_factor", 0)
}

// timeOf returns a time that holds at a level, or its default, and the directive.
func (s *scope) timeOf(name string, usual time.Duration) (time.Duration, *node) {
	n := s.last(name)
	if n == nil {
		return usual, nil
	}
	d, err := duration(n.arg(0))
	if err != nil {
		n.Impossible("%v", err)
		return usual, nil
	}
	return d, n
}

// from returns a node's directive, which may be none.
func from(n *node) *lb.Directive {
	if n == nil {
		return nil
	}
	return n.Directive
}

// settings writes what the proxy_ directives say of connections.
func (x *use) settings() {
	b := x.backend
	prefix := "proxy_"
	connect, n := x.in.timeOf(prefix+"connect_timeout", time.Minute)
	b.Set("timeout_connect", max(connect, time.Millisecond), from(n))
	read, n := time.Minute, (*node)(nil)
	if x.endpoint == "tcp" {
		read, n = x.in.timeOf("proxy_timeout", 10*time.Minute)
	} else {
		read, n = x.in.timeOf("proxy_read_timeout", time.Minute)
	}
	b.Set("timeout_server", read, from(n))
	b.Default("timeout_queue", time.Minute)
	b.Set("keepalive", "0s")
	if n := x.in.last("proxy_socket_keepalive"); n != nil && n.arg(0) == "on" {
		b.Set("keepalive", time.Minute, n.Directive)
	}
	b.Set("timeout_tcp_user", "0s")
	b.Set("on_down", "keep")
	tries := max(len(b.Servers)-1, 0)
	if n := x.in.last("proxy_next_upstream_tries"); n != nil {
		if count, err := number(n.arg(0)); err == nil && count > 0 {
			tries = min(tries, count-1)
			n.Translated()
		}
	}
	next := x.in.last("proxy_next_upstream")
	if next != nil && (next.has("off") || next.arg(0) == "off") {
		tries = 0
	}
	b.Set("retries", tries, from(next))
	if next != nil && !next.has("off") {
		b.Differ(next.Directive, "retries", "further attempts to connect, on other servers; no request is sent again because of its answer")
	}
	if x.endpoint == "http" {
		b.Set("replay", false)
	}
	if bind := x.in.last("proxy_bind"); bind != nil {
		if addr, err := network(bind.arg(0)); err == nil && !strings.Contains(addr, "/") && len(bind.args) == 1 {
			b.Set("source", []string{addr}, bind.Directive)
		} else if bind.arg(0) != "off" {
			bind.Impossible("mcplb connects from addresses of its own, which are fixed: %s", strings.Join(bind.args, " "))
		}
	}
	b.Check.Set("type", "tcp")
	x.secure()
}

// secure writes the TLS to servers.
func (x *use) secure() {
	if !x.tls {
		return
	}
	t := &lb.Table{}
	x.backend.TLS = t
	t.Set("verify", false)
	if n := x.in.last("proxy_ssl_verify"); n != nil {
		t.Set("verify", n.arg(0) == "on", n.Directive)
	}
	if n := x.in.last("proxy_ssl_trusted_certificate"); n != nil {
		t.Set("ca", x.c.path(n.arg(0)), n.Directive)
	}
	x.certificate(t)
	if n := x.in.last("proxy_ssl_name"); n != nil && !strings.Contains(n.arg(0), "$") {
		t.Set("server_name", n.arg(0), n.Directive)
	} else if n != nil {
		t.Differ(n.Directive, "server_name", "the name is fixed: that of the server's address, or server_name")
	} else if x.node != nil && x.in.on("proxy_ssl_server_name") && !isIP(x.name) {
		t.Set("server_name", x.name)
	}
	if n := x.in.last("proxy_ssl_server_name"); n != nil {
		n.Translated()
	}
	if n := x.in.last("proxy_ssl_protocols"); n != nil {
		oldest := "1.2"
		if !n.has("TLSv1.2") && n.has("TLSv1.3") {
			oldest = "1.3"
		}
		t.Set("min_version", oldest, n.Directive)
	}
	for _, name := range []string{"proxy_ssl_ciphers", "proxy_ssl_verify_depth", "proxy_ssl_session_reuse"} {
		if n := x.in.last(name); n != nil {
			t.Differ(n.Directive, "", "%s: mcplb's own settings", name)
		}
	}
}

// certificate writes the certificate that the balancer shows to servers, and its key.
func (x *use) certificate(t *lb.Table) {
	cert, key := x.in.last("proxy_ssl_certificate"), x.in.last("proxy_ssl_certificate_key")
	switch {
	case cert != nil && key != nil && cert.arg(0) != "" && key.arg(0) != "":
		t.Set("cert", x.c.path(cert.arg(0)), cert.Directive)
		t.Set("key", x.c.path(key.arg(0)), key.Directive)
	case cert != nil:
		cert.Impossible("it has no proxy_ssl_certificate_key")
	case key != nil:
		key.Impossible("it has no proxy_ssl_certificate")
	}
}

func isIP(s string) bool { return net.ParseIP(strings.Trim(s, "[]")) != nil }

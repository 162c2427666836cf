package nginx

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

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
	g.http2Keys()
	g.errorPages()
	for i, s := range g.servers {
		s.node.Translated()
		g.addServer(s, i == 0)
	}
	g.otherTimes()
	g.finish()
}

// ofAddress are the times and sizes that a frontend has for all its requests.
var ofAddress = []string{"client_header_timeout", "client_body_timeout", "send_timeout", "keepalive_timeout", "keepalive_requests", "large_client_header_buffers"}

// otherTimes accounts for the times and sizes of levels other than the default server.
func (g *group) otherTimes() {
	for _, s := range g.servers {
		g.timesBelow(s)
	}
}

func (g *group) timesBelow(s *scope) {
	for _, name := range ofAddress {
		usual := g.servers[0].last(name)
		for _, n := range s.own[name] {
			switch {
			case n == usual:
			case usual != nil && slices.Equal(n.args, usual.args):
				n.Translated()
			default:
				g.frontend.Differ(n.Directive, "", "%s: that of the address's default server counts for all its requests", n.Text)
			}
		}
	}
	for _, kid := range s.kids {
		g.timesBelow(kid)
	}
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
	name = lb.File(name)
	if filepath.IsAbs(name) || strings.HasPrefix(name, "data:") {
		return name
	}
	return filepath.Join("/etc/nginx", name)
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

// finish names the frontend's backend, and lifts denials where a location has its own
// list.
func (g *group) finish() {
	f := g.frontend
	backend := ""
	denies := false
	for _, r := range f.Routes {
		denies = denies || r.Has("deny")
		name, _ := r.Get("backend").(string)
		if root := !r.Has("path") && !r.Has("path_exact") && !r.Has("host"); name != "" && (backend == "" || root) {
			backend = name
		}
	}
	if backend == "" {
		backend = g.c.config.Nowhere("http")
	}
	f.Set("backend", backend)
	for _, r := range f.Routes {
		if r.Get("backend") == backend {
			r.Delete("backend")
		}
		if denies && !r.Has("deny") {
			r.Set("allow", true)
		}
	}
	g.cookies()
}

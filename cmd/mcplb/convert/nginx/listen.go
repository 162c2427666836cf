package nginx

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

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
		l, addresses, err := readListen(n)
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		for _, l.address = range addresses {
			all = append(all, l)
		}
	}
	if len(s.own["listen"]) == 0 {
		all = append(all, listener{address: "0.0.0.0:80", node: s.node})
	}
	return all
}

// listenOptions are the parameters of listen that need no counterpart.
var listenOptions = []string{"reuseport", "deferred", "bind", "backlog", "rcvbuf", "sndbuf", "fastopen", "setfib", "accept_filter", "ipv6only"}

// readListen reads a listen directive: the addresses, and what all of them are.
func readListen(n *node) (l listener, addresses []string, err error) {
	l.node = n
	if addresses, err = listenAddresses(n.arg(0)); err != nil {
		return l, nil, err
	}
	for _, a := range n.args[min(1, len(n.args)):] {
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
			return l, nil, fmt.Errorf("mcplb listens on TCP, not on %s", a)
		case key == "so_keepalive", slices.Contains(listenOptions, key):
		default:
			return l, nil, fmt.Errorf("mcplb has no counterpart for %q", a)
		}
	}
	return l, addresses, nil
}

// portOrRange is what stands for a port.
var portOrRange = regexp.MustCompile(`^\d+(-\d+)?$`)

// listenAddresses reads ADDRESS[:PORT], PORT or *:PORT, where PORT may be a range.
func listenAddresses(s string) ([]string, error) {
	if strings.HasPrefix(s, "unix:") {
		return nil, fmt.Errorf("mcplb listens on an address and a port of TCP, not on %q", s)
	}
	host, port := "", s
	switch {
	case portOrRange.MatchString(s):
	case strings.Contains(strings.TrimPrefix(s, "["), ":") && !strings.HasSuffix(s, "]"):
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return nil, fmt.Errorf("%q is no address", s)
		}
	default:
		host, port = strings.Trim(s, "[]"), "80"
	}
	if host == "" || host == "*" {
		host = "0.0.0.0"
	}
	return lb.Ports(host, port)
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
	pages    []*scope // locations that serve error pages
	frontend *lb.Frontend
}

// port returns the port of all the group's listeners, or "" if there are several.
func (g *group) port() string { return lb.CommonPort(g.addrs) }

// asksForPort reports whether a directive of the servers, or above them, names the port of the
// listener.
func (g *group) asksForPort() bool {
	for _, s := range g.servers {
		for ; s != nil; s = s.parent {
			if s.node != nil && s.node.mentions("server_port") {
				return true
			}
		}
	}
	return false
}

// mentions reports whether an argument of the node, or one inside, names a variable.
func (n *node) mentions(variable string) bool {
	return slices.ContainsFunc(n.args, func(a string) bool { return strings.Contains(a, "$"+variable) || strings.Contains(a, "${"+variable) }) ||
		slices.ContainsFunc(n.inner, func(kid *node) bool { return kid.mentions(variable) })
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
			if off, _ := l.node.option("ipv6only"); off != "off" {
				c.ipv6[l.address] = l.node
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
			return slices.Equal(other.servers, g.servers) && other.tls == g.tls && other.proxy == g.proxy && (!g.asksForPort() || lb.CommonPort([]string{address}) == other.port())
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

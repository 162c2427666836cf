package nginx

import (
	"fmt"
	"net"
	"slices"
	"strconv"
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
	pages    []*scope // locations that serve error pages
	frontend *lb.Frontend
}

// port returns the port of all the group's listeners, or "" if there are several.
func (g *group) port() string { return lb.CommonPort(g.addrs) }

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

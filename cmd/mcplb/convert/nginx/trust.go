package nginx

import (
	"strings"
)

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
	if len(nets) > 0 && !f.Has("trusted_proxies") {
		f.Set("trusted_proxies", nets)
		if g.proxy {
			f.Comment("trusted_proxies", "nginx takes the PROXY header from every peer, mcplb from these alone")
			for _, n := range s.all("set_real_ip_from") {
				f.Differ(n.Directive, "trusted_proxies", "connections of other peers are refused where the PROXY header is expected")
			}
		}
	}
}

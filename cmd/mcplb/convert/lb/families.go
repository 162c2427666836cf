package lb

import (
	"net"
	"slices"
)

// IPv6Alone says of a directive that an address of it, which is for IPv6 alone, takes
// clients of IPv4, too: mcplb's [::]:PORT does, unless 0.0.0.0:PORT is beside it.
func (c *Config) IPv6Alone(address string, d *Directive) {
	host, port, _ := net.SplitHostPort(address)
	if host != "::" || slices.ContainsFunc(c.Frontends, func(f *Frontend) bool { return slices.Contains(f.Strings("listen"), "0.0.0.0:"+port) }) {
		return
	}
	for _, f := range c.Frontends {
		if slices.Contains(f.Strings("listen"), address) {
			f.Differ(d, "listen", "%s takes clients of IPv4, too, as no %s is beside it", address, "0.0.0.0:"+port)
		}
	}
}

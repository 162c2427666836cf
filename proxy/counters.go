package proxy

import "mcplb/proxy/metrics"

// eachCounters calls visit with every set of counters, loop by loop; what all
// loops count together belongs to loop 0.
func (c *components) eachCounters(loops int, visit func(name string, loop int, counters metrics.Set)) {
	frontends := c.allFrontends()
	for name, f := range frontends {
		for _, layer := range f.layers() {
			if server := layer.tlsServer(); server != nil {
				visit("tls "+name+" "+layer.name(), 0, server.Counters())
			}
		}
	}
	for name, f := range frontends {
		if f.http != nil {
			visit("routes "+name, 0, f.http.Rules())
		}
		if f.stream != nil {
			visit("names "+name, 0, f.stream.Names())
		}
	}
	for i := range loops {
		for name, f := range frontends {
			for _, layer := range f.layers() {
				visit("frontend "+name+" "+layer.name(), i, layer.counters(i))
			}
		}
		for name, b := range c.backends {
			for _, server := range b.Servers() {
				visit("server "+name+"/"+server.Name(), i, server.Counters(i))
			}
		}
	}
}

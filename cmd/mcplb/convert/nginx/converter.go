package nginx

import (
	"maps"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// converter translates the directives that were read.
type converter struct {
	config    *lb.Config
	env       Environment
	http      []*scope
	streams   []*scope
	upstreams map[string]*upstream // of http
	tcp       map[string]*upstream // of stream
	maps      map[string]*node     // by variable
	zones     map[string]*node     // of limit_req and limit_conn
	zoneUses  map[string]int
	backends  map[string]*lb.Backend // by what they are for
	groups    []*group
	limited   []streamLimit
	ipv6      map[string]*node // addresses that are for IPv6 alone, if for IPv6
}

// Convert reads files as one configuration, and adds what comes of it to config. The
// error says which file cannot be read; mistakes in a file are directives that are not
// possible. A file may be a main configuration, or what stands in http.
func Convert(config *lb.Config, env Environment, names ...string) error {
	r := &reader{config: config, env: env}
	c := &converter{
		config: config, env: env, upstreams: map[string]*upstream{}, tcp: map[string]*upstream{}, maps: map[string]*node{},
		zones: map[string]*node{}, zoneUses: map[string]int{}, backends: map[string]*lb.Backend{}, ipv6: map[string]*node{},
	}
	for _, name := range names {
		nodes, err := r.readFile(name)
		if err != nil {
			return err
		}
		c.main(nodes)
	}
	c.convert()
	return nil
}

// main takes the directives of a file: those of the main level, and what stands in
// http where it is left out.
func (c *converter) main(nodes []*node) {
	bare := &node{Directive: &lb.Directive{}, name: "http", block: true}
	for _, n := range nodes {
		switch n.name {
		case "http":
			n.Translated()
			c.http = append(c.http, newScope(n, nil))
		case "stream":
			n.Translated()
			c.streams = append(c.streams, newScope(n, nil))
		case "events":
			n.Translated()
			for _, inner := range n.inner {
				apply(mains, inner, c)
			}
		default:
			if _, known := mains[n.name]; known || n.name == "include" {
				apply(mains, n, c)
			} else {
				bare.inner = append(bare.inner, n)
			}
		}
	}
	if len(bare.inner) > 0 {
		c.http = append(c.http, newScope(bare, nil))
	}
}

// apply calls what a table has for a directive.
func apply(table map[string]func(*converter, *node), n *node, c *converter) {
	if handle, ok := table[n.name]; ok {
		handle(c, n)
	}
}

func unneeded(why string) func(*converter, *node) {
	return func(_ *converter, n *node) { n.Unneeded(why) }
}

// mains are the directives of the main level and of events. A new one is one entry.
var mains = map[string]func(c *converter, n *node){
	"worker_processes": func(c *converter, n *node) {
		if count, err := number(n.arg(0)); err == nil {
			c.config.Global.Set("threads", min(count, 1024), n.Directive)
			c.config.Global.Differ(n.Directive, "threads", "event loops of one process")
			return
		}
		n.Unneeded("one event loop per CPU is the default")
	},
	"worker_connections":   unneeded("maxconn: what the limit of open files allows"),
	"worker_rlimit_nofile": unneeded("the service manager's: LimitNOFILE"),
	"user":                 unneeded("the service manager's: packaging/systemd"), "daemon": unneeded("the service manager's"), "pid": unneeded("mcplb -pid-file"), "master_process": unneeded("there is one process"),
	"error_log": unneeded("mcplb logs to standard error: log_level, log_format"), "load_module": unneeded("nothing has to be loaded"), "lock_file": unneeded("nginx's own"),
	"worker_shutdown_timeout": func(c *converter, n *node) {
		if d, err := duration(n.arg(0)); err == nil {
			c.config.Global.Set("hard_stop_after", d, n.Directive)
		}
	},
	"worker_cpu_affinity": unneeded("the kernel places threads"), "worker_priority": unneeded("the service manager's: Nice"), "working_directory": unneeded("the service manager's"), "thread_pool": unneeded("the engine's own"),
	"multi_accept": unneeded("the engine's own"), "use": unneeded("the engine's own"), "accept_mutex": unneeded("the engine's own"), "accept_mutex_delay": unneeded("the engine's own"), "timer_resolution": unneeded("the engine's own"),
	"pcre_jit": unneeded("nginx's own"), "env": unneeded("the service manager's"), "ssl_engine": unneeded("nginx's own"), "debug_connection": unneeded("nginx's own"), "worker_aio_requests": unneeded("the engine's own"), "debug_points": unneeded("nginx's own"), "quic_bpf": unneeded("no QUIC"),
	"mail": func(_ *converter, n *node) { n.Impossible("mcplb serves no mail") },
}

// convert translates what all files have.
func (c *converter) convert() {
	c.config.Remarks = append(c.config.Remarks,
		"X-Forwarded-*, Forwarded and X-Real-IP of clients that are no trusted_proxies do not reach servers; nginx passes them on. Servers are spoken to in HTTP/1.1, with kept connections; WebSockets pass everywhere. Server, Date and Location of a response are the server's own: nginx writes a Location of the server's address as one of its own (proxy_redirect default).",
		"mcplb checks every server: nginx goes by failures of clients' requests alone. Paths are prefixes of whole segments: location /x is /x and /x/..., not /xy.",
		"Where servers speak JSON-RPC in lines over TCP, mode = \"mcp\" counts and checks messages; sticky.session = true keeps MCP sessions on their server.")
	for _, s := range c.http {
		c.collect(s, c.upstreams)
	}
	for _, s := range c.streams {
		c.collect(s, c.tcp)
	}
	c.addStreams()
	c.addServers()
	c.applyStreamLimits()
	c.finish()
}

// collect notes what stands in http or stream for its servers.
func (c *converter) collect(s *scope, upstreams map[string]*upstream) {
	for _, n := range s.node.inner {
		switch n.name {
		case "upstream":
			upstreams[n.arg(0)] = &upstream{node: n, name: n.arg(0)}
		case "map", "geo", "split_clients":
			c.maps[strings.TrimPrefix(n.arg(max(len(n.args)-1, 0)), "$")] = n
		case "limit_req_zone", "limit_conn_zone":
			if zone, ok := n.option("zone"); ok {
				name, _, _ := strings.Cut(zone, ":")
				c.zones[n.name+" "+name] = n
			}
		case "server":
			n.Translated()
			s.kids = append(s.kids, newScope(n, s))
		}
	}
}

// constant returns the value of a map that has only one.
func (c *converter) constant(variable string) (string, bool) {
	n := c.maps[variable]
	if n == nil || n.name != "map" {
		return "", false
	}
	var values []string
	others := "" // where no line is "default"
	for _, line := range n.inner {
		switch {
		case line.name == "hostnames" || line.name == "volatile":
			continue
		case len(line.args) != 1 || line.name == "include":
			return "", false
		case line.name == "default":
			others = line.arg(0)
		default:
			values = append(values, line.arg(0))
		}
	}
	value := others
	if strings.Contains(value, "$") || slices.ContainsFunc(values, func(v string) bool { return v != value }) {
		return "", false
	}
	n.Translated()
	return value, true
}

// finish writes what nothing has written, and accounts for what nothing has used.
func (c *converter) finish() {
	a := &c.config.Admin
	if !a.Has("listen") {
		a.Set("listen", "")
		a.Comment("listen", `"127.0.0.1:8404" for the page, metrics and commands such as mcplb status`)
	}
	a.Default("health_listen", "")
	for _, address := range slices.Sorted(maps.Keys(c.ipv6)) {
		c.config.IPv6Alone(address, c.ipv6[address].Directive)
	}
	for _, u := range []map[string]*upstream{c.upstreams, c.tcp} {
		for _, up := range u {
			if up.node.Outcome() == lb.Impossible && up.node.Note() == noCounterpart {
				up.node.Unneeded("no server uses it")
				for _, n := range up.node.inner {
					n.Unneeded("no server uses it")
				}
			}
		}
	}
	for _, s := range slices.Concat(c.http, c.streams) {
		c.account(s)
	}
}

// noCounterpart is the note of directives about which nothing was said.
const noCounterpart = "mcplb has no counterpart"

// account says of directives of a level and of those below that they hold for no
// request, or need no counterpart.
func (c *converter) account(s *scope) {
	for _, n := range s.node.inner {
		if n.Outcome() != lb.Impossible || n.Note() != noCounterpart {
			continue
		}
		if why := unmatched(n); why != "" {
			n.Impossible("%s", why)
			continue
		}
		if why, ok := needless[n.name]; ok {
			n.Unneeded(why)
			continue
		}
		_, known := anywhere[n.name]
		switch {
		case len(n.args) == 1 && n.arg(0) == "off":
			n.Unneeded("it is off")
		case known && n.name == "access_log":
			n.Unneeded("there is one access log")
		case handled[n.name]:
			n.Unneeded("nothing that is translated uses it")
		}
	}
	for _, kid := range s.kids {
		c.account(kid)
	}
}

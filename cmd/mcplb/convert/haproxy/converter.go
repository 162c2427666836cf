package haproxy

import (
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// converter translates the sections that were read.
type converter struct {
	config      *lb.Config
	env         Environment
	sections    []*section
	proxies     []*proxy
	byName      map[string]*proxy // those that have servers
	tables      map[string]*proxy // all, for stick tables
	globalLog   *line
	bindCiphers *line // of bind lines that have none
	bindTLS     defaultTLS
	serverTLS   defaultTLS
	streams     int     // of a connection of HTTP/2
	rules       []*line // http-request and their like that were read
	crtBase     string
	caBase      string
	connLimits  []connLimit
	serves      map[*lb.Frontend]bool // those that send clients to servers
	ipv6        []ipv6Bind
}

// usualStreams is how many streams HAProxy allows on a connection of HTTP/2.
const usualStreams = 100

// Convert reads files or directories as one configuration, and adds what comes of it
// to config. The error says which file cannot be read; mistakes in a file are
// directives that are not possible.
func Convert(config *lb.Config, env Environment, names ...string) error {
	r := &reader{config: config, env: env, set: map[string]string{}}
	for _, name := range names {
		if err := r.readFile(name); err != nil {
			return err
		}
	}
	c := &converter{config: config, env: env, sections: r.sections, streams: usualStreams, byName: map[string]*proxy{}, tables: map[string]*proxy{}, serves: map[*lb.Frontend]bool{}}
	c.convert()
	return nil
}

func (c *converter) convert() {
	c.config.Remarks = append(c.config.Remarks,
		"X-Forwarded-*, Forwarded and X-Real-IP of clients that are no trusted_proxies do not reach servers; HAProxy passes them on.",
		"Paths are compared in their canonical form, and prefixes by whole segments: /x is /x and /x/..., not /xy. A route that is not for /x (not_path_exact) is not for /x/ either.",
		"Where servers speak JSON-RPC in lines over TCP, mode = \"mcp\" counts and checks messages; sticky.session = true keeps MCP sessions on their server.")
	for _, s := range c.sections {
		if s.kind == "global" {
			c.global(s)
		}
	}
	for _, s := range c.sections {
		switch s.kind {
		case "frontend", "backend", "listen":
			p := newProxy(c, s)
			c.proxies = append(c.proxies, p)
			c.tables[s.name] = p
			if p.isBack() {
				c.byName[s.name] = p
			}
		}
	}
	for _, s := range c.sections {
		c.other(s)
	}
	for _, p := range c.proxies {
		p.settings()
	}
	for _, p := range c.proxies {
		if p.isFront() {
			p.addFrontends()
		}
	}
	for _, p := range c.proxies {
		if p.isBack() && p.result == nil && len(p.servers) > 0 {
			c.backendOf(p, p.mode)
		}
	}
	c.applyConnLimits()
	c.finish()
}

// section returns the proxy that a route's backend is, and takes the name off again.
func (c *converter) section(route *lb.Table) *proxy {
	name, _ := route.Get("backend").(string)
	return c.byName[name]
}

// sectionOf returns the proxy of a name, or nil.
func (c *converter) sectionOf(name string) *proxy { return c.tables[name] }

// inherited returns the lines of the defaults of a section.
func (c *converter) inherited(s *section) (lines []*line) {
	var from *section
	for _, d := range c.sections {
		switch {
		case d == s && s.from == "":
			return c.linesOf(from)
		case d.kind != "defaults":
		case s.from == "":
			from = d
		case d.name == s.from:
			return c.linesOf(d)
		}
	}
	if s.from != "" {
		s.head.Impossible("there are no defaults %q", s.from)
	}
	return c.linesOf(from)
}

// linesOf returns the lines of defaults, after those of the defaults that they come from.
func (c *converter) linesOf(d *section) []*line {
	if d == nil {
		return nil
	}
	d.head.Translated()
	if d.from == "" || d.from == d.name {
		return d.lines
	}
	for _, other := range c.sections {
		if other == d {
			break // only earlier ones count, so that there is no cycle
		}
		if other.kind == "defaults" && other.name == d.from {
			return slices.Concat(c.linesOf(other), d.lines)
		}
	}
	return d.lines
}

// settings translates what does not depend on other sections.
func (p *proxy) settings() {
	if !p.isFront() {
		p.statsElsewhere()
	}
	p.applyOptions()
	p.applyTable()
	p.applyCompression()
	p.otherTimeouts()
	for name := range p.acls {
		if len(p.acls[name]) > 0 && name == "" {
			p.acls[name][0].Impossible("an acl has a name and a criterion")
		}
	}
}

// addFrontends writes the frontends of a section.
func (p *proxy) addFrontends() {
	if p.isStats() {
		p.addStats()
		return
	}
	p.statsElsewhere()
	groups := p.groups()
	if len(groups) == 0 {
		p.head.Impossible("it has no listener that mcplb can have")
	}
	final := p.finalBackend()
	for _, g := range groups {
		g.write(final)
	}
	if p.backend != nil {
		p.backend.Translated()
	}
}

// finalBackend is where clients go that no rule sends elsewhere; nil = nowhere.
func (p *proxy) finalBackend() *proxy {
	switch {
	case p.backend != nil:
		b := p.c.byName[p.backend.arg(1)]
		if b == nil {
			p.backend.Impossible("there is no backend %q", p.backend.arg(1))
		}
		return b
	case p.kind == "listen" && len(p.servers) > 0:
		return p
	}
	return nil
}

// write writes the frontend of a group.
func (g *group) write(final *proxy) {
	f := g.frontend
	f.From = append(f.From, g.head.Directive)
	for _, l := range g.lines {
		f.From = append(f.From, l.Directive)
	}
	f.Set("listen", g.listen())
	for _, l := range g.lines {
		f.Set("listen", f.Get("listen"), l.Directive)
	}
	f.Set("mode", g.mode)
	if final == nil {
		f.Set("backend", g.c.config.Nowhere(g.endpoint()))
	} else {
		f.Set("backend", g.c.backendOf(final, g.mode))
		if g.backend != nil {
			f.Set("backend", g.c.backendOf(final, g.mode), g.backend.Directive)
		}
		g.c.serves[f] = true
	}
	g.setTimeouts(&f.Table, frontTimeouts[g.mode])
	f.Set("keepalive", "0s")
	if g.accept {
		f.Set("accept_proxy", true)
		f.Set("trusted_proxies", []string{"0.0.0.0/0", "::/0"})
		f.Comment("trusted_proxies", "HAProxy believes every peer; write the networks of the proxies in front")
	}
	f.TLS = g.tls
	g.tcpRules()
	if g.mode == "http" {
		f.Set("requests_per_connection", 0)
		f.Set("max_body", 0)
		f.Set("min_body_rate", 0)
		f.Set("compress", []string{})
		f.Sticky.Set("session", false)
		f.Sticky.Set("cookie", "")
		g.addRoutes(final)
		g.adopt(final)
		g.routeCookies(final)
	} else {
		g.tcpUses(final)
	}
	f.Merge(&g.front)
}

// adopt takes over what mcplb has in frontends and HAProxy in backends.
func (g *group) adopt(final *proxy) {
	f := g.frontend
	f.Sticky.Merge(&g.sticky)
	g.addPages(g.proxy, "the body of the file; status and headers are mcplb's, and JSON-RPC requests get JSON-RPC")
	for _, b := range append([]*proxy{final}, g.targets()...) {
		if b == nil || b == g.proxy {
			continue
		}
		g.adoptCookie(b, final)
		g.addPages(b, "the body of the file, for every backend of the frontend; status and headers are mcplb's, and JSON-RPC requests get JSON-RPC")
		f.Merge(&b.front)
	}
}

// targets returns the backends to which routes lead.
func (g *group) targets() (all []*proxy) {
	for _, r := range g.frontend.Routes {
		for _, p := range g.c.proxies {
			if p.result != nil && r.Get("backend") == p.result.Name {
				all = append(all, p)
			}
		}
	}
	return all
}

// adoptCookie takes over the cookie of a backend: for the frontend if it is the default one, or
// else for the routes that lead there.
func (g *group) adoptCookie(b, final *proxy) {
	f, sticky := g.frontend, b.sticky.Clone()
	cookie, _ := sticky.Get("cookie").(string)
	if attributes := f.Sticky.Get("cookie_attributes"); cookie != "" && attributes != nil && attributes != sticky.Get("cookie_attributes") {
		sticky.Delete("cookie_attributes")
		f.Sticky.Comment("cookie_attributes", "of the cookie of "+b.name+", too, which had others")
	}
	if b != final {
		sticky.Delete("cookie")
	}
	f.Sticky.Merge(sticky)
}

// routeCookies says on routes which cookie binds there, where it is not the frontend's.
func (g *group) routeCookies(final *proxy) {
	usual := g.cookieOf(final)
	if usual == "" {
		g.frontend.Sticky.Set("cookie", "")
	}
	for _, r := range g.frontend.Routes {
		if r.Has("deny") || r.Has("respond") || r.Has("redirect") {
			continue
		}
		b := final
		for _, p := range g.c.proxies {
			if p.result != nil && r.Get("backend") == p.result.Name {
				b = p
			}
		}
		switch cookie := g.cookieOf(b); {
		case cookie == usual:
		case cookie == "":
			r.Set("cookie", "off")
		default:
			r.Merge(b.cookieAlone())
		}
	}
}

// cookieOf returns the cookie that binds the requests for a backend, "" for none.
func (g *group) cookieOf(b *proxy) string {
	if b == nil {
		return ""
	}
	cookie, _ := b.sticky.Get("cookie").(string)
	return cookie
}

// cookieAlone returns what there is to say of a backend's cookie on a route.
func (p *proxy) cookieAlone() *lb.Table {
	t := p.sticky.Clone()
	t.Delete("session")
	t.Delete("cookie_attributes")
	return t
}

// backendOf returns the name of a section's backend in lb.toml, and writes it if it is
// not there yet.
func (c *converter) backendOf(p *proxy, mode string) string {
	if p.result != nil {
		return p.result.Name
	}
	if len(p.servers) == 0 {
		p.head.Translated()
		if len(p.uses) == 0 {
			c.config.Remarks = append(c.config.Remarks, p.head.Place.String()+": "+p.head.Text+" has no servers: its clients get 503.")
		}
		return c.config.Nowhere(p.endpoint())
	}
	b := c.config.AddBackend(p.name)
	p.result = b
	b.From = append(b.From, p.head.Directive)
	p.addServers(b)
	b.Set("balance", "roundrobin")
	b.Merge(&p.back)
	p.setTimeouts(&b.Table, backTimeouts[p.mode])
	b.Default("keepalive", "0s")
	b.Default("timeout_tcp_user", "0s")
	b.Default("on_down", "keep")
	if p.mode == "http" {
		b.Default("replay", false)
	}
	p.writeCheck(b)
	if b.TLS = p.tls; b.TLS != nil {
		c.serverTLS.apply(b.TLS)
	}
	if len(b.Servers) == 0 && b.Discover == nil {
		c.config.Backends = slices.DeleteFunc(c.config.Backends, func(other *lb.Backend) bool { return other == b })
		p.result = nil
		p.servers = nil
		return c.config.Nowhere(p.endpoint())
	}
	return b.Name
}

// finish writes what the sections have not, and accounts for what nothing has used.
func (c *converter) finish() {
	a := &c.config.Admin
	if !a.Has("listen") {
		a.Set("listen", "")
		a.Comment("listen", `"127.0.0.1:8404" for the page, metrics and commands such as mcplb status`)
	}
	a.Default("health_listen", "")
	for _, b := range c.ipv6 {
		for _, address := range b.addrs {
			c.config.IPv6Alone(address, b.l.Directive)
		}
	}
	for _, l := range c.rules {
		if l.Unsaid() {
			l.Unneeded("no request reaches it")
		}
	}
	for _, p := range c.proxies {
		if !p.isFront() && len(p.steps) == 0 {
			p.unreached()
		}
		p.unusedPages()
		for _, l := range p.serverDef {
			if l.Unsaid() {
				l.Unneeded("no server stands behind it")
			}
		}
	}
	for _, s := range c.sections {
		if s.kind != "defaults" {
			continue
		}
		s.head.Unneeded("no section takes these")
		for _, l := range s.lines {
			_, known := keywords[l.words[0]]
			if _, knownOption := options[l.arg(1)]; l.Unsaid() && known && (l.words[0] != "option" || knownOption) {
				l.Unneeded("no section uses it")
			}
		}
	}
}

// unreached accounts for the rules of a backend to which no route leads.
func (p *proxy) unreached() {
	lines := slices.Clone(p.rules)
	if l := p.options["forwardfor"]; l != nil {
		lines = append(lines, l)
	}
	asked := p.mode == "tcp" && p.result != nil
	for _, l := range lines {
		switch {
		case !l.Unsaid():
		case asked && l.arg(1) == "inspect-delay":
			l.Unneeded("what has to be read is waited for")
		case asked && l.words[0] == "tcp-request":
			l.Impossible("mcplb's rules for connections are of frontends: allow, deny and [ratelimit]")
		case asked:
			l.Unneeded("it means nothing in mode tcp")
		case p.c.missed(p):
			l.Impossible("the rule that leads to this backend is not translated: write this on its route")
		default:
			l.Unneeded("no rule leads to this backend")
		}
	}
	for _, named := range p.acls {
		for _, l := range named {
			l.Unneeded("no rule that is translated uses it")
		}
	}
}

// missed reports whether a rule that is not possible leads to a backend, or could, as it finds
// the name while it runs.
func (c *converter) missed(b *proxy) bool {
	return slices.ContainsFunc(c.proxies, func(p *proxy) bool {
		return slices.ContainsFunc(p.uses, func(l *line) bool {
			return l.Outcome() == lb.Impossible && (l.arg(1) == b.name || strings.Contains(l.arg(1), "%["))
		})
	})
}

// keyOf returns the file of a certificate's key: FILE.key beside it, or the file.
func (c *converter) keyOf(file string) string {
	if _, err := c.env.ReadFile(file + ".key"); err == nil {
		return file + ".key"
	}
	return file
}

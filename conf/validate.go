package conf

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// validate reports mistakes that involve more than one value: contradictions
// between keys, names of things that do not exist, addresses used twice. It does
// not report what follows from a value that was already reported.
func validate(c *Config, d *decoder) {
	validateResolver(&c.Resolver, d)
	validateRateLimit(&c.RateLimit, d)
	if len(c.Frontends) == 0 && d.sound("frontend") {
		d.fail("frontend", "is missing: clients need a place to connect to, write [frontend.NAME] with listen, mode and backend")
	}
	if len(c.Backends) == 0 && d.sound("backend") {
		d.fail("backend", "is missing: frontends need servers to pass clients to, write [backend.NAME] with a [[backend.NAME.server]]")
	}
	for i := range c.Frontends {
		validateFrontend(c, &c.Frontends[i], d)
	}
	for i := range c.Backends {
		validateBackend(c, &c.Backends[i], d)
	}
	validateListeners(c, d)
	validateFiles(c, d)
}

func validateResolver(r *Resolver, d *decoder) {
	if r.MinTTL <= r.MaxTTL || r.MaxTTL == 0 || !d.sound("resolver.min_ttl", "resolver.max_ttl") {
		return
	}
	at := "resolver.min_ttl"
	if !d.given(at) {
		at = "resolver.max_ttl"
	}
	d.fail(at, "min_ttl is %s and max_ttl is %s: the shortest time must not be longer than the longest", showDuration(r.MinTTL), showDuration(r.MaxTTL))
}

func validateRateLimit(r *RateLimit, d *decoder) {
	const bucket = "must be at least 1 while %s is set (%d): a bucket that holds nothing lets nothing through"
	if r.ConnectionRate > 0 && r.ConnectionBurst == 0 {
		d.fail("ratelimit.connection_burst", bucket, "connection_rate", r.ConnectionRate)
	}
	if r.MessageRate > 0 && r.MessageBurst == 0 {
		d.fail("ratelimit.message_burst", bucket, "message_rate", r.MessageRate)
	}
	if r.BanAfter > 0 && r.BanTime == 0 {
		d.fail("ratelimit.ban_time", `must be more than 0, such as "5m", while ban_after is set (%d): to ban nobody, write ban_after = 0`, r.BanAfter)
	}
}

func validateFrontend(c *Config, f *Frontend, d *decoder) {
	path := join("frontend", f.Name)
	validateReference(c, d, path+".backend", f.Backend)
	if f.Mode == "" {
		return // missing or wrong
	}
	for _, k := range frontendSection.fields {
		if k.modes != nil && !slices.Contains(k.modes, f.Mode) && d.given(join(path, k.name)) {
			d.report(join(path, k.name), "is only for mode %s, and this frontend's mode is %q: leave it out", quotedModes(k.modes), f.Mode)
		}
	}
	validateProxies(f, path, d)
	if f.Mode == ModeTCP {
		validateSNIRoutes(c, f, path, d)
	}
	if f.Mode == ModeHTTP {
		validateRoutes(c, f, path, d)
		validateCookies(f, path, d)
		validateALPN(f, path, d)
	}
}

// quotedModes shows modes in quotes.
func quotedModes(modes []Mode) string {
	shown := make([]string, len(modes))
	for i, m := range modes {
		shown[i] = strconv.Quote(string(m))
	}
	return enumerate(shown, "or")
}

// validateReference reports a backend that does not exist.
func validateReference(c *Config, d *decoder, path, name string) {
	if len(c.Backends) == 0 || c.Backend(name) != nil || !d.sound(path, join("backend", name)) {
		return
	}
	names := make([]string, len(c.Backends))
	for i, b := range c.Backends {
		names[i] = b.Name
	}
	d.fail(path, "must be the name of a backend, and there is no [%s]%s", join("backend", name),
		cmp.Or(didYouMean(name, names), "; there is "+oneOfWords(names)))
}

func validateProxies(f *Frontend, path string, d *decoder) {
	if !d.sound(path+".accept_proxy", path+".trusted_proxies") {
		return
	}
	switch {
	case f.AcceptProxy && len(f.TrustedProxies) == 0:
		d.fail(path+".accept_proxy", "needs trusted_proxies: write the CIDRs of the proxies whose header is believed, or else anyone could claim any address")
	case !f.AcceptProxy && len(f.TrustedProxies) > 0 && f.Mode != ModeHTTP:
		d.fail(path+".trusted_proxies", "does nothing in mode %q without accept_proxy = true: add that, or leave this out", f.Mode)
	}
}

// validateALPN reports protocols that no client could ask for.
func validateALPN(f *Frontend, path string, d *decoder) {
	at := path + ".alpn"
	if len(f.ALPN) == 0 || !d.sound(at) {
		return
	}
	if f.TLS == nil && d.sound(path+".tls") {
		d.fail(at, "needs tls: clients choose by ALPN within the TLS handshake; without TLS, write http2 = true")
	}
}

// validateCookies reports cookies that browsers would not keep: the frontend's, and those of
// its routes, which have the same attributes.
func validateCookies(f *Frontend, path string, d *decoder) {
	validateCookie(f, f.Sticky.Cookie, path+".sticky", path+".sticky.cookie", d)
	for i := range f.Routes {
		if cookie := f.CookieOn(&f.Routes[i]); cookie != f.Sticky.Cookie {
			at := fmt.Sprintf("%s.route[%d].cookie", path, i)
			validateCookie(f, cookie, path+".sticky", at, d)
		}
	}
}

// validateCookie reports a cookie that browsers would not keep (RFC 6265bis
// sections 4.1.3 and 5.7). key is where its name stands, path its attributes' section.
func validateCookie(f *Frontend, cookie, path, key string, d *decoder) {
	attributes := ";" + strings.ToLower(strings.ReplaceAll(f.Sticky.CookieAttributes, " ", "")) + ";"
	cookie = strings.ToLower(cookie)
	secure := f.TLS != nil || strings.Contains(attributes, ";secure;")
	if cookie == "" || !d.sound(key, path+".cookie_attributes") {
		return
	}
	at := path + ".cookie_attributes"
	if !d.given(at) {
		at = key
	}
	for _, needs := range []struct {
		asked bool
		what  string
	}{
		{strings.HasPrefix(cookie, "__secure-"), "a cookie called __Secure-..."},
		{strings.HasPrefix(cookie, "__host-"), "a cookie called __Host-..."},
		{strings.Contains(attributes, ";samesite=none;"), "SameSite=None"},
		{strings.Contains(attributes, ";partitioned;"), "Partitioned"},
	} {
		if needs.asked && !secure {
			d.fail(at, "has no Secure among its attributes, and browsers drop %s without it: add Secure if clients use TLS, or leave that out", needs.what)
		}
	}
	if strings.HasPrefix(cookie, "__host-") && (!strings.Contains(attributes, ";path=/;") || strings.Contains(attributes, ";domain=")) {
		d.fail(at, "must have Path=/ and no Domain among its attributes, or else browsers drop a cookie called __Host-...")
	}
}

func validateBackend(c *Config, b *Backend, d *decoder) {
	path := join("backend", b.Name)
	validateCheck(b, path+".check", d)
	if d.sound(path+".send_proxy") && b.SendProxy != SendProxyOff {
		for _, f := range c.Frontends {
			if f.Mode == ModeHTTP && f.uses(b.Name) {
				d.fail(path+".send_proxy", `is for modes "tcp" and "mcp", and frontend %q of mode "http" uses this backend too: give that frontend its own backend, or leave this out`, f.Name)
				break
			}
		}
	}
	if !b.Failback && b.BalanceFactor == 0 {
		d.fail(path+".failback", "can be false only with a balance_factor above 0: a plain hash remembers no sources")
	}
	if !d.sound(path+".server") || !d.sound(path) {
		return
	}
	validateDiscover(c, b, d)
	if len(b.Servers) == 0 {
		if b.Discover == nil && d.sound(path+".discover") {
			d.fail(path+".server", "is missing: a backend needs at least one server, write [[%s.server]] with name and tcp or http, or [%s.discover]", path, path)
		}
		return
	}
	validateServers(b.Servers, path+".server", d)
	validateWeights(b, path, d)
	validateEndpoints(c, b, path, d)
	validateSources(b, path, d)
}

// places returns what two addresses have in common if they may be the same: a name is
// one place for each family that its server uses.
func places(s *Server, address string) []string {
	same := withoutDot(address)
	host, _, _ := net.SplitHostPort(address)
	if _, err := netip.ParseAddr(host); err != nil && (s.Family == FamilyIPv4 || s.Family == FamilyIPv6) {
		return []string{same + " " + string(s.Family)}
	}
	return []string{same + " " + string(FamilyIPv4), same + " " + string(FamilyIPv6)}
}

// validateServers reports servers of the list at path that have the same name or
// address.
func validateServers(servers []Server, path string, d *decoder) {
	names, addresses := map[string]int{}, map[string]int{}
	for i, s := range servers {
		server := element(path, i)
		if before, taken := names[s.Name]; taken && d.sound(server+".name") {
			d.fail(server+".name", "%q is the name of another server of this backend (%s): names must differ", s.Name, d.where(element(path, before)+".name"))
		} else {
			names[s.Name] = i
		}
		for _, e := range serverEndpoints {
			address := s.Address(e)
			if !d.given(server+"."+string(e)) || address == "" {
				continue
			}
			for _, same := range places(&s, address) {
				if before, taken := addresses[same]; taken && before != i {
					d.fail(server+"."+string(e), "%q is an address of server %q already (%s): each server needs its own addresses",
						address, servers[before].Name, d.where(element(path, before)))
					break
				}
				addresses[same] = i
			}
		}
	}
}

// validateWeights reports that no server has a weight.
func validateWeights(b *Backend, path string, d *decoder) {
	if b.Discover == nil && !slices.ContainsFunc(b.Servers, func(s Server) bool { return s.Weight > 0 }) {
		d.fail(path+".server", "has weight 0 for every server, so no client could be served: give at least one server a weight of 1 or more")
	}
}

// withoutDot returns a server's address without the dot that may end its host name.
func withoutDot(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort(strings.TrimSuffix(host, "."), port)
}

// validateEndpoints reports servers without an address that a frontend, a
// route or the check would connect to.
func validateEndpoints(c *Config, b *Backend, path string, d *decoder) {
	needs := endpointNeeds(c, b, d)
	for i, s := range b.Servers {
		server := element(path+".server", i)
		if s.TCP == "" && s.HTTP == "" {
			if d.sound(server+".tcp", server+".http") {
				d.fail(server, "has no address: add tcp or http, such as tcp = \"192.0.2.1:9000\"")
			}
			continue
		}
		for _, e := range serverEndpoints {
			if missing := server + "." + string(e); needs[e] != "" && s.Address(e) == "" && d.sound(missing, server+".http") {
				d.fail(missing, "is missing: %s needs this address of every server", needs[e])
			}
		}
	}
}

// endpointNeeds returns the endpoints that b's servers must have, each with what
// needs it.
func endpointNeeds(c *Config, b *Backend, d *decoder) map[Endpoint]string {
	needs := map[Endpoint]string{}
	need := func(e Endpoint, who string, args ...any) {
		if needs[e] == "" {
			needs[e] = fmt.Sprintf(who, args...)
		}
	}
	for _, f := range c.Frontends {
		if f.Mode == "" {
			continue // missing or wrong
		}
		if f.Backend == b.Name {
			need(f.Mode.endpoint(), "frontend %q of mode %q", f.Name, f.Mode)
		}
		for i, r := range f.Routes {
			route := join("frontend", f.Name) + element(".route", i)
			if f.Mode == ModeTCP && f.BackendOf(&r) == b.Name {
				need(EndpointTCP, "route %s of frontend %q", r.title(i), f.Name)
			}
			if f.Mode == ModeHTTP && r.Forwards() && f.BackendOf(&r) == b.Name && d.sound(route+".endpoint") {
				need(r.Endpoint, "route %s of frontend %q", r.title(i), f.Name)
			}
		}
	}
	if b.Check.Type == CheckHTTP && b.Check.Port == 0 {
		need(EndpointHTTP, "check.type = %q", b.Check.Type)
	}
	return needs
}

// validateSources reports servers that no source address could reach.
func validateSources(b *Backend, path string, d *decoder) {
	if len(b.Source) == 0 || !d.sound(path+".source") {
		return
	}
	for i, s := range b.Servers {
		for _, e := range serverEndpoints {
			key := element(path+".server", i) + "." + string(e)
			host, _, err := splitAddress(s.Address(e))
			addr, notIP := netip.ParseAddr(host)
			if err != nil || notIP != nil || !d.given(key) {
				continue
			}
			if !slices.ContainsFunc(b.Source, func(source netip.Addr) bool { return source.Is4() == addr.Is4() }) {
				d.fail(path+".source", "has no %s address to reach server %q from (%s): add one, or leave source out", family(addr), s.Name, d.where(key))
				return
			}
		}
	}
}

func family(addr netip.Addr) string {
	if addr.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// validateListeners reports addresses that two listeners would share. It reports
// the later one, or the one that the file names if the other is a default.
func validateListeners(c *Config, d *decoder) {
	type listener struct{ path, address string }
	var all []listener
	add := func(path, address string) {
		if address != "" && d.sound(path) {
			all = append(all, listener{path, address})
		}
	}
	add("admin.listen", c.Admin.Listen)
	add("admin.health_listen", c.Admin.HealthListen)
	if d.given("admin.listen") && !d.given("admin.health_listen") {
		slices.Reverse(all)
	}
	for _, f := range c.Frontends {
		path := join("frontend", f.Name) + ".listen"
		for i, address := range f.Listen {
			if at := element(path, i); d.given(at) {
				add(at, address)
			} else {
				add(path, address)
			}
		}
	}
	byPort := map[string][]listener{} // what does not share a port cannot overlap
	for _, l := range all {
		port := l.address[strings.LastIndexByte(l.address, ':'):]
		for _, before := range byPort[port] {
			if overlap(before.address, l.address) {
				d.fail(l.path, "%q is taken by %q (%s): each listener needs its own port or address", l.address, before.address, d.where(before.path))
				break
			}
		}
		byPort[port] = append(byPort[port], l)
	}
}

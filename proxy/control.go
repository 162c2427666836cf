package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// control carries out the runtime commands. It implements admin.Control; any
// goroutine may use it.
type control struct{ proxy *Proxy }

// mostWeight is the highest weight of a server, as in the configuration.
const mostWeight = 1000

// SetServer implements admin.Control.
func (c *control) SetServer(backendName, serverName string, change admin.ServerChange) ([]admin.Change, error) {
	server, err := c.findServer(backendName, serverName)
	if err != nil {
		return nil, err
	}
	if err := checkChange(change); err != nil {
		return nil, err
	}
	var changes []admin.Change
	note := func(what, old, now string) {
		if old != now {
			changes = append(changes, admin.Change{What: what, Old: old, New: now})
		}
	}
	if change.Weight != nil {
		note("weight", strconv.Itoa(server.Weight()), strconv.Itoa(*change.Weight))
		server.SetWeight(*change.Weight)
	}
	if change.MaxConn != nil {
		note("maxconn", strconv.Itoa(server.MaxConn()), strconv.Itoa(*change.MaxConn))
		server.SetMaxConn(*change.MaxConn)
	}
	if change.Admin != nil {
		before := server.State()
		note("admin", string(adminStates[before.Admin]), string(*change.Admin))
		server.SetAdmin(adminOf(*change.Admin), change.Reason, time.Now())
		if change.Explained && before.Admin == adminOf(*change.Admin) {
			note("reason", before.AdminReason, change.Reason)
			server.Explain(change.Reason)
		}
	}
	return changes, nil
}

// checkChange refuses values out of range.
func checkChange(change admin.ServerChange) error {
	if w := change.Weight; w != nil && (*w < 0 || *w > mostWeight) {
		return fmt.Errorf("%w: weight must be from 0 to %d, not %d", admin.ErrInvalid, mostWeight, *w)
	}
	if n := change.MaxConn; n != nil && (*n < 0 || *n > 10_000_000) {
		return fmt.Errorf("%w: maxconn must be from 0 (no limit) to 10000000, not %d", admin.ErrInvalid, *n)
	}
	if a := change.Admin; a != nil && *a != admin.AdminReady && *a != admin.AdminDrain && *a != admin.AdminMaint {
		return fmt.Errorf("%w: admin must be ready, drain or maint, not %q", admin.ErrInvalid, *a)
	}
	return nil
}

// adminOf converts the operator's word to the backend's state.
func adminOf(word admin.AdminState) backend.Admin {
	for state, shown := range adminStates {
		if shown == word {
			return state
		}
	}
	return backend.Ready
}

// findBackend finds a pool by its name.
func (c *control) findBackend(name string) (*pool, error) {
	c.proxy.mu.RLock()
	defer c.proxy.mu.RUnlock()
	b := c.proxy.backends[name]
	if b == nil {
		var names []string
		for _, known := range c.proxy.config.Backends {
			names = append(names, known.Name)
		}
		return nil, fmt.Errorf("%w: there is no backend %q; there is %s", admin.ErrNotFound, name, someOf(name, names))
	}
	return b, nil
}

// findServer finds a server by its backend's name and its own.
func (c *control) findServer(backendName, name string) (*backend.Server, error) {
	b, err := c.findBackend(backendName)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, server := range b.Servers() {
		if server.Name() == name {
			return server, nil
		}
		names = append(names, server.Name())
	}
	return nil, fmt.Errorf("%w: backend %s has no server %q; it has %s", admin.ErrNotFound, backendName, name, someOf(name, names))
}

// mostNamed is how many names an error lists.
const mostNamed = 20

// someOf lists names for an error about one that is not among them, and the one that
// was probably meant.
func someOf(wrong string, names []string) string {
	list := strings.Join(names[:min(len(names), mostNamed)], ", ")
	if more := len(names) - mostNamed; more > 0 {
		list += fmt.Sprintf(" and %d more (mcplb status shows all)", more)
	}
	return list + conf.DidYouMean(wrong, names)
}

// ClearPeaks implements admin.Control.
func (c *control) ClearPeaks() {
	p := c.proxy
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.connections.clearPeak()
	for _, loop := range p.engine.Loops() {
		loop.ClearLongest()
	}
	for _, f := range p.frontends {
		f.ClearPeaks()
	}
	for _, b := range p.backends {
		b.ClearPeaks()
	}
}

// Bans implements admin.Control.
func (c *control) Bans(most int) []admin.Ban {
	bans := c.proxy.limiter.Bans(c.proxy.engine.Now())
	list := make([]admin.Ban, 0, min(len(bans), most))
	for _, ban := range bans[:min(len(bans), most)] {
		list = append(list, showBan(&ban))
	}
	return list
}

// Ban implements admin.Control. A trusted proxy is never banned, since it carries
// everybody: a ban that could have no effect is refused, and one that has none for
// some says so.
func (c *control) Ban(source netip.Prefix, d time.Duration) (admin.Ban, error) {
	trusting, spared := c.trusting(source)
	if trusting != "" && spared == "" {
		return admin.Ban{}, fmt.Errorf("%w: %s is a trusted proxy of frontend %s, which carries other clients as well: ban the client's address, or take the proxy out of trusted_proxies",
			admin.ErrInvalid, source, trusting)
	}
	c.proxy.limiter.BanRange(source, d, c.proxy.engine.Now())
	imposed := ratelimit.Ban{Source: source, Remaining: d, Reason: ratelimit.Manual}
	c.proxy.fleet.Banned(imposed)
	ban := showBan(&imposed)
	ban.Note = spared
	return ban, nil
}

// trusting returns the frontends that trust some of source as proxies, "" if none
// does; spared says for whom a ban of it has no effect, "" if for no client or for
// everybody.
func (c *control) trusting(source netip.Prefix) (frontends, spared string) {
	c.proxy.mu.RLock()
	defer c.proxy.mu.RUnlock()
	var trust []string
	all := true
	for _, f := range c.proxy.config.Frontends {
		overlaps := slices.ContainsFunc(f.TrustedProxies, source.Overlaps)
		if overlaps {
			trust = append(trust, f.Name)
		}
		all = all && slices.ContainsFunc(f.TrustedProxies, func(p netip.Prefix) bool { return p.Bits() <= source.Bits() && p.Overlaps(source) })
	}
	frontends = strings.Join(trust, ", ")
	if len(trust) == 0 || all {
		return frontends, ""
	}
	return frontends, fmt.Sprintf("frontend %s trusts some of it as proxies (trusted_proxies), which are not banned there", frontends)
}

// Unban implements admin.Control.
func (c *control) Unban(source netip.Prefix) error {
	limiter, now := c.proxy.limiter, c.proxy.engine.Now()
	if limiter.UnbanRange(source, now) {
		c.proxy.fleet.Lifted(source)
		return nil
	}
	if by, banned := limiter.CoveringBan(source, now); banned {
		return fmt.Errorf("%w: %s is not banned by itself, but %s is, which contains it: mcplb unban %s", admin.ErrNotFound, source, by, by)
	}
	return fmt.Errorf("%w: %s is not banned; mcplb bans lists what is", admin.ErrNotFound, source)
}

// showBan shows one ban.
func showBan(ban *ratelimit.Ban) admin.Ban {
	return admin.Ban{Source: ban.Source.String(), Reason: ban.Reason.String(), RemainingSeconds: ban.Remaining.Seconds()}
}

// Sticky implements admin.Control.
func (c *control) Sticky(backendName string, source netip.Addr, most int) ([]admin.StickyEntry, error) {
	b, err := c.findBackend(backendName)
	if err != nil {
		return nil, err
	}
	var found []backend.Remembered
	if source.IsValid() {
		found = b.StickyOf(source, c.proxy.engine.Now())
	} else {
		found = b.Sticky(most, c.proxy.engine.Now())
		slices.SortFunc(found, func(x, y backend.Remembered) int { return x.Source.Addr().Compare(y.Source.Addr()) })
	}
	entries := make([]admin.StickyEntry, 0, len(found))
	for _, e := range found[:min(len(found), most)] {
		entries = append(entries, admin.StickyEntry{
			Source: showSource(e.Source), Server: e.Server, Displaced: e.Displaced, Refuge: e.Fallback,
			Connections: e.Connections, IdleSeconds: e.Idle.Seconds(),
		})
	}
	return entries, nil
}

// showSource shows a source: an IPv4 address alone, an IPv6 /64 as such.
func showSource(source netip.Prefix) string {
	if source.IsSingleIP() {
		return source.Addr().String()
	}
	return source.String()
}

// ListConnections implements admin.Control.
func (c *control) ListConnections(ctx context.Context, filter admin.ConnectionFilter, most int) (admin.ConnectionList, error) {
	if err := c.checkFilter(filter); err != nil {
		return admin.ConnectionList{}, err
	}
	lists, err := collect(ctx, c.proxy.engine, func(loop *reactor.Loop, list *admin.ConnectionList, conn *reactor.Conn, s session.Session) {
		if !admits(filter, s) {
			return
		}
		if list.Total++; len(list.Connections) < most {
			list.Connections = append(list.Connections, showConnection(loop, conn, s))
		}
	})
	var all admin.ConnectionList
	for _, list := range lists {
		all.Total += list.Total
		all.Connections = append(all.Connections, list.Connections...)
	}
	all.Connections = all.Connections[:min(len(all.Connections), most)]
	return all, err
}

// checkFilter refuses unknown names: otherwise a typing error would look like a
// server without connections.
func (c *control) checkFilter(filter admin.ConnectionFilter) error {
	if filter.Server != "" {
		_, err := c.findServer(filter.Backend, filter.Server)
		return err
	}
	if filter.Backend != "" {
		_, err := c.findBackend(filter.Backend)
		return err
	}
	return nil
}

// admits reports whether the filter admits a session.
func admits(filter admin.ConnectionFilter, s session.Session) bool {
	if filter.Client.IsValid() && !of(filter.Client, s.Info()) {
		return false
	}
	if filter.Backend == "" {
		return true
	}
	server := s.Server()
	return server != nil && server.Backend() == filter.Backend && (filter.Server == "" || server.Name() == filter.Server)
}

// of reports whether a connection is of the clients given, or of a proxy that is.
func of(clients netip.Prefix, info session.Info) bool {
	return clients.Contains(info.Client.Addr().Unmap().WithZone("")) || clients.Contains(info.Proxy.Addr().Unmap().WithZone(""))
}

// showConnection shows one client's connection.
func showConnection(loop *reactor.Loop, c *reactor.Conn, s session.Session) admin.Connection {
	info := s.Info()
	shown := admin.Connection{
		ID: connectionID(loop, c), Frontend: info.Frontend, Client: showClient(info.Client), SNI: info.Name,
		State: info.State, IdleSeconds: time.Duration(loop.Now() - info.Since).Seconds(), Requests: info.Requests,
		Protocol: info.Protocol, Streams: info.Streams,
	}
	if info.Stream != 0 {
		shown.ID += fmt.Sprintf(".%d", info.Stream)
	}
	if info.Proxy.IsValid() {
		shown.Proxy = info.Proxy.String()
	}
	if server := s.Server(); server != nil {
		shown.Backend, shown.Server = server.Backend(), server.Name()
	}
	return shown
}

// showClient shows a client's address, with its port if that is known.
func showClient(client netip.AddrPort) string {
	if client.Port() == 0 {
		return client.Addr().String()
	}
	return client.String()
}

// connectionID identifies a connection by its loop and its place there.
func connectionID(loop *reactor.Loop, c *reactor.Conn) string {
	return fmt.Sprintf("%d-%x", loop.ID(), c.ID())
}

// Kill implements admin.Control.
func (c *control) Kill(ctx context.Context, filter admin.ConnectionFilter) (int, error) {
	if err := c.checkFilter(filter); err != nil {
		return 0, err
	}
	counts, err := collect(ctx, c.proxy.engine, func(_ *reactor.Loop, n *int, _ *reactor.Conn, s session.Session) {
		if admits(filter, s) {
			s.Abort(session.Killed)
			*n++
		}
	})
	total := 0
	for _, n := range counts {
		total += n
	}
	return total, err
}

// KillOne implements admin.Control.
func (c *control) KillOne(ctx context.Context, id string) error {
	number, place, _ := strings.Cut(id, "-")
	place, stream, _ := strings.Cut(place, ".")
	n, err1 := strconv.Atoi(number)
	at, err2 := strconv.ParseUint(place, 16, 64)
	gone := fmt.Errorf("%w: there is no connection %q; it may have ended (mcplb connections lists what is open; a server is BACKEND/SERVER here)", admin.ErrNotFound, id)
	if err1 != nil || err2 != nil || n < 0 || n >= len(c.proxy.engine.Loops()) {
		return gone
	}
	loop := c.proxy.engine.Loops()[n]
	killed := make(chan bool, 1)
	posted := loop.Post(func() {
		s := sessionAt(loop.Find(at), stream)
		if s != nil {
			s.Abort(session.Killed)
		}
		killed <- s != nil
	})
	if !posted {
		return gone
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case done := <-killed:
		if !done {
			return gone
		}
		return nil
	}
}

// sessionAt returns the session of a connection, or the one of its streams with that
// number; nil = there is none.
func sessionAt(c *reactor.Conn, stream string) (found session.Session) {
	switch {
	case c == nil:
	case stream == "":
		return session.Of(c)
	default:
		session.Each(c, func(s session.Session) {
			if strconv.FormatUint(uint64(s.Info().Stream), 10) == stream {
				found = s
			}
		})
	}
	return found
}

package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// admission is what the tcp-request rules of a frontend have said so far.
type admission struct {
	accepted map[string][]string // sources that later rules of a stage do not reject
	everyone map[string]bool     // stages at which a rule has accepted every connection
	hello    bool                // connections of TLS are accepted
}

// tcpRules translates the tcp-request rules: who may connect, and limits.
func (g *group) tcpRules() {
	c := &criteria{named: g.acls, group: g, used: map[*line]bool{}}
	a := &admission{accepted: map[string][]string{}, everyone: map[string]bool{}}
	for _, l := range g.rules {
		if l.words[0] != "tcp-request" {
			continue
		}
		stage, words := l.arg(1), l.args(2)
		switch {
		case stage == "inspect-delay":
			l.Unneeded("what has to be read is waited for")
			continue
		case len(words) == 0 || stage != "connection" && stage != "content" && stage != "session":
			continue
		case a.everyone[stage]:
			l.Unneeded("a rule before it accepts every connection")
			continue
		}
		if len(words[0]) > 8 && words[0][:8] == "track-sc" {
			if _, err := trackAction(g, l, words[1:]); err != nil {
				l.Impossible("%v", err)
			}
			continue
		}
		c.notes = nil
		action, _, _ := strings.Cut(words[0], "(")
		at := slices.IndexFunc(words, func(w string) bool { return w == "if" || w == "unless" })
		if at < 0 {
			at = len(words)
		}
		c.at = l
		when, err := c.parse(words[at:])
		if _, known := connectionActions[action]; !known || err == nil {
			c.account(l)
			err = g.tcpRule(l, action, when, a)
		}
		if err != nil {
			l.lost("%v", err)
		}
		for _, note := range c.notes {
			g.front.Differ(l.Directive, "", "%s", note)
		}
	}
	if g.mode == "tcp" {
		markUsed(g.proxy, c)
		return
	}
	for l := range c.used {
		l.Translated()
	}
}

// connectionActions are the actions of tcp-request that mcplb can have.
var connectionActions = map[string]bool{"accept": true, "reject": true, "silent-drop": true}

// tcpRule translates one rule that accepts or rejects.
func (g *group) tcpRule(l *line, action string, when condition, a *admission) error {
	switch action {
	case "accept":
		return g.tcpAccept(l, when, a)
	case "reject", "silent-drop":
		if len(when) == 0 {
			l.Unneeded("its condition never holds here")
		}
		for _, conj := range when {
			if err := g.tcpReject(l, conj, a); err != nil {
				return err
			}
		}
		return nil
	case "expect-proxy":
		return errors.New("a listener expects the PROXY header from all peers, or from none: accept_proxy")
	case "set-src", "set-dst", "set-mark", "set-tos", "set-var":
		return fmt.Errorf("mcplb has no %s", action)
	}
	return fmt.Errorf("mcplb has no action %q for connections", action)
}

// tcpAccept notes who is accepted before rules that reject.
func (g *group) tcpAccept(l *line, when condition, a *admission) error {
	for _, conj := range when {
		switch {
		case len(conj) == 0:
			l.Unneeded("connections are accepted")
			a.everyone[l.arg(1)] = true
		case len(conj) == 1 && conj[0].fact == hello && !conj[0].not:
			l.Unneeded("connections are accepted")
			a.hello = true
		case len(conj) == 1 && conj[0].fact == source && !conj[0].not:
			stage := l.arg(1)
			a.accepted[stage] = append(a.accepted[stage], conj[0].values...)
			l.Translated()
		default:
			return errors.New("mcplb accepts and rejects connections by their source")
		}
	}
	return nil
}

// tcpReject translates one case in which connections are rejected.
func (g *group) tcpReject(l *line, conj conjunction, a *admission) error {
	f, accepted := g.frontend, a.accepted[l.arg(1)]
	switch {
	case a.hello && len(conj) == 0, len(conj) == 1 && conj[0].fact == hello && conj[0].not:
		g.onlyTLS = l
		l.Translated()
	case a.hello:
		return errors.New("it rejects those alone who do not speak TLS, and mcplb cannot tell them from others")
	case len(conj) == 0 && len(accepted) > 0:
		g.admitOnly(l, accepted)
	case g.seesProxies(l):
		return g.rejectProxies(l, conj, accepted)
	case len(conj) == 0:
		f.AddTo("deny", l.Directive, "0.0.0.0/0", "::/0")
	case len(conj) == 1 && conj[0].fact == source && !conj[0].not:
		denied, err := lb.Without(conj[0].values, accepted) // deny goes before allow
		if err != nil {
			return err
		}
		if len(denied) == 0 {
			l.Unneeded("a rule before it accepts all of these")
			return nil
		}
		f.AddTo("deny", l.Directive, denied...)
	case len(conj) == 1 && conj[0].fact == source && !f.Has("allow"):
		g.admitOnly(l, slices.Concat(accepted, conj[0].values))
	case len(conj) > 0 && conj[0].fact == rate && !conj[0].not:
		step, err := g.limit(g.proxy, l, conj[0], conj[1:])
		if step != nil {
			return errors.New("requests are counted in mode http, by http-request rules")
		}
		if err == nil && len(accepted) > 0 {
			g.c.config.RateLimit.AddTo("exempt", l.Directive, accepted...)
		}
		return err
	default:
		return errors.New("mcplb rejects connections by their source, and by rates")
	}
	if g.mode == "http" && l.arg(1) == "connection" {
		f.Differ(l.Directive, "", "refused clients get 403 in mode http")
	}
	return nil
}

// seesProxies reports whether a rule sees the address of the peer, before the PROXY header
// says who the client is.
func (g *group) seesProxies(l *line) bool { return g.accept && l.arg(1) == "connection" }

// admitOnly lets nobody connect but these sources: clients, or the proxies in front.
func (g *group) admitOnly(l *line, sources []string) {
	f := g.frontend
	if !g.seesProxies(l) {
		f.AddTo("allow", l.Directive, sources...)
		return
	}
	f.Delete("trusted_proxies")
	f.AddTo("trusted_proxies", l.Directive, sources...)
}

// rejectProxies translates one case in which peers are rejected that send the PROXY header.
func (g *group) rejectProxies(l *line, conj conjunction, accepted []string) error {
	if len(conj) != 1 || conj[0].fact != source || !conj[0].not {
		return errors.New("with accept-proxy this rule sees the proxy in front, not the client: mcplb has no rule for proxies but trusted_proxies")
	}
	g.admitOnly(l, slices.Concat(accepted, conj[0].values))
	return nil
}

// tcpUses translates use_backend of mode tcp.
func (g *group) tcpUses(final *proxy) {
	c := &criteria{named: g.acls, group: g, used: map[*line]bool{}}
	ended := false
	for _, l := range g.uses {
		if ended {
			l.Unneeded("a rule before it takes every connection")
			continue
		}
		if found := dynamicSNI.FindStringSubmatch(l.arg(1)); found != nil && len(l.words) == 2 {
			if other := g.sniMap(l, found[1], found[2], found[3]); other != nil {
				final, ended = other, true
			}
			continue
		}
		c.notes = nil
		c.at = l
		when, err := c.parse(l.args(2))
		if err != nil {
			l.Impossible("%v", err)
			continue
		}
		c.account(l)
		b := g.c.byName[l.arg(1)]
		switch {
		case b == nil:
			l.Impossible("there is no backend %q", l.arg(1))
		case len(when) == 1 && len(when[0]) == 0:
			g.frontend.Set("backend", g.c.backendOf(b, g.mode), l.Directive)
			g.c.serves[g.frontend] = true
			final, ended = b, true
		case len(when) == 0:
			l.Unneeded("its condition never holds here")
		default:
			g.sniRoutes(l, when, b)
		}
		for _, note := range c.notes {
			g.front.Differ(l.Directive, "", "%s", note)
		}
	}
	if g.onlyTLS != nil && final != nil {
		g.onlyTLS.Impossible("what is no TLS goes to the frontend's backend, as what no route takes: mcplb cannot refuse it")
	}
	markUsed(g.proxy, c)
}

package haproxy

import (
	"slices"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// proxy is a section frontend, backend or listen, with what its defaults say.
type proxy struct {
	*section
	c    *converter
	mode string // tcp or http

	front    lb.Table // keys of its frontends
	sticky   lb.Table
	back     lb.Table // keys of its backend
	check    lb.Table
	sequence checkSequence // of its lines
	tls      *lb.Table     // to its servers; nil = none

	acls       acls
	binds      []*line
	rules      []*line // tcp-request, http-request, redirect, http-response and others that are evaluated in order
	uses       []*line // use_backend
	backend    *line   // default_backend
	servers    []*line
	serverDef  []*line           // default-server
	usual      map[*line][]*line // those before each server
	timeouts   map[string]*line
	stats      []*line
	counters   *line             // its stick-table
	compresses *line             // its compression algo that mcplb has; nil = none
	checkTLS   *line             // that wants TLS for checks
	options    map[string]*line  // options that are on
	pages      []page            // its error pages
	monitor    *line             // monitor-uri
	uniqueID   *line             // unique-id-header
	result     *lb.Backend       // its backend, once there is one
	steps      map[*group][]step // of its rules as a backend
}

// isFront reports whether clients connect to it.
func (p *proxy) isFront() bool { return p.kind == "frontend" || p.kind == "listen" }

// isBack reports whether it has servers.
func (p *proxy) isBack() bool { return p.kind == "backend" || p.kind == "listen" }

// newProxy reads a section after those lines of its defaults that it does not replace.
func newProxy(c *converter, s *section) *proxy {
	p := &proxy{section: s, c: c, acls: acls{}, timeouts: map[string]*line{}, options: map[string]*line{}, mode: "tcp", steps: map[*group][]step{}, usual: map[*line][]*line{}}
	s.head.Translated()
	lines := slices.Concat(c.inherited(s), s.lines)
	for _, l := range lines {
		if l.words[0] == "mode" {
			p.mode = l.arg(1)
			l.Translated()
		}
	}
	if p.mode != "tcp" && p.mode != "http" {
		s.head.Impossible("mcplb has no mode %q", p.mode)
		p.mode = "tcp"
	}
	for _, l := range lines {
		p.read(l)
	}
	return p
}

// read notes what a line says.
func (p *proxy) read(l *line) {
	if handle, ok := keywords[l.words[0]]; ok {
		handle(p, l)
	}
}

// keywords are the directives of proxies. A new one is one entry. What is in no table
// is not possible.
var keywords = map[string]func(p *proxy, l *line){
	"mode":            func(*proxy, *line) {}, // read before
	"bind":            func(p *proxy, l *line) { p.binds = append(p.binds, l) },
	"acl":             func(p *proxy, l *line) { p.acls[l.arg(1)] = append(p.acls[l.arg(1)], l) },
	"use_backend":     func(p *proxy, l *line) { p.uses = append(p.uses, l) },
	"default_backend": func(p *proxy, l *line) { p.backend = l },
	"server":          addServer,
	"server-template": addServer,
	"default-server":  func(p *proxy, l *line) { p.serverDef = append(p.serverDef, l) },
	"timeout":         func(p *proxy, l *line) { p.timeouts[l.arg(1)] = l },
	"http-request":    addRule, "http-response": addRule, "http-after-response": addRule, "tcp-request": addRule, "redirect": addRule, "reqadd": addRule,
	"tcp-response": func(_ *proxy, l *line) { l.Impossible("mcplb does not look into what servers of mode tcp send") },
	"option":       option, "no": noOption,
	"balance": balance, "hash-type": hashType, "hash-balance-factor": hashBalance,
	"cookie": cookie, "stick-table": func(p *proxy, l *line) { p.counters = l }, "stick": stick,
	"retries": retries, "retry-on": retryOn, "http-check": httpCheck, "tcp-check": tcpCheck,
	"compression": compression, "filter": filter, "errorfile": errorFile, "http-error": httpError, "source": sourceAddress,
	"stats": func(p *proxy, l *line) { p.stats = append(p.stats, l) }, "monitor-uri": func(p *proxy, l *line) { p.monitor = l },
	"maxconn": frontendMaxconn, "http-reuse": httpReuse, "rate-limit": rateLimit,
	"log":                         logTo,
	"log-format":                  unneeded("the keys of mcplb's access log are fixed: docs/operations.md"),
	"log-format-sd":               unneeded("the keys of mcplb's access log are fixed"),
	"error-log-format":            unneeded("the keys of mcplb's access log are fixed"),
	"log-tag":                     unneeded("a part of access_log: syslog:...,tag="),
	"id":                          unneeded("names identify sections"),
	"guid":                        unneeded("names identify sections"),
	"description":                 unneeded("a description"),
	"enabled":                     unneeded("the default"),
	"backlog":                     unneeded("the kernel's limit (net.core.somaxconn) counts"),
	"fullconn":                    unneeded("maxconn of servers does not grow with the load"),
	"bind-process":                unneeded("all event loops serve all listeners"),
	"unique-id-header":            func(p *proxy, l *line) { p.uniqueID = l },
	"capture":                     unneeded("the keys of the access log are fixed"),
	"declare":                     unneeded("the keys of the access log are fixed"),
	"unique-id-format":            unneeded("requests have an identifier, {request_id}, where a rule asks for it"),
	"max-keep-alive-queue":        unneeded("requests of a client may always go to the server's free connections"),
	"load-server-state-from-file": unneeded("states survive reloads and upgrades"),
	"email-alert":                 unneeded("metrics and packaging/prometheus have alerts"),
	"external-check":              unneeded("it belongs to option external-check"),
	"hash-preserve-affinity":      unneeded("sources stay where they are"),
}

func unneeded(why string) func(*proxy, *line) {
	return func(_ *proxy, l *line) { l.Unneeded(why) }
}

// addServer notes a server with the lines of default-server before it, which alone count
// for it.
func addServer(p *proxy, l *line) {
	p.servers = append(p.servers, l)
	p.usual[l] = slices.Clone(p.serverDef)
}

func addRule(p *proxy, l *line) { p.rules = append(p.rules, l) }

// lastOf returns the line of the first of several timeouts that is set.
func (p *proxy) lastOf(names ...string) *line {
	for _, name := range names {
		if l := p.timeouts[name]; l != nil {
			return l
		}
	}
	return nil
}

// timeoutKeys are the timeouts: where they go, and which of HAProxy's hold, the first
// that is set. Without any, there is no limit.
type timeoutKey struct {
	key   string
	names []string
	least time.Duration // what stands for "no limit", 0 if mcplb knows that
}

var frontTimeouts = map[string][]timeoutKey{
	"http": {
		{"timeout_client", []string{"client"}, 0},
		{"timeout_http_request", []string{"http-request", "client"}, 0},
		{"timeout_keepalive", []string{"http-keep-alive", "http-request", "client"}, 0},
		{"timeout_half_closed", []string{"client-fin"}, 0},
	},
	"tcp": {
		{"timeout_client", []string{"tunnel", "client"}, 0},
		{"timeout_half_closed", []string{"client-fin"}, 0},
	},
}

var backTimeouts = map[string][]timeoutKey{
	"http": {{"timeout_server", []string{"server"}, 0}, {"timeout_connect", []string{"connect"}, 365 * 24 * time.Hour}, {"timeout_queue", []string{"queue", "connect"}, 0}},
	"tcp":  {{"timeout_server", []string{"tunnel", "server"}, 0}, {"timeout_connect", []string{"connect"}, 365 * 24 * time.Hour}, {"timeout_queue", []string{"queue", "connect"}, 0}},
}

// setTimeouts sets the timeouts of a table.
func (p *proxy) setTimeouts(t *lb.Table, keys []timeoutKey) {
	for _, k := range keys {
		l := p.lastOf(k.names...)
		if l == nil {
			t.Set(k.key, k.least)
			continue
		}
		d, err := duration(l.arg(2), time.Millisecond)
		if err != nil {
			l.Impossible("%v", err)
			continue
		}
		if d == 0 {
			d = k.least
		}
		t.Set(k.key, d, l.Directive)
	}
}

// otherTimeouts accounts for timeouts that have no key in a table.
func (p *proxy) otherTimeouts() {
	for name, l := range p.timeouts {
		switch name {
		case "check":
			p.setCheckTime("timeout", l, l.arg(2))
		case "server-fin":
			l.Unneeded("timeout_half_closed of the frontend holds for both sides")
		case "tarpit":
			l.Unneeded("refused requests are answered at once")
		case "tunnel":
			if p.mode == "tcp" || p.isFront() {
				l.Translated()
			}
		case "client-hs":
			l.Unneeded("a TLS handshake has 10 s")
		}
	}
	p.account()
}

// account says of timeouts that count on the other side that they are not needed here.
func (p *proxy) account() {
	for name, l := range p.timeouts {
		isClients := slices.Contains([]string{"client", "client-fin", "http-request", "http-keep-alive"}, name)
		isServers := slices.Contains([]string{"server", "server-fin", "connect", "queue", "check"}, name)
		if isClients && !p.isFront() || isServers && !p.isBack() || isClients && p.mode != "http" && strings.HasPrefix(name, "http") {
			l.Unneeded("it counts for nothing here")
		} else if p.mode == "tcp" && p.timeouts["tunnel"] != nil && (name == "client" || name == "server") {
			l.Unneeded("timeout tunnel holds in its place")
		}
	}
}

package haproxy

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// What the keywords of proxies say, one function for each.

// options are HAProxy's options: those that mcplb has no key for, with the reason why
// it needs none. Others are asked for where they count.
var options = map[string]string{
	"redispatch": "a connection that fails is always tried on other servers", "http-keep-alive": "the default", "http-server-close": "",
	"dontlognull": "a connection without a request has no line in mode http", "httplog": "", "tcplog": "", "forwardfor": "", "httpchk": "", "tcp-check": "", "tcpka": "", "clitcpka": "", "srvtcpka": "",
	"contstats": "counters are always up to date", "splice-auto": "always", "splice-request": "always", "splice-response": "always", "tcp-smart-accept": "the engine decides",
	"tcp-smart-connect": "the engine decides", "http-no-delay": "nothing is held back", "nolinger": "the engine decides", "socket-stats": "statistics are of frontends",
	"log-health-checks": "changes of state are logged", "log-separate-errors": "log_level", "logasap": "a line is written at the end", "dontlog-normal": "",
	"allbackups": "", "abortonclose": "a client that has gone leaves the queue", "prefer-last-server": "the cookie decides", "http-pretend-keepalive": "connections to servers are kept",
	"http-use-htx": "HAProxy's own", "accept-invalid-http-request": "mcplb is liberal where nobody could misread: docs/http.md", "accept-invalid-http-response": "docs/http.md",
	"http-ignore-probes": "a connection without a request has no line", "disable-h2-upgrade": "there is none", "checkcache": "", "originalto": "", "http-buffer-request": "", "httpclose": "",
	"persist": "", "transparent": "", "http-proxy": "", "ssl-hello-chk": "", "mysql-check": "", "pgsql-check": "", "redis-check": "", "smtpchk": "", "ldap-check": "", "external-check": "", "spop-check": "",
	"http-restrict-req-hdr-names": "", "h1-case-adjust-bogus-client": "", "h1-case-adjust-bogus-server": "", "idle-close-on-response": "connections are closed in an orderly way", "http-tunnel": "",
	"http_proxy": "", "accept-proxy": "", "independent-streams": "", "forwarded": "",
}

func option(p *proxy, l *line) {
	name := l.arg(1)
	why, known := options[name]
	switch {
	case !known:
		return
	case why != "":
		l.Unneeded(why)
	default:
		p.options[name] = l
	}
}

func noOption(p *proxy, l *line) {
	delete(p.options, l.arg(2))
	l.Unneeded("it is off")
}

// applyOptions translates the options that are on.
func (p *proxy) applyOptions() {
	for _, name := range slices.Sorted(maps.Keys(p.options)) { // the same in every run
		l := p.options[name]
		switch name {
		case "httplog", "tcplog":
			p.c.config.Global.Differ(l.Directive, "access_log", "the keys of mcplb's access log are fixed: docs/operations.md")
		case "dontlog-normal":
			p.c.config.Global.Differ(l.Directive, "access_log", "every connection or request has a line")
		case "allbackups":
			l.Translated()
		case "http-server-close", "httpclose":
			p.back.Differ(l.Directive, "", "connections to servers are kept")
		case "http-restrict-req-hdr-names":
			p.front.Differ(l.Directive, "", "names with underscores pass, except those like X_Forwarded_For")
		case "forwardfor":
			if p.mode != "http" {
				l.Unneeded("it means nothing in mode tcp")
			}
		case "clitcpka", "srvtcpka", "tcpka":
			p.keepalive(name, l)
		case "httpchk", "tcp-check": // with the checks
		case "http-buffer-request":
			p.front.Differ(l.Directive, "", "bodies pass as they come, at min_body_rate")
		case "ssl-hello-chk":
			p.back.Differ(l.Directive, "", "the check is a connection")
		}
	}
}

func (p *proxy) keepalive(name string, l *line) {
	if p.isFront() && name != "srvtcpka" {
		p.front.Set("keepalive", time.Minute, l.Directive)
	}
	if p.isBack() && name != "clitcpka" {
		p.back.Set("keepalive", time.Minute, l.Directive)
	}
	if l.Outcome() == lb.Impossible {
		l.Unneeded("it counts for nothing here")
	}
}

// policies are the balancing policies that mcplb has, too.
var policies = map[string]string{"roundrobin": "roundrobin", "static-rr": "roundrobin", "leastconn": "leastconn", "source": "source", "random": "random"}

func balance(p *proxy, l *line) {
	word, _, _ := strings.Cut(l.arg(1), "(")
	policy, ok := policies[word]
	switch {
	case !p.isBack():
		l.Unneeded("it counts in backends")
	case ok:
		p.back.Set("balance", policy, l.Directive)
		if word == "random" && l.arg(1) != "random" {
			p.back.Differ(l.Directive, "balance", "the better of two")
		}
	case word == "first":
		p.back.Set("balance", "leastconn", l.Directive)
		p.back.Differ(l.Directive, "balance", "first fills one server after the other, mcplb spreads")
	default:
		p.back.Set("balance", "source")
		l.Impossible("mcplb does not balance by %s; by the client's address instead", word)
	}
	if policy == "source" {
		p.back.Default("balance_factor", 0)
	}
}

func hashType(p *proxy, l *line) {
	if strings.Contains(strings.Join(l.words, " "), "consistent") {
		l.Translated()
		return
	}
	p.back.Differ(l.Directive, "balance", "hashing is always consistent: a server more or less moves few sources")
}

func hashBalance(p *proxy, l *line) {
	n, err := number(l.arg(1))
	if err != nil || n != 0 && n <= 100 {
		l.Impossible("mcplb's balance_factor is more than 1")
		return
	}
	p.back.Set("balance_factor", float64(n)/100, l.Directive)
}

// cookie translates a cookie that balances, for the frontends before the backend.
func cookie(p *proxy, l *line) {
	words := l.args(2)
	has := func(w string) bool { return slices.Contains(words, w) }
	if !has("insert") {
		l.Impossible("mcplb inserts its own cookie (sticky.cookie); it does not rewrite or prefix those of servers")
		return
	}
	attributes := "Path=/"
	if has("httponly") {
		attributes += "; HttpOnly"
	}
	for i, w := range words {
		switch {
		case w == "domain" && i+1 < len(words):
			attributes += "; Domain=" + words[i+1]
		case w == "attr" && i+1 < len(words):
			attributes += "; " + words[i+1]
		}
	}
	if has("secure") {
		attributes += "; Secure"
	}
	p.sticky.Set("cookie", l.arg(1), l.Directive)
	p.sticky.Set("cookie_attributes", attributes, l.Directive)
	note := "the value is a hash of the server's name"
	if !has("secure") {
		note += "; Secure is added on TLS"
	}
	if !has("indirect") {
		note += "; servers do not see the cookie"
	}
	if has("maxidle") || has("maxlife") || has("dynamic") || has("preserve") {
		note += "; maxidle, maxlife, dynamic and preserve are not there"
	}
	p.sticky.Differ(l.Directive, "cookie", "%s", note)
}

// stick translates "stick on src" and its like.
func stick(p *proxy, l *line) {
	sample := l.arg(2)
	switch base := splitTop(sample)[0]; base {
	case "src":
		p.back.Set("balance", "source", l.Directive)
		p.back.Set("balance_factor", 1.02)
		p.back.Set("failback", false, l.Directive)
		p.back.Differ(l.Directive, "balance", "a source's first server is the one that its address hashes to, as far as that leaves all of them even")
	case "hdr(mcp-session-id)", "req.hdr(mcp-session-id)", "hdr(Mcp-Session-Id)", "req.hdr(Mcp-Session-Id)", "res.hdr(Mcp-Session-Id)", "res.hdr(mcp-session-id)":
		p.sticky.Set("session", true, l.Directive)
		p.sticky.Differ(l.Directive, "session", "by a tag in the session's name, without a table")
	case "req.cook(SERVERID)", "cookie(SERVERID)":
		p.sticky.Set("cookie", "SERVERID", l.Directive)
		p.sticky.Differ(l.Directive, "cookie", "mcplb inserts a cookie of this name, without a table")
	default:
		p.stickOther(l, base)
	}
}

// stickOther accounts for tables on cookies and headers of applications.
func (p *proxy) stickOther(l *line, sample string) {
	if strings.HasPrefix(sample, "req.cook(") || strings.HasPrefix(sample, "cookie(") || strings.HasPrefix(sample, "res.cook(") {
		p.sticky.Default("cookie", "SERVERID")
		p.sticky.Differ(l.Directive, "cookie", "a cookie of mcplb's (SERVERID) leads clients back, in place of a table of the application's (%s)", sample)
		return
	}
	l.Impossible("mcplb keeps clients by address, cookie or MCP session, not by %s", sample)
}

// applyTable says what the stick table is for.
func (p *proxy) applyTable() {
	l := p.counters
	if l == nil {
		return
	}
	words := l.words
	for i, w := range words {
		if w == "expire" && i+1 < len(words) && p.back.Get("balance") == "source" {
			if d, err := duration(words[i+1], time.Millisecond); err == nil {
				p.back.Set("sticky_time", d, l.Directive)
			}
		}
		if w == "peers" {
			p.back.Differ(l.Directive, "", "balancers agree by hashing; [fleet] shares what hashing cannot know")
		}
	}
	if l.Outcome() == lb.Impossible {
		l.Translated()
	}
}

func retries(p *proxy, l *line) {
	n, err := number(l.arg(1))
	if err != nil {
		l.Impossible("%v", err)
		return
	}
	p.back.Set("retries", min(n, 100), l.Directive)
}

func retryOn(p *proxy, l *line) {
	for _, w := range l.args(1) {
		switch w {
		case "none", "conn-failure":
			l.Translated()
		case "empty-response", "all-retryable-errors":
			p.back.Set("replay", true, l.Directive)
			p.back.Differ(l.Directive, "replay", "only requests that read are sent again, where a kept connection swallowed them")
		default:
			p.back.Differ(l.Directive, "replay", "%s: no request is sent again because of its answer", w)
		}
	}
}

func compression(p *proxy, l *line) {
	switch {
	case p.mode != "http":
		l.Unneeded("it means nothing in mode tcp")
	case l.arg(1) == "algo" && slices.Contains(l.args(2), "gzip"):
		p.compresses = l
	case l.arg(1) == "type":
		var types []string
		for _, t := range l.args(2) {
			if strings.Contains(t, "/") && !strings.HasSuffix(t, "/") && !strings.HasSuffix(t, "*") && t != "text/event-stream" {
				types = append(types, t)
			} else {
				p.front.Differ(l.Directive, "compress", "mcplb compresses complete media types, and no event streams, so not %s", t)
			}
		}
		p.front.Set("compress", types, l.Directive)
		p.front.Differ(l.Directive, "compress", "from 1 KiB on; over TLS not for browsers: docs/http.md, BREACH")
	case l.arg(1) == "offload":
		p.front.Differ(l.Directive, "compress", "servers may compress by themselves")
	}
}

// applyCompression says what is compressed: nothing without an algorithm, every type without
// types.
func (p *proxy) applyCompression() {
	l := p.compresses
	switch {
	case l == nil:
		p.front.Delete("compress")
	case p.front.Has("compress"):
		l.Translated()
	default:
		p.front.Set("compress", []string{"text/html", "text/plain", "application/json"}, l.Directive)
		p.front.Differ(l.Directive, "compress", "these types; HAProxy compresses every type where compression type names none")
	}
}

// filter accounts for a filter.
func filter(_ *proxy, l *line) {
	if l.arg(1) == "compression" {
		l.Unneeded("the compression lines say what is compressed")
	}
}

func errorFile(p *proxy, l *line) { p.errorPage(l, l.arg(1), l.arg(2)) }

func httpError(p *proxy, l *line) {
	status, file := "", ""
	for i := 1; i+1 < len(l.words); i += 2 {
		switch l.words[i] {
		case "status":
			status = l.words[i+1]
		case "file", "errorfile":
			file = l.words[i+1]
		}
	}
	if status == "" || file == "" {
		l.Impossible("the body has to be in a file: error_pages")
		return
	}
	p.errorPage(l, status, file)
}

func sourceAddress(p *proxy, l *line) {
	host, port, _ := strings.Cut(l.arg(1), ":")
	if strings.Contains(port, ":") || host == "" || host == "*" || host == "0.0.0.0" || slices.Contains(l.words, "usesrc") {
		l.Impossible("mcplb connects from its own IPv4 or IPv6 addresses: backend.source")
		return
	}
	p.back.Set("source", []string{host}, l.Directive)
}

func frontendMaxconn(p *proxy, l *line) {
	if !p.isFront() {
		l.Unneeded("it counts in frontends")
		return
	}
	p.front.Differ(l.Directive, "", "maxconn is global (all frontends) and of servers, not of a frontend")
}

func httpReuse(p *proxy, l *line) {
	if l.arg(1) == "always" {
		l.Translated()
		return
	}
	p.back.Differ(l.Directive, "", "idle connections to servers are shared by all clients, as with http-reuse always")
}

func rateLimit(p *proxy, l *line) {
	n, err := number(l.arg(2))
	if l.arg(1) != "sessions" || err != nil {
		return
	}
	p.c.config.RateLimit.Set("global_connection_rate", n, l.Directive)
	p.c.config.RateLimit.Differ(l.Directive, "global_connection_rate", "over all frontends together")
}

func logTo(p *proxy, l *line) {
	if l.arg(1) != "global" {
		p.c.accessLog(l)
		return
	}
	l.Unneeded("access_log is global")
	if p.c.globalLog != nil {
		p.c.accessLog(p.c.globalLog)
	}
}

// absolute returns the name of a file below a base directory.
func absolute(base, name string) string {
	name = lb.File(name)
	if base == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(lb.File(base), name)
}

// setCheckTime sets a time of the check.
func (p *proxy) setCheckTime(key string, l *line, value string) {
	d, err := duration(value, time.Millisecond)
	if err != nil || d == 0 {
		l.Impossible("the check's %s must be more than 0", key)
		return
	}
	if before := p.check.Get(key); before != nil && before != d && key != "timeout" {
		p.check.Differ(l.Directive, key, "checks of a backend's servers have the same times: %s counts", fmt.Sprint(before))
		return
	}
	p.check.Set(key, d, l.Directive)
}

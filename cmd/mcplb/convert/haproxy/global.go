package haproxy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// globals are the directives of [global]. A new one is one entry.
var globals = map[string]func(c *converter, l *line){
	"maxconn":  globalMaxconn,
	"nbthread": globalThreads,
	"hard-stop-after": func(c *converter, l *line) {
		d, err := duration(l.arg(1), time.Millisecond)
		if err != nil {
			l.Impossible("%v", err)
			return
		}
		c.config.Global.Set("hard_stop_after", d, l.Directive)
	},
	"log": func(c *converter, l *line) {
		if c.globalLog == nil {
			c.globalLog = l
		}
		l.Unneeded("no section logs, or there is one access log")
	},
	"stats":    globalStats,
	"crt-base": func(c *converter, l *line) { c.crtBase = c.base(l) },
	"ca-base":  func(c *converter, l *line) { c.caBase = c.base(l) },
	"user":     service, "group": service, "uid": service, "gid": service, "chroot": service, "daemon": service, "master-worker": service, "pidfile": pidFile,
	"nbproc": unneededGlobal("there is one process; threads = 0 is one event loop per CPU"), "cpu-map": unneededGlobal("the kernel places threads"),
	"ulimit-n": unneededGlobal("the service manager's: LimitNOFILE"), "set-dumpable": unneededGlobal("HAProxy's own"), "node": unneededGlobal("a name for the page"),
	"description": unneededGlobal("a description"), "log-tag": unneededGlobal("syslog:...,tag="), "log-send-hostname": unneededGlobal("syslog's own"), "localpeer": unneededGlobal("balancers agree by hashing: docs/fleet.md"),
	"quiet": unneededGlobal("HAProxy's own"), "debug": unneededGlobal("HAProxy's own"), "zero-warning": unneededGlobal("mcplb -t prints warnings"),
	"spread-checks": unneededGlobal("checks are always spread"), "server-state-file": unneededGlobal("states survive reloads and upgrades"), "server-state-base": unneededGlobal("states survive reloads and upgrades"),
	"max-spread-checks": unneededGlobal("checks are always spread"), "noepoll": unneededGlobal("the engine's own"), "nosplice": unneededGlobal("the engine's own"), "noreuseport": unneededGlobal("the engine's own"),
	"nopoll": unneededGlobal("the engine's own"), "nogetaddrinfo": unneededGlobal("the engine's own"), "noevports": unneededGlobal("the engine's own"), "nokqueue": unneededGlobal("the engine's own"),
	"busy-polling": unneededGlobal("the engine's own"), "unix-bind": unneededGlobal("mcplb listens on TCP"), "insecure-fork-wanted": unneededGlobal("HAProxy's own"), "expose-experimental-directives": unneededGlobal("HAProxy's own"),
	"h1-case-adjust": unneededGlobal("names of headers pass as they come"), "ssl-dh-param-file": unneededGlobal("ECDHE alone"), "ssl-server-verify": sslServerVerify,
	"ssl-load-extra-files": unneededGlobal("FILE.key is found"), "ssl-load-extra-del-ext": unneededGlobal("FILE.key is found"), "ssl-mode-async": unneededGlobal("HAProxy's own"),
	"numa-cpu-mapping": unneededGlobal("the kernel's"), "thread-groups": unneededGlobal("the engine's own"), "thread-group": unneededGlobal("the engine's own"), "grace": unneededGlobal("upgrades move connections"),
	"strict-limits": unneededGlobal("a maxconn that the limit of files cannot hold is always an error"), "close-spread-time": unneededGlobal("hard_stop_after"), "mworker-max-reloads": unneededGlobal("one process"),
	"presetenv": unneededGlobal("HAProxy's own"), "resetenv": unneededGlobal("HAProxy's own"), "unsetenv": unneededGlobal("HAProxy's own"), "limited-quic": unneededGlobal("no QUIC"), "cluster-secret": unneededGlobal("HAProxy's own"),
	"fd-hard-limit": unneededGlobal("mcplb takes as many clients as the limit of open files allows"), "prealloc-fd": unneededGlobal("the engine's own"), "setcap": unneededGlobal("the service manager's"),
	"h2-workaround-bogus-websocket-clients": unneededGlobal("mcplb offers no WebSockets over HTTP/2"), "insecure-setuid-wanted": unneededGlobal("HAProxy's own"), "shm-stats-file": unneededGlobal("HAProxy's own"),
	"stats-file": unneededGlobal("counters survive reloads and upgrades"), "anonkey": unneededGlobal("HAProxy's own"), "ssl-skip-self-issued-ca": unneededGlobal("HAProxy's own"), "no": globalNo,
	"maxconnrate": globalRate, "maxsessrate": globalRate,
	"maxsslconn": func(c *converter, l *line) {
		c.config.Global.Differ(l.Directive, "maxconn", "maxconn counts every client")
	},
	"maxsslrate": func(c *converter, l *line) {
		c.config.Global.Differ(l.Directive, "", "connection rates count every client")
	},
	"maxpipes": unneededGlobal("the engine's own"), "maxcomprate": unneededGlobal("compression is not limited"), "maxcompcpuusage": unneededGlobal("compression is not limited"), "maxzlibmem": unneededGlobal("compression is not limited"),
	"ssl-default-bind-options":   func(c *converter, l *line) { c.bindTLS.read(l, "listeners") },
	"ssl-default-server-options": func(c *converter, l *line) { c.serverTLS.read(l, "servers") },
	"ssl-default-bind-ciphers": func(c *converter, l *line) {
		c.bindCiphers = l
		l.Unneeded("no listener takes it")
	},
	"tune.h2.max-concurrent-streams": globalStreams, "tune.h2.fe.max-concurrent-streams": globalStreams,
	"ssl-default-server-ciphers": sslCiphers, "ssl-default-bind-ciphersuites": sslCiphers, "ssl-default-server-ciphersuites": sslCiphers,
	"ssl-default-bind-curves": sslCiphers, "ssl-default-bind-sigalgs": sslCiphers, "ssl-default-server-curves": sslCiphers, "ssl-default-bind-client-sigalgs": sslCiphers,
	"external-check": unneededGlobal("it belongs to option external-check"),
}

func unneededGlobal(why string) func(*converter, *line) {
	return func(_ *converter, l *line) { l.Unneeded(why) }
}

// globalNo accounts for a directive that is switched off, and would not be needed either.
func globalNo(_ *converter, l *line) {
	if l.arg(1) != "" {
		l.Unneeded("it is off")
	}
}

func service(_ *converter, l *line) {
	l.Unneeded("the service manager's: packaging/systemd")
}

func pidFile(_ *converter, l *line) { l.Unneeded("mcplb -pid-file") }

func sslServerVerify(_ *converter, l *line) {
	if l.arg(1) == "none" {
		l.Impossible("certificates of servers are verified unless a backend's tls.verify is false")
		return
	}
	l.Unneeded("the default")
}

func globalMaxconn(c *converter, l *line) {
	n, err := number(l.arg(1))
	if err != nil {
		l.Impossible("%v", err)
		return
	}
	c.config.Global.Set("maxconn", n, l.Directive)
	c.config.Global.Differ(l.Directive, "maxconn", "two open files for each client: mcplb -c FILE -t says which limit that needs")
}

func globalThreads(c *converter, l *line) {
	n, err := number(l.arg(1))
	if err != nil || n > 1024 {
		l.Impossible("%q is no number of threads", l.arg(1))
		return
	}
	c.config.Global.Set("threads", n, l.Directive)
}

func globalRate(c *converter, l *line) {
	n, err := number(l.arg(1))
	if err != nil {
		l.Impossible("%v", err)
		return
	}
	c.config.RateLimit.Set("global_connection_rate", n, l.Directive)
}

// globalStreams takes the number of streams for the listeners that take HTTP/2.
func globalStreams(c *converter, l *line) {
	n, err := number(l.arg(1))
	if err != nil {
		l.Impossible("%v", err)
		return
	}
	c.streams = n
	l.Translated()
}

func globalStats(c *converter, l *line) {
	if l.arg(1) != "socket" || !strings.HasPrefix(strings.TrimPrefix(l.arg(2), "unix@"), "/") {
		switch l.arg(1) {
		case "timeout", "maxconn", "bind-process":
			l.Unneeded("the socket's own")
		case "socket":
			l.Impossible("the socket is a Unix socket with a path: admin.stats_socket")
		}
		return
	}
	if c.config.Admin.Has("stats_socket") {
		l.Impossible("there is one socket: admin.stats_socket")
		return
	}
	c.config.Admin.Set("stats_socket", strings.TrimPrefix(l.arg(2), "unix@"), l.Directive)
	c.config.Admin.Differ(l.Directive, "stats_socket", "mode 0600, level admin; the directory must exist")
}

func sslCiphers(c *converter, l *line) {
	c.config.Global.Differ(l.Directive, "", "ECDHE with AES-GCM or ChaCha20, and TLS 1.3's suites")
}

// tuned begins directives that tune HAProxy's engine.
const tuned = "tune."

// global translates a section global.
func (c *converter) global(s *section) {
	s.head.Translated()
	for _, l := range s.lines {
		switch handle, ok := globals[l.words[0]]; {
		case ok:
			handle(c, l)
		case strings.HasPrefix(l.words[0], tuned) && !strings.HasPrefix(l.words[0], "tune.lua"):
			l.Unneeded("the engine's own")
		case strings.HasPrefix(l.words[0], "lua-") || strings.HasPrefix(l.words[0], "tune.lua"):
			l.Impossible("mcplb runs no Lua")
		}
	}
}

// others say of sections that are not translated line by line why they need not, or
// cannot, be.
var others = map[string]struct {
	possible bool
	why      string
}{
	"peers":       {true, "balancers agree by hashing; [fleet] shares through Redis what hashing cannot know"},
	"mailers":     {true, "metrics and packaging/prometheus have alerts"},
	"ring":        {true, "logs are written off the loops"},
	"traces":      {true, "HAProxy's own"},
	"log-profile": {true, "the keys of the access log are fixed"},
	"userlist":    {false, "mcplb checks no passwords"},
	"cache":       {false, "mcplb has no cache"},
	"program":     {false, "the service manager runs programs"},
	"fcgi-app":    {false, "mcplb speaks no FastCGI"},
	"log-forward": {false, "mcplb forwards no logs"},
	"http-errors": {false, "write error_pages of the frontend, with the bodies alone"},
	"crt-store":   {false, "write certificates of the frontend's tls"},
	"acme":        {false, "mcplb asks for no certificates"},
}

// other accounts for a section that is none of clients and servers.
func (c *converter) other(s *section) {
	if s.kind == "resolvers" {
		c.resolvers(s)
		return
	}
	o, ok := others[s.kind]
	if !ok {
		return
	}
	for _, l := range append([]*line{s.head}, s.lines...) {
		if o.possible {
			l.Unneeded(o.why)
		} else {
			l.Impossible("%s", o.why)
		}
	}
}

// resolvers translates a section resolvers.
func (c *converter) resolvers(s *section) {
	s.head.Translated()
	t := &c.config.Resolver
	for _, l := range s.lines {
		switch l.words[0] {
		case "nameserver":
			address := strings.TrimPrefix(strings.TrimPrefix(l.arg(2), "udp@"), "tcp@")
			if _, err := netip.ParseAddrPort(address); err != nil {
				l.Impossible("a name server has an IP address and a port")
				continue
			}
			if slices.Contains(t.Strings("nameservers"), address) {
				l.Translated()
				continue
			}
			t.AddTo("nameservers", l.Directive, address)
		case "hold":
			c.hold(l)
		case "timeout":
			if d, err := duration(l.arg(2), time.Millisecond); err == nil && d > 0 && l.arg(1) == "retry" {
				t.Set("timeout", d, l.Directive)
			} else {
				l.Unneeded("names are looked up when their TTL ends")
			}
		case "parse-resolv-conf":
			l.Unneeded("the default")
		case "resolve_retries":
			l.Unneeded("names are looked up until they are found")
		case "accepted_payload_size":
			l.Unneeded("the resolver's own")
		}
	}
}

// hold translates how long an address counts.
func (c *converter) hold(l *line) {
	d, err := duration(l.arg(2), time.Millisecond)
	switch {
	case err != nil:
		l.Impossible("%v", err)
	case l.arg(1) == "obsolete" || l.arg(1) == "nx":
		if before, ok := c.config.Resolver.Get("hold").(time.Duration); !ok || before < d {
			c.config.Resolver.Set("hold", d, l.Directive)
		}
		c.config.Resolver.Differ(l.Directive, "hold", "one time for all failures")
	default:
		l.Unneeded("an answer counts for its TTL; hold is one time for all failures")
	}
}

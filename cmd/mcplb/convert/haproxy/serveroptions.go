package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// serverOption is an option of a server: how many words follow it, and what it does.
type serverOption struct {
	args int
	do   func(s *serverLine, args []string)
}

// serverOptions are the options of servers. A new one is one entry.
var serverOptions = map[string]serverOption{
	"check":        {0, func(s *serverLine, _ []string) { s.checked = true }},
	"no-check":     {0, func(s *serverLine, _ []string) { s.checked = false }},
	"inter":        {1, func(s *serverLine, a []string) { s.p.setCheckTime("interval", s.l, a[0]) }},
	"fastinter":    {1, func(s *serverLine, a []string) { s.p.setCheckTime("fast_interval", s.l, a[0]) }},
	"downinter":    {1, func(s *serverLine, _ []string) { s.differs("servers that are down are checked at interval, too") }},
	"rise":         {1, func(s *serverLine, a []string) { s.checkNumber("rise", a[0]) }},
	"fall":         {1, func(s *serverLine, a []string) { s.checkNumber("fall", a[0]) }},
	"port":         {1, func(s *serverLine, a []string) { s.checkNumber("port", a[0]) }},
	"weight":       {1, serverWeight},
	"maxconn":      {1, serverMaxconn},
	"minconn":      {1, func(s *serverLine, _ []string) { s.differs("maxconn holds whatever the load") }},
	"maxqueue":     {1, func(s *serverLine, _ []string) { s.differs("the queue is bounded by timeout_queue alone") }},
	"backup":       {0, func(s *serverLine, _ []string) { s.set("backup", true) }},
	"disabled":     {0, func(s *serverLine, _ []string) { s.set("disabled", true) }},
	"enabled":      {0, func(s *serverLine, _ []string) { s.table.Delete("disabled") }},
	"cookie":       {1, func(s *serverLine, _ []string) { s.differs("the cookie's value is a hash of the server's name") }},
	"id":           {1, func(*serverLine, []string) {}},
	"ssl":          {0, func(s *serverLine, _ []string) { s.secure() }},
	"no-ssl":       {0, func(s *serverLine, _ []string) { s.p.tls = nil }},
	"verify":       {1, serverVerify},
	"ca-file":      {1, serverCA},
	"crl-file":     {1, func(s *serverLine, _ []string) { s.l.Impossible("mcplb reads no CRL for the certificates of servers") }},
	"crt":          {1, serverCertificate},
	"sni":          {1, serverSNI},
	"verifyhost":   {1, func(s *serverLine, a []string) { s.secureKey("server_name", a[0]) }},
	"check-sni":    {1, func(s *serverLine, _ []string) { s.differs("checks use tls.server_name") }},
	"check-ssl":    {0, serverCheckTLS},
	"no-check-ssl": {0, func(s *serverLine, _ []string) { s.secureKey("checks", false) }},
	"ssl-min-ver":  {1, serverMinVersion}, "ssl-max-ver": {1, func(s *serverLine, _ []string) { s.differs("the newest version that both have is used") }},
	"ciphers": {1, serverCiphers}, "ciphersuites": {1, serverCiphers},
	"alpn": {1, func(s *serverLine, _ []string) { s.differs("servers are spoken to in HTTP/1.1") }}, "check-alpn": {1, func(s *serverLine, _ []string) { s.differs("servers are spoken to in HTTP/1.1") }},
	"npn": {1, func(s *serverLine, _ []string) { s.differs("servers are spoken to in HTTP/1.1") }}, "proto": {1, serverProto}, "check-proto": {1, func(s *serverLine, _ []string) { s.differs("checks speak HTTP/1.1") }},
	"send-proxy": {0, serverProxy("v1")}, "send-proxy-v2": {0, serverProxy("v2")}, "send-proxy-v2-ssl": {0, serverProxy("v2")}, "send-proxy-v2-ssl-cn": {0, serverProxy("v2")},
	"proxy-v2-options": {1, func(s *serverLine, _ []string) { s.differs("the header has addresses alone") }},
	"check-send-proxy": {0, func(s *serverLine, _ []string) { s.p.check.Set("send_proxy", true, s.l.Directive) }},
	"on-marked-down":   {1, serverDown},
	"on-marked-up": {1, func(s *serverLine, _ []string) {
		s.l.Impossible("sessions of backup servers stay when others come back")
	}},
	"slowstart":   {1, serverSlowStart},
	"observe":     {1, serverObserve},
	"error-limit": {1, func(s *serverLine, _ []string) { s.differs("each refused connection counts as one failed check") }},
	"on-error": {1, func(s *serverLine, _ []string) {
		s.differs("a refused connection counts as a failed check and starts the next one")
	}},
	"init-addr": {1, func(s *serverLine, _ []string) {
		s.differs("a name that does not resolve leaves its server down, and is looked up again")
	}},
	"resolvers":      {1, func(*serverLine, []string) {}},
	"resolve-prefer": {1, func(s *serverLine, a []string) { s.resolvePrefer(a[0]) }},
	"resolve-opts":   {1, func(*serverLine, []string) {}}, "resolve-net": {1, func(s *serverLine, _ []string) { s.differs("every address of the name may be used") }},
	"source":        {1, serverSource},
	"tcp-ut":        {1, serverUserTimeout},
	"track":         {1, func(s *serverLine, _ []string) { s.differs("each backend checks its servers itself") }},
	"pool-max-conn": {1, serverIdle}, "pool-purge-delay": {1, serverPurge}, "pool-low-conn": {1, func(*serverLine, []string) {}}, "max-reuse": {1, func(*serverLine, []string) {}},
	"agent-check": {0, noAgent}, "agent-port": {1, noAgent}, "agent-inter": {1, noAgent}, "agent-addr": {1, noAgent}, "agent-send": {1, noAgent},
	"addr": {1, func(s *serverLine, _ []string) { s.l.Impossible("checks go to the server's own address") }},
	"redir": {1, func(s *serverLine, _ []string) {
		s.l.Impossible("a server cannot stand for redirects: write a route with redirect")
	}},
	"namespace": {1, func(s *serverLine, _ []string) { s.l.Impossible("mcplb stays in its own network namespace") }},
	"socks4":    {1, func(s *serverLine, _ []string) { s.l.Impossible("mcplb connects to servers directly") }},
	"tfo":       {0, func(*serverLine, []string) {}}, "no-ssl-reuse": {0, func(*serverLine, []string) {}}, "no-tls-tickets": {0, func(*serverLine, []string) {}}, "ws": {1, func(*serverLine, []string) {}},
	"no-sslv3": {0, oldTLS}, "no-tlsv10": {0, oldTLS}, "no-tlsv11": {0, oldTLS}, "force-tlsv12": {0, func(s *serverLine, _ []string) { s.differs("TLS 1.3 is used where the server has it") }},
	"force-tlsv13": {0, func(s *serverLine, _ []string) { s.secureKey("min_version", "1.3") }}, "check-via-socks4": {0, func(*serverLine, []string) {}}, "log-proto": {1, func(*serverLine, []string) {}},
	"no-backup": {0, func(s *serverLine, _ []string) { s.table.Delete("backup") }}, "no-send-proxy": {0, func(s *serverLine, _ []string) { s.p.back.Delete("send_proxy") }},
	"no-send-proxy-v2": {0, func(s *serverLine, _ []string) { s.p.back.Delete("send_proxy") }}, "stick": {0, func(*serverLine, []string) {}}, "non-stick": {0, func(s *serverLine, _ []string) { s.differs("clients stay on every server alike") }},
}

func oldTLS(*serverLine, []string) {} // mcplb speaks TLS 1.2 at least

func noAgent(s *serverLine, _ []string) {
	s.l.Impossible("mcplb has no agent checks: a server asks to be drained by a status of check.drain_on")
}

func (s *serverLine) differs(note string) { s.p.back.Differ(s.l.Directive, "", "%s", note) }

// set sets a key of the server.
func (s *serverLine) set(key string, value any) { s.table.Set(key, value, s.l.Directive) }

// setBack sets a key of the backend, of which all servers must have the same value.
func (s *serverLine) setBack(key string, value any) {
	if before := s.p.back.Get(key); before != nil && fmt.Sprint(before) != fmt.Sprint(value) {
		s.p.back.Differ(s.l.Directive, key, "%s is of a backend: this value counts for all its servers", key)
		return
	}
	s.p.back.Set(key, value, s.l.Directive)
}

func (s *serverLine) checkNumber(key, value string) {
	n, err := number(value)
	if err != nil {
		s.l.Impossible("%v", err)
		return
	}
	if before := s.p.check.Get(key); before != nil && before != n {
		s.p.check.Differ(s.l.Directive, key, "%s is of a backend: this value counts for all its servers", key)
		return
	}
	s.p.check.Set(key, n, s.l.Directive)
}

// secure makes connections to the backend's servers TLS.
func (s *serverLine) secure() {
	s.tls = true
	if s.p.tls == nil {
		s.p.tls = &lb.Table{From: []*lb.Directive{s.l.Directive}}
	}
}

// secureKey sets a key of the TLS to servers, in case it is one.
func (s *serverLine) secureKey(key string, value any) {
	if s.p.tls == nil {
		s.p.tls = &lb.Table{From: []*lb.Directive{s.l.Directive}}
	}
	if before := s.p.tls.Get(key); before != nil && before != value {
		s.p.tls.Differ(s.l.Directive, key, "%s is of a backend: this value counts for all its servers", key)
		return
	}
	s.p.tls.Set(key, value, s.l.Directive)
}

func serverWeight(s *serverLine, a []string) {
	n, err := number(a[0])
	if err != nil {
		s.l.Impossible("%v", err)
		return
	}
	s.weighed = true
	s.set("weight", n)
}

func serverMaxconn(s *serverLine, a []string) {
	n, err := number(a[0])
	if err != nil {
		s.l.Impossible("%v", err)
		return
	}
	s.set("maxconn", n)
	if s.p.mode == "http" {
		s.p.back.Differ(s.l.Directive, "", "maxconn of a server is of requests under way and WebSockets: idle connections of clients do not count")
	}
}

// serverVerify says whether certificates of servers are verified. HAProxy compares their names
// only where verifyhost or sni says which.
func serverVerify(s *serverLine, a []string) {
	s.secureKey("verify", a[0] != "none")
	if a[0] != "none" && !slices.Contains(s.own.words, "verifyhost") && !slices.Contains(s.own.words, "sni") && !slices.Contains(s.l.words, "verifyhost") && !slices.Contains(s.l.words, "sni") {
		s.p.tls.Differ(s.l.Directive, "verify", "the certificate must have the server's name or address, too: server_name says another")
	}
}

func serverCA(s *serverLine, a []string) {
	if strings.HasPrefix(a[0], "@system") {
		s.l.Translated()
		return
	}
	s.secureKey("ca", absolute(s.p.c.caBase, a[0]))
}

func serverCertificate(s *serverLine, a []string) {
	file := absolute(s.p.c.crtBase, a[0])
	s.secureKey("cert", file)
	s.secureKey("key", s.p.c.keyOf(file))
}

func serverSNI(s *serverLine, a []string) {
	switch name, isString := strings.CutPrefix(a[0], "str("); {
	case isString:
		s.secureKey("server_name", strings.Trim(strings.TrimSuffix(name, ")"), `"'`))
	case strings.Contains(a[0], "hdr(host)"):
		s.differs("the name for SNI is that of the server's address or tls.server_name, not the client's Host")
	default:
		s.l.Impossible("the name for SNI is fixed: tls.server_name")
	}
}

func serverCheckTLS(s *serverLine, _ []string) {
	s.p.checkTLS = s.l
	if s.p.tls == nil {
		s.l.Impossible("checks speak TLS where the backend does")
		return
	}
	s.secureKey("checks", true)
}

func serverMinVersion(s *serverLine, a []string) {
	if v, ok := tlsVersions[a[0]]; ok {
		s.secureKey("min_version", v)
		if a[0] != "TLSv"+v {
			s.p.tls.Differ(s.l.Directive, "min_version", "TLS 1.2 is the oldest that mcplb speaks")
		}
	}
}

// tlsVersions are the versions that a least one is, for mcplb.
var tlsVersions = map[string]string{"SSLv3": "1.2", "TLSv1.0": "1.2", "TLSv1.1": "1.2", "TLSv1.2": "1.2", "TLSv1.3": "1.3"}

func serverCiphers(s *serverLine, _ []string) {
	s.differs("towards servers mcplb offers ECDHE with AES-GCM and ChaCha20, and TLS 1.3's suites")
}

func serverProto(s *serverLine, a []string) {
	if a[0] == "h2" {
		s.l.Impossible("servers are spoken to in HTTP/1.1")
	}
}

func serverProxy(version string) func(*serverLine, []string) {
	return func(s *serverLine, _ []string) {
		if s.p.mode == "http" {
			s.l.Impossible("mcplb sends the PROXY header in modes tcp and mcp alone; servers of mode http get X-Forwarded-For")
			return
		}
		s.setBack("send_proxy", version)
	}
}

func serverDown(s *serverLine, a []string) {
	if a[0] == "shutdown-sessions" {
		s.setBack("on_down", "close")
		return
	}
	s.l.Impossible("mcplb closes or keeps connections of a server that is down: on_down")
}

func serverSlowStart(s *serverLine, a []string) {
	d, err := duration(a[0], time.Millisecond)
	if err != nil {
		s.l.Impossible("%v", err)
		return
	}
	s.setBack("slow_start", d)
}

func serverObserve(s *serverLine, a []string) {
	s.p.check.Set("observe", true, s.l.Directive)
	s.p.check.Differ(s.l.Directive, "observe", "a refused or reset connection counts as a failed check; statuses do not")
}

func (s *serverLine) resolvePrefer(family string) {
	if family == "ipv6" || family == "ipv4" {
		s.differs("IPv4 is tried first, and the other family where that does not connect")
	}
}

func serverSource(s *serverLine, a []string) {
	host, _, _ := strings.Cut(a[0], ":")
	if addr, err := netip.ParseAddr(host); err != nil || addr.IsUnspecified() {
		s.l.Impossible("mcplb connects from addresses of its own: backend.source")
		return
	}
	s.setBack("source", []string{host})
}

func serverUserTimeout(s *serverLine, a []string) {
	if d, err := duration(a[0], time.Millisecond); err == nil {
		s.setBack("timeout_tcp_user", d)
	}
}

func serverIdle(s *serverLine, a []string) {
	if n, err := number(strings.TrimPrefix(a[0], "-")); err == nil && !strings.HasPrefix(a[0], "-") {
		s.setBack("max_idle", n)
	}
}

func serverPurge(s *serverLine, a []string) {
	if d, err := duration(a[0], time.Millisecond); err == nil && d > 0 {
		s.setBack("timeout_idle", d)
	}
}

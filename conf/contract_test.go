package conf

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// contract returns testdata/lb.toml, which is the project's configuration
// contract, verbatim.
func contract(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/lb.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestContract checks that every key of the contract is read.
func TestContract(t *testing.T) {
	t.Parallel()
	http := contractHTTPFrontend()
	http.Name, http.Listen, http.Balance = "http", []string{":8080"}, BalanceLeastConn
	http.Routes = []Route{{Path: "/mcp/sse", Endpoint: EndpointSSE}}
	https := contractHTTPFrontend()
	https.Name, https.Listen = "https", []string{":8443"}
	https.TLS = &TLS{Certificates: []Certificate{{Cert: "testdata/tls/lb.pem", Key: "testdata/tls/lb.key"}}, MinVersion: "1.2", ClientVerify: ClientVerifyOff}
	tcp := contractHTTPFrontend()
	tcp.Name, tcp.Listen, tcp.Mode = "tcp", []string{":8000"}, ModeMCP
	want := &Config{
		Path:     "lb.toml",
		Global:   Global{HardStopAfter: 5 * time.Minute, LogLevel: slog.LevelInfo, LogFormat: LogText},
		Admin:    Admin{Listen: "127.0.0.1:8404", HealthListen: "127.0.0.1:8888", MaxConnections: 64},
		Resolver: Resolver{Timeout: 2 * time.Second, MinTTL: time.Second, MaxTTL: time.Minute, Hold: 5 * time.Minute},
		Fleet:    Fleet{Name: "mcplb", Shares: []Share{ShareSticky, ShareBans, ShareRates}},
		RateLimit: RateLimit{
			ConnectionRate: 100, ConnectionBurst: 200, MessageRate: 100, MessageBurst: 200, OverMessage: Delay,
			BanAfter: 100, BanTime: 5 * time.Minute, TableSize: 1_000_000,
		},
		Frontends: []Frontend{tcp, http, https},
		Backends: []Backend{{
			Name: "nodes", Balance: BalanceSource, BalanceFactor: 1.02, StickyTime: 30 * time.Minute, Failback: true, Retries: 3,
			TimeoutConnect: 5 * time.Second, TimeoutQueue: 5 * time.Second, TimeoutServer: 300 * time.Second, TimeoutTCPUser: 30 * time.Second, KeepAlive: time.Minute,
			MaxIdle: 512, TimeoutIdle: 4 * time.Second, Replay: true, SessionSeen: 10 * time.Minute, OnDown: OnDownClose, OnRemoved: OnDownKeep, PreserveHost: true,
			Check: Check{
				Type: CheckTCP, Interval: 3 * time.Second, FastInterval: time.Second, Timeout: 3 * time.Second,
				Rise: 2, Fall: 2, Path: "/health", Expect: Statuses{{200, 200}}, Method: "GET", SendProxy: true, Observe: true,
			},
			Servers: []Server{
				contractServer("node1", "127.0.0.11:9001", "127.0.0.11:8080", "127.0.0.11:8081"),
				contractServer("node2", "127.0.0.12:9002", "127.0.0.12:8081", "127.0.0.12:8082"),
				contractServer("node3", "127.0.0.13:9003", "127.0.0.13:8082", "127.0.0.13:8083"),
				contractServer("node4", "127.0.0.14:9004", "127.0.0.14:8083", "127.0.0.14:8084"),
			},
		}},
	}
	got := mustParse(t, contract(t))
	pair := &got.Frontend("https").TLS.Certificates[0].Pair
	if *pair == nil || (*pair).Leaf.Subject.CommonName != "mcplb.test" || (*pair).PrivateKey == nil {
		t.Errorf("the certificate was not read: %+v", *pair)
	}
	*pair = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v\n%v", got, want, Diff(want, got))
	}
}

// contractHTTPFrontend is what the frontends of the contract have in common.
func contractHTTPFrontend() Frontend {
	return Frontend{
		Mode: ModeHTTP, Backend: "nodes", MaxMessage: 16 << 20,
		TimeoutClient: 300 * time.Second, TimeoutHalfClosed: 60 * time.Second, SendBuffer: 512 << 10, KeepAlive: time.Minute,
		TimeoutHTTPRequest: 10 * time.Second, TimeoutKeepalive: 300 * time.Second, RequestsPerConnection: 1000, ForwardedFor: true,
		MaxHeader: 32 << 10, MaxBody: 16 << 20, MinBodyRate: 1 << 10, HTTP2Streams: 250, HTTP2Buffer: 64 << 10, Compress: []string{"application/json", "text/plain", "text/html"},
		CORS: CORS{
			Expose: []string{"Mcp-Session-Id", "Retry-After", "WWW-Authenticate"}, AllowMethods: []string{"GET", "POST", "DELETE", "OPTIONS"},
			AllowHeaders: []string{"*"}, MaxAge: 10 * time.Minute,
		},
		Sticky: Sticky{Session: true, Cookie: "SERVERID", CookieAttributes: "Path=/; HttpOnly; SameSite=Lax"},
	}
}

func contractServer(name, tcp, http, sse string) Server {
	return Server{Name: name, TCP: tcp, HTTP: http, WS: http, SSE: sse, MaxConn: 25_000, Weight: 100, Family: FamilyAny}
}

// assignment is a line of the contract that sets a key.
var assignment = regexp.MustCompile(`^(\w+)\s*=`)

// examples are the keys for which the contract shows an example, since they have
// no default or another one. It shows the default of every other key.
var examples = []string{
	"frontend.tcp.listen", "frontend.tcp.mode", "frontend.tcp.backend",
	"frontend.http.listen", "frontend.http.mode", "frontend.http.backend", "frontend.http.balance",
	"frontend.http.route[0].path", "frontend.http.route[0].endpoint",
	"frontend.https.listen", "frontend.https.mode", "frontend.https.backend", "frontend.https.tls",
	"backend.nodes.server[0].name", "backend.nodes.server[0].tcp", "backend.nodes.server[0].http", "backend.nodes.server[0].sse",
	"backend.nodes.server[1].name", "backend.nodes.server[1].tcp", "backend.nodes.server[1].http", "backend.nodes.server[1].sse",
	"backend.nodes.server[2].name", "backend.nodes.server[2].tcp", "backend.nodes.server[2].http", "backend.nodes.server[2].sse",
	"backend.nodes.server[3].name", "backend.nodes.server[3].tcp", "backend.nodes.server[3].http", "backend.nodes.server[3].sse",
}

// podsWere is how the change of a backend found by Kubernetes begins.
const podsWere = `~backend.pods.discover { kubernetes = { service = "mcp", ports.tcp = "mcp", ports.http = "http" } } -> { kubernetes = `

// TestContractDefaults removes each key of the contract in turn: what the contract
// shows as the default must be the default.
func TestContractDefaults(t *testing.T) {
	t.Parallel()
	text := contract(t)
	full := mustParse(t, text)
	keys := keysByLine(locateText(t, text))
	lines := strings.Split(text, "\n")
	left := 0
	for i, line := range lines {
		if !assignment.MatchString(line) || slices.Contains(examples, keys[i+1]) {
			continue
		}
		left++
		shorter := slices.Concat(lines[:i], []string{""}, lines[i+1:])
		if got := mustParse(t, strings.Join(shorter, "\n")); !reflect.DeepEqual(got, full) {
			t.Errorf("without line %d (%s): %v", i+1, line, Diff(full, got))
		}
	}
	if left < 60 {
		t.Errorf("only %d defaults were found in the contract", left)
	}
	for _, key := range examples {
		if !slices.Contains(keys, key) {
			t.Errorf("the contract has no %s", key)
		}
	}
}

// keysByLine returns the shortest path that each line names.
func keysByLine(p *positions) []string {
	keys := make([]string, 1000)
	for path, at := range p.at {
		if at.form >= header && (keys[at.line] == "" || len(path) < len(keys[at.line])) {
			keys[at.line] = path
		}
	}
	return keys
}

// TestContractComplete checks that the contract has every key, except those
// that were added later.
func TestContractComplete(t *testing.T) {
	t.Parallel()
	added := []string{"[admin] protect", "[frontend.NAME] keepalive", "[frontend.NAME] allow", "[frontend.NAME] deny", "[backend.NAME] keepalive",
		"[[backend.NAME.server]] backup", "[[backend.NAME.server]] disabled", "[frontend.NAME] timeout_half_closed", "[backend.NAME] on_removed", "[backend.NAME] timeout_idle", "[backend.NAME] replay", "[backend.NAME] session_seen", "[backend.NAME] failback", "[admin] stats_socket", "[frontend.NAME] send_buffer", "[frontend.NAME] cors", "[frontend.NAME] sse_keepalive", "[frontend.NAME] error_pages", "[frontend.NAME] http2", "[frontend.NAME] alpn", "[frontend.NAME] http2_streams", "[frontend.NAME] http2_buffer",
		"[frontend.NAME.cors] expose", "[frontend.NAME.cors] preflight", "[frontend.NAME.cors] allow_methods", "[frontend.NAME.cors] allow_headers", "[frontend.NAME.cors] max_age",
		"[backend.NAME] tls", "[backend.NAME.tls] ca", "[backend.NAME.tls] verify", "[backend.NAME.tls] server_name", "[backend.NAME.tls] cert", "[backend.NAME.tls] key", "[backend.NAME.tls] min_version", "[backend.NAME.tls] checks",
		"[backend.NAME] discover", "[backend.NAME.discover] dns", "[backend.NAME.discover] ports", "[backend.NAME.discover] file", "[backend.NAME.discover] kubernetes",
		"[backend.NAME.discover] most", "[backend.NAME.discover] maxconn", "[backend.NAME.discover] weight",
		"[backend.NAME.discover.ports] tcp", "[backend.NAME.discover.ports] http", "[backend.NAME.discover.ports] ws", "[backend.NAME.discover.ports] sse",
		"[backend.NAME.discover.kubernetes] namespace", "[backend.NAME.discover.kubernetes] service", "[backend.NAME.discover.kubernetes] ports",
		"[backend.NAME.discover.kubernetes] api", "[backend.NAME.discover.kubernetes] token_file", "[backend.NAME.discover.kubernetes] ca",
		"[backend.NAME.discover.kubernetes.ports] tcp", "[backend.NAME.discover.kubernetes.ports] http",
		"[backend.NAME.discover.kubernetes.ports] ws", "[backend.NAME.discover.kubernetes.ports] sse",
		"[frontend.NAME.tls] ciphers", "[frontend.NAME.tls] client_verify", "[frontend.NAME.tls] client_ca", "[frontend.NAME.tls] client_crl", "[frontend.NAME.tls] ticket_keys"}
	for _, key := range routeSection.keys() {
		if !slices.Contains([]string{"path", "backend", "endpoint"}, key) {
			added = append(added, "[[frontend.NAME.route]] "+key)
		}
	}
	for _, section := range []titled{&respondSection, &redirectSection, &limitSection} {
		for _, key := range section.keys() {
			added = append(added, section.title()+" "+key)
		}
	}
	at := locateText(t, contract(t)).at
	for _, section := range allSections {
		heading := strings.Trim(section.title(), "[]")
		for _, key := range section.keys() {
			// [[backend.NAME.server]] tcp: backend.ANYTHING.server[N].tcp
			path := strings.ReplaceAll(regexp.QuoteMeta(heading), "NAME", `\w+`)
			path = strings.ReplaceAll(path, `\.`, `(\[\d+\])?\.`) + `(\[\d+\])?\.` + key + `(\[\d+\])?$`
			pattern := regexp.MustCompile("^" + path)
			found := false
			for path := range at {
				found = found || pattern.MatchString(path)
			}
			if name := section.title() + " " + key; found == slices.Contains(added, name) {
				t.Errorf("%s: in the contract %t", name, found)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	if _, err := Load("testdata/lb.toml"); err != nil {
		t.Errorf("the contract: %v", err)
	}
	if _, err := Load("testdata/absent.toml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
	path := t.TempDir() + "/lb.toml"
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.Path != path || c.Frontend("tcp") == nil || c.Backend("nodes") == nil {
		t.Errorf("Load: %+v, %v", c, err)
	}
	if c.Frontend("nodes") != nil || c.Backend("tcp") != nil {
		t.Error("found a frontend or backend that does not exist")
	}
}

// minimal is the smallest valid file.
const minimal = `
[frontend.tcp]
listen = ":8000"
mode = "mcp"
backend = "nodes"

[[backend.nodes.server]]
name = "node1"
tcp = "192.0.2.1:9000"
`

// TestMinimal checks that every default is filled in: a file with all of them
// gives the same configuration.
func TestMinimal(t *testing.T) {
	t.Parallel()
	got := mustParse(t, minimal)
	full := mustParse(t, contract(t))
	full.Frontends = full.Frontends[:1]
	full.Backends[0].Servers = full.Backends[0].Servers[:1]
	s := &full.Backends[0].Servers[0]
	s.TCP, s.HTTP, s.WS, s.SSE = "192.0.2.1:9000", "", "", ""
	if !reflect.DeepEqual(got, full) {
		t.Errorf("%v", Diff(full, got))
	}
}

// TestFastIntervalFollows checks that the default of fast_interval is never
// longer than interval.
func TestFastIntervalFollows(t *testing.T) {
	t.Parallel()
	c := mustParse(t, minimal+"[backend.nodes.check]\ninterval = \"200ms\"\n")
	if got := c.Backends[0].Check.FastInterval; got != 200*time.Millisecond {
		t.Errorf("fast_interval is %v", got)
	}
}

// TestForms checks that other ways to write the same file are accepted.
func TestForms(t *testing.T) {
	t.Parallel()
	want := mustParse(t, minimal)
	for name, text := range map[string]string{
		"dotted keys": `
			frontend.tcp.listen = [":8000"]
			frontend.tcp.mode = "mcp"
			frontend.tcp.backend = "nodes"
			backend.nodes.server = [{ name = "node1", tcp = "192.0.2.1:9000" }]`,
		"inline tables": `
			frontend = { tcp = { listen = ":8000", mode = 'mcp', backend = "nodes" } }
			backend = { nodes = { server = [{ name = "node1", tcp = "192.0.2.1:9000", ws = "" }], balance_factor = 1.020 } }`,
		"canonical values": strings.ReplaceAll(minimal, ":9000", ":09000") + `
			maxconn = 25000
			[backend.nodes]
			sticky_time = "1800s"
			slow_start = 0
			[ratelimit]
			exempt = []
			table_size = 0xF4240`,
		"CRLF":   strings.ReplaceAll(minimal, "\n", "\r\n"),
		"quotes": strings.ReplaceAll(minimal, "backend.nodes", `"backend".'nodes'`),
	} {
		if got := mustParse(t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", name, Diff(want, got))
		}
	}
}

// TestOrder checks that frontends, backends and servers keep the file's order.
func TestOrder(t *testing.T) {
	t.Parallel()
	c := mustParse(t, `
		[backend.zz]
		server = [{ name = "b", tcp = "192.0.2.1:1" }, { name = "a", tcp = "192.0.2.1:2" }]
		[[backend.mm.server]]
		name = "x"
		tcp = "192.0.2.1:3"
		[frontend.zulu]
		listen = ":1"
		mode = "tcp"
		backend = "zz"
		[frontend.alpha]
		listen = ":2"
		mode = "tcp"
		backend = "mm"
		[backend.aa]
		server = [{ name = "y", tcp = "192.0.2.1:4" }]`)
	var names []string
	for _, f := range c.Frontends {
		names = append(names, f.Name)
	}
	for _, b := range c.Backends {
		names = append(names, b.Name)
		for _, s := range b.Servers {
			names = append(names, s.Name)
		}
	}
	if got := strings.Join(names, " "); got != "zulu alpha zz b a mm x aa y" {
		t.Errorf("in the order %s", got)
	}
}

// discovering has backends whose servers are found.
const discovering = `
[backend.named.discover]
dns = "mcp.example.com"
ports = { tcp = 1, http = 2 }
[backend.listed.discover]
file = "/run/servers.toml"
[backend.pods.discover.kubernetes]
service = "mcp"
ports = { tcp = "mcp", http = "http" }
`

// TestEveryKey checks that each key is read into its own field: changing it
// changes that key and no other.
func TestEveryKey(t *testing.T) {
	t.Parallel()
	text := contract(t) + "\n[frontend.plain]\nlisten = \":9000\"\nmode = \"tcp\"\nbackend = \"nodes\"\n" +
		"[frontend.pass]\nlisten = \":9002\"\nmode = \"tcp\"\nbackend = \"nodes\"\n[[frontend.pass.route]]\nsni = \"a.example.com\"\n" +
		"[backend.other]\nserver = [{ name = \"x\", tcp = \"192.0.2.1:1\", http = \"192.0.2.1:2\" }]\n[backend.other.check]\ntype = \"http\"\n[backend.other.tls]\n[frontend.http.cors]\n" +
		"[frontend.web]\nlisten = \":9001\"\nmode = \"http\"\nbackend = \"nodes\"\n" +
		"[[frontend.web.route]]\npath = \"/a\"\n[frontend.web.route.respond]\n" +
		"[[frontend.web.route]]\npath = \"/b\"\n[frontend.web.route.redirect]\nto = \"/x\"\n" +
		"[[frontend.web.route]]\npath = \"/c\"\n[[frontend.web.route.limit]]\nkey = \"source\"\nrate = 1\n" +
		"[[frontend.web.route]]\nhost = \"a\"\n" + discovering
	for _, c := range everyKey {
		text := text
		if c.key == "admin.protect" {
			text = replaceKey(t, text, "admin.token_file", `"testdata/files/good.token"`)
		}
		base := mustParse(t, text)
		changed := mustParse(t, replaceKey(t, text, c.key, c.value))
		plan := Diff(base, changed)
		if got := plan.String(); got != c.plan {
			t.Errorf("%s = %s:\ngot  %s\nwant %s", c.key, c.value, got, c.plan)
		}
	}
	tested := map[string]bool{}
	for _, c := range everyKey {
		tested[c.key[strings.LastIndexByte(c.key, '.')+1:]] = true
	}
	for _, section := range allSections {
		for _, key := range section.keys() {
			if !tested[key] && !slices.Contains([]string{"cors", "sticky", "route", "respond", "redirect", "limit", "check", "tls", "discover", "ports", "kubernetes", "server", "certificates", "cert", "key", "min_version", "ciphers", "client_verify", "client_ca", "client_crl", "ticket_keys"}, key) /* see TestClientTLSKeys */ {
				t.Errorf("%s %s is not tested", section.title(), key)
			}
		}
	}
}

// replaceKey returns text with another value for the key at path. If text does not
// have the key, it is added to its section, which text must have.
func replaceKey(t *testing.T, text, path, value string) string {
	t.Helper()
	p := locateText(t, text)
	lines := strings.Split(text, "\n")
	line := p.line(path) - 1
	name := path[strings.LastIndexByte(path, '.')+1:]
	if p.names(path) {
		lines[line] = name + " = " + value
	} else {
		lines[line] += "\n" + name + " = " + value
	}
	return strings.Join(lines, "\n")
}

var everyKey = []struct{ key, value, plan string }{
	{"global.maxconn", "1000", `~global.maxconn 0 -> 1000`},
	{"global.threads", "2", `~global.threads 0 -> 2`},
	{"global.hard_stop_after", `"1h30m"`, `~global.hard_stop_after 5m -> 1h30m`},
	{"global.log_level", `"warn"`, `~global.log_level "info" -> "warn"`},
	{"global.log_format", `"json"`, `~global.log_format "text" -> "json"`},
	{"global.access_log", `"stdout"`, `~global.access_log "" -> "stdout"`},
	{"admin.listen", `""`, `~admin.listen "127.0.0.1:8404" -> ""`},
	{"admin.health_listen", `":0"`, `~admin.health_listen "127.0.0.1:8888" -> ":0"`},
	{"admin.hosts", `["lb.example.com"]`, `~admin.hosts [] -> ["lb.example.com"]`},
	{"admin.protect", `true`, `~admin.protect false -> true`},
	{"admin.max_connections", `8`, `~admin.max_connections 64 -> 8`},
	{"admin.stats_socket", `"/run/mcplb/stats"`, `~admin.stats_socket "" -> "/run/mcplb/stats"`},
	{"admin.token_file", `"testdata/files/good.token"`, `~admin.token_file "" -> "testdata/files/good.token"`},
	{"resolver.nameservers", `["10.0.0.2:53", "[2001:db8::0:1]:5353"]`, `~resolver.nameservers [] -> ["10.0.0.2:53", "[2001:db8::1]:5353"]`},
	{"resolver.timeout", `"500ms"`, `~resolver.timeout 2s -> 500ms`},
	{"resolver.min_ttl", `"5s"`, `~resolver.min_ttl 1s -> 5s`},
	{"resolver.max_ttl", `"1h"`, `~resolver.max_ttl 1m -> 1h`},
	{"resolver.hold", `0`, `~resolver.hold 5m -> 0s`},
	{"fleet.redis", `"rediss://lb@redis.example.com/2"`, `~fleet.redis "" -> "rediss://lb@redis.example.com:6379/2"`},
	{"fleet.name", `"blue"`, `~fleet.name "mcplb" -> "blue"`},
	{"fleet.instance", `"lb1:8404"`, `~fleet.instance "" -> "lb1:8404"`},
	{"fleet.shares", `["bans"]`, `~fleet.shares ["sticky", "bans", "rates"] -> ["bans"]`},
	{"ratelimit.connection_rate", "7", `~ratelimit.connection_rate 100 -> 7`},
	{"ratelimit.connection_burst", "7", `~ratelimit.connection_burst 200 -> 7`},
	{"ratelimit.message_rate", "50", `~ratelimit.message_rate 100 -> 50`},
	{"ratelimit.message_burst", "7", `~ratelimit.message_burst 200 -> 7`},
	{"ratelimit.over_message", `"reject"`, `~ratelimit.over_message "delay" -> "reject"`},
	{"ratelimit.max_connections", "7", `~ratelimit.max_connections 0 -> 7`},
	{"ratelimit.ban_after", "0", `~ratelimit.ban_after 100 -> 0`},
	{"ratelimit.ban_time", `"1h"`, `~ratelimit.ban_time 5m -> 1h`},
	{"ratelimit.exempt", `["10.0.0.0/8", "::1"]`, `~ratelimit.exempt [] -> ["10.0.0.0/8", "::1/128"]`},
	{"ratelimit.global_connection_rate", "7", `~ratelimit.global_connection_rate 0 -> 7`},
	{"ratelimit.global_message_rate", "7", `~ratelimit.global_message_rate 0 -> 7`},
	{"ratelimit.table_size", "7", `~ratelimit.table_size 1000000 -> 7`},
	{"frontend.tcp.listen", `[":8000", "[0::1]:8001"]`, `~frontend.tcp.listen [":8000"] -> [":8000", "[::1]:8001"]`},
	{"frontend.plain.mode", `"mcp"`, `~frontend.plain.mode "tcp" -> "mcp"`},
	{"frontend.tcp.backend", `"other"`, `~frontend.tcp.backend "nodes" -> "other"`},
	{"frontend.tcp.balance", `"random"`, `~frontend.tcp.balance "" -> "random"`},
	{"frontend.plain.accept_proxy", "true\ntrusted_proxies = [\"10.0.0.0/8\"]",
		`~frontend.plain.accept_proxy false -> true, ~frontend.plain.trusted_proxies [] -> ["10.0.0.0/8"]`},
	{"frontend.http.trusted_proxies", `["10.0.0.0/8"]`, `~frontend.http.trusted_proxies [] -> ["10.0.0.0/8"]`},
	{"frontend.tcp.max_message", `"1k"`, `~frontend.tcp.max_message 16m -> 1k`},
	{"frontend.tcp.timeout_client", `0`, `~frontend.tcp.timeout_client 5m -> 0s`},
	{"frontend.tcp.send_buffer", `"1m"`, `~frontend.tcp.send_buffer 512k -> 1m`},
	{"frontend.tcp.timeout_half_closed", `"1.5s"`, `~frontend.tcp.timeout_half_closed 1m -> 1.5s`},
	{"frontend.tcp.keepalive", `"2m"`, `~frontend.tcp.keepalive 1m -> 2m`},
	{"frontend.tcp.allow", `["10.0.0.0/8", "::1"]`, `~frontend.tcp.allow [] -> ["10.0.0.0/8", "::1/128"]`},
	{"frontend.tcp.deny", `["192.0.2.1"]`, `~frontend.tcp.deny [] -> ["192.0.2.1/32"]`},
	{"frontend.http.timeout_http_request", `"1s"`, `~frontend.http.timeout_http_request 10s -> 1s`},
	{"frontend.http.timeout_keepalive", `"1s"`, `~frontend.http.timeout_keepalive 5m -> 1s`},
	{"frontend.http.forwarded_for", `false`, `~frontend.http.forwarded_for true -> false`},
	{"frontend.http.requests_per_connection", `0`, `~frontend.http.requests_per_connection 1000 -> 0`},
	{"frontend.http.max_header", `4096`, `~frontend.http.max_header 32k -> 4k`},
	{"frontend.http.max_body", `"2g"`, `~frontend.http.max_body 16m -> 2g`},
	{"frontend.http.min_body_rate", `"4k"`, `~frontend.http.min_body_rate 1k -> 4k`},
	{"frontend.http.allowed_origins", `["null", "http://localhost:5173"]`, `~frontend.http.allowed_origins [] -> ["null", "http://localhost:5173"]`},
	{"frontend.http.compress", `["Text/HTML"]`, `~frontend.http.compress ["application/json", "text/plain", "text/html"] -> ["text/html"]`},
	{"frontend.http.sse_keepalive", `"15s"`, `~frontend.http.sse_keepalive 0s -> 15s`},
	{"frontend.http.http2", `true`, `~frontend.http.http2 false -> true`},
	{"frontend.https.alpn", `["h2", "http/1.1"]`, `~frontend.https.alpn [] -> ["h2", "http/1.1"]`},
	{"frontend.http.http2_streams", `100`, `~frontend.http.http2_streams 250 -> 100`},
	{"frontend.http.http2_buffer", `"1m"`, `~frontend.http.http2_buffer 64k -> 1m`},
	{"frontend.http.error_pages", `{ "503" = "testdata/files/503.html", 5xx = "testdata/files/error", "404" = "" }`,
		`~frontend.http.error_pages {} -> { "503" = "testdata/files/503.html", "5xx" = "testdata/files/error" }`},
	{"frontend.http.cors.expose", `[]`, `~frontend.http.cors.expose ["Mcp-Session-Id", "Retry-After", "WWW-Authenticate"] -> []`},
	{"frontend.http.cors.preflight", `true`, `~frontend.http.cors.preflight false -> true`},
	{"frontend.http.cors.allow_methods", `["*"]`, `~frontend.http.cors.allow_methods ["GET", "POST", "DELETE", "OPTIONS"] -> ["*"]`},
	{"frontend.http.cors.allow_headers", `["X-A"]`, `~frontend.http.cors.allow_headers ["*"] -> ["X-A"]`},
	{"frontend.http.cors.max_age", `0`, `~frontend.http.cors.max_age 10m -> 0s`},
	{"frontend.http.sticky.session", `false`, `~frontend.http.sticky.session true -> false`},
	{"frontend.http.sticky.cookie", `""`, `~frontend.http.sticky.cookie "SERVERID" -> ""`},
	{"frontend.http.sticky.cookie_attributes", `""`, `~frontend.http.sticky.cookie_attributes "Path=/; HttpOnly; SameSite=Lax" -> ""`},
	{"frontend.http.route[0].path", `"/x"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/x", endpoint = "sse" }]`},
	{"frontend.http.route[0].backend", `"other"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", backend = "other", endpoint = "sse" }]`},
	{"frontend.http.route[0].endpoint", `"ws"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "ws" }]`},
	{"frontend.pass.route[0].sni", `["B.Example.com.", "*.example.com"]`, `~frontend.pass.route [{ sni = ["a.example.com"] }] -> [{ sni = ["b.example.com", "*.example.com"] }]`},
	{"frontend.http.route[0].priority", `-5`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ priority = -5, path = "/mcp/sse", endpoint = "sse" }]`},
	{"frontend.http.route[0].host", `["MCP.Example.com.", "*.example.com", "[2001:DB8::0:1]"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ host = ["mcp.example.com", "*.example.com", "2001:db8::1"], path = "/mcp/sse", endpoint = "sse" }]`},
	{"frontend.http.route[0].trailing_slash", `"without"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", trailing_slash = "without", endpoint = "sse" }]`},
	{"frontend.http.route[0].methods", `"POST"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", methods = ["POST"], endpoint = "sse" }]`},
	{"frontend.http.route[0].headers", `{ "X-Tenant" = ["a", "b*"], Origin = [], A = "b" }`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", headers = { A = ["b"], Origin = [], X-Tenant = ["a", "b*"] }, endpoint = "sse" }]`},
	{"frontend.http.route[0].source", `["10.0.0.0/8", "::1"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", source = ["10.0.0.0/8", "::1/128"], endpoint = "sse" }]`},
	{"frontend.http.route[0].mcp_method", `["tools/call", "resources/*"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", mcp_method = ["tools/call", "resources/*"], endpoint = "sse" }]`},
	{"frontend.http.route[0].mcp_name", `["delete_*"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", mcp_name = ["delete_*"], endpoint = "sse" }]`},
	{"frontend.http.route[0].not_host", `["a.example.com"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_host = ["a.example.com"], endpoint = "sse" }]`},
	{"frontend.http.route[0].not_path", `"/mcp/sse/x"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_path = ["/mcp/sse/x"], endpoint = "sse" }]`},
	{"frontend.http.route[0].not_path_exact", `["/mcp/sse"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_path_exact = ["/mcp/sse"], endpoint = "sse" }]`},
	{"frontend.http.route[0].not_methods", `["GET"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_methods = ["GET"], endpoint = "sse" }]`},
	{"frontend.http.route[0].not_headers", `{ "X-A" = ["1"] }`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_headers = { X-A = ["1"] }, endpoint = "sse" }]`},
	{"frontend.http.route[0].not_source", `["10.0.0.0/8"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_source = ["10.0.0.0/8"], endpoint = "sse" }]`},
	{"frontend.http.route[0].not_mcp_method", `["ping"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_mcp_method = ["ping"], endpoint = "sse" }]`},
	{"frontend.http.route[0].not_mcp_name", `["x"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", not_mcp_name = ["x"], endpoint = "sse" }]`},
	{"frontend.http.route[0].allow", `true`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", allow = true }]`},
	{"frontend.http.route[0].strip_prefix", `"/mcp"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", strip_prefix = "/mcp" }]`},
	{"frontend.http.route[0].add_prefix", `"/v1"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", add_prefix = "/v1" }]`},
	{"frontend.http.route[0].set_request_headers", `{ "X-Real-IP" = "{client_ip}" }`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", set_request_headers = { X-Real-IP = "{client_ip}" } }]`},
	{"frontend.http.route[0].add_request_headers", `{ "X-A" = "{{a}" }`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", add_request_headers = { X-A = "{{a}" } }]`},
	{"frontend.http.route[0].remove_request_headers", `["X-A"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", remove_request_headers = ["X-A"] }]`},
	{"frontend.http.route[0].set_response_headers", `{ "X-A" = "a" }`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", set_response_headers = { X-A = "a" } }]`},
	{"frontend.http.route[0].add_response_headers", `{ "X-A" = "a" }`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", add_response_headers = { X-A = "a" } }]`},
	{"frontend.http.route[0].remove_response_headers", `["Server"]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", remove_response_headers = ["Server"] }]`},
	{"frontend.http.route[0].timeout_server", `"10m"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", timeout_server = 10m }]`},
	{"frontend.http.route[0].timeout_stream", `0`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", timeout_stream = 0s }]`},
	{"frontend.http.route[0].max_body", `"200m"`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", max_body = 200m }]`},
	{"frontend.http.route[0].compress", `[]`, `~frontend.http.route [{ path = "/mcp/sse", endpoint = "sse" }] -> [{ path = "/mcp/sse", endpoint = "sse", compress = [] }]`},
	{"frontend.web.route[0].respond.status", `404`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = { status = 404 } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }]`},
	{"frontend.web.route[0].respond.body", `"ok\n{"`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = { body = "ok\n{" } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }]`},
	{"frontend.web.route[0].respond.content_type", `"text/html"`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = { content_type = "text/html" } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }]`},
	{"frontend.web.route[1].redirect.to", `"https://{host}{uri}"`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "https://{host}{uri}" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }]`},
	{"frontend.web.route[1].redirect.status", `301`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x", status = 301 } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }]`},
	{"frontend.web.route[2].limit[0].key", `"header:X-Api-Key"`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "header:X-Api-Key", rate = 1 }] }, { host = ["a"] }]`},
	{"frontend.web.route[2].limit[0].rate", `0.5`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 0.5 }] }, { host = ["a"] }]`},
	{"frontend.web.route[2].limit[0].burst", `20`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1, burst = 20 }] }, { host = ["a"] }]`},
	{"frontend.web.route[2].limit[0].concurrency", `5`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1, concurrency = 5 }] }, { host = ["a"] }]`},
	{"frontend.web.route[2].limit[0].over", `"reject"`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1, over = "reject" }] }, { host = ["a"] }]`},
	{"frontend.web.route[3].path_exact", `"/d"`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"], path_exact = "/d" }]`},
	{"frontend.web.route[3].deny", `true`, `~frontend.web.route [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"] }] -> [{ path = "/a", respond = {  } }, { path = "/b", redirect = { to = "/x" } }, { path = "/c", limit = [{ key = "source", rate = 1 }] }, { host = ["a"], deny = true }]`},
	{"frontend.https.tls", `{ certificates = [{ cert = "testdata/tls/lb.pem", key = "testdata/tls/lb.key" }], min_version = "1.3" }`,
		`~frontend.https.tls { certificates = [{ cert = "testdata/tls/lb.pem", key = "testdata/tls/lb.key" }] } -> { certificates = [{ cert = "testdata/tls/lb.pem", key = "testdata/tls/lb.key" }], min_version = "1.3" }`},
	{"backend.nodes.balance", `"leastconn"`, `~backend.nodes.balance "source" -> "leastconn"`},
	{"backend.nodes.balance_factor", `0`, `~backend.nodes.balance_factor 1.02 -> 0`},
	{"backend.nodes.sticky_time", `"1m"`, `~backend.nodes.sticky_time 30m -> 1m`},
	{"backend.nodes.failback", `false`, `~backend.nodes.failback true -> false`},
	{"backend.nodes.retries", `0`, `~backend.nodes.retries 3 -> 0`},
	{"backend.nodes.timeout_connect", `"1ms"`, `~backend.nodes.timeout_connect 5s -> 1ms`},
	{"backend.nodes.timeout_queue", `0`, `~backend.nodes.timeout_queue 5s -> 0s`},
	{"backend.nodes.timeout_server", `"1m"`, `~backend.nodes.timeout_server 5m -> 1m`},
	{"backend.nodes.timeout_tcp_user", `"1m"`, `~backend.nodes.timeout_tcp_user 30s -> 1m`},
	{"backend.nodes.keepalive", `0`, `~backend.nodes.keepalive 1m -> 0s`},
	{"backend.nodes.max_idle", `5`, `~backend.nodes.max_idle 512 -> 5`},
	{"backend.nodes.timeout_idle", `"9s"`, `~backend.nodes.timeout_idle 4s -> 9s`},
	{"backend.nodes.replay", `false`, `~backend.nodes.replay true -> false`},
	{"backend.nodes.session_seen", `"1h"`, `~backend.nodes.session_seen 10m -> 1h`},
	{"backend.nodes.slow_start", `"1m30s"`, `~backend.nodes.slow_start 0s -> 1m30s`},
	{"backend.nodes.on_down", `"keep"`, `~backend.nodes.on_down "close" -> "keep"`},
	{"backend.nodes.on_removed", `"close"`, `~backend.nodes.on_removed "keep" -> "close"`},
	{"backend.nodes.preserve_host", `false`, `~backend.nodes.preserve_host true -> false`},
	{"backend.nodes.source", `["127.0.0.1"]`, `~backend.nodes.source [] -> ["127.0.0.1"]`},
	{"backend.other.send_proxy", `"v2"`, `~backend.other.send_proxy "" -> "v2"`},
	{"backend.other.tls.ca", `"testdata/tls/lb.pem"`, `~backend.other.tls {  } -> { ca = "testdata/tls/lb.pem" }`},
	{"backend.other.tls.verify", `false`, `~backend.other.tls {  } -> { verify = false }`},
	{"backend.other.tls.server_name", `"MCP.internal."`, `~backend.other.tls {  } -> { server_name = "mcp.internal" }`},
	{"backend.other.tls.min_version", `"1.3"`, `~backend.other.tls {  } -> { min_version = "1.3" }`},
	{"backend.other.tls.checks", `false`, `~backend.other.tls {  } -> { checks = false }`},

	{"backend.nodes.check.type", `"mcp"`, `~backend.nodes.check.type "tcp" -> "mcp"`},
	{"backend.nodes.check.interval", `"10s"`, `~backend.nodes.check.interval 3s -> 10s`},
	{"backend.nodes.check.fast_interval", `"2s"`, `~backend.nodes.check.fast_interval 1s -> 2s`},
	{"backend.nodes.check.timeout", `"10s"`, `~backend.nodes.check.timeout 3s -> 10s`},
	{"backend.nodes.check.rise", `1`, `~backend.nodes.check.rise 2 -> 1`},
	{"backend.nodes.check.fall", `5`, `~backend.nodes.check.fall 2 -> 5`},
	{"backend.nodes.check.path", `"/ready"`, `~backend.nodes.check.path "/health" -> "/ready"`},
	{"backend.nodes.check.expect", `204`, `~backend.nodes.check.expect 200 -> 204`},
	{"backend.nodes.check.expect", `[200, 204, "3XX"]`, `~backend.nodes.check.expect 200 -> [200, 204, "3xx"]`},
	{"backend.nodes.check.expect", `"2xx"`, `~backend.nodes.check.expect 200 -> "2xx"`},
	{"backend.other.check.expect_body", `"ok"`, `~backend.other.check.expect_body "" -> "ok"`},
	{"backend.other.check.host", `"mcp.example.com:8080"`, `~backend.other.check.host "" -> "mcp.example.com:8080"`},
	{"backend.other.check.method", `"HEAD"`, `~backend.other.check.method "GET" -> "HEAD"`},
	{"backend.other.check.headers", `{ "X-B" = "2", "X-A" = "1" }`, `~backend.other.check.headers {} -> { X-A = "1", X-B = "2" }`},
	{"backend.other.check.headers", `{ Authorization = "Bearer x" }`, `~backend.other.check.headers {} -> { Authorization = "(hidden, b937a6fd)" }`},
	{"backend.nodes.check.port", `8888`, `~backend.nodes.check.port 0 -> 8888`},
	{"backend.other.check.drain_on", `[503, "4xx"]`, `~backend.other.check.drain_on [] -> [503, "4xx"]`},
	{"backend.nodes.check.send_proxy", `false`, `~backend.nodes.check.send_proxy true -> false`},
	{"backend.nodes.check.observe", `false`, `~backend.nodes.check.observe true -> false`},
	{"backend.named.discover.dns", `"_mcp._tcp.example.com"`, `~backend.named.discover { dns = "mcp.example.com", ports.tcp = 1, ports.http = 2 } -> { dns = "_mcp._tcp.example.com", ports.tcp = 1, ports.http = 2 }`},
	{"backend.named.discover.most", `7`, `~backend.named.discover { dns = "mcp.example.com", ports.tcp = 1, ports.http = 2 } -> { dns = "mcp.example.com", ports.tcp = 1, ports.http = 2, most = 7 }`},
	{"backend.listed.discover.file", `"x"`, `~backend.listed.discover { file = "/run/servers.toml" } -> { file = "x" }`},
	{"backend.listed.discover.maxconn", `9`, `~backend.listed.discover { file = "/run/servers.toml" } -> { file = "/run/servers.toml", maxconn = 9 }`},
	{"backend.listed.discover.weight", `9`, `~backend.listed.discover { file = "/run/servers.toml" } -> { file = "/run/servers.toml", weight = 9 }`},
	{"backend.pods.discover.kubernetes.namespace", `"apps"`, podsWere + `{ namespace = "apps", service = "mcp", ports.tcp = "mcp", ports.http = "http" } }`},
	{"backend.pods.discover.kubernetes.service", `"x"`, podsWere + `{ service = "x", ports.tcp = "mcp", ports.http = "http" } }`},
	{"backend.pods.discover.kubernetes.api", `"https://[::1]:6443/"`, podsWere + `{ service = "mcp", ports.tcp = "mcp", ports.http = "http", api = "https://[::1]:6443" } }`},
	{"backend.pods.discover.kubernetes.token_file", `"t"`, podsWere + `{ service = "mcp", ports.tcp = "mcp", ports.http = "http", token_file = "t" } }`},
	{"backend.pods.discover.kubernetes.ca", `"c"`, podsWere + `{ service = "mcp", ports.tcp = "mcp", ports.http = "http", ca = "c" } }`},
	{"backend.pods.discover.kubernetes.ports", `{ tcp = 9001, sse = "s" }`, podsWere + `{ service = "mcp", ports.tcp = "9001", ports.sse = "s" } }`},
	{"backend.named.discover.ports", `{ tcp = 3, ws = 4, sse = 5 }`, `~backend.named.discover { dns = "mcp.example.com", ports.tcp = 1, ports.http = 2 } -> { dns = "mcp.example.com", ports.tcp = 3, ports.ws = 4, ports.sse = 5 }`},
	{"backend.nodes.server[1].name", `"x"`, `-server nodes/node2, +server nodes/x`},
	{"backend.nodes.server[1].tcp", `"[::1]:1"`, `~server nodes/node2 tcp "127.0.0.12:9002" -> "[::1]:1"`},
	{"backend.nodes.server[1].http", `"node2.example.com:1"`,
		`~server nodes/node2 http "127.0.0.12:8081" -> "node2.example.com:1" ws "127.0.0.12:8081" -> "node2.example.com:1"`},
	{"backend.nodes.server[1].ws", `"127.0.0.1:1"`, `~server nodes/node2 ws "127.0.0.12:8081" -> "127.0.0.1:1"`},
	{"backend.nodes.server[1].sse", `"127.0.0.1:1"`, `~server nodes/node2 sse "127.0.0.12:8082" -> "127.0.0.1:1"`},
	{"backend.nodes.server[1].maxconn", `0`, `~server nodes/node2 maxconn 25000 -> 0`},
	{"backend.nodes.server[1].weight", `0`, `~server nodes/node2 weight 100 -> 0`},
	{"backend.nodes.server[1].family", `"ipv6"`, `~server nodes/node2 family "any" -> "ipv6"`},
	{"backend.nodes.server[1].backup", `true`, `~server nodes/node2 backup false -> true`},
	{"backend.nodes.server[1].disabled", `true`, `~server nodes/node2 disabled false -> true`},
}

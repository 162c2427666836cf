package conf

import (
	"log/slog"
	"net/netip"
	"time"
)

// lb.toml, key by key: name, type of value, default, and field of Config. The
// fields' comments say what the values mean, 0 in particular. Checks that need
// more than one value are in validate.go.

var rootSection = section[Config]{"the top level", []field[Config]{
	sub("global", &globalSection, func(c *Config) *Global { return &c.Global }),
	sub("admin", &adminSection, func(c *Config) *Admin { return &c.Admin }),
	sub("resolver", &resolverSection, func(c *Config) *Resolver { return &c.Resolver }),
	sub("fleet", &fleetSection, func(c *Config) *Fleet { return &c.Fleet }),
	sub("ratelimit", &rateLimitSection, func(c *Config) *RateLimit { return &c.RateLimit }),
	byName("frontend", &frontendSection, func(c *Config) *[]Frontend { return &c.Frontends }, func(f *Frontend) *string { return &f.Name }),
	byName("backend", &backendSection, func(c *Config) *[]Backend { return &c.Backends }, func(b *Backend) *string { return &b.Name }),
}}

var globalSection = section[Global]{"[global]", []field[Global]{
	key("maxconn", count, 0, func(g *Global) *int { return &g.MaxConn }),
	key("threads", integer(0, 1024), 0, func(g *Global) *int { return &g.Threads }).atStart(),
	key("hard_stop_after", timeout, 5*time.Minute, func(g *Global) *time.Duration { return &g.HardStopAfter }),
	key("log_level", level, slog.LevelInfo, func(g *Global) *slog.Level { return &g.LogLevel }),
	key("log_format", oneOf(LogText, LogJSON), LogText, func(g *Global) *LogFormat { return &g.LogFormat }),
	key("access_log", accessLog, "", func(g *Global) *string { return &g.AccessLog }),
}}

var adminSection = section[Admin]{"[admin]", []field[Admin]{
	key("listen", optionalListen, "127.0.0.1:8404", func(a *Admin) *string { return &a.Listen }),
	key("health_listen", optionalListen, "127.0.0.1:8888", func(a *Admin) *string { return &a.HealthListen }),
	key("stats_socket", text, "", func(a *Admin) *string { return &a.StatsSocket }),
	key("token_file", text, "", func(a *Admin) *string { return &a.TokenFile }),
	key("hosts", listOf(adminHost, `["lb.example.com"]`), nil, func(a *Admin) *[]string { return &a.Hosts }),
	key("protect", boolean, false, func(a *Admin) *bool { return &a.Protect }),
	key("max_connections", count, 64, func(a *Admin) *int { return &a.MaxConnections }),
}}

var resolverSection = section[Resolver]{"[resolver]", []field[Resolver]{
	key("nameservers", listOf(nameServer, `["10.0.0.2:53"]`), nil, func(r *Resolver) *[]netip.AddrPort { return &r.NameServers }),
	key("timeout", period, 2*time.Second, func(r *Resolver) *time.Duration { return &r.Timeout }),
	key("min_ttl", timeout, time.Second, func(r *Resolver) *time.Duration { return &r.MinTTL }),
	key("max_ttl", timeout, time.Minute, func(r *Resolver) *time.Duration { return &r.MaxTTL }),
	key("hold", timeout, 5*time.Minute, func(r *Resolver) *time.Duration { return &r.Hold }),
}}

var fleetSection = section[Fleet]{"[fleet]", []field[Fleet]{
	key("redis", redisURL, Redis{}, func(f *Fleet) *Redis { return &f.Redis }),
	key("name", fleetName, "mcplb", func(f *Fleet) *string { return &f.Name }),
	key("instance", instanceName, "", func(f *Fleet) *string { return &f.Instance }),
	key("shares", listOf(oneOf(ShareSticky, ShareBans, ShareRates), `["sticky", "bans", "rates"]`), []Share{ShareSticky, ShareBans, ShareRates}, func(f *Fleet) *[]Share { return &f.Shares }),
}}

var rateLimitSection = section[RateLimit]{"[ratelimit]", []field[RateLimit]{
	key("connection_rate", count, 100, func(r *RateLimit) *int { return &r.ConnectionRate }),
	key("connection_burst", count, 200, func(r *RateLimit) *int { return &r.ConnectionBurst }),
	key("message_rate", count, 100, func(r *RateLimit) *int { return &r.MessageRate }),
	key("message_burst", count, 200, func(r *RateLimit) *int { return &r.MessageBurst }),
	key("over_message", oneOf(Delay, Reject), Delay, func(r *RateLimit) *OverMessage { return &r.OverMessage }),
	key("max_connections", count, 0, func(r *RateLimit) *int { return &r.MaxConnections }),
	key("ban_after", count, 100, func(r *RateLimit) *int { return &r.BanAfter }),
	key("ban_time", timeout, 5*time.Minute, func(r *RateLimit) *time.Duration { return &r.BanTime }),
	key("exempt", listOf(prefix, `["10.0.0.0/8"]`), nil, func(r *RateLimit) *[]netip.Prefix { return &r.Exempt }),
	key("global_connection_rate", count, 0, func(r *RateLimit) *int { return &r.GlobalConnectionRate }),
	key("global_message_rate", count, 0, func(r *RateLimit) *int { return &r.GlobalMessageRate }),
	key("table_size", integer(1, 1_000_000_000), 1_000_000, func(r *RateLimit) *int { return &r.TableSize }),
}}

var frontendSection = section[Frontend]{"[frontend.NAME]", []field[Frontend]{
	required("listen", listeners, `":8000"`, func(f *Frontend) *[]string { return &f.Listen }),
	required("mode", oneOf(ModeTCP, ModeMCP, ModeHTTP), `"mcp"`, func(f *Frontend) *Mode { return &f.Mode }),
	required("backend", text, `"nodes"`, func(f *Frontend) *string { return &f.Backend }),
	key("balance", oneOf("", BalanceSource, BalanceLeastConn, BalanceRoundRobin, BalanceRandom), "", func(f *Frontend) *Balance { return &f.Balance }),
	key("accept_proxy", boolean, false, func(f *Frontend) *bool { return &f.AcceptProxy }),
	key("trusted_proxies", listOf(prefix, `["10.0.0.0/8"]`), nil, func(f *Frontend) *[]netip.Prefix { return &f.TrustedProxies }),
	key("forwarded_for", boolean, true, func(f *Frontend) *bool { return &f.ForwardedFor }).only(ModeHTTP),
	key("max_message", size(true, 64, gigabyte), 16*megabyte, func(f *Frontend) *int64 { return &f.MaxMessage }).only(ModeMCP),
	key("timeout_client", timeout, 300*time.Second, func(f *Frontend) *time.Duration { return &f.TimeoutClient }),
	key("send_buffer", size(true, 16*kilobyte, gigabyte), 512*kilobyte, func(f *Frontend) *int64 { return &f.SendBuffer }),
	optional("tls", &tlsSection, func(f *Frontend) **TLS { return &f.TLS }),
	key("timeout_half_closed", timeout, 60*time.Second, func(f *Frontend) *time.Duration { return &f.TimeoutHalfClosed }),
	key("keepalive", keepAlive, 60*time.Second, func(f *Frontend) *time.Duration { return &f.KeepAlive }),
	key("allow", listOf(prefix, `["10.0.0.0/8"]`), nil, func(f *Frontend) *[]netip.Prefix { return &f.Allow }),
	key("deny", listOf(prefix, `["192.0.2.0/24"]`), nil, func(f *Frontend) *[]netip.Prefix { return &f.Deny }),

	key("timeout_http_request", timeout, 10*time.Second, func(f *Frontend) *time.Duration { return &f.TimeoutHTTPRequest }).only(ModeHTTP),
	key("timeout_keepalive", timeout, 300*time.Second, func(f *Frontend) *time.Duration { return &f.TimeoutKeepalive }).only(ModeHTTP),
	key("requests_per_connection", count, 1000, func(f *Frontend) *int { return &f.RequestsPerConnection }).only(ModeHTTP),
	key("max_header", size(false, kilobyte, 16*megabyte), 32*kilobyte, func(f *Frontend) *int64 { return &f.MaxHeader }).only(ModeHTTP),
	key("max_body", size(true, 1, 1024*gigabyte), 16*megabyte, func(f *Frontend) *int64 { return &f.MaxBody }).only(ModeHTTP),
	key("min_body_rate", size(true, 1, gigabyte), kilobyte, func(f *Frontend) *int64 { return &f.MinBodyRate }).only(ModeHTTP),
	key("allowed_origins", listOf(origin, `["https://app.example.com"]`), nil, func(f *Frontend) *[]string { return &f.AllowedOrigins }).only(ModeHTTP),
	key("compress", listOf(mediaType, `["application/json"]`), []string{"application/json", "text/plain", "text/html"}, func(f *Frontend) *[]string { return &f.Compress }).only(ModeHTTP),
	key("sse_keepalive", timeout, 0, func(f *Frontend) *time.Duration { return &f.SSEKeepalive }).only(ModeHTTP),
	key("http2", boolean, false, func(f *Frontend) *bool { return &f.HTTP2 }).only(ModeHTTP),
	key("alpn", listOf(oneOf(ProtocolHTTP2, ProtocolHTTP1), `["h2", "http/1.1"]`), nil, func(f *Frontend) *[]string { return &f.ALPN }).only(ModeHTTP),
	key("http2_streams", count, 250, func(f *Frontend) *int { return &f.HTTP2Streams }).only(ModeHTTP),
	key("http2_buffer", size(false, 16*kilobyte, gigabyte), 64*kilobyte, func(f *Frontend) *int64 { return &f.HTTP2Buffer }).only(ModeHTTP),
	key("error_pages", errorPages, nil, func(f *Frontend) *[]ErrorPage { return &f.ErrorPages }).only(ModeHTTP),
	sub("cors", &corsSection, func(f *Frontend) *CORS { return &f.CORS }).only(ModeHTTP),
	sub("sticky", &stickySection, func(f *Frontend) *Sticky { return &f.Sticky }).only(ModeHTTP),
	several("route", &routeSection, func(f *Frontend) *[]Route { return &f.Routes }).only(ModeHTTP, ModeTCP),
}}

var corsSection = section[CORS]{"[frontend.NAME.cors]", []field[CORS]{
	key("expose", listOf(fieldName, `["Mcp-Session-Id"]`), []string{"Mcp-Session-Id", "Retry-After", "WWW-Authenticate"}, func(c *CORS) *[]string { return &c.Expose }),
	key("preflight", boolean, false, func(c *CORS) *bool { return &c.Preflight }),
	key("allow_methods", listOf(methodName, `["GET", "POST"]`), []string{"GET", "POST", "DELETE", "OPTIONS"}, func(c *CORS) *[]string { return &c.AllowMethods }),
	key("allow_headers", listOf(fieldName, `["Content-Type"]`), []string{"*"}, func(c *CORS) *[]string { return &c.AllowHeaders }),
	key("max_age", timeout, 10*time.Minute, func(c *CORS) *time.Duration { return &c.MaxAge }),
}}

var stickySection = section[Sticky]{"[frontend.NAME.sticky]", []field[Sticky]{
	key("session", boolean, true, func(s *Sticky) *bool { return &s.Session }),
	key("cookie", cookieName, "SERVERID", func(s *Sticky) *string { return &s.Cookie }),
	key("cookie_attributes", cookieAttributes, "Path=/; HttpOnly; SameSite=Lax", func(s *Sticky) *string { return &s.CookieAttributes }),
}}

var tlsSection = section[TLS]{"[frontend.NAME.tls]", []field[TLS]{
	several("certificates", &certificateSection, func(t *TLS) *[]Certificate { return &t.Certificates }),
	key("min_version", oneOf("1.2", "1.3"), "1.2", func(t *TLS) *string { return &t.MinVersion }),
	key("ciphers", listOf(cipherSuite, `["ECDHE-ECDSA-AES128-GCM-SHA256"]`), nil, func(t *TLS) *[]string { return &t.Ciphers }),
	key("client_verify", oneOf(ClientVerifyOff, ClientVerifyOptional, ClientVerifyRequire), ClientVerifyOff, func(t *TLS) *ClientVerify { return &t.ClientVerify }),
	key("client_ca", text, "", func(t *TLS) *string { return &t.ClientCA }),
	key("client_crl", text, "", func(t *TLS) *string { return &t.ClientCRL }),
	key("ticket_keys", text, "", func(t *TLS) *string { return &t.TicketKeys }),
}}

var certificateSection = section[Certificate]{"[[frontend.NAME.tls.certificates]]", []field[Certificate]{
	required("cert", text, `"/etc/mcplb/lb.pem"`, func(c *Certificate) *string { return &c.Cert }),
	required("key", text, `"/etc/mcplb/lb.key"`, func(c *Certificate) *string { return &c.Key }),
}}

var backendSection = section[Backend]{"[backend.NAME]", []field[Backend]{
	key("balance", oneOf(BalanceSource, BalanceLeastConn, BalanceRoundRobin, BalanceRandom), BalanceSource, func(b *Backend) *Balance { return &b.Balance }),
	key("balance_factor", factor, defaultFactor, func(b *Backend) *float64 { return &b.BalanceFactor }),
	key("sticky_time", timeout, defaultStickyTime, func(b *Backend) *time.Duration { return &b.StickyTime }),
	key("failback", boolean, true, func(b *Backend) *bool { return &b.Failback }),
	key("retries", integer(0, 100), 3, func(b *Backend) *int { return &b.Retries }),
	key("timeout_connect", period, 5*time.Second, func(b *Backend) *time.Duration { return &b.TimeoutConnect }),
	key("timeout_queue", timeout, 5*time.Second, func(b *Backend) *time.Duration { return &b.TimeoutQueue }),
	key("timeout_server", timeout, 300*time.Second, func(b *Backend) *time.Duration { return &b.TimeoutServer }),
	key("timeout_tcp_user", tcpUserTimeout, 30*time.Second, func(b *Backend) *time.Duration { return &b.TimeoutTCPUser }),
	key("keepalive", keepAlive, 60*time.Second, func(b *Backend) *time.Duration { return &b.KeepAlive }),
	key("max_idle", count, 512, func(b *Backend) *int { return &b.MaxIdle }),
	key("timeout_idle", timeout, 4*time.Second, func(b *Backend) *time.Duration { return &b.TimeoutIdle }),
	key("replay", boolean, true, func(b *Backend) *bool { return &b.Replay }),
	key("session_seen", timeout, 10*time.Minute, func(b *Backend) *time.Duration { return &b.SessionSeen }),
	key("slow_start", timeout, 0, func(b *Backend) *time.Duration { return &b.SlowStart }),
	key("on_down", oneOf(OnDownClose, OnDownKeep), OnDownClose, func(b *Backend) *OnDown { return &b.OnDown }),
	key("on_removed", oneOf(OnDownClose, OnDownKeep), OnDownKeep, func(b *Backend) *OnDown { return &b.OnRemoved }),
	key("preserve_host", boolean, true, func(b *Backend) *bool { return &b.PreserveHost }),
	key("source", listOf(sourceAddress, `["192.0.2.10"]`), nil, func(b *Backend) *[]netip.Addr { return &b.Source }),
	key("send_proxy", oneOf(SendProxyOff, SendProxyV1, SendProxyV2), SendProxyOff, func(b *Backend) *SendProxy { return &b.SendProxy }),
	optional("tls", &serverTLSSection, func(b *Backend) **ServerTLS { return &b.TLS }),
	sub("check", &checkSection, func(b *Backend) *Check { return &b.Check }),
	optional("discover", &discoverSection, func(b *Backend) **Discover { return &b.Discover }),
	several("server", &serverSection, func(b *Backend) *[]Server { return &b.Servers }).comparedApart(),
}}

var checkSection = section[Check]{"[backend.NAME.check]", []field[Check]{
	key("type", oneOf(CheckTCP, CheckHTTP, CheckMCP), CheckTCP, func(c *Check) *CheckType { return &c.Type }),
	key("interval", period, 3*time.Second, func(c *Check) *time.Duration { return &c.Interval }),
	key("fast_interval", period, time.Second, func(c *Check) *time.Duration { return &c.FastInterval }),
	key("timeout", period, 3*time.Second, func(c *Check) *time.Duration { return &c.Timeout }),
	key("rise", integer(1, 1000), 2, func(c *Check) *int { return &c.Rise }),
	key("fall", integer(1, 1000), 2, func(c *Check) *int { return &c.Fall }),
	key("path", checkPath, "/health", func(c *Check) *string { return &c.Path }),
	key("expect", expectedStatuses, Statuses{{200, 200}}, func(c *Check) *Statuses { return &c.Expect }),
	key("expect_body", expectedBody, "", func(c *Check) *string { return &c.ExpectBody }),
	key("host", checkHost, "", func(c *Check) *string { return &c.Host }),
	key("method", checkMethod, "GET", func(c *Check) *string { return &c.Method }),
	key("headers", checkHeaders, nil, func(c *Check) *[]Header { return &c.Headers }),
	key("port", integer(0, 65535), 0, func(c *Check) *int { return &c.Port }),
	key("drain_on", statusList, nil, func(c *Check) *Statuses { return &c.DrainOn }),
	key("send_proxy", boolean, true, func(c *Check) *bool { return &c.SendProxy }),
	key("observe", boolean, true, func(c *Check) *bool { return &c.Observe }),
}}

var serverSection = section[Server]{"[[backend.NAME.server]]", []field[Server]{
	required("name", serverName, `"node1"`, func(s *Server) *string { return &s.Name }),
	key("tcp", serverAddress, "", func(s *Server) *string { return &s.TCP }),
	key("http", serverAddress, "", func(s *Server) *string { return &s.HTTP }),
	key("ws", serverAddress, "", func(s *Server) *string { return &s.WS }),
	key("sse", serverAddress, "", func(s *Server) *string { return &s.SSE }),
	key("maxconn", count, 25_000, func(s *Server) *int { return &s.MaxConn }),
	key("weight", integer(0, 1000), 100, func(s *Server) *int { return &s.Weight }),
	key("family", oneOf(FamilyAny, FamilyIPv4, FamilyIPv6), FamilyAny, func(s *Server) *Family { return &s.Family }),
	key("backup", boolean, false, func(s *Server) *bool { return &s.Backup }),
	key("disabled", boolean, false, func(s *Server) *bool { return &s.Disabled }),
}}

// titled is a section of any type, for messages that name it.
type titled interface {
	title() string
	keys() []string
	has(key string) bool
	reference() []Key
}

// allSections lists every section, to find where a misplaced key belongs.
var allSections = []titled{
	&globalSection, &adminSection, &resolverSection, &fleetSection, &rateLimitSection,
	&frontendSection, &corsSection, &stickySection, &routeSection, &respondSection, &redirectSection, &limitSection, &tlsSection, &certificateSection,
	&backendSection, &serverTLSSection, &checkSection, &discoverSection, &portsSection, &kubernetesSection, &namedPortsSection, &serverSection,
}

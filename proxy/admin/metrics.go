package admin

import "time"

// Labels. Their values come from the configuration and from fixed sets.
var (
	byLoop     = []string{"loop"}
	byFrontend = []string{"frontend"}
	byBackend  = []string{"backend"}
	byServer   = []string{"backend", "server"}
)

var buildInfo = describe("build_info", "Always 1; the labels identify the build.", "version", "go_version")

var processMetrics = []metric[Process]{
	gauge("start_time_seconds", "When the balancer started, in seconds since the epoch.", nil,
		func(p *Process) float64 { return unixSeconds(p.StartTime) }),
	gauge("loops", "Event loops.", nil,
		func(p *Process) float64 { return float64(p.Threads) }),
	gauge("current_connections", "Client connections now.", nil,
		func(p *Process) float64 { return float64(p.Connections.Current) }),
	gauge("peak_connections", "Peak of the client connections.", nil,
		func(p *Process) float64 { return float64(p.Connections.Peak) }),
	gauge("max_connections", "Limit on client connections (maxconn); 0 means no limit.", nil,
		func(p *Process) float64 { return float64(p.Connections.Limit) }),
	counter("connections_total", "Client connections accepted.", nil,
		func(p *Process) uint64 { return p.Connections.Total }),
	gauge("draining", "1 while the balancer accepts no new clients because it will end.", nil,
		func(p *Process) float64 { return number(p.Draining) }),
	gauge("accept_paused", "1 while new clients have to wait because maxconn is reached or no file descriptor is free.", nil,
		func(p *Process) float64 { return number(p.AcceptPaused) }),
	counter("accept_failures_total", "Failed accepts, usually because no file descriptor was free.", nil,
		func(p *Process) uint64 { return p.AcceptFailures }),
	counter("log_dropped_total", "Lines of mcplb's own log that were lost because it was not read or writing failed.", nil,
		func(p *Process) uint64 { return p.LogDropped }),
	gauge("config_last_reload_successful", "1 if the configuration last read is in force, 0 if it was rejected.", nil,
		func(p *Process) float64 { return number(p.Reload.Success) }),
	gauge("config_last_reload_timestamp_seconds", "When the configuration was last read, in seconds since the epoch.", nil,
		func(p *Process) float64 { return unixSeconds(p.Reload.Time) }),
}

var leavingMetrics = []metric[Leaving]{
	gauge("leaving_frontend_connections", "Clients of frontends that a reload removed.", nil, func(l *Leaving) float64 {
		var sum int64
		for _, f := range l.Frontends {
			sum += f.Connections
		}
		return float64(sum)
	}),
	gauge("leaving_server_connections", "Connections to servers that a reload removed.", nil, func(l *Leaving) float64 {
		var sum int64
		for _, s := range l.Servers {
			sum += s.Connections
		}
		return float64(sum)
	}),
}

var accessLogMetrics = []metric[AccessLog]{
	counter("access_log_lines_total", "Lines written to the access log.", nil,
		func(a *AccessLog) uint64 { return a.Lines }),
	counter("access_log_dropped_total", "Lines of the access log that were lost because writing was too slow or failed.", nil,
		func(a *AccessLog) uint64 { return a.Dropped }),
	gauge("access_log_failing", "1 while the access log cannot be written.", nil,
		func(a *AccessLog) float64 { return number(a.Error != "") }),
}

var loopMetrics = []metric[Loop]{
	gauge("loop_current_connections", "Connections of clients and servers on the event loop now.", byLoop,
		func(l *Loop) float64 { return float64(l.Connections) }),
	counter("loop_turns_total", "Wake-ups of the event loop.", byLoop,
		func(l *Loop) uint64 { return l.Turns }),
	gauge("loop_longest_turn_seconds", "Longest time that the event loop took to process the events of one wake-up.", byLoop,
		func(l *Loop) float64 { return l.LongestTurnSeconds }),
}

var frontendMetrics = []metric[Frontend]{
	state("frontend_state", "1 for the present state of the frontend.", byFrontend,
		func(f *Frontend) map[string]uint64 {
			return oneOf(f.State, FrontendOpen, FrontendPaused, FrontendDraining)
		}),
	gauge("frontend_current_connections", "Client connections now.", byFrontend,
		func(f *Frontend) float64 { return float64(f.Connections.Current) }),
	gauge("frontend_peak_connections", "Peak of the client connections.", byFrontend,
		func(f *Frontend) float64 { return float64(f.Connections.Peak) }),
	counter("frontend_connections_total", "Client connections accepted, including refused ones.", byFrontend,
		func(f *Frontend) uint64 { return f.Connections.Total }),
	counter("frontend_bytes_in_total", "Bytes from clients.", byFrontend,
		func(f *Frontend) uint64 { return f.BytesIn }),
	counter("frontend_bytes_out_total", "Bytes to clients.", byFrontend,
		func(f *Frontend) uint64 { return f.BytesOut }),
	counter("frontend_messages_in_total", "JSON-RPC messages from clients.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesIn }),
	counter("frontend_messages_out_total", "JSON-RPC messages to clients, except spliced ones.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesOut }),
	counter("frontend_messages_delayed_total", "Times that the message rate paused a client.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesDelayed }),
	counter("frontend_messages_rejected_total", "Messages answered with an error because of the message rate.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesRejected }),
	reasons("frontend_refused_total", "Clients refused before they got a server.", byFrontend,
		func(f *Frontend) map[string]uint64 { return f.Refused }),
	reasons("frontend_sessions_ended_total", "Sessions of clients that got a server, by the reason of their end.", byFrontend,
		func(f *Frontend) map[string]uint64 { return f.SessionsEnded }),
	counters("frontend_sni_route_connections_total", "Clients by the route that the name they ask for (SNI) took, in mode tcp; \"default\" are those that took none.", byFrontend, "route",
		func(f *Frontend) map[string]uint64 { return f.SNIRoutes }),
}

var (
	frontendConnect = describe("frontend_connect_duration_seconds", "Time to connect to a server.", byFrontend...)
	frontendQueue   = describe("frontend_queue_duration_seconds", "Time that clients waited for a slot, if they had to.", byFrontend...)
)

// httpMetrics are the metrics of a frontend in mode http.
var httpMetrics = []metric[HTTP]{
	counter("frontend_http_requests_total", "Requests whose head was complete.", byFrontend,
		func(h *HTTP) uint64 { return h.Requests }),
	counters("frontend_http_responses_total", "Responses by status class, including those that the balancer generated.", byFrontend, "class",
		func(h *HTTP) map[string]uint64 { return h.Responses }),
	reasons("frontend_http_own_responses_total", "Responses that the balancer generated.", byFrontend,
		func(h *HTTP) map[string]uint64 { return h.OwnResponses }),
	reasons("frontend_http_malformed_requests_total", "Requests refused as malformed, by what is wrong.", byFrontend,
		func(h *HTTP) map[string]uint64 { return h.Malformed }),
	counter("frontend_http_compressed_responses_total", "Responses that were compressed.", byFrontend,
		func(h *HTTP) uint64 { return h.Compressed }),
	counter("frontend_websockets_total", "Connections that became WebSockets.", byFrontend,
		func(h *HTTP) uint64 { return h.Tunnels }),
	counter("frontend_websocket_bad_frames_total", "WebSockets that ended because the client sent a malformed frame.", byFrontend,
		func(h *HTTP) uint64 { return h.BadFrames }),
	counter("frontend_http2_connections_total", "Connections of HTTP/2.", byFrontend,
		func(h *HTTP) uint64 { return h.HTTP2Connections }),
	counter("frontend_http2_streams_total", "Streams of HTTP/2, each a request.", byFrontend,
		func(h *HTTP) uint64 { return h.HTTP2Streams }),
	gauge("frontend_http2_open_streams", "Streams of HTTP/2 that are open.", byFrontend,
		func(h *HTTP) float64 { return float64(h.HTTP2Current) }),
	reasons("frontend_http2_refused_total", "Requests and connections of HTTP/2 refused as malformed, or as too many, by what is wrong.", byFrontend,
		func(h *HTTP) map[string]uint64 { return h.HTTP2Refused }),
	counters("frontend_mcp_requests_total", "JSON-RPC requests by MCP era.", byFrontend, "era",
		func(h *HTTP) map[string]uint64 { return h.Eras }),
	counters("frontend_mcp_method_requests_total", "Requests with Mcp-Method, by its value.", byFrontend, "method",
		func(h *HTTP) map[string]uint64 { return h.Methods }),
	counter("frontend_mcp_session_requests_total", "Requests with an MCP session.", byFrontend,
		func(h *HTTP) uint64 { return h.SessionRequests }),
	counter("frontend_mcp_sessions_opened_total", "MCP sessions that servers opened.", byFrontend,
		func(h *HTTP) uint64 { return h.SessionsOpened }),
	counter("frontend_mcp_task_requests_total", "Requests for MCP tasks, by the tag of their server.", byFrontend,
		func(h *HTTP) uint64 { return h.TaskRequests }),
	counter("frontend_mcp_tasks_opened_total", "MCP tasks that servers created.", byFrontend,
		func(h *HTTP) uint64 { return h.TasksOpened }),
	counters("frontend_route_requests_total", "Requests by route; \"default\" are those that took none.", byFrontend, "route",
		func(h *HTTP) map[string]uint64 { return h.Routes }),
}

// toolMetrics are the metrics of a tool that clients of a frontend call.
var toolMetrics = []metric[Tool]{
	counter("frontend_mcp_tool_requests_total", "Calls of the tool. Those of clients without Mcp-Name count where a route reads the body, since that holds a request up.", byTool,
		func(t *Tool) uint64 { return t.Requests }),
	counter("frontend_mcp_tool_errors_total", "Calls of the tool that were answered with a status of 400 or more, or cut.", byTool,
		func(t *Tool) uint64 { return t.Errors }),
}

// limitMetrics are the metrics of a limit of a route.
var limitMetrics = []metric[RouteLimit]{
	counter("frontend_limit_refused_total", "Requests that a limit of a route refused.", byLimit,
		func(l *RouteLimit) uint64 { return l.Refused }),
	counter("frontend_limit_delayed_total", "Requests that waited because of a limit of a route.", byLimit,
		func(l *RouteLimit) uint64 { return l.Delayed }),
}

var (
	byTool  = []string{"frontend", "tool"}
	byLimit = []string{"frontend", "route", "key"}

	toolDuration = describe("frontend_mcp_tool_duration_seconds", "Time from the head of a request that calls the tool to the end of the response.", byTool...)
)

// tlsMetrics are the metrics of a frontend with TLS.
var tlsMetrics = []metric[TLS]{
	counters("frontend_tls_handshakes_total", "Completed TLS handshakes: full, or resumed with a ticket.", byFrontend, "kind",
		func(t *TLS) map[string]uint64 { return t.Handshakes }),
	counters("frontend_tls_versions_total", "Completed TLS handshakes, by version.", byFrontend, "version",
		func(t *TLS) map[string]uint64 { return t.Versions }),
	reasons("frontend_tls_failed_handshakes_total", "TLS handshakes that failed.", byFrontend,
		func(t *TLS) map[string]uint64 { return t.Failed }),
}

// handshakeMetrics are the metrics of a server that speaks TLS.
var handshakeMetrics = []metric[ServerHandshakes]{
	counters("server_tls_handshakes_total", "Completed TLS handshakes with the server, without those of checks: full, or resumed from an earlier session.", byServer, "kind",
		func(h *ServerHandshakes) map[string]uint64 { return h.Handshakes }),
	reasons("server_tls_failed_handshakes_total", "TLS handshakes with the server that failed, without those of checks and those that timeout_connect ended.", byServer,
		func(h *ServerHandshakes) map[string]uint64 { return h.Failed }),
}

// certificateExpiry is meant for alerts.
var certificateExpiry = describe("frontend_certificate_expiry_timestamp_seconds", "When the certificate expires, in seconds since the epoch.", "frontend", "file")

// revocationListDue is meant for alerts.
var revocationListDue = describe("frontend_revocation_list_next_update_timestamp_seconds", "When the list of revoked certificates of clients must have been replaced, in seconds since the epoch; absent if it does not say.", "frontend", "file", "issuer")

var (
	serverConnect  = describe("server_connect_duration_seconds", "Time of successful connects to the server.", byServer...)
	serverResponse = describe("server_response_duration_seconds", "Time from the forwarded request to the head of the server's response (mode http).", byServer...)
)

var backendMetrics = []metric[Backend]{
	gauge("backend_servers", "Servers of the backend.", byBackend,
		func(b *Backend) float64 { return float64(b.ServersTotal) }),
	gauge("backend_usable_servers", "Servers that get new clients.", byBackend,
		func(b *Backend) float64 { return float64(b.ServersUsable) }),
	gauge("backend_current_queue", "Clients that wait for a slot now.", byBackend,
		func(b *Backend) float64 { return float64(b.QueueCurrent) }),
	gauge("backend_peak_queue", "Peak of the clients that wait for a slot.", byBackend,
		func(b *Backend) float64 { return float64(b.QueuePeak) }),
	gauge("backend_sticky_sources", "Sources whose server is remembered.", byBackend,
		func(b *Backend) float64 { return float64(b.StickySources) }),
	counter("backend_retries_total", "Further attempts to connect to the same server.", byBackend,
		func(b *Backend) uint64 { return b.Retries }),
	counter("backend_redispatches_total", "Clients sent to another server after a failed connect.", byBackend,
		func(b *Backend) uint64 { return b.Redispatches }),
}

// discoveryMetrics are those of a backend whose servers are found.
var discoveryMetrics = []metric[Discovery]{
	gauge("discovery_servers", "Servers that were found for the backend.", byBackend,
		func(d *Discovery) float64 { return float64(d.Servers) }),
	gauge("discovery_left_servers", "Servers that were found beyond discover.most, and are not used.", byBackend,
		func(d *Discovery) float64 { return float64(d.Left) }),
	gauge("discovery_up", "1 if the source of servers can say which there are.", byBackend,
		func(d *Discovery) float64 { return number(d.Error == "") }),
	gauge("discovery_last_answer_timestamp_seconds", "When the source of servers last said which there are; 0 = never.", byBackend,
		func(d *Discovery) float64 { return unixSeconds(d.Answered) }),
	counter("discovery_updates_total", "Changes of the servers that were found.", byBackend,
		func(d *Discovery) uint64 { return d.Updates }),
	counter("discovery_errors_total", "Failures of the source of servers.", byBackend,
		func(d *Discovery) uint64 { return d.Errors }),
}

var serverMetrics = []metric[Server]{
	state("server_health", "1 for the server's state according to its checks.", byServer,
		func(s *Server) map[string]uint64 { return oneOf(s.State, ServerUp, ServerDown, ServerUnchecked) }),
	state("server_admin", "1 for the admin state that the operator has set.", byServer,
		func(s *Server) map[string]uint64 { return oneOf(s.Admin, AdminReady, AdminDrain, AdminMaint) }),
	gauge("server_withdrawn", "1 if what has found the server wants no new clients there.", byServer,
		func(s *Server) float64 { return number(s.Withdrawn) }),
	gauge("server_drain_request", "1 while the server asks to be drained by the answer to its check (drain_on).", byServer,
		func(s *Server) float64 { return number(s.DrainRequest != "") }),
	gauge("server_usable", "1 if the server gets new clients.", byServer,
		func(s *Server) float64 { return number(s.Usable) }),
	gauge("server_suspect", "1 while a check of the server is overdue.", byServer,
		func(s *Server) float64 { return number(s.Suspect) }),
	gauge("server_state_change_timestamp_seconds", "When the server's state or admin state last changed, in seconds since the epoch.", byServer,
		func(s *Server) float64 { return unixSeconds(s.Changed()) }),
	gauge("server_backup", "1 if the server gets new clients only while no other is usable.", byServer,
		func(s *Server) float64 { return number(s.Backup) }),
	gauge("server_weight", "Weight as configured or set by a command.", byServer,
		func(s *Server) float64 { return float64(s.Weight) }),
	gauge("server_effective_weight", "Weight in force, lower during slow start.", byServer,
		func(s *Server) float64 { return s.EffectiveWeight }),
	gauge("server_current_connections", "Connections to the server now.", byServer,
		func(s *Server) float64 { return float64(s.Connections.Current) }),
	gauge("server_peak_connections", "Peak of the connections to the server.", byServer,
		func(s *Server) float64 { return float64(s.Connections.Peak) }),
	gauge("server_max_connections", "Limit on connections to the server (maxconn); 0 means no limit.", byServer,
		func(s *Server) float64 { return float64(s.Connections.Limit) }),
	counter("server_connections_total", "Connections established to the server.", byServer,
		func(s *Server) uint64 { return s.Connections.Total }),
	gauge("server_share_ratio", "The server's share of the backend's connections now.", byServer,
		func(s *Server) float64 { return s.Share }),
	gauge("server_fair_share_ratio", "The server's share of the usable servers' effective weight.", byServer,
		func(s *Server) float64 { return s.FairShare }),
	counter("server_bytes_in_total", "Bytes from clients, sent to the server.", byServer,
		func(s *Server) uint64 { return s.BytesIn }),
	counter("server_bytes_out_total", "Bytes from the server, sent to clients.", byServer,
		func(s *Server) uint64 { return s.BytesOut }),
	counter("server_messages_in_total", "JSON-RPC messages from clients.", byServer,
		func(s *Server) uint64 { return s.MessagesIn }),
	counter("server_messages_out_total", "JSON-RPC messages from the server, except spliced ones.", byServer,
		func(s *Server) uint64 { return s.MessagesOut }),
	reasons("server_errors_total", "Errors of connections to the server.", byServer,
		func(s *Server) map[string]uint64 { return s.Errors }),
	counter("server_retries_total", "Further attempts to connect to the server after a failed one.", byServer,
		func(s *Server) uint64 { return s.Retries }),
	counter("server_redispatches_total", "Clients sent to another server after a failed connect to this one.", byServer,
		func(s *Server) uint64 { return s.Redispatches }),
	counters("server_http_responses_total", "The server's responses by status class.", byServer, "class",
		func(s *Server) map[string]uint64 { return s.Responses }),
	gauge("server_queued", "Clients that wait for a slot of this server and no other.", byServer,
		func(s *Server) float64 { return float64(s.Queued) }),
	gauge("server_streams", "Event streams that are open.", byServer,
		func(s *Server) float64 { return float64(s.Streams) }),
	gauge("server_tunnels", "WebSockets that are open.", byServer,
		func(s *Server) float64 { return float64(s.Tunnels) }),
	gauge("server_sessions", "MCP sessions used within session_seen and not deleted; an estimate for thousands.", byServer,
		func(s *Server) float64 { return float64(s.Sessions) }),
	gauge("server_drained", "1 while the server drains and has neither connections nor sessions.", byServer,
		func(s *Server) float64 { return number(!s.Emptied.IsZero()) }),
	gauge("server_idle_connections", "Idle connections to the server.", byServer,
		func(s *Server) float64 { return float64(s.Idle) }),
	counter("server_checks_total", "Health checks of the server.", byServer,
		func(s *Server) uint64 { return s.Check.Checks }),
	counter("server_check_failures_total", "Failed health checks of the server.", byServer,
		func(s *Server) uint64 { return s.Check.Failures }),
	counter("server_observed_failures_total", "Failures of client connections to the server.", byServer,
		func(s *Server) uint64 { return s.Check.Observed }),
	gauge("server_check_duration_seconds", "Duration of the server's last health check.", byServer,
		func(s *Server) float64 { return s.Check.LatencySeconds }),
}

var rateLimitMetrics = []metric[RateLimit]{
	gauge("ratelimit_sources", "Sources remembered.", nil,
		func(r *RateLimit) float64 { return float64(r.SourcesRemembered) }),
	gauge("ratelimit_max_sources", "Limit on sources remembered (table_size).", nil,
		func(r *RateLimit) float64 { return float64(r.TableSize) }),
	counter("ratelimit_sources_forgotten_total", "Sources forgotten because the table was full.", nil,
		func(r *RateLimit) uint64 { return r.SourcesForgotten }),
	gauge("ratelimit_throttled_sources", "Sources that a limit delayed or refused within the last minute, up to 16; all together, by a global rate, count as one.", nil,
		func(r *RateLimit) float64 { return float64(len(r.Throttled)) }),
	gauge("ratelimit_bans", "Bans in force.", nil,
		func(r *RateLimit) float64 { return float64(r.BansActive) }),
	counter("ratelimit_bans_imposed_total", "Bans imposed.", nil,
		func(r *RateLimit) uint64 { return r.BansImposed }),
	reasons("ratelimit_refused_total", "Connections and messages over a limit.", nil,
		func(r *RateLimit) map[string]uint64 { return r.Refused }),
}

// oneOf returns 1 for the present state and 0 for the others.
func oneOf[S ~string](present S, states ...S) map[string]uint64 {
	m := make(map[string]uint64, len(states))
	for _, s := range states {
		m[string(s)] = 0
		if s == present {
			m[string(s)] = 1
		}
	}
	return m
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// unixSeconds returns t in seconds since the epoch, or 0 for the zero time.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

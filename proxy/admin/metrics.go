package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// newMetricsHandler returns the handler of /metrics, with a registry of its
// own. It does not compress: the processor's time is for clients.
func newMetricsHandler(source Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{source},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
}

// collector renders one Snapshot for each scrape. It implements
// prometheus.Collector and keeps nothing.
type collector struct{ source Source }

// metric is one number of a T, or one for each of several label values.
type metric[T any] struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  func(*T) float64
	each   func(*T) map[string]uint64 // instead of value
	eachBy string                     // the label that tells the values of each apart
}

func gauge[T any](name, help string, labels []string, value func(*T) float64) metric[T] {
	return metric[T]{desc: describe(name, help, labels...), kind: prometheus.GaugeValue, value: value}
}

func counter[T any](name, help string, labels []string, value func(*T) uint64) metric[T] {
	return metric[T]{desc: describe(name, help, labels...), kind: prometheus.CounterValue,
		value: func(of *T) float64 { return float64(value(of)) }}
}

// reasons is a counter for each reason.
func reasons[T any](name, help string, labels []string, each func(*T) map[string]uint64) metric[T] {
	return counters(name, help, labels, "reason", each)
}

// counters is a counter for each value of a label.
func counters[T any](name, help string, labels []string, by string, each func(*T) map[string]uint64) metric[T] {
	return metric[T]{desc: describe(name, help, slices.Concat(labels, []string{by})...),
		kind: prometheus.CounterValue, each: each, eachBy: by}
}

// state is a gauge for each of several states: 1 for the one that holds.
func state[T any](name, help string, labels []string, each func(*T) map[string]uint64) metric[T] {
	return metric[T]{desc: describe(name, help, slices.Concat(labels, []string{"state"})...),
		kind: prometheus.GaugeValue, each: each, eachBy: "state"}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mcplb_"+name, help, labels, nil)
}

// send sends what the metric says of one thing, which labels tell apart.
func (m metric[T]) send(out chan<- prometheus.Metric, of *T, labels []*dto.LabelPair) {
	if m.each == nil {
		out <- &sample{m.desc, m.kind, m.value(of), labels}
		return
	}
	for key, n := range m.each(of) {
		out <- &sample{m.desc, m.kind, float64(n), pairs(labels, m.eachBy, key)}
	}
}

// sample is one line of a scrape. It implements prometheus.Metric as
// prometheus.NewConstMetric does, but shares its labels with the other samples
// of the same thing: that is half of what a scrape costs.
type sample struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  float64
	labels []*dto.LabelPair // sorted by name, never changed
}

// Desc implements prometheus.Metric.
func (s *sample) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s *sample) Write(out *dto.Metric) error {
	out.Label = s.labels
	if s.kind == prometheus.CounterValue {
		out.Counter = &dto.Counter{Value: &s.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

// timing is the scrape's form of a Timing: a summary without quantiles. It
// implements prometheus.Metric.
type timing struct {
	desc *prometheus.Desc
	Timing
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (t *timing) Desc() *prometheus.Desc { return t.desc }

// Write implements prometheus.Metric.
func (t *timing) Write(out *dto.Metric) error {
	out.Label = t.labels
	out.Summary = &dto.Summary{SampleCount: &t.Count, SampleSum: &t.SumSeconds}
	return nil
}

// histogram is the scrape's form of a Latency, with every bound of it, or every
// second: each is a line of the scrape. It implements prometheus.Metric.
type histogram struct {
	desc *prometheus.Desc
	*Latency
	step   int // 1, 2
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write implements prometheus.Metric.
func (h *histogram) Write(out *dto.Metric) error {
	out.Label = h.labels
	buckets := make([]dto.Bucket, len(h.Below))
	list := make([]*dto.Bucket, 0, len(h.Below))
	for i := 0; i < len(h.Below); i += h.step {
		buckets[i] = dto.Bucket{UpperBound: &LatencyBounds[i], CumulativeCount: &h.Below[i]}
		list = append(list, &buckets[i])
	}
	out.Histogram = &dto.Histogram{SampleCount: &h.Count, SampleSum: &h.SumSeconds, Bucket: list}
	return nil
}

// pairs returns more labels than these: name, value, name, value and so on.
func pairs(labels []*dto.LabelPair, more ...string) []*dto.LabelPair {
	labels = slices.Clone(labels)
	for i := 0; i < len(more); i += 2 {
		labels = append(labels, &dto.LabelPair{Name: &more[i], Value: &more[i+1]})
	}
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(*a.Name, *b.Name) })
	return labels
}

// The labels. Their values come from the configuration and from fixed sets.
var (
	byLoop     = []string{"loop"}
	byFrontend = []string{"frontend"}
	byBackend  = []string{"backend"}
	byServer   = []string{"backend", "server"}
)

var buildInfo = describe("build_info", "Always 1; the labels tell what is running.", "version", "go_version")

var processMetrics = []metric[Process]{
	gauge("start_time_seconds", "When the balancer started, in seconds since the epoch.", nil,
		func(p *Process) float64 { return unixSeconds(p.StartTime) }),
	gauge("loops", "Event loops.", nil,
		func(p *Process) float64 { return float64(p.Threads) }),
	gauge("current_connections", "Client connections now.", nil,
		func(p *Process) float64 { return float64(p.Connections.Current) }),
	gauge("peak_connections", "The most client connections there have been at once.", nil,
		func(p *Process) float64 { return float64(p.Connections.Peak) }),
	gauge("max_connections", "The limit on client connections (maxconn); 0 means none.", nil,
		func(p *Process) float64 { return float64(p.Connections.Limit) }),
	counter("connections_total", "Client connections accepted.", nil,
		func(p *Process) uint64 { return p.Connections.Total }),
	gauge("draining", "1 while the balancer takes no new clients because it is about to end.", nil,
		func(p *Process) float64 { return number(p.Draining) }),
	gauge("accept_paused", "1 while new clients have to wait, for maxconn or for want of open files.", nil,
		func(p *Process) float64 { return number(p.AcceptPaused) }),
	counter("accept_failures_total", "Accepts that failed, as a rule for want of open files.", nil,
		func(p *Process) uint64 { return p.AcceptFailures }),
	gauge("config_last_reload_successful", "1 if the configuration last read is in force, 0 if it was refused.", nil,
		func(p *Process) float64 { return number(p.Reload.Success) }),
	gauge("config_last_reload_timestamp_seconds", "When the configuration was last read, in seconds since the epoch.", nil,
		func(p *Process) float64 { return unixSeconds(p.Reload.Time) }),
}

var leavingMetrics = []metric[Leaving]{
	gauge("leaving_frontend_connections", "Clients of frontends that a reload took away.", nil, func(l *Leaving) float64 {
		var sum int64
		for _, f := range l.Frontends {
			sum += f.Connections
		}
		return float64(sum)
	}),
	gauge("leaving_server_connections", "Connections to servers that a reload took away.", nil, func(l *Leaving) float64 {
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
	counter("access_log_dropped_total", "Lines of the access log that were lost, because writing fell behind or failed.", nil,
		func(a *AccessLog) uint64 { return a.Dropped }),
	gauge("access_log_failing", "1 while the access log cannot be written.", nil,
		func(a *AccessLog) float64 { return number(a.Error != "") }),
}

var loopMetrics = []metric[Loop]{
	gauge("loop_current_connections", "Connections of clients and servers that the event loop carries now.", byLoop,
		func(l *Loop) float64 { return float64(l.Connections) }),
	counter("loop_turns_total", "Times that the event loop woke up to work.", byLoop,
		func(l *Loop) uint64 { return l.Turns }),
	gauge("loop_longest_turn_seconds", "The longest that the event loop ever worked without a look at what came.", byLoop,
		func(l *Loop) float64 { return l.LongestTurnSeconds }),
}

var frontendMetrics = []metric[Frontend]{
	state("frontend_state", "1 for the state that the frontend is in.", byFrontend,
		func(f *Frontend) map[string]uint64 {
			return oneOf(f.State, FrontendOpen, FrontendPaused, FrontendDraining)
		}),
	gauge("frontend_current_connections", "Client connections now.", byFrontend,
		func(f *Frontend) float64 { return float64(f.Connections.Current) }),
	gauge("frontend_peak_connections", "The most client connections there have been at once.", byFrontend,
		func(f *Frontend) float64 { return float64(f.Connections.Peak) }),
	counter("frontend_connections_total", "Client connections accepted, those refused included.", byFrontend,
		func(f *Frontend) uint64 { return f.Connections.Total }),
	counter("frontend_bytes_in_total", "Bytes from clients.", byFrontend,
		func(f *Frontend) uint64 { return f.BytesIn }),
	counter("frontend_bytes_out_total", "Bytes to clients.", byFrontend,
		func(f *Frontend) uint64 { return f.BytesOut }),
	counter("frontend_messages_in_total", "JSON-RPC messages from clients.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesIn }),
	counter("frontend_messages_out_total", "JSON-RPC messages to clients, but for those spliced.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesOut }),
	counter("frontend_messages_delayed_total", "Times that the message rate made a client wait.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesDelayed }),
	counter("frontend_messages_rejected_total", "Messages answered by an error for the message rate.", byFrontend,
		func(f *Frontend) uint64 { return f.MessagesRejected }),
	reasons("frontend_refused_total", "Clients turned away before a server had them.", byFrontend,
		func(f *Frontend) map[string]uint64 { return f.Refused }),
	reasons("frontend_sessions_ended_total", "Clients that had a server, by what ended it.", byFrontend,
		func(f *Frontend) map[string]uint64 { return f.SessionsEnded }),
}

var (
	frontendConnect = describe("frontend_connect_duration_seconds", "How long connecting to a server took.", byFrontend...)
	frontendQueue   = describe("frontend_queue_duration_seconds", "How long clients waited for a slot, where they had to.", byFrontend...)
)

// httpMetrics are those of a frontend of mode http.
var httpMetrics = []metric[HTTP]{
	counter("frontend_http_requests_total", "Requests whose head was read whole.", byFrontend,
		func(h *HTTP) uint64 { return h.Requests }),
	counters("frontend_http_responses_total", "Answers by the class of their status, the balancer's own among them.", byFrontend, "class",
		func(h *HTTP) map[string]uint64 { return h.Responses }),
	reasons("frontend_http_own_responses_total", "Answers of the balancer's own.", byFrontend,
		func(h *HTTP) map[string]uint64 { return h.OwnResponses }),
	reasons("frontend_http_malformed_requests_total", "Requests refused as malformed, by what is wrong.", byFrontend,
		func(h *HTTP) map[string]uint64 { return h.Malformed }),
	counter("frontend_http_compressed_responses_total", "Answers that were compressed.", byFrontend,
		func(h *HTTP) uint64 { return h.Compressed }),
	counter("frontend_websockets_total", "Connections that became WebSockets.", byFrontend,
		func(h *HTTP) uint64 { return h.Tunnels }),
	counter("frontend_websocket_bad_frames_total", "WebSockets that ended for a malformed frame of the client's.", byFrontend,
		func(h *HTTP) uint64 { return h.BadFrames }),
	counters("frontend_mcp_requests_total", "JSON-RPC requests by the era of MCP that they belong to.", byFrontend, "era",
		func(h *HTTP) map[string]uint64 { return h.Eras }),
	counters("frontend_mcp_method_requests_total", "Requests by Mcp-Method, where they have one.", byFrontend, "method",
		func(h *HTTP) map[string]uint64 { return h.Methods }),
	counter("frontend_mcp_session_requests_total", "Requests that bore an MCP session.", byFrontend,
		func(h *HTTP) uint64 { return h.SessionRequests }),
	counter("frontend_mcp_sessions_opened_total", "MCP sessions that servers opened.", byFrontend,
		func(h *HTTP) uint64 { return h.SessionsOpened }),
}

var (
	serverConnect  = describe("server_connect_duration_seconds", "How long connecting to the server took, where it succeeded.", byServer...)
	serverResponse = describe("server_response_duration_seconds", "From the request forwarded to the head of the server's answer (mode http).", byServer...)
)

var backendMetrics = []metric[Backend]{
	gauge("backend_servers", "Servers of the backend.", byBackend,
		func(b *Backend) float64 { return float64(b.ServersTotal) }),
	gauge("backend_usable_servers", "Servers that take new clients.", byBackend,
		func(b *Backend) float64 { return float64(b.ServersUsable) }),
	gauge("backend_current_queue", "Clients that wait for a slot now.", byBackend,
		func(b *Backend) float64 { return float64(b.QueueCurrent) }),
	gauge("backend_peak_queue", "The most clients that have waited at once.", byBackend,
		func(b *Backend) float64 { return float64(b.QueuePeak) }),
	gauge("backend_sticky_sources", "Sources whose server is remembered.", byBackend,
		func(b *Backend) float64 { return float64(b.StickySources) }),
	counter("backend_retries_total", "Further attempts to connect to the same server.", byBackend,
		func(b *Backend) uint64 { return b.Retries }),
	counter("backend_redispatches_total", "Clients sent to another server after a failed attempt.", byBackend,
		func(b *Backend) uint64 { return b.Redispatches }),
}

var serverMetrics = []metric[Server]{
	state("server_health", "1 for what the checks say of the server.", byServer,
		func(s *Server) map[string]uint64 { return oneOf(s.State, ServerUp, ServerDown, ServerUnchecked) }),
	state("server_admin", "1 for what the operator says of the server.", byServer,
		func(s *Server) map[string]uint64 { return oneOf(s.Admin, AdminReady, AdminDrain, AdminMaint) }),
	gauge("server_usable", "1 if the server takes new clients.", byServer,
		func(s *Server) float64 { return number(s.Usable) }),
	gauge("server_suspect", "1 while a check of the server is overdue.", byServer,
		func(s *Server) float64 { return number(s.Suspect) }),
	gauge("server_state_change_timestamp_seconds", "When the server came into its state, in seconds since the epoch.", byServer,
		func(s *Server) float64 { return unixSeconds(s.Since) }),
	gauge("server_weight", "Weight as configured or set.", byServer,
		func(s *Server) float64 { return float64(s.Weight) }),
	gauge("server_effective_weight", "Weight in force, less while slow start holds the server back.", byServer,
		func(s *Server) float64 { return s.EffectiveWeight }),
	gauge("server_current_connections", "Connections to the server now.", byServer,
		func(s *Server) float64 { return float64(s.Connections.Current) }),
	gauge("server_peak_connections", "The most connections to the server there have been at once.", byServer,
		func(s *Server) float64 { return float64(s.Connections.Peak) }),
	gauge("server_max_connections", "The limit on connections to the server (maxconn); 0 means none.", byServer,
		func(s *Server) float64 { return float64(s.Connections.Limit) }),
	counter("server_connections_total", "Connections established to the server.", byServer,
		func(s *Server) uint64 { return s.Connections.Total }),
	gauge("server_share_ratio", "The server's part of the backend's connections now.", byServer,
		func(s *Server) float64 { return s.Share }),
	gauge("server_fair_share_ratio", "The part that the server's weight among the usable ones would give it.", byServer,
		func(s *Server) float64 { return s.FairShare }),
	counter("server_bytes_in_total", "Bytes from clients, sent to the server.", byServer,
		func(s *Server) uint64 { return s.BytesIn }),
	counter("server_bytes_out_total", "Bytes from the server, sent to clients.", byServer,
		func(s *Server) uint64 { return s.BytesOut }),
	counter("server_messages_in_total", "JSON-RPC messages from clients.", byServer,
		func(s *Server) uint64 { return s.MessagesIn }),
	counter("server_messages_out_total", "JSON-RPC messages from the server, but for those spliced.", byServer,
		func(s *Server) uint64 { return s.MessagesOut }),
	reasons("server_errors_total", "What went wrong with connections to the server.", byServer,
		func(s *Server) map[string]uint64 { return s.Errors }),
	counter("server_retries_total", "Further attempts on the server after a failed one.", byServer,
		func(s *Server) uint64 { return s.Retries }),
	counter("server_redispatches_total", "Attempts that left the server for another after a failed one.", byServer,
		func(s *Server) uint64 { return s.Redispatches }),
	counters("server_http_responses_total", "The server's answers by the class of their status.", byServer, "class",
		func(s *Server) map[string]uint64 { return s.Responses }),
	gauge("server_idle_connections", "Kept-alive connections to the server that wait to be used.", byServer,
		func(s *Server) float64 { return float64(s.Idle) }),
	counter("server_checks_total", "Health checks of the server.", byServer,
		func(s *Server) uint64 { return s.Check.Checks }),
	counter("server_check_failures_total", "Health checks of the server that failed.", byServer,
		func(s *Server) uint64 { return s.Check.Failures }),
	counter("server_observed_failures_total", "Failures of the server that clients' connections met.", byServer,
		func(s *Server) uint64 { return s.Check.Observed }),
	gauge("server_check_duration_seconds", "How long the last health check of the server took.", byServer,
		func(s *Server) float64 { return s.Check.LatencySeconds }),
}

var rateLimitMetrics = []metric[RateLimit]{
	gauge("ratelimit_sources", "Sources remembered.", nil,
		func(r *RateLimit) float64 { return float64(r.SourcesRemembered) }),
	gauge("ratelimit_max_sources", "The most sources that are remembered (table_size).", nil,
		func(r *RateLimit) float64 { return float64(r.TableSize) }),
	counter("ratelimit_sources_forgotten_total", "Sources forgotten because the table was full.", nil,
		func(r *RateLimit) uint64 { return r.SourcesForgotten }),
	gauge("ratelimit_bans", "Bans in force.", nil,
		func(r *RateLimit) float64 { return float64(r.BansActive) }),
	counter("ratelimit_bans_imposed_total", "Bans imposed.", nil,
		func(r *RateLimit) uint64 { return r.BansImposed }),
	reasons("ratelimit_refused_total", "Connections and messages over a limit.", nil,
		func(r *RateLimit) map[string]uint64 { return r.Refused }),
}

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{buildInfo, frontendConnect, frontendQueue, certificateExpiry, serverConnect, serverResponse} {
		out <- desc
	}
	describeAll(out, processMetrics)
	describeAll(out, leavingMetrics)
	describeAll(out, accessLogMetrics)
	describeAll(out, loopMetrics)
	describeAll(out, frontendMetrics)
	describeAll(out, httpMetrics)
	describeAll(out, tlsMetrics)
	describeAll(out, backendMetrics)
	describeAll(out, serverMetrics)
	describeAll(out, rateLimitMetrics)
}

func describeAll[T any](out chan<- *prometheus.Desc, metrics []metric[T]) {
	for _, m := range metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector. All that it sends is of one Snapshot.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := take(c.source)
	version := pairs(nil, "version", s.Process.Version, "go_version", s.Process.GoVersion)
	out <- &sample{buildInfo, prometheus.GaugeValue, 1, version}
	sendAll(out, processMetrics, &s.Process, nil)
	sendAll(out, leavingMetrics, &s.Leaving, nil)
	if s.Process.AccessLog != nil {
		sendAll(out, accessLogMetrics, s.Process.AccessLog, nil)
	}
	for i := range s.Loops {
		sendAll(out, loopMetrics, &s.Loops[i], pairs(nil, "loop", strconv.Itoa(i)))
	}
	for i := range s.Frontends {
		sendFrontend(out, &s.Frontends[i])
	}
	for i := range s.Backends {
		sendBackend(out, &s.Backends[i])
	}
	sendAll(out, rateLimitMetrics, &s.RateLimit, nil)
}

func sendFrontend(out chan<- prometheus.Metric, f *Frontend) {
	labels := pairs(nil, "frontend", f.Name)
	sendAll(out, frontendMetrics, f, labels)
	out <- &timing{frontendConnect, f.Connect, labels}
	out <- &timing{frontendQueue, f.Queue, labels}
	if f.HTTP != nil {
		sendAll(out, httpMetrics, f.HTTP, labels)
	}
	if f.TLS != nil {
		sendTLS(out, f.TLS, labels)
	}
}

func sendBackend(out chan<- prometheus.Metric, b *Backend) {
	labels := pairs(nil, "backend", b.Name)
	sendAll(out, backendMetrics, b, labels)
	for i := range b.Servers {
		server := &b.Servers[i]
		labels := pairs(labels, "server", server.Name)
		sendAll(out, serverMetrics, server, labels)
		out <- &histogram{serverConnect, &server.Connect, 2, labels}
		if len(server.Responses) > 0 {
			out <- &histogram{serverResponse, &server.Response, 1, labels}
		}
	}
}

func sendAll[T any](out chan<- prometheus.Metric, metrics []metric[T], of *T, labels []*dto.LabelPair) {
	for _, m := range metrics {
		m.send(out, of, labels)
	}
}

// oneOf maps the present state to 1 and the others to 0.
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

// unixSeconds is a time as Prometheus writes it, and 0 where there is none.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// newMetricsHandler returns the handler of /metrics, with a separate registry. It
// does not compress, which saves processor time for clients.
func newMetricsHandler(source Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{source},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
}

// metricsKey tells the formats and selections (name[]) of /metrics apart.
func metricsKey(r *http.Request) string {
	return string(expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)) + " " + r.URL.RawQuery
}

// collector renders one Snapshot per scrape. It implements prometheus.Collector and
// has no state.
type collector struct{ source Source }

// metric is one number of a T, or one number per value of a label.
type metric[T any] struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  func(*T) float64
	each   func(*T) map[string]uint64 // instead of value: by value of a label
	eachBy string                     // name of that label
}

func gauge[T any](name, help string, labels []string, value func(*T) float64) metric[T] {
	return metric[T]{desc: describe(name, help, labels...), kind: prometheus.GaugeValue, value: value}
}

func counter[T any](name, help string, labels []string, value func(*T) uint64) metric[T] {
	return metric[T]{desc: describe(name, help, labels...), kind: prometheus.CounterValue,
		value: func(of *T) float64 { return float64(value(of)) }}
}

// reasons is one counter per reason.
func reasons[T any](name, help string, labels []string, each func(*T) map[string]uint64) metric[T] {
	return counters(name, help, labels, "reason", each)
}

// counters is one counter per value of the label by.
func counters[T any](name, help string, labels []string, by string, each func(*T) map[string]uint64) metric[T] {
	return metric[T]{desc: describe(name, help, slices.Concat(labels, []string{by})...),
		kind: prometheus.CounterValue, each: each, eachBy: by}
}

// state is one gauge per state: 1 for the present one, 0 for the others.
func state[T any](name, help string, labels []string, each func(*T) map[string]uint64) metric[T] {
	return metric[T]{desc: describe(name, help, slices.Concat(labels, []string{"state"})...),
		kind: prometheus.GaugeValue, each: each, eachBy: "state"}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mcplb_"+name, help, labels, nil)
}

// send sends the metric of one T, which labels identify.
func (m metric[T]) send(out chan<- prometheus.Metric, of *T, labels []*dto.LabelPair) {
	if m.each == nil {
		out <- &sample{m.desc, m.kind, m.value(of), labels}
		return
	}
	for key, n := range m.each(of) {
		out <- &sample{m.desc, m.kind, float64(n), pairs(labels, m.eachBy, key)}
	}
}

// sample is one line of a scrape. It implements prometheus.Metric like
// prometheus.NewConstMetric, but shares its labels with the other samples of the
// same frontend or server, which halves the cost of a scrape.
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

// timing shows a Timing as a summary without quantiles. It implements
// prometheus.Metric.
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

// histogram shows a Latency, with all of its bounds or every other one: each bound is
// a line of the scrape. It implements prometheus.Metric.
type histogram struct {
	desc *prometheus.Desc
	*Latency
	step   int // 1 = all bounds, 2 = every other one
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

// pairs returns labels with more labels added: name, value, name, value and so on.
func pairs(labels []*dto.LabelPair, more ...string) []*dto.LabelPair {
	labels = slices.Clone(labels)
	for i := 0; i < len(more); i += 2 {
		labels = append(labels, &dto.LabelPair{Name: &more[i], Value: &more[i+1]})
	}
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(*a.Name, *b.Name) })
	return labels
}

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{buildInfo, frontendConnect, frontendQueue, certificateExpiry, revocationListDue, serverConnect, serverResponse, toolDuration} {
		out <- desc
	}
	describeAll(out, processMetrics)
	describeAll(out, leavingMetrics)
	describeAll(out, accessLogMetrics)
	describeAll(out, fleetMetrics)
	describeAll(out, loopMetrics)
	describeAll(out, frontendMetrics)
	describeAll(out, httpMetrics)
	describeAll(out, toolMetrics)
	describeAll(out, limitMetrics)
	describeAll(out, tlsMetrics)
	describeAll(out, backendMetrics)
	describeAll(out, discoveryMetrics)
	describeAll(out, serverMetrics)
	describeAll(out, handshakeMetrics)
	describeAll(out, nameMetrics)
	describeAll(out, rateLimitMetrics)
}

func describeAll[T any](out chan<- *prometheus.Desc, metrics []metric[T]) {
	for _, m := range metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector. Everything that it sends is from one
// Snapshot.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := snapshotOf(c.source)
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
	if s.Fleet != nil {
		sendAll(out, fleetMetrics, s.Fleet, nil)
	}
}

func sendFrontend(out chan<- prometheus.Metric, f *Frontend) {
	labels := pairs(nil, "frontend", f.Name)
	sendAll(out, frontendMetrics, f, labels)
	out <- &timing{frontendConnect, f.Connect, labels}
	out <- &timing{frontendQueue, f.Queue, labels}
	if f.HTTP != nil {
		sendAll(out, httpMetrics, f.HTTP, labels)
		sendRules(out, f.HTTP, labels)
	}
	if f.TLS != nil {
		sendTLS(out, f.TLS, labels)
	}
}

// sendRules sends the metrics of a frontend's tools and limits.
func sendRules(out chan<- prometheus.Metric, h *HTTP, labels []*dto.LabelPair) {
	for name, tool := range h.Tools {
		labels := pairs(labels, "tool", strings.ToValidUTF8(name, "\uFFFD"))
		sendAll(out, toolMetrics, tool, labels)
		out <- &histogram{toolDuration, &tool.Duration, 2, labels}
	}
	for i := range h.Limits {
		l := &h.Limits[i]
		sendAll(out, limitMetrics, l, pairs(labels, "route", l.Route, "key", l.Key))
	}
}

// sendTLS sends the metrics of a frontend with TLS.
func sendTLS(out chan<- prometheus.Metric, t *TLS, labels []*dto.LabelPair) {
	sendAll(out, tlsMetrics, t, labels)
	for i := range t.Certificates {
		c := &t.Certificates[i]
		out <- &sample{certificateExpiry, prometheus.GaugeValue, float64(c.NotAfter.Unix()), pairs(labels, "file", c.File)}
	}
	for i := range t.RevocationLists {
		if r := &t.RevocationLists[i]; !r.NextUpdate.IsZero() {
			out <- &sample{revocationListDue, prometheus.GaugeValue, float64(r.NextUpdate.Unix()), pairs(labels, "file", r.File, "issuer", strings.ToValidUTF8(r.Issuer, "\uFFFD"))}
		}
	}
}

func sendBackend(out chan<- prometheus.Metric, b *Backend) {
	labels := pairs(nil, "backend", b.Name)
	sendAll(out, backendMetrics, b, labels)
	if b.Discovery != nil {
		sendAll(out, discoveryMetrics, b.Discovery, labels)
	}
	for i := range b.Servers {
		server := &b.Servers[i]
		labels := pairs(labels, "server", server.Name)
		sendAll(out, serverMetrics, server, labels)
		if server.TLS != nil {
			sendAll(out, handshakeMetrics, server.TLS, labels)
		}
		for j := range server.Names {
			sendAll(out, nameMetrics, &server.Names[j], pairs(labels, "name", server.Names[j].Name))
		}
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

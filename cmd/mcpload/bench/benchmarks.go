package bench

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/lab"
	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
	"mcplb/plot"
)

// balancer is the name under which a run watches the balancer.
const balancer = "mcplb"

// totalRate is how many messages per second all clients of scaling and sustained
// send together, whatever their number.
const totalRate = 500

// scalingSizes returns the numbers of clients, of which the last is limit if it is
// below the largest.
func scalingSizes(limit int) []int {
	var sizes []int
	for _, n := range []int{100, 1000, 10_000, 25_000, 100_000} {
		if n >= limit {
			return append(sizes, limit)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

func scaling(b *bench) (*report.Table, []plot.Chart, error) {
	limit, err := lab.Capacity(clients.Only(clients.TCP))
	if err != nil {
		return nil, nil, err
	}
	t := &report.Table{Kind: "clients"}
	var x []float64
	for _, n := range scalingSizes(min(limit, b.Clients)) {
		r, err := b.run("scaling", func(o *run.Options) {
			o.Clients, o.Mix = n, clients.Only(clients.TCP)
			o.Interval = max(time.Duration(n)*time.Second/totalRate, 10*time.Millisecond)
		})
		if err != nil {
			return nil, nil, err
		}
		x = append(x, float64(n))
		addScaling(t, strconv.Itoa(n), r)
	}
	chart := func(title, unit string, figures ...string) plot.Chart {
		c := plot.Chart{Title: title, X: "connections", Y: unit, Log: true}
		for _, what := range figures {
			c.Series = append(c.Series, plot.Series{Name: what, X: x, Y: t.Row(what)})
		}
		return c
	}
	return t, []plot.Chart{
		chart("Latency at 500 messages a second", "ms", "p50 ms", "p95 ms", "p99 ms"),
		chart("The balancer's memory", "MB", "mcplb MB"),
	}, nil
}

func addScaling(t *report.Table, name string, r *report.Report) {
	held := r.Process(balancer).Held
	t.Add(name, "sessions/s", r.Ramp.PerSec)
	t.Add(name, "opening p99 ms", r.Ramp.Opening.P99)
	t.Add(name, "p50 ms", r.Load.Latency.P50)
	t.Add(name, "p95 ms", r.Load.Latency.P95)
	t.Add(name, "p99 ms", r.Load.Latency.P99)
	t.Add(name, "mcplb MB", report.MB(held.Resident))
	t.Add(name, "mcplb files", float64(held.Files))
	t.Add(name, "mcplb µs/message", r.Cost(balancer))
	t.Add(name, "node off its share %", r.Off)
}

func sustained(b *bench) (*report.Table, []plot.Chart, error) {
	r, err := b.run("sustained", func(o *run.Options) {
		o.Clients = min(1000, b.Clients)
		o.Interval, o.Load = time.Duration(o.Clients)*time.Second/totalRate, 6*b.Load
	})
	if err != nil {
		return nil, nil, err
	}
	t := &report.Table{Kind: "sixth of the time"}
	for part := range 6 {
		from := r.Ramp.Seconds + float64(part)*b.Load.Seconds()
		addPart(t, r, strconv.Itoa(part+1), from, from+b.Load.Seconds())
	}
	return t, []plot.Chart{r.LatencyChart(), r.MemoryChart()}, nil
}

// addPart adds a summary of the load's samples between two times.
func addPart(t *report.Table, r *report.Report, name string, from, to float64) {
	n, answers, p50, p99, memory := 0.0, 0.0, 0.0, 0.0, 0.0
	for _, s := range r.Samples {
		if s.Phase != "load" || s.Seconds <= from || s.Seconds > to || s.Latency.Count == 0 {
			continue
		}
		n++
		answers, p50, p99 = answers+s.PerSec, p50+s.Latency.P50, max(p99, s.Latency.P99)
		for i, w := range r.Watched {
			if w.Name == balancer {
				memory = report.MB(s.Watched[i].Resident)
			}
		}
	}
	if n > 0 {
		t.Add(name, "answers/s", answers/n)
		t.Add(name, "mean p50 ms", p50/n)
		t.Add(name, "worst p99 ms", p99)
		t.Add(name, "mcplb MB", memory)
	}
}

// latencyRates are the messages per second of the latency benchmark.
var latencyRates = []int{100, 500, 1000, 2000}

func latency(b *bench) (*report.Table, []plot.Chart, error) {
	t := &report.Table{Kind: "messages/s"}
	chart := plot.Chart{Title: "Latency through mcplb and without it", X: "messages a second", Y: "ms", Labels: []string{},
		Series: []plot.Series{{Name: "p50 through"}, {Name: "p50 direct"}, {Name: "p99 through"}, {Name: "p99 direct"}}}
	for _, rate := range latencyRates {
		set := func(o *run.Options) {
			o.Clients, o.Mix = min(200, b.Clients), clients.Only(clients.TCP)
			o.Interval = time.Duration(o.Clients) * time.Second / time.Duration(rate)
		}
		direct, err := b.run("latency, direct", func(o *run.Options) {
			set(o)
			o.Addresses[clients.TCP] = b.lab.NodeLines(1)
		})
		if err != nil {
			return nil, nil, err
		}
		through, err := b.run("latency, through mcplb", set)
		if err != nil {
			return nil, nil, err
		}
		name := strconv.Itoa(rate)
		addLatency(t, name, through, "")
		addLatency(t, name, direct, " direct")
		t.Add(name, "mcplb's p50 µs", 1000*(through.Load.Latency.P50-direct.Load.Latency.P50))
		t.Add(name, "between nodes %", through.Load.Spread)
		chart.Labels = append(chart.Labels, name)
		for i, value := range []float64{through.Load.Latency.P50, direct.Load.Latency.P50, through.Load.Latency.P99, direct.Load.Latency.P99} {
			chart.Series[i].Y = append(chart.Series[i].Y, value)
		}
	}
	return t, []plot.Chart{chart}, nil
}

func addLatency(t *report.Table, name string, r *report.Report, suffix string) {
	t.Add(name, "p50 ms"+suffix, r.Load.Latency.P50)
	t.Add(name, "p95 ms"+suffix, r.Load.Latency.P95)
	t.Add(name, "p99 ms"+suffix, r.Load.Latency.P99)
	t.Add(name, "max ms"+suffix, r.Load.Latency.Max)
}

func throughput(b *bench) (*report.Table, []plot.Chart, error) {
	t := &report.Table{Kind: "clients"}
	chart := plot.Chart{Title: "Messages a second, the next one sent when the last is answered", X: "clients", Y: "messages a second", Log: true}
	for _, k := range []clients.Kind{clients.TCP, clients.HTTP, clients.WS} {
		line := plot.Series{Name: k.String()}
		for _, n := range []int{1, 16, 64, 256} {
			r, err := b.run("throughput", func(o *run.Options) {
				o.Clients, o.Interval, o.Message, o.Load = n, 0, clients.Echo, b.Load/2
				o.Mix = clients.Only(k)
			})
			if err != nil {
				return nil, nil, err
			}
			name := fmt.Sprintf("%v, %d", k, n)
			t.Add(name, "messages/s", r.Load.PerSec)
			t.Add(name, "p50 ms", r.Load.Latency.P50)
			t.Add(name, "p99 ms", r.Load.Latency.P99)
			t.Add(name, "mcplb µs/message", r.Cost(balancer))
			t.Add(name, "nodes µs/message", r.Cost("node1")+r.Cost("node2")+r.Cost("node3")+r.Cost("node4"))
			line.X, line.Y = append(line.X, float64(n)), append(line.Y, r.Load.PerSec)
		}
		chart.Series = append(chart.Series, line)
	}
	return t, []plot.Chart{chart}, nil
}

func failure(b *bench) (*report.Table, []plot.Chart, error) {
	r, err := b.run("failure", func(o *run.Options) {
		o.Clients, o.Interval = min(1000, b.Clients), 2*time.Second
		o.Load, o.Monitor = 3*b.Load, time.Second
		b.lab.BreakNode(o, "node2")
		o.Fault.At, o.Fault.RepairAt = b.Load, 2*b.Load
	})
	if err != nil {
		return nil, nil, err
	}
	t := &report.Table{Kind: "what"}
	f := r.Fault
	t.Add("the balancer notices, ms", "value", 1000*orZero(f.Detected))
	t.Add("sessions lost with the node", "value", float64(f.Lost))
	t.Add("sessions lost on other nodes", "value", float64(f.Disturbed))
	t.Add("client without a session, p50 ms", "value", f.Away.P50)
	t.Add("client without a session, longest ms", "value", f.Away.Max)
	t.Add("furthest node off a third %", "value", report.FurthestOff(alive(f.SessionsAfter)))
	t.Add("the balancer sees it return, ms", "value", 1000*orZero(f.Repaired))
	return t, []plot.Chart{r.NodeChart(), r.LatencyChart()}, nil
}

func orZero(s *float64) float64 {
	if s == nil {
		return 0
	}
	return *s
}

// alive returns the sessions of the nodes that live. The dead node may have a few
// left: clients without a connection that have not noticed yet.
func alive(sessions []int) []int {
	return slices.DeleteFunc(slices.Clone(sessions), func(n int) bool { return 10*n < 3*slices.Max(sessions) })
}

package admin

import (
	"math"

	"mcplb/proxy/metrics"
)

// Rates are the growth rates of counters over the last 3 seconds.
type Rates struct {
	Connections float64 `json:"connections_per_second"`
	Messages    float64 `json:"messages_per_second"` // from clients; mode http: requests
	BytesIn     float64 `json:"bytes_in_per_second"`
	BytesOut    float64 `json:"bytes_out_per_second"`
	Refused     float64 `json:"refused_per_second"` // of frontends: refused clients
}

// add adds other to r.
func (r *Rates) add(other Rates) {
	r.Connections += other.Connections
	r.Messages += other.Messages
	r.BytesIn += other.BytesIn
	r.BytesOut += other.BytesOut
	r.Refused += other.Refused
}

// rate returns the growth of a counter per second, or 0 if the counter has
// restarted.
func rate(now, before uint64, seconds float64) float64 {
	if seconds <= 0 || now < before {
		return 0
	}
	return float64(now-before) / seconds
}

// unknown are the rates of a frontend or server that is new.
var unknown = Rates{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()}

func frontendRates(f, before *Frontend, seconds float64) Rates {
	if before == nil {
		return unknown
	}
	return Rates{
		Connections: rate(f.Connections.Total, before.Connections.Total, seconds),
		Messages:    rate(f.MessagesIn, before.MessagesIn, seconds),
		BytesIn:     rate(f.BytesIn, before.BytesIn, seconds),
		BytesOut:    rate(f.BytesOut, before.BytesOut, seconds),
		Refused:     rate(total(f.Refused), total(before.Refused), seconds),
	}
}

// mostGrown returns the most frequent reason of refusals since before.
func mostGrown(f, before *Frontend) string {
	worst, most := "", uint64(0)
	if before == nil {
		return worst
	}
	for reason, n := range f.Refused {
		if grown := n - min(n, before.Refused[reason]); grown > most || grown == most && most > 0 && reason < worst {
			worst, most = reason, grown
		}
	}
	return worst
}

func serverRates(s, before *Server, seconds float64) Rates {
	if before == nil {
		return unknown
	}
	messages := rate(s.MessagesIn, before.MessagesIn, seconds)
	return Rates{
		Connections: rate(s.Connections.Total, before.Connections.Total, seconds),
		Messages:    max(messages, rate(s.Response.Count, before.Response.Count, seconds)),
		BytesIn:     rate(s.BytesIn, before.BytesIn, seconds),
		BytesOut:    rate(s.BytesOut, before.BytesOut, seconds),
	}
}

// responseGrowth returns the responses since before.
func responseGrowth(now, before *Server) (g metrics.Growth) {
	if before != nil && now.Response.Exact != nil && before.Response.Exact != nil {
		g = now.Response.Exact.Growth(before.Response.Exact)
	}
	return g
}

// total returns the sum of the counters in a map.
func total(counters map[string]uint64) uint64 {
	sum := uint64(0)
	for _, n := range counters {
		sum += n
	}
	return sum
}

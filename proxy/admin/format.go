package admin

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageFuncs are the functions of the page template.
var pageFuncs = template.FuncMap{
	"count":     func(n int64) string { return grouped(uint64(max(n, 0))) },
	"ucount":    grouped,
	"rate":      func(r float64) string { return strings.TrimSuffix(strconv.FormatFloat(round3(r), 'f', -1, 64), ".0") },
	"bytes":     inBytes,
	"ubytes":    func(n uint64) string { return inBytes(float64(n)) },
	"ibytes":    func(n int64) string { return inBytes(float64(n)) },
	"percent":   func(part float64) string { return fmt.Sprintf("%.1f%%", 100*part) },
	"latency":   inWords,
	"ago":       func(seconds float64) string { return forHowLong(time.Duration(seconds * float64(time.Second))) },
	"since":     func(now, then time.Time) string { return forHowLong(now.Sub(then)) },
	"limit":     func(n int64) string { return orElse(strings.TrimPrefix(grouped(uint64(max(n, 0))), "0"), "∞") },
	"weight":    func(w float64) string { return strconv.FormatFloat(w, 'f', 1, 64) },
	"sum":       total,
	"worst":     worstOf,
	"list":      listOf,
	"statuses":  statuses,
	"quantiles": quantiles,
	"class":     classOf,
	"words":     wordsOf,
	"trouble":   func(s Server) bool { return s.State == ServerDown || s.Suspect },
	"slow":      func(s Server) bool { return s.EffectiveWeight < float64(s.Weight) },
	"failed":    func(c Check) bool { return c.Code != "" && !strings.HasSuffix(c.Code, "OK") },
	"address":   address,
	"addresses": addresses,
}

// round3 rounds r to three digits, or to an integer if that has more.
func round3(r float64) float64 {
	switch {
	case r >= 100:
		return float64(int64(r + 0.5))
	case r >= 10:
		return float64(int64(10*r+0.5)) / 10
	}
	return float64(int64(100*r+0.5)) / 100
}

// grouped formats n with narrow spaces between groups of three digits.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// inBytes formats a number of bytes, in powers of 1000.
func inBytes(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if n < 999.5 || unit == "TB" {
			return strconv.FormatFloat(round3(n), 'f', -1, 64) + "\u202f" + unit
		}
		n /= 1000
	}
	return ""
}

// worstOf returns the most frequent reason, or "" if all counters are 0.
func worstOf(counters map[string]uint64) string {
	for _, reason := range ranked(counters) {
		return reason
	}
	return ""
}

// ranked returns the reasons whose counters are not 0, the most frequent first.
func ranked(counters map[string]uint64) []string {
	var reasons []string
	for reason, n := range counters {
		if n > 0 {
			reasons = append(reasons, reason)
		}
	}
	slices.SortFunc(reasons, func(a, b string) int {
		return cmp.Or(cmp.Compare(counters[b], counters[a]), strings.Compare(a, b))
	})
	return reasons
}

// listOf lists the counters that are not 0, the greatest first.
func listOf(counters map[string]uint64) string {
	var parts []string
	for _, reason := range ranked(counters) {
		parts = append(parts, reason+"\u00a0"+grouped(counters[reason]))
	}
	return orElse(strings.Join(parts, ", "), "none")
}

// statuses formats responses by class, without 1xx, and other ones if there are any.
func statuses(responses map[string]uint64) string {
	if total(responses) == 0 {
		return "–"
	}
	shown := fmt.Sprintf("%s, %s, %s, %s", grouped(responses["2xx"]), grouped(responses["3xx"]), grouped(responses["4xx"]), grouped(responses["5xx"]))
	if other := responses["other"]; other > 0 {
		shown += ", other\u00a0" + grouped(other)
	}
	return shown
}

// quantiles formats the 50th, 95th and 99th percentile in one unit.
func quantiles(l Latency) string {
	if l.Count == 0 {
		return "–"
	}
	factor, unit := 1000.0, "ms"
	if l.P99Seconds >= 1 {
		factor, unit = 1, "s"
	}
	show := func(v float64) string { return strconv.FormatFloat(round3(v*factor), 'f', -1, 64) }
	return fmt.Sprintf("%s, %s, %s\u202f%s", show(l.P50Seconds), show(l.P95Seconds), show(l.P99Seconds), unit)
}

// classOf returns the CSS class of a server, which determines its color.
func classOf(s Server) string {
	switch {
	case s.Admin != AdminReady:
		return string(s.Admin)
	case s.State != ServerDown && s.Suspect:
		return "suspect"
	}
	return string(s.State)
}

// wordsOf describes a server's state.
func wordsOf(s Server) string {
	words := string(s.State)
	if s.Admin != AdminReady {
		words = string(s.Admin) + ", " + words
	}
	if s.Suspect && s.State != ServerDown {
		words += "?"
	}
	return words
}

// address returns a server's first address.
func address(s Server) string {
	for _, endpoint := range []string{"tcp", "http", "ws", "sse"} {
		if found := s.Addresses[endpoint]; found != "" {
			return found
		}
	}
	return ""
}

// addresses returns all addresses of a server, with their endpoints.
func addresses(s Server) string {
	var parts []string
	for _, endpoint := range []string{"tcp", "http", "ws", "sse"} {
		if found := s.Addresses[endpoint]; found != "" {
			parts = append(parts, endpoint+" "+found)
		}
	}
	return strings.Join(parts, ", ")
}

// orElse returns text or, if it is empty, otherwise.
func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// forHowLong formats a duration in its two largest units: "45s", "12m05s", "3h20m",
// "5d4h".
func forHowLong(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// inWords formats a latency with its unit: "0.25 ms", "12 ms", "1.5 s".
func inWords(seconds float64) string {
	switch {
	case seconds <= 0:
		return "-"
	case seconds < 0.01:
		return fmt.Sprintf("%.2f ms", seconds*1000)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}
